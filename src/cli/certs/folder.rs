//! A folder into which files are put whole: a reader sees the old one or the new one, and nobody
//! but its owner ever sees a key.

use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder that exists.
pub(crate) struct Folder(PathBuf);

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// 0644.
    Everyone,
    /// 0600.
    OwnerOnly,
}

/// What failed, and where.
#[derive(Debug)]
pub(crate) struct FolderFault {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for FolderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl Folder {
    /// Makes the folder unless it exists.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderFault> {
        match std::fs::create_dir_all(path) {
            Ok(()) => Ok(Self(path.to_owned())),
            Err(cause) => Err(FolderFault { path: path.to_owned(), cause }),
        }
    }

    /// Fails for the first of these names that exists.
    pub(crate) fn refuse_existing(&self, names: &[&str]) -> Result<(), FolderFault> {
        for path in names.iter().map(|name| self.0.join(name)) {
            if path.symlink_metadata().is_ok() {
                let cause = io::Error::new(io::ErrorKind::AlreadyExists, "exists already");
                return Err(FolderFault { path, cause });
            }
        }
        Ok(())
    }

    /// Puts a file in its place and gives its path.
    pub(crate) fn write(
        &self,
        name: &str,
        content: &[u8],
        mode: Mode,
    ) -> Result<PathBuf, FolderFault> {
        let path = self.0.join(name);
        match self.put(&path, content, mode) {
            Ok(()) => Ok(path),
            Err(cause) => Err(FolderFault { path, cause }),
        }
    }

    fn put(&self, path: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
        // A temporary file is its owner's alone from the start: a key is never readable by others.
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(content)?;
        let bits = match mode {
            Mode::Everyone => 0o644,
            Mode::OwnerOnly => 0o600,
        };
        file.as_file().set_permissions(Permissions::from_mode(bits))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_modes_and_are_replaced_whole() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("a/b")).unwrap();
        assert!(folder.refuse_existing(&["key", "cert"]).is_ok());
        for content in [&b"one"[..], b"two"] {
            let key = folder.write("key", content, Mode::OwnerOnly).unwrap();
            let cert = folder.write("cert", content, Mode::Everyone).unwrap();
            let bits = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!((bits(&key), bits(&cert)), (0o600, 0o644));
            assert_eq!(std::fs::read(&key).unwrap(), content);
        }
        let fault = folder.refuse_existing(&["new", "cert"]).unwrap_err().to_string();
        assert!(fault.ends_with("a/b/cert: exists already"), "{fault}");
        assert_eq!(std::fs::read_dir(place.path().join("a/b")).unwrap().count(), 2);
    }
}
