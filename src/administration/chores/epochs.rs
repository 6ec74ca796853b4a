//! Epochs of rolling keys: made ahead of their time, destroyed when none of their keys can be
//! presented any more.

use std::time::Duration;

use serde_json::json;

use super::{Done, gate};
use crate::administration::Problem;
use crate::clock::Timestamp;
use crate::store::row::EpochRow;
use crate::store::{Change, Store};
use crate::telemetry::Level;

/// How long an epoch is.
const LENGTH: Duration = Duration::from_secs(86_400);
/// How far ahead there are epochs, so that keys roll on while the master key is away.
const AHEAD: Duration = Duration::from_secs(2 * 86_400);
/// How long after the last of its keys an epoch is kept, for clocks that differ.
const MARGIN: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

/// Makes epochs until two days are covered, and destroys those whose time is over. `ttl` is the
/// longest that a key set is good on any route.
///
/// # Errors
/// The store.
pub fn keep_up(store: &Store, ttl: Duration) -> Result<Vec<Done>, Problem> {
    let due = store.read(|view| {
        let (epochs, now) = (view.epochs()?, view.now());
        let over = epochs.iter().any(|row| is_over(row, now));
        Ok::<_, Problem>(over || covered(&epochs) <= now.saturating_add(AHEAD))
    })?;
    if !due {
        return Ok(Vec::new());
    }
    store.change(&gate(), |change| {
        let mut done = destroy(change)?;
        done.extend(make(change, ttl)?);
        Ok(done)
    })
}

fn is_over(row: &EpochRow, now: Timestamp) -> bool {
    row.destroyed_at.is_none() && row.destroy_at <= now
}

/// The last second for which there is an epoch.
fn covered(epochs: &[EpochRow]) -> Timestamp {
    let ends = epochs.iter().map(|row| row.not_after);
    ends.max().unwrap_or(Timestamp::from_secs(0))
}

fn destroy(change: &mut Change<'_>) -> Result<Vec<Done>, Problem> {
    let now = change.now();
    let mut done = Vec::new();
    for row in change.epochs()?.into_iter().filter(|row| is_over(row, now)) {
        change.destroy_epoch(row.number)?;
        done.push(note(change, "epoch.destroyed", "epoch_destroyed", row.number)?);
    }
    Ok(done)
}

fn make(change: &mut Change<'_>, ttl: Duration) -> Result<Vec<Done>, Problem> {
    let (mut epochs, now) = (change.epochs()?, change.now());
    let mut done = Vec::new();
    while covered(&epochs) <= now.saturating_add(AHEAD) {
        let last = epochs.iter().max_by_key(|row| row.number);
        let not_before = last.map_or(now, |row| row.not_after.saturating_add(SECOND).max(now));
        let not_after = not_before.saturating_add(LENGTH).saturating_sub(SECOND);
        let row = EpochRow {
            number: last.map_or(1, |row| row.number.saturating_add(1)),
            not_before,
            not_after,
            destroy_at: not_after.saturating_add(ttl).saturating_add(MARGIN),
            destroyed_at: None,
        };
        change.add_epoch(&row)?;
        done.push(note(change, "epoch.created", "epoch_created", row.number)?);
        epochs.push(row);
    }
    Ok(done)
}

fn note(
    change: &mut Change<'_>,
    action: &'static str,
    event: &'static str,
    number: u32,
) -> Result<Done, Problem> {
    change.audit(action, &format!("epoch {number}"), json!({}), None)?;
    Ok(Done { event, level: Level::Info, fields: json!({ "epoch": number }) })
}
