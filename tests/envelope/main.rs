//! Sealed bodies against other implementations and against the documented messages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod jwe;
mod messages;
mod mutations;
mod paykun;
mod support;
mod wycheproof;
