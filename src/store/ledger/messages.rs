//! Messages under schemes without time: one row each, for the life of the secret that signed it.
//!
//! A secret that is gone from the keyring may come back by a change that is undone, and with it
//! every message that it ever signed. So its messages go only when it has been gone for long.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result};

use crate::clock::Timestamp;
use crate::crypto::MacKey;

use super::{Digest, Message, digest, stored};

/// How long the messages of a secret that is gone are kept.
const KEPT_WHEN_GONE: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(super) struct MessageEntry {
    pub(super) digest: Digest,
    /// Names credential and secret.
    pub(super) secret: Digest,
    credential: Digest,
}

impl Message<'_> {
    pub(super) fn entry(&self, key: &MacKey) -> MessageEntry {
        let credential = self.credential.as_bytes();
        let secret = digest(key, "secret", &[credential, self.secret]);
        MessageEntry {
            digest: digest(key, "message", &[&secret, self.proof]),
            secret,
            credential: digest(key, "credential", &[credential]),
        }
    }
}

impl MessageEntry {
    pub(super) fn is_known(&self, connection: &Connection) -> Result<bool> {
        let sql = "SELECT 1 FROM ledger_messages WHERE digest = ?1 \
                   AND secret = (SELECT id FROM ledger_secrets WHERE name = ?2)";
        connection.prepare_cached(sql)?.exists((self.digest, self.secret))
    }

    /// How many messages its credential has.
    pub(super) fn of_credential(&self, connection: &Connection) -> Result<u64> {
        let sql = "SELECT coalesce(sum(messages), 0) FROM ledger_secrets WHERE credential = ?1";
        let count = connection.prepare_cached(sql)?.query_row([self.credential], |row| row.get(0));
        count.map(|count: i64| u64::try_from(count).unwrap_or(0))
    }

    /// Writes it and says by how many rows there are more.
    pub(super) fn insert(&self, connection: &Connection) -> Result<u64> {
        let sql = "INSERT OR IGNORE INTO ledger_secrets (credential, name, messages) \
                   VALUES (?1, ?2, 0)";
        connection.prepare_cached(sql)?.execute((self.credential, self.secret))?;
        let sql = "INSERT OR IGNORE INTO ledger_messages (secret, digest) \
                   SELECT id, ?2 FROM ledger_secrets WHERE name = ?1";
        let more = connection.prepare_cached(sql)?.execute((self.secret, self.digest))?;
        self.count(connection, i64::try_from(more).unwrap_or(0))?;
        Ok(u64::try_from(more).unwrap_or(0))
    }

    /// Removes it and says by how many rows there are fewer.
    pub(super) fn erase(&self, connection: &Connection) -> Result<u64> {
        let sql = "DELETE FROM ledger_messages WHERE digest = ?2 \
                   AND secret = (SELECT id FROM ledger_secrets WHERE name = ?1)";
        let fewer = connection.prepare_cached(sql)?.execute((self.secret, self.digest))?;
        self.count(connection, -i64::try_from(fewer).unwrap_or(0))?;
        Ok(u64::try_from(fewer).unwrap_or(0))
    }

    fn count(&self, connection: &Connection, more: i64) -> Result<()> {
        let sql = "UPDATE ledger_secrets SET messages = messages + ?2 WHERE name = ?1";
        connection.prepare_cached(sql)?.execute((self.secret, more)).map(drop)
    }
}

/// Notes which secrets are gone since now, and which are back.
pub(super) fn keep_only(connection: &Connection, living: &[Digest], now: Timestamp) -> Result<()> {
    let living: HashSet<&Digest> = living.iter().collect();
    let mut all = connection.prepare_cached("SELECT id, name, gone_at FROM ledger_secrets")?;
    let all = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let all: Vec<(i64, Digest, Option<i64>)> = all.collect::<Result<_>>()?;
    let sql = "UPDATE ledger_secrets SET gone_at = ?2 WHERE id = ?1";
    let mut update = connection.prepare_cached(sql)?;
    for (id, name, gone_at) in all {
        match (living.contains(&name), gone_at) {
            (true, Some(_)) => update.execute((id, None::<i64>))?,
            (false, None) => update.execute((id, stored(now)))?,
            _ => 0,
        };
    }
    Ok(())
}

/// Whether there is a secret that has been gone for long.
pub(super) fn has_old(connection: &Connection, now: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM ledger_secrets WHERE gone_at <= ?1 LIMIT 1";
    connection.prepare_cached(sql)?.exists([stored(now.saturating_sub(KEPT_WHEN_GONE))])
}

/// Removes at most so many messages of a secret that has been gone for long, and says how many.
pub(super) fn purge(connection: &Connection, now: Timestamp, most: usize) -> Result<u64> {
    let sql = "SELECT id FROM ledger_secrets WHERE gone_at <= ?1 LIMIT 1";
    let before = stored(now.saturating_sub(KEPT_WHEN_GONE));
    let mut gone = connection.prepare_cached(sql)?;
    let gone: Option<i64> = gone.query_row([before], |row| row.get(0)).optional()?;
    let Some(secret) = gone else { return Ok(0) };
    let sql = "DELETE FROM ledger_messages WHERE secret = ?1 AND digest IN \
               (SELECT digest FROM ledger_messages WHERE secret = ?1 LIMIT ?2)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let fewer = connection.prepare_cached(sql)?.execute((secret, most))?;
    let sql = match fewer {
        0 => "DELETE FROM ledger_secrets WHERE id = ?1 AND ?2 = 0",
        _ => "UPDATE ledger_secrets SET messages = messages - ?2 WHERE id = ?1",
    };
    let fewer = i64::try_from(fewer).unwrap_or(0);
    connection.prepare_cached(sql)?.execute((secret, fewer))?;
    Ok(u64::try_from(fewer).unwrap_or(0))
}
