//! Countersign: a gate in front of merchant APIs.
//!
//! A request comes in by [`serve`], passes [`gateway`]'s admission step by step, and leaves for its
//! upstream. Modules below are in reading order; imports point from later layers to earlier ones.

pub mod clock;
pub mod config;
pub mod crypto;
pub mod gateway;
pub mod keyring;
pub mod limit;
pub mod scheme;
pub mod secret;
pub mod target;
pub mod telemetry;
