//! The ledger's tables, and its connection to the file that they are in.
//!
//! Rows have no MACs of their own: digests are keyed, so nobody makes a row that means something,
//! and whoever can write to the file can as well remove rows, which no MAC in them would show.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use crate::crypto::{MacKey, random};
use crate::secret::Secret;

use super::LedgerFault;

/// What makes the tables where they are not there yet. Times are Unix seconds.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ledger_about (
  name TEXT NOT NULL PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger_orders (
  digest BLOB NOT NULL PRIMARY KEY,
  state INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_orders_by_end ON ledger_orders (expires_at);
CREATE TABLE IF NOT EXISTS ledger_secrets (
  id INTEGER PRIMARY KEY,
  credential BLOB NOT NULL,
  name BLOB NOT NULL UNIQUE,
  messages INTEGER NOT NULL,
  gone_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS ledger_secrets_of_credential ON ledger_secrets (credential);
CREATE INDEX IF NOT EXISTS ledger_secrets_gone ON ledger_secrets (gone_at)
  WHERE gone_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS ledger_messages (
  secret INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (secret, digest)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO ledger_about (name, value) VALUES ('orders', 0);
";

/// Every commit is on the disk when it returns. What waits for a lock waits for 5 s at most.
const SETTINGS: &str = "
PRAGMA busy_timeout = 5000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA journal_size_limit = 67108864;
";

/// Where a ledger is.
pub(super) enum Place {
    File(PathBuf),
    Memory,
}

impl Place {
    pub(super) fn database(&self, cause: rusqlite::Error) -> LedgerFault {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Memory => PathBuf::from("(memory)"),
        };
        LedgerFault::Database { path, cause }
    }
}

/// A connection to the tables, and the key of their digests.
pub(super) fn open(place: &Place) -> Result<(Connection, MacKey), LedgerFault> {
    let fault = |cause| place.database(cause);
    let connection = match place {
        Place::File(path) => {
            make_private(path).map_err(|cause| LedgerFault::File { path: path.clone(), cause })?;
            Connection::open(path).map_err(fault)?
        }
        Place::Memory => Connection::open_in_memory().map_err(fault)?,
    };
    connection.execute_batch(SETTINGS).map_err(fault)?;
    let fresh = random::<32>()?;
    // One process makes the key, be there several.
    let make = format!("BEGIN IMMEDIATE; {TABLES}");
    connection.execute_batch(&make).map_err(fault)?;
    let key = key(&connection, fresh).map_err(fault)?;
    connection.execute_batch("COMMIT").map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok((connection, key))
}

fn key(connection: &Connection, fresh: [u8; 32]) -> rusqlite::Result<MacKey> {
    let sql = "INSERT OR IGNORE INTO ledger_about (name, value) VALUES ('key', ?1)";
    connection.execute(sql, [fresh])?;
    let sql = "SELECT value FROM ledger_about WHERE name = 'key'";
    let kept: Option<Vec<u8>> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(MacKey::new(&Secret::of_any_length(kept.unwrap_or_default())))
}

/// Makes a file that only its owner may read, with a name that survives a power cut. What the
/// database puts beside it gets the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file.sync_all()?,
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(fault) => return Err(fault),
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
