//! The gate's one door: admit, forward, answer.

pub mod forward;
pub mod route;
