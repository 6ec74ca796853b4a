//! What can be read of one moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};

use rusqlite::{Connection, ToSql};

use crate::clock::Timestamp;
use crate::crypto::equal;
use crate::secret::Secret;

use super::cover;
use super::key::{MerchantKeys, place};
use super::record::{self, Found, Message};
use super::row::{CredentialRow, Kind, MerchantRow, MerchantStatus, VersionRow, VersionState};
use super::table::{ChangeRow, DataKey, Head, StoredMerchant, StoredVersion};
use super::tombstone::Dead;
use super::{Changed, Store, StoreFault};

/// One moment of the store.
pub struct View<'store> {
    pub(super) store: &'store Store,
    connection: MutexGuard<'store, Connection>,
    now: Timestamp,
    pub(super) head: Head,
    /// Merchants whose keys were opened, and whose cover was right, in this moment.
    owners: RefCell<HashMap<String, Rc<MerchantKeys>>>,
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // What was not committed is undone. If even that fails, the next who takes the
            // connection is told.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
    }
}

impl<'store> View<'store> {
    pub(super) fn reading(store: &'store Store) -> Result<Self, StoreFault> {
        Self::begin(store, store.readers.take()?, "BEGIN")
    }

    pub(super) fn writing(
        store: &'store Store,
        writer: MutexGuard<'store, Connection>,
    ) -> Result<Self, StoreFault> {
        Self::begin(store, writer, "BEGIN IMMEDIATE")
    }

    fn begin(
        store: &'store Store,
        connection: MutexGuard<'store, Connection>,
        begin: &str,
    ) -> Result<Self, StoreFault> {
        connection.execute_batch(begin)?;
        let found = record::find::<Head>(&connection, &[&1]);
        let head = found.and_then(|found| match found {
            Some(found) => found.proved(&store.keys.rows),
            None => Err(gone("head", "1", "the row is gone")),
        });
        match head {
            Ok(head) => {
                let (now, owners) = (store.clock.now(), RefCell::default());
                Ok(Self { store, connection, now, head, owners })
            }
            Err(fault) => {
                connection.execute_batch("ROLLBACK")?;
                Err(fault)
            }
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The keys of a merchant, once its row, its data key and its cover are right.
    pub(super) fn owner(&self, merchant: &str) -> Result<Option<Rc<MerchantKeys>>, StoreFault> {
        if let Some(keys) = self.owners.borrow().get(merchant) {
            return Ok(Some(Rc::clone(keys)));
        }
        let Some(found) = record::find::<StoredMerchant>(&self.connection, &[&merchant])? else {
            return Ok(None);
        };
        let Some(data_key) = record::find::<DataKey>(&self.connection, &[&merchant])? else {
            return Err(gone("data_key", merchant, "the row is gone"));
        };
        let (_, keys) = self.opened(found, data_key, |keys| {
            cover::of_merchant(&self.connection, &keys.rows, merchant)
        })?;
        Ok(Some(self.know(merchant, keys)))
    }

    pub(super) fn know(&self, merchant: &str, keys: MerchantKeys) -> Rc<MerchantKeys> {
        let keys = Rc::new(keys);
        self.owners.borrow_mut().insert(merchant.to_owned(), Rc::clone(&keys));
        keys
    }

    /// Proves a merchant's own two rows, and its cover, which `cover` makes.
    pub(super) fn opened(
        &self,
        found: Found<StoredMerchant>,
        data_key: Found<DataKey>,
        cover: impl FnOnce(&MerchantKeys) -> Result<[u8; 32], StoreFault>,
    ) -> Result<(StoredMerchant, MerchantKeys), StoreFault> {
        let ring = &self.store.ring;
        let claimed = data_key.claimed()?;
        let keys = ring.merchant_keys(&self.connection, &self.store.keys, claimed)?;
        data_key.proved(&keys.rows)?;
        let fault = |cause| found.tampered(cause);
        let closed = fault("it is closed and has a data key, or the other way round");
        let others = fault("a credential or version of it was deleted, added or put back");
        let merchant = found.proved(&keys.rows)?;
        if (merchant.row.status == MerchantStatus::Closed) != keys.is_closed() {
            return Err(closed);
        }
        if !equal(&cover(&keys)?, &merchant.cover) {
            return Err(others);
        }
        Ok((merchant, keys))
    }

    pub(super) fn dead(&self) -> Result<Arc<Dead>, StoreFault> {
        self.store.tombstones.look()
    }

    /// Why nothing may be used until [`Store::confirm_restore`], if so: the file of what is dead
    /// does not fit to the database, and what was revoked may stand here as active.
    ///
    /// # Errors
    /// The operating system.
    pub fn unconfirmed(&self) -> Result<Option<String>, StoreFault> {
        let named = |doubt| format!("{}: {doubt}", self.store.tombstones.name());
        Ok(self.dead()?.doubt(&self.head).map(named))
    }

    /// The clock's time at which this moment is read.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The number of the newest change.
    ///
    /// # Errors
    /// None; a store that several machines share may have some.
    pub fn sequence(&self) -> Result<u64, StoreFault> {
        Ok(self.head.changes)
    }

    /// Every change after one, in their order; none when that is longer ago than the log reaches,
    /// or the log was tampered with, and everything is to be read anew.
    ///
    /// # Errors
    /// The database.
    pub fn changes_after(&self, sequence: u64) -> Result<Option<Vec<Changed>>, StoreFault> {
        let newest = self.head.changes;
        if sequence >= newest {
            return Ok((sequence == newest).then(Vec::new));
        }
        let keys = &self.store.keys.rows;
        let after = "WHERE sequence > ?1 ORDER BY sequence";
        let rows =
            record::select::<ChangeRow>(&self.connection, keys, after, &[&integer(sequence)]);
        let rows = match rows {
            Err(StoreFault::Tampered { .. }) => return Ok(None),
            other => other?,
        };
        // The numbers have no gaps, unless the log was trimmed or somebody took a row out.
        let whole = rows.iter().map(|row| row.sequence).eq(sequence.saturating_add(1)..=newest);
        let changed = |row: ChangeRow| Changed { sequence: row.sequence, merchant: row.merchant };
        Ok(whole.then(|| rows.into_iter().map(changed).collect()))
    }

    /// Merchants by id, after one, at most so many.
    ///
    /// # Errors
    /// The database, and a row that was tampered with.
    pub fn merchants(&self, after: &str, most: usize) -> Result<Vec<MerchantRow>, StoreFault> {
        let mut ids = Vec::new();
        let condition = "WHERE id > ?1 ORDER BY id LIMIT ?2";
        record::scan::<StoredMerchant>(
            &self.connection,
            condition,
            &[&after, &limit(most)],
            |found| {
                ids.push(found.claimed()?.row.id.clone());
                Ok(())
            },
        )?;
        let rows = ids.iter().filter_map(|id| self.merchant(id).transpose());
        rows.collect()
    }

    /// A merchant.
    ///
    /// # Errors
    /// As above.
    pub fn merchant(&self, id: &str) -> Result<Option<MerchantRow>, StoreFault> {
        Ok(self.stored_merchant(id)?.map(|stored| stored.row))
    }

    pub(super) fn stored_merchant(&self, id: &str) -> Result<Option<StoredMerchant>, StoreFault> {
        let Some(keys) = self.owner(id)? else { return Ok(None) };
        let Some(mut stored) = self.kept_merchant(id, &keys)? else { return Ok(None) };
        if self.dead()?.merchant(id).is_some() {
            stored.row.status = MerchantStatus::Closed;
        }
        Ok(Some(stored))
    }

    /// As it is in the database, whatever the tombstones say.
    pub(super) fn kept_merchant(
        &self,
        id: &str,
        keys: &MerchantKeys,
    ) -> Result<Option<StoredMerchant>, StoreFault> {
        record::get::<StoredMerchant>(&self.connection, &keys.rows, &[&id])
    }

    /// Credentials by key id, after one, at most so many; of a merchant or of all.
    ///
    /// # Errors
    /// As above.
    pub fn credentials(
        &self,
        merchant: Option<&str>,
        after: &str,
        most: usize,
    ) -> Result<Vec<CredentialRow>, StoreFault> {
        let mut found = Vec::new();
        let mut each = |row: Found<CredentialRow>| {
            found.push(row);
            Ok(())
        };
        match merchant {
            Some(merchant) => {
                // Also where none is found: all may have been taken out.
                self.owner(merchant)?;
                let condition = "WHERE merchant = ?1 AND key_id > ?2 ORDER BY key_id LIMIT ?3";
                let values: [&dyn ToSql; 3] = [&merchant, &after, &limit(most)];
                record::scan(&self.connection, condition, &values, &mut each)?;
            }
            None => {
                let condition = "WHERE key_id > ?1 ORDER BY key_id LIMIT ?2";
                record::scan(&self.connection, condition, &[&after, &limit(most)], &mut each)?;
            }
        }
        found.into_iter().map(|found| self.proved_credential(found)).collect()
    }

    fn proved_credential(&self, found: Found<CredentialRow>) -> Result<CredentialRow, StoreFault> {
        let owner = self.owner(&found.claimed()?.merchant)?;
        let owner = owner.ok_or_else(|| found.tampered("it belongs to no merchant"))?;
        found.proved(&owner.rows)
    }

    /// A credential.
    ///
    /// # Errors
    /// As above.
    pub fn credential(&self, key_id: &str) -> Result<Option<CredentialRow>, StoreFault> {
        let mut credential = None;
        record::scan(&self.connection, "WHERE key_id = ?1", &[&key_id], |found| {
            credential = Some(self.proved_credential(found)?);
            Ok(())
        })?;
        Ok(credential)
    }

    /// Every version of every kind of a credential, by kind and number.
    ///
    /// # Errors
    /// As above.
    pub fn versions(&self, key_id: &str) -> Result<Vec<VersionRow>, StoreFault> {
        let Some(credential) = self.credential(key_id)? else { return Ok(Vec::new()) };
        let keys = self.keys_of(&credential)?;
        let condition = "WHERE merchant = ?1 AND key_id = ?2 ORDER BY kind, number";
        let values: [&dyn ToSql; 2] = [&credential.merchant, &key_id];
        let stored =
            record::select::<StoredVersion>(&self.connection, &keys.rows, condition, &values)?;
        let dead = self.dead()?;
        let at_rest = |mut stored: StoredVersion| {
            lay_to_rest(&mut stored.row, &dead);
            stored.row
        };
        Ok(stored.into_iter().map(at_rest).collect())
    }

    pub(super) fn keys_of(
        &self,
        credential: &CredentialRow,
    ) -> Result<Rc<MerchantKeys>, StoreFault> {
        self.owner(&credential.merchant)?
            .ok_or_else(|| gone("merchant", &credential.merchant, "the row is gone"))
    }

    pub(super) fn stored_version(
        &self,
        credential: &CredentialRow,
        (kind, number): (&Kind, u32),
    ) -> Result<Option<StoredVersion>, StoreFault> {
        let keys = self.keys_of(credential)?;
        let values: [&dyn ToSql; 4] =
            [&credential.merchant, &credential.key_id, &kind.to_string(), &number];
        record::get::<StoredVersion>(&self.connection, &keys.rows, &values)
    }

    /// The secret of a version.
    ///
    /// # Errors
    /// As above; a destroyed one has none.
    pub fn secret(&self, version: &VersionRow) -> Result<Secret, StoreFault> {
        let missing = || StoreFault::Missing(format!("secret of {}", version_name(version)));
        let credential = self.credential(&version.key_id)?.ok_or_else(missing)?;
        let stored = self.stored_version(&credential, (&version.kind, version.number))?;
        let mut stored = stored.ok_or_else(missing)?;
        lay_to_rest(&mut stored.row, &*self.dead()?);
        if stored.row.state == VersionState::Destroyed {
            return Err(missing());
        }
        let keys = self.keys_of(&credential)?;
        let opened = open_secret(&stored, credential.live, &keys)?;
        opened.ok_or_else(missing)
    }

    /// Whether any version of any credential has these bytes as its secret, and which: by a keyed
    /// digest, for equal secrets must not be. Values beside a secret may be equal, and are not
    /// found.
    ///
    /// # Errors
    /// The database.
    pub fn owner_of(&self, secret: &Secret) -> Result<Option<(String, Kind, u32)>, StoreFault> {
        let equality = equality_of(self.store, secret);
        let mut owner = None;
        let condition = "WHERE equality = ?1";
        record::scan::<StoredVersion>(&self.connection, condition, &[&equality], |found| {
            let row = &found.claimed()?.row;
            owner = Some((row.key_id.clone(), row.kind.clone(), row.number));
            Ok(())
        })?;
        Ok(owner)
    }
}

/// Numbers as the database has them: its greatest stands for all above.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// So for times.
pub(super) fn seconds(at: Timestamp) -> i64 {
    integer(at.secs())
}

/// So for the most rows that are read.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// A row that is not where it must be.
pub(super) fn gone(table: &'static str, row: &str, cause: &str) -> StoreFault {
    StoreFault::Tampered { table, row: row.to_owned(), cause: cause.to_owned() }
}

/// The name of a version, as faults say it.
pub(super) fn version_name(row: &VersionRow) -> String {
    format!("{} version {} of {}", row.kind, row.number, row.key_id)
}

/// Makes a version what the tombstones have it.
pub(super) fn lay_to_rest(row: &mut VersionRow, dead: &Dead) {
    if !dead.has_versions() {
        return;
    }
    let name = (row.key_id.clone(), row.kind.clone(), row.number);
    let Some((at, state)) = dead.version(&name) else { return };
    if state > row.state {
        row.state = state;
        row.revoked_at = row.revoked_at.or(Some(at));
        if state == VersionState::Destroyed {
            row.destroyed_at = row.destroyed_at.or(Some(at));
        }
    }
}

/// Where the secret of a version is kept.
pub(super) fn secret_place(stored: &StoredVersion, live: bool) -> Vec<u8> {
    let environment = if live { "live" } else { "test" };
    let kind = stored.row.kind.to_string();
    let parts = [environment, &stored.merchant, &stored.row.key_id, &kind];
    place("version", &parts, stored.row.number.into())
}

/// The secret of a version; none once it is destroyed.
pub(super) fn open_secret(
    stored: &StoredVersion,
    live: bool,
    keys: &MerchantKeys,
) -> Result<Option<Secret>, StoreFault> {
    let Some(sealed) = &stored.blob else { return Ok(None) };
    let opened = keys.open(&secret_place(stored, live), sealed);
    let fault = |_| gone("version", &version_name(&stored.row), "its secret does not open");
    opened.map(Some).map_err(fault)
}

/// By what equal secrets are found.
pub(super) fn equality_of(store: &Store, secret: &Secret) -> [u8; 32] {
    let mut mac = store.keys.equality.begin();
    mac.update(secret.expose());
    mac.finish()
}

/// What stands for a merchant's row in the sum of all.
pub(super) fn member(store: &Store, merchant: &StoredMerchant) -> [u8; 32] {
    let message: Message = record::message_of(merchant);
    message.mac(&store.keys.members)
}
