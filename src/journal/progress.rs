//! How deliveries go on: tasks, attempts and states, in the transaction of the writer or of a desk.
//!
//! A delivery that is being confirmed has that task, one that is being delivered has that one, and
//! no other has either. A task is `behind` while an older delivery of its destination and order
//! key is under way; of these, only the next one changes when one comes or goes.

use rusqlite::{Connection, OptionalExtension as _, Result};

use super::tables::{limit, number, stored};
use super::{ATTEMPTS_MAX, Attempt, Confirmation, Settled, State, Work};

/// A task, and what came of it.
pub(super) struct Outcome {
    pub(super) sequence: i64,
    pub(super) work: Work,
    pub(super) settled: Settled,
    /// What was found out, as it is kept.
    confirmation: Option<String>,
}

impl Outcome {
    /// None: nothing of that kind can come of that work.
    pub(super) fn new(sequence: i64, work: Work, settled: Settled) -> Option<Self> {
        let found = match (&settled, work) {
            (Settled::Again { .. }, _)
            | (Settled::Done { .. } | Settled::GivenUp { .. }, Work::Deliver | Work::PostBack) => {
                None
            }
            (
                Settled::Confirmed { confirmation, .. } | Settled::Disagreed { confirmation, .. },
                Work::Confirm,
            ) => Some(kept(confirmation)?),
            _ => return None,
        };
        Some(Self { sequence, work, settled, confirmation: found })
    }

    fn attempt(&self) -> &Attempt {
        match &self.settled {
            Settled::Again { attempt, .. }
            | Settled::Done { attempt }
            | Settled::GivenUp { attempt }
            | Settled::Confirmed { attempt, .. }
            | Settled::Disagreed { attempt, .. } => attempt,
        }
    }
}

/// A confirmation as it is kept.
pub(super) fn kept(confirmation: &Confirmation) -> Option<String> {
    serde_json::to_string(confirmation).ok()
}

/// A delivery as far as its going on is concerned.
pub(super) struct Place {
    pub(super) state: State,
    pub(super) received_millis: u64,
    destination: String,
    order_key: Option<String>,
}

impl Place {
    pub(super) fn find(connection: &Connection, sequence: i64) -> Result<Option<Self>> {
        let sql = "SELECT state, received_at, destination, order_key FROM deliveries \
                   WHERE sequence = ?1";
        let mut row = connection.prepare_cached(sql)?;
        let found = row.query_row([sequence], |row| {
            let state = State::read(row, 0)?;
            let received_millis = number(row.get(1)?);
            Ok(Self { state, received_millis, destination: row.get(2)?, order_key: row.get(3)? })
        });
        found.optional()
    }
}

/// Writes down what came of a task. Of one that is not there any more, because an operator decided
/// otherwise meanwhile, only that it was tried.
pub(super) fn settle(connection: &Connection, outcome: &Outcome, now_millis: u64) -> Result<()> {
    let Outcome { sequence, work, .. } = *outcome;
    let Some(place) = Place::find(connection, sequence)? else { return Ok(()) };
    add_attempt(connection, sequence, work, outcome.attempt())?;
    if let Settled::Again { due_millis, attempt } = &outcome.settled {
        let sql = "UPDATE tasks SET due_at = ?3, attempts = attempts + 1, \
                   first_tried_at = coalesce(first_tried_at, ?4) \
                   WHERE sequence = ?1 AND work = ?2";
        let row = (sequence, work.code(), stored(*due_millis), stored(attempt.at_millis));
        return connection.prepare_cached(sql)?.execute(row).map(drop);
    }
    let sql = "DELETE FROM tasks WHERE sequence = ?1 AND work = ?2";
    if connection.prepare_cached(sql)?.execute((sequence, work.code()))? == 0 {
        return Ok(());
    }
    if let Some(confirmation) = &outcome.confirmation {
        set_confirmation(connection, sequence, confirmation)?;
    }
    match &outcome.settled {
        Settled::Confirmed { .. } => {
            set_state(connection, sequence, &place, State::Delivering)?;
            add_task(connection, sequence, Work::Deliver, now_millis)?;
        }
        Settled::Disagreed { .. } => {
            let sql = "DELETE FROM tasks WHERE sequence = ?1";
            connection.prepare_cached(sql)?.execute([sequence])?;
            set_state(connection, sequence, &place, State::Disagreed)?;
        }
        Settled::Done { .. } if work == Work::Deliver => {
            set_state(connection, sequence, &place, State::Delivered)?;
        }
        Settled::GivenUp { .. } if work == Work::Deliver => {
            set_state(connection, sequence, &place, State::Dead)?;
        }
        Settled::Again { .. } | Settled::Done { .. } | Settled::GivenUp { .. } => {}
    }
    end(connection, sequence, now_millis)
}

/// Begins a task, or begins it anew: it has the whole schedule before it.
pub(super) fn add_task(
    connection: &Connection,
    sequence: i64,
    work: Work,
    due_millis: u64,
) -> Result<()> {
    let behind = work != Work::PostBack && is_behind(connection, sequence)?;
    let lane = if work == Work::Deliver { "destination" } else { "source" };
    let sql = format!(
        "INSERT OR REPLACE INTO tasks (sequence, work, lane, behind, due_at, attempts) \
         SELECT ?1, ?2, {lane}, ?3, ?4, 0 FROM deliveries WHERE sequence = ?1"
    );
    let row = (sequence, work.code(), behind, stored(due_millis));
    connection.prepare_cached(&sql)?.execute(row).map(drop)
}

/// Moves a delivery to a state. What is younger and about the same may go, or has to wait.
pub(super) fn set_state(
    connection: &Connection,
    sequence: i64,
    from: &Place,
    to: State,
) -> Result<()> {
    let sql = "UPDATE deliveries SET state = ?2 WHERE sequence = ?1";
    connection.prepare_cached(sql)?.execute((sequence, to.code()))?;
    let Some(order_key) = &from.order_key else { return Ok(()) };
    let (after, behind) = match (from.state.is_under_way(), to.is_under_way()) {
        // The oldest that is left goes, whichever that is.
        (true, false) => (i64::MIN, false),
        // All that are younger than the next one wait already.
        (false, true) => (sequence, true),
        _ => return Ok(()),
    };
    let sql = "UPDATE tasks SET behind = ?4 WHERE work <> 1 AND sequence = \
               (SELECT min(sequence) FROM deliveries WHERE destination = ?1 AND order_key = ?2 \
               AND sequence > ?3 AND state < 2)";
    let row = (&from.destination, order_key, after, behind);
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// Keeps what was found out by asking.
pub(super) fn set_confirmation(connection: &Connection, sequence: i64, text: &str) -> Result<()> {
    let sql = "UPDATE deliveries SET confirmation = ?2 WHERE sequence = ?1";
    connection.prepare_cached(sql)?.execute((sequence, text)).map(drop)
}

fn is_behind(connection: &Connection, sequence: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM deliveries AS own, deliveries AS older WHERE own.sequence = ?1 \
               AND older.destination = own.destination AND older.order_key = own.order_key \
               AND older.state < 2 AND older.order_key IS NOT NULL AND older.sequence < ?1";
    connection.prepare_cached(sql)?.exists([sequence])
}

/// Notes since when nothing is to be done for a delivery, where that is so.
fn end(connection: &Connection, sequence: i64, now_millis: u64) -> Result<()> {
    let sql = "UPDATE deliveries SET ended_at = ?2 WHERE sequence = ?1 AND state > 2 \
               AND ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM tasks WHERE sequence = ?1)";
    connection.prepare_cached(sql)?.execute((sequence, stored(now_millis))).map(drop)
}

/// Notes an attempt. Of more than are kept, the first half and the last stay.
fn add_attempt(
    connection: &Connection,
    sequence: i64,
    work: Work,
    attempt: &Attempt,
) -> Result<()> {
    let sql = "SELECT coalesce(max(number), 0) + 1, count(*) FROM attempts WHERE sequence = ?1";
    let (next, count): (i64, i64) = connection
        .prepare_cached(sql)?
        .query_row([sequence], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if count >= limit(ATTEMPTS_MAX) {
        let sql = "DELETE FROM attempts WHERE sequence = ?1 AND number = (SELECT number \
                   FROM attempts WHERE sequence = ?1 ORDER BY number LIMIT 1 OFFSET ?2)";
        connection.prepare_cached(sql)?.execute((sequence, limit(ATTEMPTS_MAX / 2)))?;
    }
    let sql = "INSERT INTO attempts (sequence, number, work, id, at, took, outcome, status) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let row = (
        sequence,
        next,
        work.code(),
        &attempt.id,
        stored(attempt.at_millis),
        stored(attempt.took_millis),
        &attempt.outcome,
        attempt.status,
    );
    connection.prepare_cached(sql)?.execute(row).map(drop)
}
