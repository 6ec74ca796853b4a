//! What the gate tells of itself: metrics and log lines. It takes codes, names and durations, never
//! requests, so that nothing secret can reach it.

mod acme;
mod code;
pub mod connections;
mod inbox;
mod log;
mod metrics;
mod observed;
mod record;
mod spans;
mod trace;
mod upstream;
mod usage;

pub use acme::{AcmeMetrics, OrderFault};
pub use code::Code;
pub use inbox::{InboxMetrics, JournalMetrics};
pub use log::{Level, Log, LogFormat, LogSink, Queue, Sampling};
pub use metrics::{GateMetrics, LedgerMetrics, Mistakes, RouteMetrics, StageTimes, encode};
pub use observed::ObservedMetrics;
pub use record::{Lane, Owner, Record, RequestId, Stage};
pub use spans::{Asked, Span, SpanMetrics, SpanRules, Spans};
pub use trace::{SpanId, Trace};
pub use upstream::{AddressMetrics, AllAddressMetrics, UpstreamMetrics};
pub use usage::{Use, UsedVersion, Uses, VerifiedBy};
