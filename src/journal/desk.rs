//! The journal as operators see it: what there is, and what they decide, in transactions of their
//! own. The gate may run meanwhile or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Result, params_from_iter};

use crate::clock::Clock;

use super::content::{self, COLUMNS};
use super::tables::{Place, limit, number, stored};
use super::{
    Attempt, Confirmation, Delivery, FILE, JournalFault, RefusalRow, State, Work, name, progress,
    reader, refusals,
};

/// Which deliveries an operator means. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These names.
    pub ids: Vec<String>,
    /// Of a source.
    pub source: Option<String>,
    /// For a destination.
    pub destination: Option<String>,
    /// In a state.
    pub state: Option<State>,
    /// About an order.
    pub order: Option<String>,
    /// That came at or after this time, in Unix milliseconds.
    pub since_millis: Option<u64>,
    /// That came before this time, in Unix milliseconds.
    pub until_millis: Option<u64>,
    /// Only those after this place in the journal.
    pub after: Option<i64>,
    /// Only those before this place in the journal.
    pub before: Option<i64>,
}

/// A delivery with all that happened to it.
#[derive(Clone, Debug)]
pub struct History {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, the oldest first, with what was tried.
    pub attempts: Vec<(Work, Attempt)>,
    /// When what is still to be done is due, in Unix milliseconds.
    pub due: Vec<(Work, u64)>,
}

/// The journal as an operator sees it, beside or without a running gate.
pub struct Desk {
    connection: Mutex<Connection>,
    place: Place,
    clock: Clock,
}

impl Filter {
    /// Its conditions on `deliveries` as d, and what they ask for.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut all = String::from("true");
        let mut values = Vec::new();
        let mut ask = |condition: &str, value: Value| {
            values.push(value);
            all.push_str(&format!(" AND {condition}?{}", values.len()));
        };
        let text = |text: &String| Value::Text(text.clone());
        self.source.iter().for_each(|source| ask("d.source = ", text(source)));
        self.destination.iter().for_each(|name| ask("d.destination = ", text(name)));
        self.state.iter().for_each(|state| ask("d.state = ", state.code().into()));
        self.order.iter().for_each(|order| ask("d.order_key = ", text(order)));
        self.since_millis.iter().for_each(|at| ask("d.received_at >= ", stored(*at).into()));
        self.until_millis.iter().for_each(|at| ask("d.received_at < ", stored(*at).into()));
        self.after.iter().for_each(|place| ask("d.sequence > ", (*place).into()));
        self.before.iter().for_each(|place| ask("d.sequence < ", (*place).into()));
        if !self.ids.is_empty() {
            let named = self.ids.iter().filter_map(|id| name::read(id));
            let named: Vec<String> = named.map(|id| format!("x'{}'", hex(id))).collect();
            all.push_str(&format!(" AND d.id IN ({})", named.join(", ")));
        }
        (all, values)
    }
}

fn hex(id: name::Bytes16) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

/// Deliveries that one commit has begun anew.
const REPLAYED_AT_ONCE: usize = 500;

impl Desk {
    /// Opens the journal of a state folder, which must be there.
    ///
    /// # Errors
    /// What the file or the database says.
    pub fn open(folder: &Path, clock: Clock) -> std::result::Result<Self, JournalFault> {
        let path = folder.join(FILE);
        if let Err(cause) = std::fs::metadata(&path) {
            return Err(JournalFault::File { path, cause });
        }
        let place = Place::File(path);
        let connection = Mutex::new(place.writer()?);
        Ok(Self { connection, place, clock })
    }

    /// Deliveries that a filter means, the newest first, without their bodies.
    ///
    /// # Errors
    /// What the database says.
    pub fn list(
        &self,
        filter: &Filter,
        most: usize,
    ) -> std::result::Result<Vec<Delivery>, JournalFault> {
        self.read(|connection| select(connection, filter, "DESC", most))
    }

    /// Deliveries after a place in the journal, the oldest first, without their bodies: to follow
    /// what comes.
    ///
    /// # Errors
    /// What the database says.
    pub fn after(
        &self,
        filter: &Filter,
        most: usize,
    ) -> std::result::Result<Vec<Delivery>, JournalFault> {
        self.read(|connection| select(connection, filter, "ASC", most))
    }

    /// One delivery with all that happened to it.
    ///
    /// # Errors
    /// What the database says.
    pub fn show(&self, id: &str) -> std::result::Result<Option<History>, JournalFault> {
        let Some(id) = name::read(id) else { return Ok(None) };
        self.read(|connection| history(connection, id))
    }

    /// Refused messages, the newest first; only those before a place among them, where one is
    /// given.
    ///
    /// # Errors
    /// What the database says.
    pub fn refusals(
        &self,
        source: Option<&str>,
        before: Option<i64>,
        most: usize,
    ) -> std::result::Result<Vec<RefusalRow>, JournalFault> {
        self.read(|connection| refusals::list(connection, source, before, most))
    }

    /// Has deliveries delivered once more: the same id, new attempts, the whole schedule anew. What
    /// is held, disagreed about or still being confirmed is delivered only where `unconfirmed`
    /// says that the operator answers for it (then its confirmation says `operator`); else it is
    /// confirmed anew. Gives how many. Many are begun in steps, so that what comes in meanwhile is
    /// not held up.
    ///
    /// # Errors
    /// What the database says; some may have been begun.
    pub fn replay(
        &self,
        filter: &Filter,
        unconfirmed: bool,
    ) -> std::result::Result<u64, JournalFault> {
        let (mut rest, mut all) = (filter.clone(), 0);
        loop {
            let replayed =
                self.write(|connection| self.replay_some(connection, &rest, unconfirmed))?;
            all += u64::try_from(replayed.len()).unwrap_or(u64::MAX);
            match replayed.last() {
                Some(last) if replayed.len() == REPLAYED_AT_ONCE => rest.after = Some(*last),
                _ => return Ok(all),
            }
        }
    }

    fn replay_some(
        &self,
        connection: &Connection,
        filter: &Filter,
        unconfirmed: bool,
    ) -> Result<Vec<i64>> {
        let (conditions, values) = filter.conditions();
        let sql = format!(
            "SELECT d.sequence FROM deliveries AS d WHERE {conditions} ORDER BY d.sequence \
             LIMIT {REPLAYED_AT_ONCE}"
        );
        let mut found = connection.prepare(&sql)?;
        let found = found.query_map(params_from_iter(values), |row| row.get(0))?;
        let found: Vec<i64> = found.collect::<Result<_>>()?;
        let now_millis = self.clock.now_millis();
        found.iter().try_for_each(|one| replay(connection, *one, unconfirmed, now_millis))?;
        Ok(found)
    }

    /// Lets a stopped destination have deliveries again. Gives whether it was stopped.
    ///
    /// # Errors
    /// What the database says.
    pub fn resume(&self, destination: &str) -> std::result::Result<bool, JournalFault> {
        self.write(|connection| {
            let sql = "DELETE FROM stopped WHERE destination = ?1";
            connection.prepare_cached(sql)?.execute([destination]).map(|removed| removed > 0)
        })
    }

    /// Destinations that are stopped, with why.
    ///
    /// # Errors
    /// What the database says.
    pub fn stopped(&self) -> std::result::Result<BTreeMap<String, String>, JournalFault> {
        self.read(reader::stopped)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, JournalFault> {
        read(&self.lock()).map_err(|cause| self.place.fault(cause))
    }

    /// All of it or nothing.
    fn write<T>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, JournalFault> {
        let connection = self.lock();
        let done = connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| write(&connection));
        let done = done.and_then(|done| connection.execute_batch("COMMIT").map(|()| done));
        if done.is_err() && !connection.is_autocommit() {
            // What cannot be undone now is undone when the desk is closed.
            drop(connection.execute_batch("ROLLBACK"));
        }
        done.map_err(|cause| self.place.fault(cause))
    }
}

fn select(
    connection: &Connection,
    filter: &Filter,
    order: &str,
    most: usize,
) -> Result<Vec<Delivery>> {
    let (conditions, values) = filter.conditions();
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries AS d JOIN contents AS c ON c.sequence = d.sequence \
         WHERE {conditions} ORDER BY d.sequence {order} LIMIT {}",
        limit(most)
    );
    let mut rows = connection.prepare(&sql)?;
    let rows = rows.query_map(params_from_iter(values), |row| content::delivery(row, false))?;
    rows.collect()
}

fn history(connection: &Connection, id: name::Bytes16) -> Result<Option<History>> {
    let sql = format!(
        "SELECT {COLUMNS}, c.body FROM deliveries AS d \
         JOIN contents AS c ON c.sequence = d.sequence WHERE d.id = ?1"
    );
    let mut delivery = connection.prepare_cached(&sql)?;
    let delivery = delivery.query_row([id], |row| content::delivery(row, true)).optional()?;
    let Some(delivery) = delivery else { return Ok(None) };
    let sql = "SELECT work, id, at, took, outcome, status FROM attempts WHERE sequence = ?1 \
               ORDER BY number";
    let mut attempts = connection.prepare_cached(sql)?;
    let attempts = attempts.query_map([delivery.sequence], content::attempt)?;
    let attempts = attempts.collect::<Result<_>>()?;
    let sql = "SELECT work, due_at FROM tasks WHERE sequence = ?1 ORDER BY work";
    let mut due = connection.prepare_cached(sql)?;
    let due =
        due.query_map([delivery.sequence], |row| Ok((Work::read(row, 0)?, number(row.get(1)?))))?;
    let due = due.collect::<Result<_>>()?;
    Ok(Some(History { delivery, attempts, due }))
}

fn replay(
    connection: &Connection,
    sequence: i64,
    unconfirmed: bool,
    now_millis: u64,
) -> Result<()> {
    let Some(place) = progress::Place::find(connection, sequence)? else { return Ok(()) };
    let doubted = matches!(place.state, State::Held | State::Disagreed | State::Confirming);
    let (state, work) = match doubted && !unconfirmed {
        true => (State::Confirming, Work::Confirm),
        false => (State::Delivering, Work::Deliver),
    };
    if doubted && unconfirmed {
        progress::set_confirmation(connection, sequence, &by_operator(now_millis))?;
    }
    let sql = "DELETE FROM tasks WHERE sequence = ?1 AND work <> 1";
    connection.prepare_cached(sql)?.execute([sequence])?;
    let sql = "UPDATE deliveries SET ended_at = NULL WHERE sequence = ?1";
    connection.prepare_cached(sql)?.execute([sequence])?;
    progress::set_state(connection, sequence, &place, state)?;
    // As due as when it came: that this process has another clock than the gate changes nothing.
    progress::add_task(connection, sequence, work, place.received_millis)
}

/// What stands in the place of a confirmation where an operator answers for a delivery.
fn by_operator(now_millis: u64) -> String {
    let confirmation = Confirmation {
        agreed: true,
        asked: "operator".to_owned(),
        state: None,
        differences: Vec::new(),
        at_millis: now_millis,
    };
    progress::kept(&confirmation).unwrap_or_default()
}
