//! Keeping a delivery: its key, its rows, and what is to be done for it, in the writer's
//! transaction.

use rusqlite::{Connection, OptionalExtension as _, Result};

use super::content::Fresh;
use super::progress;
use super::tables::{number, stored};
use super::{Busy, JournalLimits, Kept, State, Work, name};

/// How long a message that was disagreed about stays known, in milliseconds: so often can somebody
/// who repeats it have the provider asked.
const DISAGREED_MILLIS: u64 = 60_000;

/// What there is of everything, and may be.
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) open: u64,
    pub(super) keys: u64,
    pub(super) limits: JournalLimits,
}

impl Room {
    pub(super) fn new(connection: &Connection, limits: JournalLimits) -> Result<Self> {
        let sql = "SELECT bytes, open, keys FROM totals";
        let (bytes, open, keys) = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(Self { bytes: number(bytes), open: number(open), keys: number(keys), limits })
    }

    /// Takes the room of one delivery, where there is some.
    fn take(&mut self, bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let limits = &self.limits;
        let fits = bytes <= limits.bytes && self.open < limits.open && self.keys < limits.keys;
        if fits {
            (self.bytes, self.open, self.keys) = (bytes, self.open + 1, self.keys + 1);
        }
        fits
    }
}

/// Keeps a delivery, unless its key is known or there is no room.
pub(super) fn keep(
    connection: &Connection,
    room: &mut Room,
    fresh: &Fresh,
    now_millis: u64,
) -> Result<std::result::Result<Kept, Busy>> {
    let source = source(connection, &fresh.delivery.source)?;
    let sql = "SELECT delivery FROM keys WHERE source = ?1 AND key = ?2";
    let mut known = connection.prepare_cached(sql)?;
    let known = known.query_row((source, fresh.delivery.key), |row| row.get(0)).optional()?;
    if let Some(id) = known
        && !forget_disagreed(connection, source, fresh, (id, now_millis))?
    {
        return Ok(Ok(Kept::Duplicate(name::shown(id))));
    }
    if !room.take(fresh.bytes) {
        return Ok(Err(Busy));
    }
    insert_key(connection, source, fresh)?;
    let sequence = insert(connection, fresh)?;
    let new = &fresh.delivery;
    let due = new.received_millis.min(now_millis);
    if let Some(work) = new.first {
        progress::add_task(connection, sequence, work, due)?;
    }
    if new.post_back {
        progress::add_task(connection, sequence, Work::PostBack, due)?;
    }
    Ok(Ok(Kept::Stored(name::shown(fresh.id))))
}

/// Forgets a key whose delivery was disagreed about a while ago, and says whether it did. What is
/// not signed of a message may have been a lie when it came first, and be true when it comes again.
fn forget_disagreed(
    connection: &Connection,
    source: i64,
    fresh: &Fresh,
    (id, now_millis): (name::Bytes16, u64),
) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND state = ?2 \
               AND ended_at <= ?3)";
    let before = stored(now_millis.saturating_sub(DISAGREED_MILLIS));
    let mut question = connection.prepare_cached(sql)?;
    let disagreed: bool =
        question.query_row((id, State::Disagreed.code(), before), |row| row.get(0))?;
    if disagreed {
        let sql = "DELETE FROM keys WHERE source = ?1 AND key = ?2";
        connection.prepare_cached(sql)?.execute((source, fresh.delivery.key))?;
    }
    Ok(disagreed)
}

fn insert(connection: &Connection, fresh: &Fresh) -> Result<i64> {
    let new = &fresh.delivery;
    let state = match new.first {
        Some(Work::Confirm) => State::Confirming,
        Some(Work::Deliver) => State::Delivering,
        Some(Work::PostBack) | None => State::Held,
    };
    let sql = "INSERT INTO deliveries \
               (id, source, destination, state, unsigned, received_at, bytes, order_key) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute((
        fresh.id,
        &*new.source,
        &*new.destination,
        state.code(),
        new.secret.is_none(),
        stored(new.received_millis),
        i64::try_from(fresh.bytes).unwrap_or(i64::MAX),
        &new.order_key,
    ))?;
    let sequence = connection.last_insert_rowid();
    let sql = "INSERT INTO contents (sequence, method, target, headers, verdict, facts, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute((
        sequence,
        &new.method,
        &new.target,
        &fresh.headers,
        &fresh.verdict,
        &fresh.facts,
        &*new.body,
    ))?;
    Ok(sequence)
}

fn insert_key(connection: &Connection, source: i64, fresh: &Fresh) -> Result<()> {
    let new = &fresh.delivery;
    let secret = match &new.secret {
        Some(digest) => Some(secret(connection, source, digest)?),
        None => None,
    };
    let sql = "INSERT INTO keys (source, key, delivery, secret, until) VALUES (?1, ?2, ?3, ?4, ?5)";
    let row = (source, new.key, fresh.id, secret, stored(new.key_until.secs()));
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// The number of a source; it gets one where it has none.
fn source(connection: &Connection, name: &str) -> Result<i64> {
    let sql = "SELECT id FROM sources WHERE name = ?1";
    let found = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
    match found {
        Some(id) => Ok(id),
        None => {
            let sql = "INSERT INTO sources (name) VALUES (?1)";
            connection.prepare_cached(sql)?.insert([name])
        }
    }
}

fn secret(connection: &Connection, source: i64, digest: &[u8; 16]) -> Result<i64> {
    let sql = "SELECT id FROM secrets WHERE source = ?1 AND digest = ?2";
    let mut found = connection.prepare_cached(sql)?;
    match found.query_row((source, digest), |row| row.get(0)).optional()? {
        Some(id) => Ok(id),
        None => {
            let sql = "INSERT INTO secrets (source, digest) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.insert((source, digest))
        }
    }
}
