//! Countersign: a gate in front of merchant APIs.
//!
//! A request comes in by [`serve`], passes [`gateway`]'s admission step by step, and leaves for its
//! upstream. Modules below are in reading order; imports point from later layers to earlier ones.

pub mod app;
pub mod config;
pub mod gateway;
pub mod serve;
pub mod operations;
pub mod acme;
pub mod redirect;
pub mod console;
pub mod inbox;
pub mod client;
pub mod doctor;
pub mod administration;
pub mod keyring;
pub mod store;
pub mod journal;
pub mod otlp;
pub mod outbound;
pub mod custody;
pub mod roll;
pub mod scheme;
pub mod envelope;
pub mod replay;
pub mod quota;
pub mod telemetry;
pub mod recipe;
pub mod crypto;
pub mod peer;
pub mod relay;
pub mod batch;
pub mod bell;
pub mod local;
pub mod target;
pub mod clock;
pub mod secret;
pub mod limit;
