//! What is done for deliveries after they were acknowledged: confirm, post back, deliver. A loop
//! over lanes, each with its own concurrency and pace, so that a slow one hurts nobody else.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::Journal;
use crate::keyring::Keyring;
use crate::telemetry::{InboxMetrics, Log};

use super::source::Sources;

/// All that the courier needs.
pub struct Courier {
    /// Where deliveries are kept.
    pub journal: Arc<Journal>,
    /// The snapshot in force.
    pub sources: Arc<ArcSwap<Sources>>,
    /// Keys, for inquiries.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The gate's time.
    pub clock: Clock,
    /// Where it tells what people must know.
    pub log: Log,
    /// What is counted.
    pub metrics: InboxMetrics,
}

impl Courier {
    /// Works until it is told to stop, and then gives calls that are under way a moment to end.
    /// What was not settled by then is done again at the next start. Runs on a `LocalRuntime`.
    pub async fn run(self, _stop: CancellationToken) {
        unimplemented!()
    }
}
