//! Random input, for a bounded time: whatever comes in, nothing panics, and what must hold holds.
//!
//! Every run takes a new seed. A round that fails says how to repeat it:
//! `COUNTERSIGN_FUZZ=SEED:ROUND cargo test --test fuzz NAME`. `COUNTERSIGN_FUZZ_SECONDS=600` looks
//! for longer than the few seconds that each test takes otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod corpus;
mod envelopes;
mod mutation;
mod php;
mod proxy_headers;
mod rounds;
mod schemes;
mod signature_fields;
mod templates;
