//! Messages that were refused: noted for people, a bounded number a second, and never with a commit
//! of their own each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result};
use serde::Serialize;

use super::tables::{limit, number, stored};

/// Refused messages that are noted a second; more are counted.
const NOTED_MAX: usize = 200;
/// Of these, of one source: a flood at one leaves room for the others.
const NOTED_OF_SOURCE_MAX: usize = 50;
/// Refused messages that wait to be written.
const WAITING_MAX: usize = 4 * NOTED_MAX;
/// How many of the oldest of a source make room at once.
const REMOVED_MAX: u64 = 1000;

/// A message that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The name of its source.
    pub source: Arc<str>,
    /// Why: a code.
    pub reason: &'static str,
    /// When it came, in Unix milliseconds.
    pub at_millis: u64,
    /// Bytes of its head.
    pub head_bytes: u64,
    /// Bytes of its body that were read.
    pub body_bytes: u64,
    /// From where it came.
    pub address: std::net::IpAddr,
}

/// A refused message, as it was noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalRow {
    /// Its place among all: later ones have higher numbers.
    pub sequence: i64,
    /// The name of its source.
    pub source: String,
    /// Why: a code.
    pub reason: String,
    /// When it came, in Unix milliseconds.
    pub at_millis: u64,
    /// Bytes of its head.
    pub head_bytes: u64,
    /// Bytes of its body that were read.
    pub body_bytes: u64,
    /// From where it came.
    pub address: String,
}

/// Refused messages that wait to be written.
#[derive(Default)]
pub(super) struct Buffer {
    waiting: Vec<Refusal>,
    /// When the second began, and what was noted in it.
    second: Option<Instant>,
    noted: usize,
    of_source: HashMap<Arc<str>, usize>,
}

impl Buffer {
    /// Takes one. False: there are too many.
    pub(super) fn note(&mut self, refusal: Refusal) -> bool {
        if self.second.is_none_or(|began| began.elapsed() >= Duration::from_secs(1)) {
            self.second = Some(Instant::now());
            self.noted = 0;
            self.of_source.clear();
        }
        let of_source = self.of_source.get(&refusal.source).copied().unwrap_or(0);
        let full = self.waiting.len() >= WAITING_MAX || self.noted >= NOTED_MAX;
        if full || of_source >= NOTED_OF_SOURCE_MAX {
            return false;
        }
        self.noted += 1;
        self.of_source.insert(Arc::clone(&refusal.source), of_source + 1);
        self.waiting.push(refusal);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everything that waits.
    pub(super) fn take(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.waiting)
    }

    /// Puts back what could not be written, and says how many have no place any more.
    pub(super) fn give_back(&mut self, mut refusals: Vec<Refusal>) -> usize {
        refusals.append(&mut self.waiting);
        let fewer = refusals.len().saturating_sub(WAITING_MAX);
        refusals.drain(..fewer);
        self.waiting = refusals;
        fewer
    }
}

/// Writes them; the oldest of their sources make room.
pub(super) fn insert(connection: &Connection, refusals: &[Refusal], most: u64) -> Result<()> {
    let sql = "INSERT INTO refusals (source, reason, at, head_bytes, body_bytes, address) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = connection.prepare_cached(sql)?;
    let mut sources: Vec<&str> = Vec::new();
    for one in refusals {
        insert.execute((
            &*one.source,
            one.reason,
            stored(one.at_millis),
            stored(one.head_bytes),
            stored(one.body_bytes),
            one.address.to_string(),
        ))?;
        sources.push(&one.source);
    }
    sources.sort_unstable();
    sources.dedup();
    sources.into_iter().try_for_each(|source| make_room(connection, source, most))
}

fn make_room(connection: &Connection, source: &str, most: u64) -> Result<()> {
    let sql = "SELECT refusals FROM refusal_counts WHERE source = ?1";
    let count = connection.prepare_cached(sql)?.query_row([source], |row| row.get(0))?;
    let more = number(count).saturating_sub(most).min(REMOVED_MAX);
    if more == 0 {
        return Ok(());
    }
    let sql = "DELETE FROM refusals WHERE sequence IN (SELECT sequence FROM refusals \
               WHERE source = ?1 ORDER BY sequence LIMIT ?2)";
    connection.prepare_cached(sql)?.execute((source, stored(more))).map(drop)
}

/// Removes at most so many from before a time, and says how many.
pub(super) fn purge(connection: &Connection, before_millis: u64, most: usize) -> Result<usize> {
    let sql = "DELETE FROM refusals WHERE sequence IN (SELECT sequence FROM refusals \
               WHERE at <= ?1 ORDER BY at LIMIT ?2)";
    connection.prepare_cached(sql)?.execute((stored(before_millis), limit(most)))
}

/// Refused messages of a source, or of all, the newest first.
pub(super) fn list(
    connection: &Connection,
    source: Option<&str>,
    before: Option<i64>,
    most: usize,
) -> Result<Vec<RefusalRow>> {
    let of_source = if source.is_some() { "source = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT sequence, source, reason, at, head_bytes, body_bytes, address FROM refusals \
         WHERE {of_source} AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
    );
    let mut rows = connection.prepare_cached(&sql)?;
    let rows = rows.query_map((source, before.unwrap_or(i64::MAX), limit(most)), |row| {
        Ok(RefusalRow {
            sequence: row.get(0)?,
            source: row.get(1)?,
            reason: row.get(2)?,
            at_millis: number(row.get(3)?),
            head_bytes: number(row.get(4)?),
            body_bytes: number(row.get(5)?),
            address: row.get(6)?,
        })
    })?;
    rows.collect()
}
