//! When a policy wants another version in the place of the active one, and when it reminds.

use std::time::Duration;

use super::State;
use crate::clock::Timestamp;
use crate::store::row::{PolicyRow, VersionRow};

/// Why a version is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is as old as it may become, or it is the date, or its own end is near.
    Time,
    /// It has signed as many messages as it may.
    Messages,
}

/// When a policy wants the active version to be replaced, as far as time tells: by its age, by the
/// policy's date, or an overlap before its own end. None where time never does.
pub fn replaced_at(policy: &PolicyRow, active: &VersionRow) -> Option<Timestamp> {
    let since = active.activated_at.unwrap_or(active.created_at);
    let overlap = Duration::from_secs(policy.overlap_secs);
    let aged = policy.max_age_secs.map(|secs| since.saturating_add(Duration::from_secs(secs)));
    // The date is for versions that were there before it.
    let dated = policy.rotate_at.filter(|at| since < *at);
    let ends = active.expires_at.map(|end| end.saturating_sub(overlap));
    [aged, dated, ends].into_iter().flatten().min()
}

/// Whether the active version is to be replaced now; `messages` is how many it has signed. Never
/// where another waits to take over already.
pub fn due(
    policy: &PolicyRow,
    versions: &[VersionRow],
    messages: u64,
    now: Timestamp,
) -> Option<Due> {
    let waits = |row: &&VersionRow| {
        row.state == State::Pending && (row.on_first_use || row.activate_at.is_some())
    };
    let active = versions.iter().find(|row| row.state == State::Active)?;
    if versions.iter().any(|row| waits(&row)) {
        return None;
    }
    if replaced_at(policy, active).is_some_and(|at| now >= at) {
        return Some(Due::Time);
    }
    policy.max_messages.filter(|most| messages >= *most).map(|_| Due::Messages)
}

/// The fewest days before which a policy reminds of a version by now; none: it does not yet. Who
/// keeps the last answer reminds once for each.
pub fn reminder(policy: &PolicyRow, active: &VersionRow, now: Timestamp) -> Option<u16> {
    let at = replaced_at(policy, active)?;
    let reached = |days: &&u16| {
        let ahead = Duration::from_secs(u64::from(**days) * 86_400);
        now >= at.saturating_sub(ahead)
    };
    policy.remind_days.iter().filter(reached).min().copied()
}
