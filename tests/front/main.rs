//! What stands in front of the gate: balancers that say whose a connection is, proxies that say
//! whose a request is, and clients that come in clear. "Row" in a comment is the number of a threat
//! in the project's list of threats.
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

mod balancer;
mod clear;
mod crowd;
mod dial;
mod proxies;
