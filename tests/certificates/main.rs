//! Certificates on both sides of the listener: those of clients, by which they are let in and to
//! which credentials are bound, and what the gate's own TLS settings amount to. "Row" in a comment
//! is the number of a threat in the project's list of threats.
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
mod binding;
mod mutual;
mod profile;
