//! The path of a request, driven from outside: a real gate over real TLS, between clients that send
//! any bytes and a service that answers with any. Each file proves one area; "row" in a comment is
//! the number of a threat in the project's list of threats.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "other tests use the kit as well")]
mod support;

mod answers;
mod coded;
mod concurrency;
mod defect;
mod doctor;
mod drain;
mod framing;
mod gone;
mod http2;
mod managed;
mod midway;
mod operations;
mod operator;
mod orders;
mod pairs;
mod quota;
mod reload;
mod remember;
mod replay;
mod schemes;
mod sealed;
mod sealed_by_hand;
mod secrets;
mod signature;
mod target;
mod tls;
mod upstream;
mod vectors;
mod webhooks;
