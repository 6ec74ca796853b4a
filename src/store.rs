//! The store of keys: one SQLite file, open to several processes, read into a snapshot and never
//! asked on the path of a request. [`Store::read`] sees one moment, [`Store::change`] is one
//! transaction, [`View::everyone`] is how a gate loads. Master keys wrap KEKs, a KEK wraps the
//! store's own key and one data key a merchant. Every row has a MAC: a merchant's rows by its data
//! key, all others by the store's.

pub mod ledger;
pub mod row;
mod audit;
mod backup;
mod change;
mod column;
mod cover;
mod database;
mod global;
mod holding;
mod key;
mod record;
mod rotation;
mod table;
mod tombstone;
mod trial;
mod view;

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::clock::Clock;
use crate::custody::{CustodyFault, Masters};

use database::{Readers, Use};
use key::{Ring, StoreKeys};
use tombstone::Tombstones;

pub use change::Change;
pub use holding::{HeldCredential, Holding};
pub use rotation::Rewrapped;
pub use trial::Trial;
pub use view::View;

/// Keys, merchants and what happened to them.
pub struct Store {
    path: PathBuf,
    clock: Clock,
    ring: Ring,
    keys: StoreKeys,
    tombstones: Tombstones,
    writer: Mutex<Connection>,
    /// Asked for the data version and for nothing else: the number is each connection's own.
    watcher: Mutex<Connection>,
    readers: Readers,
    /// Overwritten secrets may still be in the write-ahead log: somebody was reading it.
    wipe_due: AtomicBool,
    /// Shared by all who have the store open; a restore needs it alone.
    _lock: File,
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// By which way.
    pub kind: ActorKind,
    /// The operating system's user, the token's id, or `countersign`.
    pub name: String,
    /// From where, by the API.
    pub address: Option<IpAddr>,
    /// The request that asked for it, by the API.
    pub request_id: Option<String>,
}

/// The way a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// The command line.
    CommandLine,
    /// The admin API.
    Api,
    /// The gate itself: by policy, by time, by use.
    System,
}

impl ActorKind {
    /// Its word in the audit log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CommandLine => "cli",
            Self::Api => "api",
            Self::System => "system",
        }
    }
}

/// Why the store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The file cannot be opened or is none of ours.
    #[error("{path}: {cause}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The database.
    #[error("the store: {0}")]
    Database(#[from] rusqlite::Error),
    /// Keys that keep keys.
    #[error(transparent)]
    Custody(#[from] CustodyFault),
    /// A row was changed by somebody else than this program.
    #[error("{table} {row}: {cause}")]
    Tampered {
        /// The table.
        table: &'static str,
        /// The row's name.
        row: String,
        /// What is wrong.
        cause: String,
    },
    /// The file of what is dead cannot be read or written.
    #[error("{path}: {cause}")]
    Tombstones {
        /// Which file.
        path: String,
        /// Why.
        cause: String,
    },
    /// Somebody else changed the row since it was read.
    #[error("{0} was changed meanwhile")]
    Conflict(String),
    /// A row that must be there is not.
    #[error("there is no {0}")]
    Missing(String),
    /// A row that must not be there is.
    #[error("{0} exists already")]
    Exists(String),
    /// What is asked for would break a rule of the store; the text says which.
    #[error("{0}")]
    Refused(String),
}

/// A change that others may have to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its place in the order of all changes.
    pub sequence: u64,
    /// Whose rows changed; none: something that concerns all (a policy, an epoch, a KEK, a token).
    pub merchant: Option<String>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹store›")
    }
}

impl Store {
    /// Opens a store, and makes one where there is no file: the database of mode 0600, and beside
    /// it the files `….tombstones` and `….lock`. Rows are checked when they are read.
    ///
    /// # Errors
    /// A file that is none of ours or open to others, a newer format, a restore that is under way,
    /// master keys that do not open its KEKs.
    pub fn open(path: &Path, masters: Masters, clock: Clock) -> Result<Self, StoreFault> {
        let lock = database::lock_file(path)?;
        lock.try_lock_shared()
            .map_err(|_| database::open_fault(path, "it is being replaced by a restore"))?;
        database::make_file(path)?;
        if let Some(mode) = database::open_to_others(path)? {
            let cause = format!("others may use it (mode {mode:o}); run `chmod 600` on it");
            return Err(database::open_fault(path, cause));
        }
        let ring = Ring::new(masters);
        let mut writer = database::connect(path, Use::Writing)?;
        database::migrate(path, &mut writer, |connection| {
            change::begin_store(path, connection, &ring, clock.now())
        })?;
        let keys = ring.store_keys(&writer)?;
        let tombstones = Tombstones::new(path, keys.tombstones.clone());
        let watcher = Mutex::new(database::connect(path, Use::Reading)?);
        let (writer, readers, path) = (Mutex::new(writer), Readers::open(path)?, path.to_owned());
        let wipe_due = AtomicBool::new(true);
        Ok(Self {
            path,
            clock,
            ring,
            keys,
            tombstones,
            writer,
            watcher,
            readers,
            wipe_due,
            _lock: lock,
        })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one moment. It should be short: what was overwritten meanwhile is kept for it.
    ///
    /// # Errors
    /// What `reader` says, and rows that were tampered with.
    pub fn read<T, E: From<StoreFault>>(
        &self,
        reader: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        reader(&View::reading(self)?)
    }

    /// Changes rows in one durable transaction: rows, their MACs, the change log and the audit log
    /// together. An error undoes all of it. Never to be called within another change: it would
    /// wait for itself.
    ///
    /// # Errors
    /// What `writer` says, and what the database says of it.
    pub fn change<T, E: From<StoreFault>>(
        &self,
        actor: &Actor,
        writer: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut change = Change::begin(self, actor)?;
        let made = writer(&mut change)?;
        change.finish()?;
        Ok(made)
    }

    /// A number that differs whenever any process changed the file since it was last asked; costs
    /// microseconds.
    ///
    /// # Errors
    /// The database.
    pub fn data_version(&self) -> Result<u64, StoreFault> {
        // No write ever goes by this connection, so writes of this very process count too.
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let version =
            watcher.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))?;
        Ok(version.unsigned_abs())
    }

    /// Sees to it that overwritten secrets leave the write-ahead log too. What was committed stays
    /// so, whatever comes of it; the next change tries again.
    fn wipe_log(&self, writer: &Connection, wiped: bool) {
        if wiped || self.wipe_due.load(Ordering::Relaxed) {
            let emptied = database::empty_log(writer).unwrap_or(false);
            self.wipe_due.store(!emptied, Ordering::Relaxed);
        }
    }
}
