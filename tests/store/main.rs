//! The store of keys, driven by its public face, and attacked by another program that has the file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

mod support;

mod audit;
mod copies;
mod kills;
mod model;
mod rotation;
mod rows;
mod tampering;
mod tombstones;
