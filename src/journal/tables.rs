//! The journal's tables, and connections to the file that they are in.
//!
//! What is counted is counted by the database itself, so that it is right whoever changes rows.
//! Space of what was removed is given back in small steps: else a file that an outage of a
//! merchant has blown up stayed so for ever.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::JournalFault;

/// The newest form of the tables that is known here.
const FORM: i64 = 1;
/// How long a connection waits for another process. Twice that is less than the patience of those
/// who wait for the writer: they are told, also where it waited in vain just before.
const LOCKED: Duration = Duration::from_secs(2);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;

/// What the file keeps. Both come before the first table.
const FILE_SETTINGS: &str = "
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
";

/// What each connection that writes is told. Every commit is on the disk when it returns. The log
/// goes into the database in larger parts than by default: under load most of its pages are changed
/// again soon, and are then written once.
const WRITER_SETTINGS: &str = "
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 4096;
PRAGMA journal_size_limit = 67108864;
";

/// Where a journal is.
#[derive(Clone)]
pub(super) enum Place {
    File(PathBuf),
    /// A database of this process, by its name.
    Memory(Box<str>),
}

impl Place {
    pub(super) fn memory() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::Memory(format!("file:/countersign-inbox-{number}?vfs=memdb").into())
    }

    /// Whether it is still there when the connection to it is closed.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(super) fn fault(&self, cause: rusqlite::Error) -> JournalFault {
        JournalFault::Database { path: self.path(), cause }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Memory(_) => PathBuf::from("(memory)"),
        }
    }

    /// Makes the file and the tables where they are not there, and gives the connection that
    /// writes.
    pub(super) fn make(&self) -> Result<Connection, JournalFault> {
        if let Self::File(path) = self {
            make_private(path).map_err(|cause| JournalFault::File { path: path.clone(), cause })?;
        }
        let connection = self.writer()?;
        let fault = |cause| self.fault(cause);
        connection.execute_batch(FILE_SETTINGS).map_err(fault)?;
        let form: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
        if form > FORM {
            return Err(JournalFault::Newer { path: self.path() });
        }
        // One process makes the tables, be there several.
        let make = format!(
            "BEGIN IMMEDIATE; {} PRAGMA user_version = {FORM}; COMMIT",
            include_str!("schema.sql")
        );
        connection.execute_batch(&make).map_err(fault)?;
        Ok(connection)
    }

    /// A connection that writes, to tables that are there.
    pub(super) fn writer(&self) -> Result<Connection, JournalFault> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(WRITER_SETTINGS).map_err(|cause| self.fault(cause))?;
        Ok(connection)
    }

    /// A connection that reads.
    pub(super) fn reader(&self) -> Result<Connection, JournalFault> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn connect(&self, access: OpenFlags) -> Result<Connection, JournalFault> {
        let alone = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match self {
            Self::File(path) => Connection::open_with_flags(path, access | alone),
            Self::Memory(name) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                    | OpenFlags::SQLITE_OPEN_CREATE
                    | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(&**name, flags | alone)
            }
        };
        let fault = |cause| self.fault(cause);
        let connection = connection.map_err(fault)?;
        connection.busy_timeout(LOCKED).map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
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

/// A number as the database keeps it.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that the database kept.
pub(super) fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A count as the database takes it.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
