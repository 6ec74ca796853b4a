//! The spans of requests on their way to a collector, by the OpenTelemetry protocol (OTLP 1.x) over
//! HTTP, as JSON.
//!
//! Promises that nothing on the path of a request waits for a collector, and that spans carry names
//! from configuration, codes and times, and nothing else of a message. Must never be done here:
//! keep spans beyond the room that there is for them.

mod answer;
mod encoding;
mod exporter;

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::outbound::Caller;
use crate::secret::Secret;
use crate::telemetry::SpanRules;

pub use exporter::{Exporter, Stop};

/// What is exported, and where to.
#[derive(Clone, Debug)]
pub struct Export {
    /// How many requests' spans may wait.
    pub queue: NonZeroUsize,
    /// Which requests have spans.
    pub rules: SpanRules,
    /// Who gets them.
    pub collector: Collector,
}

/// Who gets the spans of requests.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Where they are posted: the whole URL.
    pub endpoint: Uri,
    /// Header fields that go with them.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Who makes the calls.
    pub caller: Caller,
    /// What the gate is called in them.
    pub service: Box<str>,
    /// How long spans wait for others to go with.
    pub interval: Duration,
    /// From a call to its whole answer.
    pub deadline: Duration,
    /// For how long the same spans are offered again to a collector that cannot take them now.
    pub retry_for: Duration,
}
