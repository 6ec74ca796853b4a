//! Other keys in the place of those before: master keys, KEKs, and data keys that move to them.
//! Whatever was done when the process ends stays done, and the next call goes on from there.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::custody::KeyBytes;

use super::change::Change;
use super::key::Ring;
use super::record::{self, Found};
use super::table::{DataKey, Purpose, StoreKeyRow};
use super::{Actor, Store, StoreFault};

/// So many data keys move in one transaction.
const BATCH: u32 = 500;
/// Between two of them others write.
const REST: Duration = Duration::from_millis(10);

/// What a rewrap did.
#[derive(Debug)]
pub struct Rewrapped {
    /// Data keys that moved to the current KEK.
    pub moved: u64,
    /// Those that could not: they were tampered with, and their KEK is still needed.
    pub refused: Vec<StoreFault>,
}

impl Store {
    /// Wraps every KEK by the current master key, in one transaction, and says how many were
    /// wrapped by another. Reads the master keys anew first.
    ///
    /// # Errors
    /// Master keys, the database.
    pub fn rewrap_masters(&self, actor: &Actor) -> Result<u64, StoreFault> {
        self.ring.refresh()?;
        let master = self.ring.current_master();
        self.change(actor, |change| {
            let mut moved = 0_u64;
            for kek in change.stored_keks()? {
                if kek.master != master {
                    change.write_kek(&self.ring.rewrapped(&kek)?)?;
                    moved += 1;
                }
            }
            change.audit("master.rotated", &master, json!({ "keks": moved }), None)?;
            Ok(moved)
        })
    }

    /// Whether a master key may be removed for good.
    ///
    /// # Errors
    /// [`StoreFault::Refused`] with what depends on it, or that no [`Store::verify_all`] passed
    /// since something was wrapped anew.
    pub fn release_master(&self, master: &str) -> Result<(), StoreFault> {
        self.ring.refresh()?;
        if self.ring.current_master() == master {
            let cause = format!("{master} is the master key that wraps: rotate it first");
            return Err(StoreFault::Refused(cause));
        }
        self.read(|view| {
            let keks = view.stored_keks()?;
            let depend = keks.iter().filter(|kek| kek.master == master).count();
            if depend > 0 {
                let cause = format!("{depend} KEKs are still wrapped by {master}");
                return Err(StoreFault::Refused(cause));
            }
            view.proved_since()
        })
    }

    /// Makes a new KEK, which wraps from now on, and says its version. [`Store::rewrap`] moves the
    /// data keys to it. Epochs get a new one too, which the next of them uses.
    ///
    /// # Errors
    /// Master keys, the database.
    pub fn rotate_kek(&self, actor: &Actor) -> Result<u32, StoreFault> {
        self.change(actor, |change| {
            let keks = change.stored_keks()?;
            let (version, kek) = change.make_kek(Purpose::Merchants, &keks)?;
            change.move_store_key((version, &kek))?;
            if keks.iter().any(|kek| kek.purpose == Purpose::Epochs) {
                let keks = change.stored_keks()?;
                change.make_kek(Purpose::Epochs, &keks)?;
            }
            change.audit("kek.rotated", &version.to_string(), json!({}), None)?;
            Ok(version)
        })
    }

    /// Moves every data key to the current KEK, some hundred in a transaction. `progress` hears how
    /// many were done, of how many.
    ///
    /// # Errors
    /// The database. What was done stays done.
    pub fn rewrap(
        &self,
        actor: &Actor,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Rewrapped, StoreFault> {
        let all = self.change(actor, |change| {
            let all = change.left_to_move()?;
            change.audit("rewrap.started", "kek", json!({ "data_keys": all }), None)?;
            Ok::<_, StoreFault>(all)
        })?;
        let mut done = Rewrapped { moved: 0, refused: Vec::new() };
        let mut after = Some(String::new());
        while let Some(from) = after {
            after = self.change(actor, |change| change.move_some(&from, &mut done))?;
            progress(done.moved, all);
            thread::sleep(REST);
        }
        let detail = json!({ "moved": done.moved, "refused": done.refused.len() });
        let action = if done.refused.is_empty() { "rewrap.done" } else { "rewrap.failed" };
        self.change(actor, |change| change.audit(action, "kek", detail, None))?;
        Ok(done)
    }

    /// Removes an earlier KEK for good.
    ///
    /// # Errors
    /// [`StoreFault::Refused`] with what depends on it, or that no [`Store::verify_all`] passed
    /// since something was wrapped anew.
    pub fn remove_kek(&self, actor: &Actor, version: u32) -> Result<(), StoreFault> {
        self.change(actor, |change| {
            let keks = change.keks()?;
            let Some(kek) = keks.iter().find(|kek| kek.version == version) else {
                return Err(StoreFault::Missing(format!("KEK {version}")));
            };
            if kek.current {
                let cause = format!("KEK {version} is the one that wraps: rotate it first");
                return Err(StoreFault::Refused(cause));
            }
            if kek.wraps > 0 {
                let cause = format!("KEK {version} wraps {} data keys: rewrap first", kek.wraps);
                return Err(StoreFault::Refused(cause));
            }
            change.proved_since()?;
            change.delete_kek(version)?;
            change.audit("kek.removed", &version.to_string(), json!({}), None)
        })
    }
}

impl Change<'_> {
    fn move_store_key(&mut self, to: (u32, &KeyBytes)) -> Result<(), StoreFault> {
        let (connection, keys) = (self.view.connection(), &self.view.store.keys);
        let kept = record::get::<StoreKeyRow>(connection, &keys.rows, &[&1])?;
        let revision = kept.map_or(0, |row| row.revision) + 1;
        record::put(connection, &keys.rows, &Ring::store_key_row(keys, to, revision)?)
    }

    fn left_to_move(&mut self) -> Result<u64, StoreFault> {
        let (current, _) = self.current_kek(Purpose::Merchants)?;
        let count = "SELECT count(*) FROM data_key WHERE kek <> ?1";
        let count = self.view.connection().query_row(count, [current], |row| row.get::<_, i64>(0));
        Ok(count?.unsigned_abs())
    }

    /// Moves the next data keys behind a merchant, and says behind which one to go on.
    fn move_some(
        &mut self,
        after: &str,
        done: &mut Rewrapped,
    ) -> Result<Option<String>, StoreFault> {
        let (current, kek) = self.current_kek(Purpose::Merchants)?;
        let condition = "WHERE merchant > ?1 AND kek <> ?2 ORDER BY merchant LIMIT ?3";
        let mut found: Vec<Found<DataKey>> = Vec::new();
        let connection = self.view.connection();
        record::scan(connection, condition, &[&after, &current, &BATCH], |row| {
            found.push(row);
            Ok(())
        })?;
        let last = found.last().map(|found| found.owner().to_owned());
        let ring = &self.view.store.ring;
        let (mut moved, mut refused) = (0, Vec::new());
        for found in found {
            match ring.moved(connection, found, (current, &kek)) {
                Ok(Some((row, rows))) => {
                    record::put(connection, &rows, &row)?;
                    moved += 1;
                }
                Ok(None) => {}
                Err(fault @ StoreFault::Tampered { .. }) => refused.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        done.refused.append(&mut refused);
        if moved > 0 {
            done.moved += moved;
            self.wrapping_changed();
        }
        Ok(last)
    }
}
