//! The inbox over real TLS: providers that misbehave on one side, a merchant's service that
//! misbehaves on the other, the real program between them.
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

mod confirm;
mod crash;
mod deliver;
mod faults;
mod kit;
mod pairs;
mod provider;
mod receive;
mod storage;
