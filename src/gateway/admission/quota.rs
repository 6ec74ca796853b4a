//! Ninth step: the limits. [`Granted`] was counted against its credential and its merchant.
//!
//! Claim and spend are one decision: over its limit a request gives its claim back, so that the
//! same bytes may come again while fresh, and a replay never gets here and spends nothing.

use std::ops::Deref;
use std::time::Duration;

use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::replay::Unseen;
use crate::gateway::admission::rolling::message::Presented;
use crate::gateway::rejection::Rejection;
use crate::store::ledger::Hold;
use crate::telemetry::Stage;

/// A request within its limits.
#[must_use]
pub(super) struct Granted {
    presented: Presented,
    remembered: Option<Box<Hold>>,
}

/// Spends one request of the credential's limit and one of the merchant's.
///
/// # Errors
/// `rate_limited`; `replayed` when another kind of request with the same MAC came in between.
pub(super) fn spend(unseen: Unseen<'_>) -> Result<Granted, Stopped> {
    if let Err(wait) = spend_all(&unseen) {
        let presented = unseen.withdraw();
        return Err(observed::stop(presented, Rejection::RateLimited(wait)));
    }
    let (presented, remembered) = unseen.keep()?;
    presented.record.passed(Stage::Decide);
    Ok(Granted { presented, remembered })
}

/// A session call has a limit of its own beside those of every request.
fn spend_all(presented: &Presented) -> Result<(), Duration> {
    let credential = presented.credential();
    match presented.route().spec.is_session() {
        true => credential.spend_session().and_then(|()| credential.spend()),
        false => credential.spend(),
    }
}

impl Granted {
    /// The ledger's hold on the request, where its route has it remembered.
    pub(super) fn take_remembered(&mut self) -> Option<Box<Hold>> {
        self.remembered.take()
    }

    pub(super) fn into_presented(self) -> Presented {
        self.presented
    }
}

impl Deref for Granted {
    type Target = Presented;

    fn deref(&self) -> &Presented {
        &self.presented
    }
}
