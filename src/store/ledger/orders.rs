//! Orders: one row each, from the moment it is sent until its period is over.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::clock::Timestamp;
use crate::crypto::MacKey;

use super::{Digest, digest, stored};

/// An order as a request names it.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Whose it is.
    pub merchant: &'a str,
    /// `test` or `live`: the two never mix.
    pub environment: &'a str,
    /// What it must be unique in: a route, or several that name one group.
    pub group: &'a str,
    /// Its number, as text.
    pub value: &'a str,
    /// For how long it must be unique, in whole seconds.
    pub period: Duration,
}

/// How far an order came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Somebody is about to send it; nothing of it has left.
    Reserved,
    /// It was sent. Whether it arrived, and what came of it, is not known.
    Sent,
    /// It was sent, and answered.
    Answered,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OrderEntry {
    pub(super) digest: Digest,
    expires: Timestamp,
}

const SENT: i64 = 1;
const ANSWERED: i64 = 2;

impl Order<'_> {
    pub(super) fn entry(&self, key: &MacKey, now: Timestamp) -> OrderEntry {
        let parts = [self.merchant, self.environment, self.group, self.value];
        OrderEntry {
            digest: digest(key, "order", &parts.map(str::as_bytes)),
            expires: now.saturating_add(self.period),
        }
    }
}

impl OrderEntry {
    /// How far it came, if it was taken and its period is not over.
    pub(super) fn find(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Option<OrderState>> {
        let sql = "SELECT state FROM ledger_orders WHERE digest = ?1 AND expires_at > ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let state = statement.query_row((self.digest, stored(now)), |row| row.get(0)).optional()?;
        Ok(state.map(|state: i64| match state {
            ANSWERED => OrderState::Answered,
            _ => OrderState::Sent,
        }))
    }

    /// Writes it, in the place of one whose period is over, and says by how many rows there are
    /// more.
    pub(super) fn insert(&self, connection: &Connection) -> Result<u64> {
        let sql = "INSERT OR IGNORE INTO ledger_orders (digest, state, expires_at) \
                   VALUES (?1, ?2, ?3)";
        let row = (self.digest, SENT, stored(self.expires));
        let more = connection.prepare_cached(sql)?.execute(row)?;
        if more == 0 {
            let sql = "UPDATE ledger_orders SET state = ?2, expires_at = ?3 WHERE digest = ?1";
            connection.prepare_cached(sql)?.execute(row)?;
        }
        Ok(u64::try_from(more).unwrap_or(0))
    }

    /// Removes it, but not one that took its place when its period was over, and says by how many
    /// rows there are fewer.
    pub(super) fn erase(&self, connection: &Connection) -> Result<u64> {
        let sql = "DELETE FROM ledger_orders WHERE digest = ?1 AND expires_at = ?2";
        let fewer = connection.prepare_cached(sql)?.execute((self.digest, stored(self.expires)))?;
        Ok(u64::try_from(fewer).unwrap_or(0))
    }

    pub(super) fn answer(&self, connection: &Connection) -> Result<()> {
        let sql = "UPDATE ledger_orders SET state = ?2 WHERE digest = ?1 AND expires_at = ?3";
        let row = (self.digest, ANSWERED, stored(self.expires));
        connection.prepare_cached(sql)?.execute(row).map(drop)
    }
}

/// Whether there is an order whose period is over.
pub(super) fn has_old(connection: &Connection, now: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM ledger_orders WHERE expires_at <= ?1 LIMIT 1";
    connection.prepare_cached(sql)?.exists([stored(now)])
}

/// Removes at most so many orders whose period is over, and says how many.
pub(super) fn purge(connection: &Connection, now: Timestamp, most: usize) -> Result<u64> {
    let sql = "DELETE FROM ledger_orders WHERE digest IN (SELECT digest FROM ledger_orders \
               WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let fewer = connection.prepare_cached(sql)?.execute((stored(now), most))?;
    Ok(u64::try_from(fewer).unwrap_or(0))
}
