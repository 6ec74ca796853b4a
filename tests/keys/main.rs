//! Merchants and their keys as people keep them: the commands of the program over a real store.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod fitting;
mod inbox;
mod life;
mod mistakes;
mod once;
mod support;
mod together;
mod webhooks;
