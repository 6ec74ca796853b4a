//! The admin API from outside: the real program with a store of keys, over real TLS.
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

mod api;
mod audit;
mod calls;
mod fuzz;
mod life;
mod operators;
mod secrecy;
mod surface;
#[allow(dead_code, reason = "the kit is that of the tests of commands")]
#[path = "../keys/webhooks.rs"]
mod webhooks;
