//! How the gate is run: upgrades without loss, what watches it, and the tools that ask it.
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

mod handover;
mod load;
mod sampling;
mod spans;
mod top;
mod units;
mod unread;
mod upgrade;
mod watching;
