//! Fifth step: time. [`Fresh`] says no time outside its source's window, by the clock of its
//! receipt. It is never judged again.

use crate::clock::Timestamp;
use crate::limit::Window;
use crate::scheme::Claims;

use super::claims::Stated;
use super::refusal::Refused;

/// A message that says no time outside its window.
#[must_use]
pub(super) struct Fresh<'m> {
    stated: Stated<'m>,
}

/// Checks the time that a message states against the window of its source.
///
/// # Errors
/// `stale_timestamp`.
pub(super) fn check(stated: Stated<'_>) -> Result<Fresh<'_>, Refused> {
    let announced = stated.received().announced();
    let (now, window) = (announced.now(), announced.source().window);
    match stated.claims().is_none_or(|claims| is_within(claims, now, window)) {
        true => Ok(Fresh { stated }),
        false => Err(Refused::StaleTimestamp),
    }
}

/// Both ends are inclusive. Where a scheme has no time, what came before is known by its key.
fn is_within(claims: &Claims, now: Timestamp, window: Window) -> bool {
    let (oldest, newest) = (now.saturating_sub(window.past), now.saturating_add(window.ahead));
    claims.deadline().is_none_or(|last| now <= last)
        && claims.timestamp().is_none_or(|stamp| oldest <= stamp && stamp <= newest)
}

impl<'m> Fresh<'m> {
    /// What the message says of its signature.
    pub(super) fn stated(&self) -> &Stated<'m> {
        &self.stated
    }
}
