//! Fourth step: time. [`Fresh`] was signed, if it was signed at all, within the route's window.
//!
//! Both ends are inclusive and in whole seconds. Only the timestamp that the scheme signs is read.

use std::ops::Deref;

use crate::gateway::admission::claims::Claimed;
use crate::gateway::rejection::{Rejection, Stale, StaleReason};
use crate::telemetry::Stage;

/// A request whose timestamp is within its window.
#[must_use]
pub(super) struct Fresh {
    claimed: Claimed,
}

/// Checks the timestamp against the window of the route.
///
/// # Errors
/// `stale_timestamp` when it is too old or too far ahead.
pub(super) fn check(claimed: Claimed) -> Result<Fresh, Rejection> {
    let (now, window) = (claimed.now(), claimed.route().spec.window);
    let stamp = claimed.claims().timestamp();
    let stale = |reason| Err(Rejection::StaleTimestamp(Stale { reason, now, window }));
    if stamp < now.saturating_sub(window.past) {
        return stale(StaleReason::TooOld);
    }
    if stamp > now.saturating_add(window.ahead) {
        return stale(StaleReason::TooFarAhead);
    }
    claimed.record.passed(Stage::Head);
    Ok(Fresh { claimed })
}

impl Fresh {
    pub(super) fn into_claimed(self) -> Claimed {
        self.claimed
    }
}

impl Deref for Fresh {
    type Target = Claimed;

    fn deref(&self) -> &Claimed {
        &self.claimed
    }
}
