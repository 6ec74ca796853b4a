//! A merchant's service that webhooks are delivered to, as configuration states it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::limit::Rate;
use crate::outbound::Caller;
use crate::secret::Secret;

/// A merchant's service.
pub struct Destination {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// Where deliveries are posted.
    pub url: Uri,
    /// Whom it may be.
    pub caller: Caller,
    /// Secrets that sign deliveries (Standard Webhooks 1.0.0, v1): the decoded bytes. All of them
    /// sign, so that the service can change from one to the next.
    pub secrets: Vec<Secret>,
    /// From the call to the whole answer.
    pub deadline: Duration,
    /// Deliveries at the same time.
    pub concurrency: NonZeroUsize,
    /// Deliveries a second.
    pub rate: Rate,
    /// Whether deliveries about one order come one after another, in the order in which they came.
    pub ordered: bool,
    /// The times between attempts, before jitter; after the last the delivery is dead.
    pub schedule: Vec<Duration>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("name", &self.name).finish_non_exhaustive()
    }
}
