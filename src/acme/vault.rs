//! What is kept in the state folder: the account's key, certificates with their keys, and when
//! something failed. One folder for each authority, files for their owner alone, whole or not
//! there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::{hex, sha256};

/// Under which name everything is kept in the state folder.
const FOLDER: &str = "acme";
/// The account's key.
const ACCOUNT: &str = "account.key";
/// Characters of a directory's digest that its folder is called by.
const DIGITS: usize = 16;

/// What is kept of one authority; nothing where there is no state folder.
#[derive(Clone, Debug)]
pub struct Vault(Option<PathBuf>);

/// What is known of orders that failed, times in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) failed_at: u64,
    pub(super) try_at: u64,
}

impl Vault {
    /// The part of a state folder that belongs to the authority with this directory. Nothing is
    /// made yet.
    pub fn of(state: Option<&Path>, directory: &str) -> Self {
        let digits = hex(&sha256(directory.as_bytes()));
        let name: String = digits.iter().take(DIGITS).map(|digit| char::from(*digit)).collect();
        Self(state.map(|state| state.join(FOLDER).join(name)))
    }

    /// What a certificate is called in faults, metrics and listings.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.0.as_deref().unwrap_or(Path::new(FOLDER)).join(format!("{name}.pem"))
    }

    /// The account's key as PEM; none where there is none yet.
    pub(super) fn account(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        self.read(ACCOUNT)
    }

    pub(super) fn keep_account(&self, pem: &str) -> io::Result<()> {
        self.write(ACCOUNT, pem.as_bytes())
    }

    /// Puts a key of an account aside that cannot be read.
    pub(super) fn set_account_aside(&self) -> io::Result<()> {
        self.rename(ACCOUNT, &format!("{ACCOUNT}.damaged"))
    }

    /// A certificate with its chain and key as PEM; none where there is none yet.
    pub(super) fn certificate(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        self.read(&format!("{name}.pem"))
    }

    pub(super) fn keep_certificate(&self, name: &str, pem: &[u8]) -> io::Result<()> {
        self.write(&format!("{name}.pem"), pem)
    }

    /// Puts a certificate aside that cannot be served.
    pub(super) fn set_aside(&self, name: &str) -> io::Result<()> {
        self.rename(&format!("{name}.pem"), &format!("{name}.pem.damaged"))
    }

    /// What is known of failures; none where nothing failed, or nothing can be read.
    pub(super) fn failures(&self, name: &str) -> Option<Failures> {
        let bytes = self.read(&format!("{name}.failures")).ok().flatten()?;
        let mut numbers = std::str::from_utf8(&bytes).ok()?.split_whitespace();
        let count = numbers.next()?.parse().ok()?;
        let failed_at = numbers.next()?.parse().ok()?;
        let try_at = numbers.next()?.parse().ok()?;
        Some(Failures { count, failed_at, try_at })
    }

    pub(super) fn keep_failures(&self, name: &str, failures: Failures) -> io::Result<()> {
        let Failures { count, failed_at, try_at } = failures;
        let text = format!("{count} {failed_at} {try_at}\n");
        self.write(&format!("{name}.failures"), text.as_bytes())
    }

    pub(super) fn forget_failures(&self, name: &str) -> io::Result<()> {
        self.remove(&format!("{name}.failures")).map(|_| ())
    }

    /// Asks a running gate to order a certificate for a name now.
    ///
    /// # Errors
    /// When no gate has ordered anything there yet, or the operating system refuses.
    pub fn ask_for(&self, name: &str) -> io::Result<()> {
        let Some(folder) = &self.0 else { return Ok(()) };
        File::create(folder.join(format!("{name}.wanted"))).map(|_| ())
    }

    /// Whether somebody asked so. Asks no more afterwards.
    pub(super) fn takes_wish(&self, name: &str) -> io::Result<bool> {
        self.remove(&format!("{name}.wanted"))
    }

    fn read(&self, file: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(folder) = &self.0 else { return Ok(None) };
        match fs::read(folder.join(file)) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Writes a file whole: it is on the disk, under its name, when this returns.
    fn write(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.0 else { return Ok(()) };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // Its own name, and that of the folder around it.
            folder.ancestors().skip(1).take(2).try_for_each(sync)?;
        }
        let (path, new) = (folder.join(file), folder.join(format!("{file}.new")));
        let mut made =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        made.write_all(content)?;
        made.sync_all()?;
        fs::rename(new, path)?;
        sync(folder)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let Some(folder) = &self.0 else { return Ok(()) };
        fs::rename(folder.join(from), folder.join(to))?;
        sync(folder)
    }

    /// Removes a file. Says whether it was there.
    fn remove(&self, file: &str) -> io::Result<bool> {
        let Some(folder) = &self.0 else { return Ok(false) };
        match fs::remove_file(folder.join(file)) {
            Ok(()) => sync(folder).map(|()| true),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DIRECTORY: &str = "https://authority.example/directory";

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let state = tempfile::tempdir().unwrap();
        let vault = Vault::of(Some(state.path()), DIRECTORY);
        assert!(vault.certificate("a.example").unwrap().is_none());
        vault.keep_certificate("a.example", b"pem").unwrap();
        assert_eq!(vault.certificate("a.example").unwrap().unwrap().as_slice(), b"pem");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = vault.place("a.example");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(mode(&state.path().join(FOLDER)), 0o700);
        let other = Vault::of(Some(state.path()), "https://staging.example/directory");
        assert!(other.certificate("a.example").unwrap().is_none(), "one for each authority");
        vault.set_aside("a.example").unwrap();
        assert!(vault.certificate("a.example").unwrap().is_none());
    }

    #[test]
    fn failures_and_wishes_are_remembered_until_they_are_done_with() {
        let state = tempfile::tempdir().unwrap();
        let vault = Vault::of(Some(state.path()), DIRECTORY);
        assert_eq!(vault.failures("a.example"), None);
        let failures = Failures { count: 3, failed_at: 10, try_at: 250 };
        vault.keep_failures("a.example", failures).unwrap();
        assert_eq!(vault.failures("a.example"), Some(failures));
        vault.forget_failures("a.example").unwrap();
        assert_eq!(vault.failures("a.example"), None);
        assert!(!vault.takes_wish("a.example").unwrap());
        vault.ask_for("a.example").unwrap();
        assert!(vault.takes_wish("a.example").unwrap() && !vault.takes_wish("a.example").unwrap());
    }

    #[test]
    fn without_a_state_folder_nothing_is_kept() {
        let vault = Vault::of(None, DIRECTORY);
        vault.keep_certificate("a.example", b"pem").unwrap();
        vault.keep_account("pem").unwrap();
        assert!(vault.certificate("a.example").unwrap().is_none());
        assert!(vault.account().unwrap().is_none());
    }
}
