//! Rolling keys, `roll.v1`: the protocol against its vectors and its reference in Python, a model
//! of many lost messages, and a real gate over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "the kit is that of the path tests; these tests use a part of it")]
#[path = "../path/support/mod.rs"]
mod support;

mod clients;
mod faults;
mod gate;
mod kit;
mod model;
mod protocol;
mod stored;
