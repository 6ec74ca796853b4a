//! What single routes ask for, driven from outside: a real gate over real TLS, and a service that
//! writes everything down.
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

mod changes;
mod long;
mod observe;
mod trace;
