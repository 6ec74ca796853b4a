//! The state folder: one gate at a time, and files that are whole or not there.
//!
//! Promises that what it wrote is on the disk when it returns. It refuses to know what is in a
//! file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
/// Says that nothing was accepted yet.
const NO_PAST: &str = "no-past";
/// The stamp up to which messages may have been accepted.
const MARK: &str = "mark";
/// The memory of a clean stop.
const SAVED: &str = "replay.bin";
/// Where a saved memory goes that could not be read.
const DAMAGED: &str = "replay.bin.damaged";

/// What every mark file starts with.
const MARK_LABEL: &str = "countersign mark 1 ";

/// A state folder, locked for this process as long as the value lives.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// For making names durable.
    folder: File,
    /// Holds the lock; released with it, also when the process is killed.
    _lock: File,
}

/// Why a state folder cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// Another gate works with it.
    #[error("state folder {}: another gate is using it", .0.display())]
    InUse(PathBuf),
    /// It is a state folder already, or holds something else.
    #[error("state folder {}: not empty; a new state folder starts empty", .0.display())]
    NotEmpty(PathBuf),
    /// There is none.
    #[error("state folder {}: not found; `countersign init` makes one", .0.display())]
    Missing(PathBuf),
    /// The operating system refused.
    #[error("state folder {}: {source}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl StateFolder {
    /// Makes a state folder that says: nothing was accepted yet. Only its owner can enter it.
    ///
    /// # Errors
    /// When the folder is there and not empty, or the operating system refuses.
    pub fn init(path: &Path) -> Result<(), FolderFault> {
        let io = |source| FolderFault::Io { path: path.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        if fs::read_dir(path).map_err(io)?.next().is_some() {
            return Err(FolderFault::NotEmpty(path.into()));
        }
        let folder = Self::open(path)?;
        folder.replace(NO_PAST, |_| Ok(())).map_err(io)?;
        // The folder's own name must survive a power cut as well.
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent).and_then(|parent| parent.sync_all()).map_err(io),
            None => Ok(()),
        }
    }

    /// Opens a state folder and locks it.
    ///
    /// # Errors
    /// When there is none, another gate holds it, or the operating system refuses.
    pub fn open(path: &Path) -> Result<Self, FolderFault> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => FolderFault::Missing(path.into()),
            _ => FolderFault::Io { path: path.into(), source },
        };
        let folder = File::open(path).map_err(io)?;
        let lock = private().truncate(false).open(path.join(LOCK)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderFault::InUse(path.into())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has_no_past(&self) -> io::Result<bool> {
        self.path.join(NO_PAST).try_exists()
    }

    pub(super) fn remove_no_past(&self) -> io::Result<()> {
        self.remove(NO_PAST)
    }

    /// The mark in seconds; `Err` of kind `InvalidData` when the file is not one.
    pub(super) fn mark(&self) -> io::Result<Option<u64>> {
        let text = match fs::read(self.path.join(MARK)) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let secs = std::str::from_utf8(&text).ok().and_then(|text| {
            let digits = text.strip_prefix(MARK_LABEL)?.strip_suffix('\n')?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        });
        secs.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(super) fn write_mark(&self, secs: u64) -> io::Result<()> {
        self.replace(MARK, |file| writeln!(file, "{MARK_LABEL}{secs}"))
    }

    /// The memory of a clean stop, if there is one.
    pub(super) fn saved(&self) -> io::Result<Option<File>> {
        match File::open(self.path.join(SAVED)) {
            Ok(file) => Ok(Some(file)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub(super) fn write_saved(
        &self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.replace(SAVED, write)
    }

    /// Uses up the memory of a clean stop.
    pub(super) fn remove_saved(&self) -> io::Result<()> {
        self.remove(SAVED)
    }

    /// Puts a memory aside that could not be read, for whoever wants to know why.
    pub(super) fn set_saved_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.join(DAMAGED);
        fs::rename(self.path.join(SAVED), &aside)?;
        self.folder.sync_all()?;
        Ok(aside)
    }

    /// Writes a file anew: it has the old content or all of the new, and the new when this returns.
    fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = BufWriter::new(private().truncate(true).open(&new)?);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&new, self.path.join(name))?;
        self.folder.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => self.folder.sync_all(),
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_folder_is_private_and_says_that_nothing_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert!(matches!(StateFolder::open(&path), Err(FolderFault::Missing(_))));
        StateFolder::init(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let folder = StateFolder::open(&path).unwrap();
        assert!(folder.has_no_past().unwrap());
        assert_eq!(folder.mark().unwrap(), None);
        assert!(matches!(StateFolder::init(&path), Err(FolderFault::NotEmpty(_))));
    }

    #[test]
    fn a_second_gate_on_the_folder_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        StateFolder::init(&path).unwrap();
        let first = StateFolder::open(&path).unwrap();
        let fault = StateFolder::open(&path).unwrap_err();
        assert!(matches!(fault, FolderFault::InUse(_)));
        assert!(fault.to_string().contains(path.to_str().unwrap()));
        drop(first);
        assert!(StateFolder::open(&path).is_ok());
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        StateFolder::init(&path).unwrap();
        let folder = StateFolder::open(&path).unwrap();
        folder.write_mark(1_750_000_000).unwrap();
        assert_eq!(folder.mark().unwrap(), Some(1_750_000_000));
        let mode = fs::metadata(path.join(MARK)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for bad in ["", "countersign mark 1 ", "countersign mark 1 +5\n", "countersign mark 1 5"] {
            fs::write(path.join(MARK), bad).unwrap();
            assert_eq!(folder.mark().unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad:?}");
        }
    }
}
