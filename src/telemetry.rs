//! What the gate tells of itself: metrics and log lines. It takes codes, names and durations, never
//! requests, so that nothing secret can reach it.

mod code;
pub mod connections;
mod inbox;
mod log;
mod metrics;
mod record;
mod usage;

pub use code::Code;
pub use inbox::{InboxMetrics, JournalMetrics};
pub use log::{Level, Log, LogFormat, LogSink, Queue, Sampling};
pub use metrics::{
    GateMetrics, LedgerMetrics, Mistakes, RouteMetrics, StageTimes, UpstreamMetrics, encode,
};
pub use record::{Lane, Owner, Record, RequestId, Stage};
pub use usage::{Use, UsedVersion, Uses, VerifiedBy};
