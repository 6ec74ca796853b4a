//! Connections to the file: how each is set up, the format, and those that readers share.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::StoreFault;

/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// The longest that the write-ahead log stays after a checkpoint, in bytes.
const LOG_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Statements that a connection keeps ready.
const STATEMENTS: usize = 96;
/// So many read at the same time.
const READERS: usize = 4;
/// `CSKS`: what the file says that it is.
const APPLICATION: i32 = 0x4353_4b53;
/// Each takes the format one further; what is here was given out and never changes.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Writing,
    Reading,
}

/// Opens a file that exists, and sets the connection up.
///
/// # Errors
/// The database.
pub(super) fn connect(path: &Path, purpose: Use) -> Result<Connection, StoreFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "query_only", purpose == Use::Reading)?;
    Ok(connection)
}

/// Tries again while others are at it: SQLite does not wait by itself for a change of its mode.
fn patiently<T>(mut step: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let start = Instant::now();
    loop {
        match step() {
            Err(fault)
                if fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Makes the file where there is none, only for its owner.
///
/// # Errors
/// The operating system.
pub(super) fn make_file(path: &Path) -> Result<(), StoreFault> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|fault| open_fault(path, fault))
}

/// A lock beside the file that every open store shares, and that a restore needs alone.
pub(super) fn lock_file(path: &Path) -> Result<File, StoreFault> {
    let path = path.with_extension("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    file.map_err(|fault| open_fault(&path, fault))
}

/// A fault of opening.
pub(super) fn open_fault(path: &Path, cause: impl ToString) -> StoreFault {
    StoreFault::Open { path: path.display().to_string(), cause: cause.to_string() }
}

/// Brings the file to the present format. `first` fills a new one, in the same transaction.
///
/// # Errors
/// A file that is none of ours, a newer format, the database.
pub(super) fn migrate(
    path: &Path,
    connection: &mut Connection,
    first: impl FnOnce(&Connection) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    let newest = MIGRATIONS.len();
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name: &str| change.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    // The ledger, which keeps its tables in the same file, may have been first.
    let others = "SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT GLOB 'ledger_*'";
    let tables: u32 = change.query_row(others, [], |row| row.get(0))?;
    let version = match (application, usize::try_from(version)) {
        (APPLICATION, Ok(version)) if version <= newest => version,
        (APPLICATION, _) => {
            let cause = format!(
                "the store is of format {version}, this program knows {newest}: use a newer one"
            );
            return Err(open_fault(path, cause));
        }
        _ if tables == 0 => 0,
        _ => return Err(open_fault(path, "a database, and not a store of keys")),
    };
    for migration in MIGRATIONS.iter().skip(version) {
        change.execute_batch(migration)?;
    }
    if version < newest {
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", i64::try_from(newest).unwrap_or(i64::MAX))?;
    }
    if version == 0 {
        first(&change)?;
    }
    change.commit()?;
    Ok(())
}

/// Empties the write-ahead log, which holds pages as they were, and says whether that was possible:
/// a reader may still need it.
///
/// # Errors
/// The database.
pub(super) fn empty_log(connection: &Connection) -> Result<bool, StoreFault> {
    connection.busy_timeout(BUSY / 10)?;
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0).map(|busy| busy == 0)
    });
    connection.busy_timeout(BUSY)?;
    match emptied {
        Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        other => Ok(other?),
    }
}

/// Leaves a file that nobody has open alone on the disk, without a log beside it.
///
/// # Errors
/// The database, and somebody who has it open.
pub(super) fn settle(path: &Path) -> Result<(), StoreFault> {
    let connection = connect(path, Use::Writing)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.close().map_err(|(_, fault)| StoreFault::Database(fault))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(|fault| open_fault(path, fault))
}

/// Makes a folder's names durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Whether anybody but the owner may read or write a file, and which mode it has.
///
/// # Errors
/// The operating system.
pub(super) fn open_to_others(path: &Path) -> Result<Option<u32>, StoreFault> {
    let about = fs::metadata(path).map_err(|fault| open_fault(path, fault))?;
    let mode = about.permissions().mode() & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

/// Connections that only read.
pub(super) struct Readers {
    all: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, StoreFault> {
        let one = |_| connect(path, Use::Reading).map(Mutex::new);
        let all = (0..READERS).map(one).collect::<Result<_, _>>()?;
        Ok(Self { all, next: AtomicUsize::new(0) })
    }

    /// One that nobody uses, or the next that is given back.
    ///
    /// # Errors
    /// None is there, which cannot be.
    pub(super) fn take(&self) -> Result<MutexGuard<'_, Connection>, StoreFault> {
        let free = self.all.iter().find_map(|one| one.try_lock().ok());
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        let waited = || {
            let one = self.all.get(turn)?;
            Some(one.lock().unwrap_or_else(PoisonError::into_inner))
        };
        free.or_else(waited).ok_or(StoreFault::Database(rusqlite::Error::InvalidQuery))
    }
}
