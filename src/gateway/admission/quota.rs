//! Ninth step: the limits. [`Granted`] was counted against its credential and its merchant.
//!
//! Claim and spend are one decision: over its limit a request gives its claim back, so that the
//! same bytes may come again while fresh, and a replay never gets here and spends nothing.

use std::ops::Deref;

use crate::gateway::admission::permission::Permitted;
use crate::gateway::admission::replay::{Unseen, refused};
use crate::gateway::rejection::Rejection;
use crate::store::ledger::Hold;
use crate::telemetry::Stage;

/// A request within its limits.
#[must_use]
pub(super) struct Granted {
    permitted: Permitted,
    remembered: Option<Box<Hold>>,
}

/// Spends one request of the credential's limit and one of the merchant's.
///
/// # Errors
/// `rate_limited`; `replayed` when another kind of request with the same MAC came in between.
pub(super) fn spend(unseen: Unseen<'_>) -> Result<Granted, Rejection> {
    let (permitted, claim, remembered) = unseen.into_permitted();
    if let Err(wait) = permitted.credential().spend() {
        if let Some(claim) = claim {
            claim.withdraw();
        }
        return Err(Rejection::RateLimited(wait));
    }
    if let Some(claim) = claim {
        claim.keep().map_err(|refusal| refused(refusal, &permitted))?;
    }
    permitted.record.passed(Stage::Decide);
    Ok(Granted { permitted, remembered })
}

impl Granted {
    /// The ledger's hold on the request, where its route has it remembered.
    pub(super) fn take_remembered(&mut self) -> Option<Box<Hold>> {
        self.remembered.take()
    }

    pub(super) fn into_permitted(self) -> Permitted {
        self.permitted
    }
}

impl Deref for Granted {
    type Target = Permitted;

    fn deref(&self) -> &Permitted {
        &self.permitted
    }
}
