//! Master keys in a file that only its owner reads.
//!
//! Promises that the file has the old keys or all of the new ones, whenever the program or the
//! power ends, and that what was written is on the disk. Two that change it at once lose nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::CustodyFault;
use super::key_list::{self, HeldKey};

/// Bits that let others than the owner do anything with a file.
const OTHERS_BITS: u32 = 0o077;

/// The keys in a file, the newest last.
pub(super) fn read(path: &Path) -> Result<Vec<HeldKey>, CustodyFault> {
    let text = private(path, key_list::TEXT_BYTES_MAX).map_err(|fault| match fault {
        CustodyFault::Absent(_) => fault,
        _ => CustodyFault::Master(format!("the master key: {fault}")),
    })?;
    key_list::parse(&text, &path.display().to_string())
}

/// The bytes of a file that only its owner may read, and that has at most so many.
pub(super) fn private(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, CustodyFault> {
    let fault =
        |what: &dyn std::fmt::Display| CustodyFault::Master(format!("{}: {what}", path.display()));
    let io = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => CustodyFault::Absent(path.display().to_string()),
        _ => fault(&e),
    };
    // A named pipe would wait for a writer for ever: looked at before it is opened.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(fault(&"not a regular file"));
    }
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode();
    if mode & OTHERS_BITS != 0 {
        let shown = path.display();
        return Err(fault(&format_args!(
            "others than its owner may use it (mode {:04o}); run: chmod 600 '{shown}'",
            mode & 0o7777
        )));
    }
    // Room for all of it: a buffer that grows would leave a copy behind, unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > most {
        return Err(fault(&format_args!("longer than {most} bytes: not what belongs here")));
    }
    Ok(bytes)
}

/// Makes a file with one new key where there is none.
pub(super) fn create(path: &Path) -> Result<Vec<HeldKey>, CustodyFault> {
    let folder = Folder::of(path)?;
    if path.symlink_metadata().is_ok() {
        return Err(CustodyFault::Master(format!(
            "{}: exists; a master key is never overwritten",
            path.display()
        )));
    }
    let keys = vec![HeldKey::random()?];
    folder.replace(path, &keys)?;
    Ok(keys)
}

/// Changes the keys in a file; gives what is in it then.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<HeldKey>) -> Result<(), CustodyFault>,
) -> Result<Vec<HeldKey>, CustodyFault> {
    // The file itself, where a link leads to it: the link stays.
    let path = fs::canonicalize(path).map_err(|e| at(path, &e))?;
    let folder = Folder::of(&path)?;
    // What another process wrote since is kept.
    let mut keys = read(&path)?;
    change(&mut keys)?;
    folder.replace(&path, &keys)?;
    Ok(keys)
}

/// The folder of the file, locked against others that would change it.
struct Folder(File);

impl Folder {
    fn of(path: &Path) -> Result<Self, CustodyFault> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let folder = File::open(parent).map_err(|e| at(parent, &e))?;
        match folder.try_lock() {
            Ok(()) => Ok(Self(folder)),
            Err(TryLockError::WouldBlock) => Err(CustodyFault::Master(format!(
                "{}: another process is changing it; try again",
                path.display()
            ))),
            Err(TryLockError::Error(e)) => Err(at(parent, &e)),
        }
    }

    /// Writes beside, then renames.
    fn replace(&self, path: &Path, keys: &[HeldKey]) -> Result<(), CustodyFault> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let write = || {
            // One that was left by a process that was killed.
            match fs::remove_file(&beside) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            if let Ok(old) = fs::metadata(path) {
                // Root changes it for the user that the gate runs as.
                let new = file.metadata()?;
                if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                    std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
                }
            }
            file.write_all(&key_list::write(keys))?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            self.0.sync_all()
        };
        write().map_err(|e| at(path, &e))
    }
}

fn at(path: &Path, e: &io::Error) -> CustodyFault {
    CustodyFault::Master(format!("{}: {e}", path.display()))
}
