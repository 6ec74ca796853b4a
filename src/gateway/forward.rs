//! Sends what was admitted to its upstream, and nothing else.

mod upstream;

pub use upstream::{UpstreamSpec, UpstreamTls};
