//! Fourth step: time. [`Fresh`] was signed, if it was signed at all, within the route's window, as
//! far as its head says when.
//!
//! Both ends are inclusive and in whole seconds. Only the timestamp that the scheme signs is read.

use std::ops::Deref;

use crate::doctor;
use crate::gateway::admission::claims::Claimed;
use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::routing::Routed;
use crate::gateway::rejection::{Rejection, Stale, StaleReason};
use crate::scheme::Claims;
use crate::telemetry::Stage;

/// A request whose head says no time outside its window.
#[must_use]
pub(super) struct Fresh {
    claimed: Claimed,
}

/// Checks the timestamp of the head against the window of the route.
///
/// # Errors
/// `stale_timestamp` when it is too old or too far ahead.
pub(super) fn check(claimed: Claimed) -> Result<Fresh, Stopped> {
    if let Some(claims) = claimed.early_claims()
        && let Err(rejection) = within(&claimed, claims)
    {
        return Err(observed::stop(claimed, rejection));
    }
    claimed.record.passed(Stage::Head);
    Ok(Fresh { claimed })
}

/// Checks the time of some claims against the window of the route, and the end that they name.
///
/// # Errors
/// `stale_timestamp` when they are too old or too far ahead, or name no time at all on a route that
/// does not remember its requests.
pub(super) fn within(routed: &Routed, claims: &Claims) -> Result<(), Rejection> {
    let (now, window) = (routed.now(), routed.route().spec.window);
    let stale = |reason| {
        let off = claims.timestamp().map(|stamp| stamp.apart(now));
        let mistake = off.and_then(doctor::staleness);
        Err(Rejection::StaleTimestamp(Stale { reason, now, window, mistake }))
    };
    let ended = claims.deadline().is_some_and(|last| last < now);
    let Some(stamp) = claims.timestamp() else {
        // Without a time nothing is too old: the ledger refuses what came before, for good.
        let remembered = routed.route().spec.remember && !ended;
        return if remembered { Ok(()) } else { stale(StaleReason::TooOld) };
    };
    if ended || stamp < now.saturating_sub(window.past) {
        return stale(StaleReason::TooOld);
    }
    if stamp > now.saturating_add(window.ahead) {
        return stale(StaleReason::TooFarAhead);
    }
    Ok(())
}

impl Fresh {
    /// The claims of the head, taken out for the step that has all claims.
    pub(super) fn take_claims(&mut self) -> Option<Box<Claims>> {
        self.claimed.take_claims()
    }

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
