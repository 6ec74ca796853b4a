//! Master keys in a file that only its owner reads.
//!
//! Promises that the file has the old keys or all of the new ones, whenever the program or the
//! power ends, and that what was written is on the disk. Two that change it at once lose nothing.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::CustodyFault;
use super::key_list::{self, HeldKey};

/// Bits that let others than the owner do anything with a file.
const OTHERS_BITS: u32 = 0o077;

/// The keys in a file, the newest last.
pub(super) fn read(path: &Path) -> Result<Vec<HeldKey>, CustodyFault> {
    let origin = path.display().to_string();
    match private(path, key_list::TEXT_BYTES_MAX)? {
        Some(text) => key_list::parse(&text, &origin),
        None => Err(CustodyFault::Absent(origin)),
    }
}

/// The bytes of a file that only its owner may read, and that has at most so many; nothing where
/// there is no file.
pub(super) fn private(
    path: &Path,
    most: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, CustodyFault> {
    // A named pipe would wait for a writer for ever: looked at before it is opened.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(fault(path, "not a regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fault(path, e)),
    }
    let file = File::open(path).map_err(|e| fault(path, e))?;
    let mode = file.metadata().map_err(|e| fault(path, e))?.mode();
    if mode & OTHERS_BITS != 0 {
        let (mode, shown) = (mode & 0o7777, path.display());
        let what = format_args!(
            "others than its owner may use it (mode {mode:04o}); run: chmod 600 '{shown}'"
        );
        return Err(fault(path, what));
    }
    // Room for all of it: a buffer that grows would leave a copy behind, unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|e| fault(path, e))?;
    if bytes.len() > most {
        let what = format_args!("longer than {most} bytes: not what belongs here");
        return Err(fault(path, what));
    }
    Ok(Some(bytes))
}

/// Keeps other processes of this program from changing master keys that are beside a file or
/// folder, as long as the value lives.
pub(super) fn lock(path: &Path) -> Result<File, CustodyFault> {
    let file = File::open(path).map_err(|e| fault(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(fault(path, "another process changes the master keys at this moment; try again"))
        }
        Err(TryLockError::Error(e)) => Err(fault(path, e)),
    }
}

/// Makes a file with one new key where there is none.
pub(super) fn create(path: &Path) -> Result<Vec<HeldKey>, CustodyFault> {
    let folder = lock(folder_of(path))?;
    if path.symlink_metadata().is_ok() {
        return Err(fault(path, "exists; a master key is never overwritten"));
    }
    let keys = vec![HeldKey::random()?];
    replace(&folder, path, &keys).map_err(|e| fault(path, e))?;
    Ok(keys)
}

/// Changes the keys in a file; gives what is in it then.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<HeldKey>) -> Result<(), CustodyFault>,
) -> Result<Vec<HeldKey>, CustodyFault> {
    // The file itself, where a link leads to it: the link stays.
    let path = fs::canonicalize(path).map_err(|e| fault(path, e))?;
    let folder = lock(folder_of(&path))?;
    // What another process wrote since is kept.
    let mut keys = read(&path)?;
    change(&mut keys)?;
    replace(&folder, &path, &keys).map_err(|e| fault(&path, e))?;
    Ok(keys)
}

fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Writes beside, then renames.
fn replace(folder: &File, path: &Path, keys: &[HeldKey]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // One that was left by a process that was killed.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    if let (Ok(old), new) = (fs::metadata(path), file.metadata()?)
        && (new.uid(), new.gid()) != (old.uid(), old.gid())
    {
        // Root changes it for the user that the gate runs as.
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.write_all(&key_list::write(keys))?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    folder.sync_all()
}

fn fault(path: &Path, what: impl Display) -> CustodyFault {
    CustodyFault::Master(format!("{}: {what}", path.display()))
}
