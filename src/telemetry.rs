//! What the gate tells of itself: metrics and log lines. It takes codes, names and durations, never
//! requests, so that nothing secret can reach it.

pub mod connections;
