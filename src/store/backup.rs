//! Copies: made while others write, without the secrets of epochs; tried before they are trusted;
//! put back in the place of a store that nobody has open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, TransactionBehavior};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::clock::{Clock, Timestamp};
use crate::custody::Masters;

use super::cover;
use super::database::{self, open_fault};
use super::key::StoreKeys;
use super::record;
use super::row::{EpochRow, MerchantStatus, VersionState};
use super::table::{Head, Purpose, StoredEpoch, StoredKek};
use super::tombstone::Tombstone;
use super::trial::Trial;
use super::view::gone;
use super::{Actor, ActorKind, Holding, Store, StoreFault};

impl Store {
    /// Copies the store as it is at one moment into a new file of mode 0600, while others read and
    /// write. Epochs are destroyed in the copy: their secrets and what wraps them stay here.
    ///
    /// # Errors
    /// A file that exists; the database, the operating system.
    pub fn backup(&self, actor: &Actor, to: &Path) -> Result<(), StoreFault> {
        match to.symlink_metadata() {
            Ok(_) => return Err(StoreFault::Exists(to.display().to_string())),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(open_fault(to, fault)),
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let work = tempfile::tempdir_in(folder).map_err(|fault| open_fault(to, fault))?;
        let part = work.path().join("part");
        database::make_file(&part)?;
        let mut copy = Connection::open(&part)?;
        self.copy_into(&mut copy)?;
        without_epochs(&mut copy, &self.keys, self.clock.now())?;
        copy.close().map_err(|(_, fault)| StoreFault::Database(fault))?;
        let name = || {
            File::open(&part)?.sync_all()?;
            // Never over a file that came meanwhile.
            renameat_with(CWD, &part, CWD, to, RenameFlags::NOREPLACE)?;
            database::sync_folder(to)
        };
        name().map_err(|fault| open_fault(to, fault))?;
        let object = to.display().to_string();
        self.change(actor, |change| change.audit("store.backed_up", &object, json!({}), None))
    }

    fn copy_into(&self, copy: &mut Connection) -> Result<(), StoreFault> {
        let source = self.readers.take()?;
        // One step is one moment: in pieces it would begin anew with every write of others.
        match Backup::new(&source, copy)?.step(-1)? {
            StepResult::Done => Ok(()),
            _ => Err(StoreFault::Refused("the store is busy: try again".to_owned())),
        }
    }

    /// Proves that a backup can be put back: opens a copy of it in a temporary folder, every blob
    /// and every MAC. Nothing else is touched.
    ///
    /// # Errors
    /// A file that is none of ours, master keys that do not open it, the operating system.
    pub fn try_backup(backup: &Path, masters: Masters, clock: Clock) -> Result<Trial, StoreFault> {
        let work = tempfile::tempdir().map_err(|fault| open_fault(backup, fault))?;
        tried_copy(backup, &work.path().join("keys.db"), masters, clock)
    }

    /// Puts a backup in the place of the store at `path`, once everything in it opened; the file
    /// before is kept as `….replaced`. Until [`Store::confirm_restore`] nothing of it can be used,
    /// unless the file of what is dead is there.
    ///
    /// # Errors
    /// A store that somebody has open; a backup in which something is wrong, which the first fault
    /// says; the operating system.
    pub fn restore(
        backup: &Path,
        path: &Path,
        masters: Masters,
        clock: Clock,
    ) -> Result<Trial, StoreFault> {
        let lock = database::lock_file(path)?;
        if lock.try_lock().is_err() {
            let cause = format!("{} is in use: stop whoever has it open", path.display());
            return Err(StoreFault::Refused(cause));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let work = tempfile::tempdir_in(folder).map_err(|fault| open_fault(path, fault))?;
        let copy = work.path().join("keys.db");
        // So that the trial tells whether the store will have to be confirmed.
        let tombstones = path.with_extension("tombstones");
        if tombstones.try_exists().map_err(|fault| open_fault(&tombstones, fault))? {
            fs::copy(&tombstones, copy.with_extension("tombstones"))
                .map_err(|fault| open_fault(&tombstones, fault))?;
        }
        let mut trial = tried_copy(backup, &copy, masters, clock)?;
        if !trial.faults.is_empty() {
            return Err(trial.faults.swap_remove(0));
        }
        database::settle(&copy)?;
        set_aside(path)
            .and_then(|()| {
                fs::rename(&copy, path)?;
                database::sync_folder(path)
            })
            .map_err(|fault| open_fault(path, fault))?;
        drop(lock);
        Ok(trial)
    }

    /// Says that what is dead is as the operator wants it: a new file of tombstones is made, of
    /// what the old one says as far as it can be read, and of what is dead in the database.
    ///
    /// # Errors
    /// When nothing is in doubt; the database, the operating system.
    pub fn confirm_restore(&self, actor: &Actor) -> Result<(), StoreFault> {
        self.change(actor, |change| {
            let mut dead = (*change.dead()?).clone();
            let Some(doubt) = dead.doubt(&change.view.head) else {
                return Err(StoreFault::Refused("nothing is to be confirmed".to_owned()));
            };
            let mut more = Vec::new();
            change.everyone_sealed(|found| {
                more.extend(found.iter().flat_map(|holding| buried(holding, change.now())));
            })?;
            let tokens = change.tokens()?.into_iter();
            more.extend(tokens.filter_map(|token| {
                Some(Tombstone::Token { id: token.id, at: token.revoked_at?.secs() })
            }));
            more.into_iter().for_each(|line| dead.add(line));
            let tombstones = &self.tombstones;
            tombstones.set_aside()?;
            tombstones.make(&dead.all(change.now()), &mut change.view.head)?;
            change.audit("restore.confirmed", "store", json!({ "doubt": doubt }), None)
        })
    }
}

/// What is dead of a merchant.
fn buried(holding: &Holding, now: Timestamp) -> Vec<Tombstone> {
    let mut lines = Vec::new();
    if holding.merchant.status == MerchantStatus::Closed {
        lines.push(Tombstone::Merchant { id: holding.merchant.id.clone(), at: now.secs() });
    }
    for (row, _) in holding.credentials.iter().flat_map(|credential| &credential.versions) {
        if row.state >= VersionState::Revoked {
            lines.push(Tombstone::Version {
                key_id: row.key_id.clone(),
                kind: row.kind.to_string(),
                number: row.number,
                at: row.revoked_at.or(row.destroyed_at).unwrap_or(now).secs(),
                destroyed: row.state == VersionState::Destroyed,
            });
        }
    }
    lines
}

/// Destroys the epochs of a copy, and what wraps them, and leaves no page that had them.
fn without_epochs(
    copy: &mut Connection,
    keys: &StoreKeys,
    now: Timestamp,
) -> Result<(), StoreFault> {
    copy.pragma_update(None, "journal_mode", "MEMORY")?;
    copy.pragma_update(None, "secure_delete", true)?;
    let change = copy.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let head = record::get::<Head>(&change, &keys.rows, &[&1])?;
    let mut head = head.ok_or_else(|| gone("head", "1", "the row is gone"))?;
    let epochs = cover::whole_table::<StoredEpoch>(&change, &keys.rows, &head.epochs)?;
    for epoch in epochs {
        let destroyed_at = epoch.row.destroyed_at.or(Some(now));
        let row = EpochRow { destroyed_at, ..epoch.row };
        let epoch = StoredEpoch { row, kek: None, blob: None, revision: epoch.revision + 1 };
        record::put(&change, &keys.rows, &epoch)?;
    }
    let keks = cover::whole_table::<StoredKek>(&change, &keys.rows, &head.keks)?;
    for kek in keks.iter().filter(|kek| kek.purpose == Purpose::Epochs) {
        record::delete::<StoredKek>(&change, &[&kek.version])?;
    }
    head.epochs = cover::of_table::<StoredEpoch>(&change, &keys.rows)?;
    head.keks = cover::of_table::<StoredKek>(&change, &keys.rows)?;
    head.revision += 1;
    record::put(&change, &keys.rows, &head)?;
    change.commit()?;
    copy.execute_batch("VACUUM")?;
    Ok(())
}

/// Copies a backup, and tries the copy.
fn tried_copy(
    backup: &Path,
    copy: &Path,
    masters: Masters,
    clock: Clock,
) -> Result<Trial, StoreFault> {
    let write = || {
        let mut from = File::open(backup)?;
        let mut options = OpenOptions::new();
        let mut to = options.write(true).create_new(true).mode(0o600).open(copy)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    write().map_err(|fault| open_fault(backup, fault))?;
    if fs::metadata(copy).is_ok_and(|about| about.len() == 0) {
        return Err(open_fault(backup, "it is empty"));
    }
    let store = Store::open(copy, masters, clock).map_err(|fault| match fault {
        StoreFault::Custody(fault) => StoreFault::Custody(fault),
        fault => open_fault(backup, fault),
    })?;
    let name = "countersign".to_owned();
    let actor = Actor { kind: ActorKind::System, name, address: None, request_id: None };
    store.verify_all(&actor, |_| {})
}

/// Puts the store that is there aside, its log with it.
fn set_aside(path: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    // The log of the file before must never be read into the one that comes. A file that cannot be
    // opened any more keeps its log, for whoever looks into it.
    drop(database::settle(path));
    let aside = path.with_extension("db.replaced");
    for end in ["-wal", "-shm", ""] {
        let named = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            name
        };
        match fs::rename(named(path), named(&aside)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}
