//! Certificates that an authority issues: a gate before an authority of our own, which speaks ACME
//! over real TLS, checks every signature and nonce, and looks itself whether a name leads to the
//! gate.
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

mod authority;
mod failing;
mod issue;
mod jws;
mod kit;
mod pebble;
mod proof;
mod renewal;
mod wire;
