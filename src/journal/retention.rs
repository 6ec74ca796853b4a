//! What goes when its time is over, a bounded step at a time: intake never waits for long.

use rusqlite::{Connection, OptionalExtension as _, Result};

use super::tables::{limit, stored};
use super::{JournalLimits, State, refusals};

/// How long a secret has been marked before keys of it go, in milliseconds. Whoever asked just
/// before whether keys of it were forgotten still finds them.
const MARKED_BEFORE_MILLIS: u64 = 60_000;

/// How much goes at once.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) rows: usize,
    /// Bytes of deliveries; the one that goes beyond goes as well.
    pub(super) bytes: i64,
}

/// What a step did.
#[derive(Default)]
pub(super) struct Purged {
    /// Whether the step was too small for all.
    pub(super) more: bool,
    /// Secrets that were marked, by their sources.
    pub(super) marked: Vec<(String, [u8; 16])>,
}

/// Removes what is over: deliveries, refusals and keys.
pub(super) fn purge(
    connection: &Connection,
    now_millis: u64,
    limits: &JournalLimits,
    step: Step,
) -> Result<Purged> {
    let before = |keep: std::time::Duration| {
        now_millis.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
    };
    let mut purged = purge_keys(connection, now_millis, step.rows)?;
    for (state, keep) in [
        (State::Delivered, limits.keep_done),
        (State::Disagreed, limits.keep_failed),
        (State::Dead, limits.keep_failed),
    ] {
        purged.more |= purge_deliveries(connection, state, before(keep), step)?;
    }
    let refused = refusals::purge(connection, before(limits.keep_refusals), step.rows)?;
    purged.more |= refused >= step.rows;
    Ok(purged)
}

/// Whether something is over.
pub(super) fn is_due(
    connection: &Connection,
    now_millis: u64,
    limits: &JournalLimits,
) -> Result<bool> {
    let before = |keep: std::time::Duration| {
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        stored(now_millis.saturating_sub(keep))
    };
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 3 AND ended_at <= ?1) \
               OR EXISTS (SELECT 1 FROM deliveries WHERE state = 4 AND ended_at <= ?2) \
               OR EXISTS (SELECT 1 FROM deliveries WHERE state = 5 AND ended_at <= ?2) \
               OR EXISTS (SELECT 1 FROM refusals WHERE at <= ?3) \
               OR EXISTS (SELECT 1 FROM keys WHERE until <= ?4)";
    let times = (
        before(limits.keep_done),
        before(limits.keep_failed),
        before(limits.keep_refusals),
        stored(now_millis / 1000),
    );
    connection.prepare_cached(sql)?.query_row(times, |row| row.get(0))
}

fn purge_deliveries(
    connection: &Connection,
    state: State,
    before_millis: u64,
    step: Step,
) -> Result<bool> {
    let sql = "SELECT sequence, bytes FROM deliveries WHERE state = ?1 AND ended_at <= ?2 \
               ORDER BY ended_at LIMIT ?3";
    let mut old = connection.prepare_cached(sql)?;
    let mut old = old.query((state.code(), stored(before_millis), limit(step.rows)))?;
    let (mut sequences, mut bytes) = (Vec::new(), 0_i64);
    while bytes < step.bytes {
        let Some(row) = old.next()? else { break };
        sequences.push(row.get::<_, i64>(0)?);
        bytes = bytes.saturating_add(row.get(1)?);
    }
    drop(old);
    for table in ["attempts", "contents", "deliveries"] {
        let sql = format!("DELETE FROM {table} WHERE sequence = ?1");
        let mut delete = connection.prepare_cached(&sql)?;
        for sequence in &sequences {
            delete.execute([sequence])?;
        }
    }
    Ok(sequences.len() >= step.rows || bytes >= step.bytes)
}

/// A key whose time is over, and since when its secret is marked.
struct OldKey {
    source: i64,
    key: [u8; 32],
    secret: Option<i64>,
    marked_at: Option<i64>,
}

/// Keys go when their secret has been marked for a while. Where one has not, it is marked, and the
/// keys of this step wait.
fn purge_keys(connection: &Connection, now_millis: u64, most: usize) -> Result<Purged> {
    let mut purged = Purged::default();
    let sql = "SELECT k.source, k.key, k.secret, s.forgotten_at FROM keys AS k \
               LEFT JOIN secrets AS s ON s.id = k.secret \
               WHERE k.until <= ?1 ORDER BY k.until LIMIT ?2";
    let mut old = connection.prepare_cached(sql)?;
    let old = old.query_map((stored(now_millis / 1000), limit(most)), |row| {
        let (source, key) = (row.get(0)?, row.get(1)?);
        Ok(OldKey { source, key, secret: row.get(2)?, marked_at: row.get(3)? })
    })?;
    let old: Vec<OldKey> = old.collect::<Result<_>>()?;
    let long_ago = stored(now_millis.saturating_sub(MARKED_BEFORE_MILLIS));
    let mut ready = true;
    for one in &old {
        let Some(secret) = one.secret else { continue };
        if one.marked_at.is_none() {
            purged.marked.extend(mark(connection, secret, now_millis)?);
        }
        ready &= one.marked_at.is_some_and(|at| at <= long_ago);
    }
    if !ready {
        return Ok(purged);
    }
    let mut delete =
        connection.prepare_cached("DELETE FROM keys WHERE source = ?1 AND key = ?2")?;
    for one in &old {
        delete.execute((one.source, one.key))?;
    }
    purged.more = old.len() >= most;
    Ok(purged)
}

/// Marks a secret, where it is not marked yet.
fn mark(
    connection: &Connection,
    secret: i64,
    now_millis: u64,
) -> Result<Option<(String, [u8; 16])>> {
    let sql = "UPDATE secrets SET forgotten_at = ?2 WHERE id = ?1 AND forgotten_at IS NULL";
    if connection.prepare_cached(sql)?.execute((secret, stored(now_millis)))? == 0 {
        return Ok(None);
    }
    let sql = "SELECT o.name, s.digest FROM secrets AS s JOIN sources AS o ON o.id = s.source \
               WHERE s.id = ?1";
    let mut name = connection.prepare_cached(sql)?;
    name.query_row([secret], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Secrets that are marked, by their sources.
pub(super) fn marked(connection: &Connection) -> Result<Vec<(String, [u8; 16])>> {
    let sql = "SELECT o.name, s.digest FROM secrets AS s JOIN sources AS o ON o.id = s.source \
               WHERE s.forgotten_at IS NOT NULL";
    let mut all = connection.prepare(sql)?;
    let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    all.collect()
}

/// Pages that are given back at once.
const PAGES_MAX: i64 = 256;
/// Unused pages that are left for what comes next.
const PAGES_LEFT: i64 = 4096;

/// Gives unused space back where there is much of it, and says whether there still is.
pub(super) fn give_back(connection: &Connection) -> Result<bool> {
    let read = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (free, all) = (read("PRAGMA freelist_count")?, read("PRAGMA page_count")?);
    let surplus = free - PAGES_LEFT.max(all / 4);
    if surplus <= 0 {
        return Ok(false);
    }
    let pages = surplus.min(PAGES_MAX);
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(surplus > pages)
}
