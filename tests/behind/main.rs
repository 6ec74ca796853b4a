//! What is behind the gate, and how it fails: several addresses, lines, health, names, certificates
//! and protocols of a service, with a proxy before it that makes every fault of a network. "Row" in
//! a comment is the number of a threat in the project's list of threats.
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

mod balance;
mod ejection;
mod health;
mod identity;
mod kit;
mod line;
mod moving;
mod multiplexed;
mod names;
mod proxy;
mod reuse;
mod service;
mod streaming;
