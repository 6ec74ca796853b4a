//! Reading what is to be done, on a connection of its own: it waits for no writer, and no writer
//! for it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Result};

use super::content::{self, COLUMNS};
use super::tables::{Place, limit, number, stored};
use super::{JournalFault, Lane, State, Task, Usage, Work};

pub(super) struct Reader {
    place: Place,
    /// None: it failed, and is opened anew.
    connection: Mutex<Option<Connection>>,
}

/// What the index says of a task.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    due_at: i64,
    sequence: i64,
}

impl Reader {
    pub(super) fn new(place: &Place) -> std::result::Result<Self, JournalFault> {
        let connection = Mutex::new(Some(place.reader()?));
        Ok(Self { place: place.clone(), connection })
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, JournalFault> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match kept.take() {
            Some(connection) => connection,
            None => self.place.reader()?,
        };
        let found = read(&connection).map_err(|cause| self.place.fault(cause))?;
        *kept = Some(connection);
        Ok(found)
    }
}

/// What is due in a lane.
pub(super) fn due(
    connection: &Connection,
    lane: &Lane,
    now_millis: u64,
    ordered: bool,
    most: usize,
    without: &HashSet<i64>,
) -> Result<Vec<Task>> {
    if is_stopped(connection, lane)? {
        return Ok(Vec::new());
    }
    let enough = most.saturating_add(without.len());
    let mut entries = entries(connection, lane, false, now_millis, enough)?;
    if !ordered {
        entries.extend(self::entries(connection, lane, true, now_millis, enough)?);
        entries.sort_unstable();
    }
    let entries = entries.into_iter().filter(|entry| !without.contains(&entry.sequence));
    let tasks = entries.take(most).map(|entry| task(connection, entry.sequence, lane.work));
    // A task that was settled since the index was read is none any more.
    tasks.filter_map(Result::transpose).collect()
}

fn entries(
    connection: &Connection,
    lane: &Lane,
    behind: bool,
    now_millis: u64,
    most: usize,
) -> Result<Vec<Entry>> {
    let sql = "SELECT due_at, sequence FROM tasks WHERE work = ?1 AND lane = ?2 AND behind = ?3 \
               AND due_at <= ?4 ORDER BY due_at, sequence LIMIT ?5";
    let mut rows = connection.prepare_cached(sql)?;
    let asked = (lane.work.code(), &*lane.name, behind, stored(now_millis), limit(most));
    let rows =
        rows.query_map(asked, |row| Ok(Entry { due_at: row.get(0)?, sequence: row.get(1)? }))?;
    rows.collect()
}

fn task(connection: &Connection, sequence: i64, work: Work) -> Result<Option<Task>> {
    let sql = format!(
        "SELECT {COLUMNS}, c.body, t.attempts, t.first_tried_at FROM tasks AS t \
         JOIN deliveries AS d ON d.sequence = t.sequence \
         JOIN contents AS c ON c.sequence = t.sequence WHERE t.sequence = ?1 AND t.work = ?2"
    );
    let mut row = connection.prepare_cached(&sql)?;
    let found = row.query_row((sequence, work.code()), |row| {
        Ok(Task {
            delivery: Arc::new(content::delivery(row, true)?),
            work,
            attempts: row.get(14)?,
            first_tried_millis: row.get::<_, Option<i64>>(15)?.map(number),
        })
    });
    found.optional()
}

/// When the first task of a lane is due.
pub(super) fn next_due(connection: &Connection, lane: &Lane) -> Result<Option<u64>> {
    if is_stopped(connection, lane)? {
        return Ok(None);
    }
    let sql = "SELECT min(due_at) FROM tasks WHERE work = ?1 AND lane = ?2 AND behind = ?3";
    let mut first = connection.prepare_cached(sql)?;
    let mut first = |behind| {
        let asked = (lane.work.code(), &*lane.name, behind);
        first.query_row(asked, |row| row.get::<_, Option<i64>>(0))
    };
    Ok([first(false)?, first(true)?].into_iter().flatten().min().map(number))
}

fn is_stopped(connection: &Connection, lane: &Lane) -> Result<bool> {
    let sql = "SELECT 1 FROM stopped WHERE destination = ?1";
    match lane.work {
        Work::Deliver => connection.prepare_cached(sql)?.exists([&*lane.name]),
        Work::Confirm | Work::PostBack => Ok(false),
    }
}

/// Destinations that are stopped, with why.
pub(super) fn stopped(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let mut all = connection.prepare_cached("SELECT destination, why FROM stopped")?;
    let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    all.collect()
}

/// How much there is.
pub(super) fn usage(connection: &Connection) -> Result<Usage> {
    let sql = "SELECT bytes, keys FROM totals";
    let (bytes, keys) = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((number(row.get(0)?), number(row.get(1)?))))?;
    let sql = "SELECT destination, state, sum(deliveries) FROM counts \
               GROUP BY destination, state HAVING sum(deliveries) > 0";
    let mut deliveries = connection.prepare_cached(sql)?;
    let deliveries = deliveries
        .query_map([], |row| Ok((row.get(0)?, State::read(row, 1)?, number(row.get(2)?))))?;
    let deliveries = deliveries.collect::<Result<_>>()?;
    // One step in the index for each destination: not for each delivery.
    let sql = "SELECT name, oldest FROM (SELECT name, (SELECT min(received_at) FROM deliveries \
               WHERE destination = name AND ended_at IS NULL) AS oldest \
               FROM (SELECT DISTINCT destination AS name FROM counts)) WHERE oldest IS NOT NULL";
    let mut oldest = connection.prepare_cached(sql)?;
    let oldest = oldest.query_map([], |row| Ok((row.get(0)?, number(row.get(1)?))))?;
    let oldest_open_millis = oldest.collect::<Result<_>>()?;
    Ok(Usage { bytes, keys, deliveries, oldest_open_millis })
}

/// Deliveries that are not done with and were not signed, by their sources.
pub(super) fn unsigned(connection: &Connection) -> Result<Vec<(String, u64)>> {
    let sql = "SELECT source, sum(deliveries) FROM counts WHERE unsigned = 1 AND state < 3 \
               GROUP BY source HAVING sum(deliveries) > 0";
    let mut all = connection.prepare_cached(sql)?;
    let all = all.query_map([], |row| Ok((row.get(0)?, number(row.get(1)?))))?;
    all.collect()
}
