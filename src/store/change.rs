//! One transaction: rows with their MACs and covers, the change log, the audit log, tombstones.
//!
//! Must never be done here: a write that does not raise the row's revision.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;
use std::rc::Rc;
use std::sync::PoisonError;

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::secret::Secret;

use super::cover;
use super::key::{self, MerchantKeys, Ring, StoreKeys};
use super::record;
use super::row::{
    CredentialRow, Kind, MerchantRow, MerchantStatus, PolicyRow, TokenRow, VersionRow, VersionState,
};
use super::table::{
    ChangeRow, DataKey, Head, Purpose, StoredEpoch, StoredKek, StoredMerchant, StoredVersion,
};
use super::tombstone::{Tombstone, Tombstones};
use super::view::{View, equality_of, integer, lay_to_rest, member, secret_place, version_name};
use super::{Actor, Store, StoreFault};

/// The change log keeps so many; who is further behind reads everything anew.
const CHANGES_MAX: u64 = 100_000;

/// One transaction: everything that a [`View`] reads, and changes.
pub struct Change<'store> {
    pub(super) view: View<'store>,
    pub(super) actor: Actor,
    /// Merchants whose cover is to be made anew.
    touched: BTreeSet<String>,
    /// What the change log gets; none: something that concerns all.
    logged: BTreeSet<Option<String>>,
    pub(super) tombstones: Vec<Tombstone>,
    /// What all merchants' rows come to, once that changes.
    sum: Option<[u8; 32]>,
    /// Whether anything was written at all.
    pub(super) wrote: bool,
    /// Whether a secret was overwritten, whose old pages the log must not keep.
    pub(super) wiped: bool,
}

impl<'store> Deref for Change<'store> {
    type Target = View<'store>;

    fn deref(&self) -> &View<'store> {
        &self.view
    }
}

/// Fills a new store: its first KEK, its own key, its head, its file of tombstones.
///
/// # Errors
/// The master keys, the database, the operating system.
pub(super) fn begin_store(
    path: &Path,
    connection: &Connection,
    ring: &Ring,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let (kek, key) = ring.new_kek(1, Purpose::Merchants, now)?;
    let keys = StoreKeys::of(key::new_key()?)?;
    record::put(connection, &keys.rows, &kek)?;
    record::put(connection, &keys.rows, &Ring::store_key_row(&keys, (1, &key), 1)?)?;
    let mut head = Head {
        id: 1,
        revision: 1,
        changes: 0,
        audits: 0,
        audit_digest: [0; 32],
        tombstones: 0,
        tombstone_mac: [0; 32],
        keks: cover::of_table::<StoredKek>(connection, &keys.rows)?,
        policies: cover::of_table::<PolicyRow>(connection, &keys.rows)?,
        epochs: cover::of_table::<StoredEpoch>(connection, &keys.rows)?,
        tokens: cover::of_table::<TokenRow>(connection, &keys.rows)?,
        merchants: keys.seal_sum(&[0; 32])?,
        wrapping: 1,
        proved: None,
    };
    let tombstones = Tombstones::new(path, keys.tombstones.clone());
    tombstones.set_aside()?;
    tombstones.make(&[], &mut head)?;
    ring.remember(1, &key);
    record::put(connection, &keys.rows, &head)
}

impl<'store> Change<'store> {
    pub(super) fn begin(store: &'store Store, actor: &Actor) -> Result<Self, StoreFault> {
        let writer = store.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self {
            view: View::writing(store, writer)?,
            actor: actor.clone(),
            touched: BTreeSet::new(),
            logged: BTreeSet::new(),
            tombstones: Vec::new(),
            sum: None,
            wrote: false,
            wiped: false,
        })
    }

    /// Makes it durable, all or nothing.
    pub(super) fn finish(mut self) -> Result<(), StoreFault> {
        if !self.wrote {
            return Ok(());
        }
        for merchant in std::mem::take(&mut self.touched) {
            self.cover(&merchant)?;
        }
        self.log_changes()?;
        let keys = &self.view.store.keys;
        if let Some(sum) = self.sum {
            self.view.head.merchants = keys.seal_sum(&sum)?;
        }
        self.view.head.revision += 1;
        let (store, now) = (self.view.store, self.view.now());
        store.tombstones.append(&self.tombstones, &mut self.view.head, now)?;
        record::put(self.view.connection(), &keys.rows, &self.view.head)?;
        self.view.connection().execute_batch("COMMIT")?;
        self.view.store.wipe_log(self.view.connection(), self.wiped);
        Ok(())
    }

    fn log_changes(&mut self) -> Result<(), StoreFault> {
        let keys = &self.view.store.keys.rows;
        for merchant in std::mem::take(&mut self.logged) {
            let sequence = self.view.head.changes.saturating_add(1);
            self.view.head.changes = sequence;
            record::put(self.view.connection(), keys, &ChangeRow { sequence, merchant })?;
        }
        let oldest = self.view.head.changes.saturating_sub(CHANGES_MAX);
        let trim = "DELETE FROM change WHERE sequence <= ?1";
        self.view.connection().prepare_cached(trim)?.execute([integer(oldest)])?;
        Ok(())
    }

    /// Makes the cover of a merchant anew. The one before was right when its keys were opened.
    fn cover(&mut self, merchant: &str) -> Result<(), StoreFault> {
        let keys = self.known(merchant)?;
        let kept = self.view.kept_merchant(merchant, &keys)?;
        let kept = kept.ok_or_else(|| StoreFault::Missing(format!("merchant {merchant}")))?;
        let cover = cover::of_merchant(self.view.connection(), &keys.rows, merchant)?;
        let new = StoredMerchant { cover, ..kept.clone() };
        self.write_merchant(&keys, Some(&kept), &new)
    }

    fn write_merchant(
        &mut self,
        keys: &MerchantKeys,
        old: Option<&StoredMerchant>,
        new: &StoredMerchant,
    ) -> Result<(), StoreFault> {
        let store = self.view.store;
        let mut sum = match self.sum {
            Some(sum) => sum,
            None => store.keys.open_sum(&self.view.head.merchants)?,
        };
        for row in old.into_iter().chain([new]) {
            add_member(&mut sum, &member(store, row));
        }
        self.sum = Some(sum);
        record::put(self.view.connection(), &keys.rows, new)
    }

    /// The keys of a merchant that must be there.
    fn known(&self, merchant: &str) -> Result<Rc<MerchantKeys>, StoreFault> {
        let keys = self.view.owner(merchant)?;
        keys.ok_or_else(|| StoreFault::Missing(format!("merchant {merchant}")))
    }

    pub(super) fn wrote(&mut self, merchant: Option<&str>) {
        self.wrote = true;
        self.logged.insert(merchant.map(str::to_owned));
    }
}

/// A sum in which each row counts once: what is added twice is taken out again.
pub(super) fn add_member(sum: &mut [u8; 32], member: &[u8; 32]) {
    sum.iter_mut().zip(member).for_each(|(sum, member)| *sum ^= member);
}

pub(super) fn conflict(name: impl ToString) -> StoreFault {
    StoreFault::Conflict(name.to_string())
}

/// What each `add_…` and `set_…` has in common: the row's `revision` is checked against the one in
/// the store (a conflict otherwise) and raised, its MAC is made, and the change log gets an entry.
impl Change<'_> {
    /// A new merchant, and its data key.
    ///
    /// # Errors
    /// [`StoreFault::Exists`], the database.
    pub fn add_merchant(&mut self, row: &MerchantRow) -> Result<(), StoreFault> {
        let name = || format!("merchant {}", row.id);
        if self.view.owner(&row.id)?.is_some() {
            return Err(StoreFault::Exists(name()));
        }
        if !is_merchant_id(&row.id) {
            let cause = "a merchant's id is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned();
            return Err(StoreFault::Refused(cause));
        }
        if row.revision != 0 || row.status == MerchantStatus::Closed {
            return Err(conflict(name()));
        }
        let (version, kek) = self.current_kek(Purpose::Merchants)?;
        let (data_key, keys) = Ring::new_data_key(&row.id, (version, &kek))?;
        let cover = cover::of_merchant(self.view.connection(), &keys.rows, &row.id)?;
        let row = MerchantRow { revision: 1, ..row.clone() };
        self.write_merchant(&keys, None, &StoredMerchant { row: row.clone(), cover })?;
        record::put(self.view.connection(), &keys.rows, &data_key)?;
        self.view.know(&row.id, keys);
        self.wrote(Some(&row.id));
        Ok(())
    }

    /// Changes a merchant. One that becomes closed loses its data key and every secret.
    ///
    /// # Errors
    /// [`StoreFault::Missing`], [`StoreFault::Conflict`], the database; a closed one stays so.
    pub fn set_merchant(&mut self, row: &MerchantRow) -> Result<(), StoreFault> {
        let keys = self.known(&row.id)?;
        let name = format!("merchant {}", row.id);
        let kept = self.view.kept_merchant(&row.id, &keys)?;
        let kept = kept.ok_or_else(|| StoreFault::Missing(name.clone()))?;
        if kept.row.revision != row.revision {
            return Err(conflict(name));
        }
        let closed = self.view.merchant(&row.id)?.map(|row| row.status);
        if closed == Some(MerchantStatus::Closed) && row.status != MerchantStatus::Closed {
            return Err(StoreFault::Refused(format!("{name} is closed, and stays so")));
        }
        let raised = MerchantRow { revision: row.revision + 1, ..row.clone() };
        let new = StoredMerchant { row: raised, cover: kept.cover };
        self.write_merchant(&keys, Some(&kept), &new)?;
        if row.status == MerchantStatus::Closed && !keys.is_closed() {
            self.shred(&row.id, &keys, &new)?;
        }
        self.touched.insert(row.id.clone());
        self.wrote(Some(&row.id));
        Ok(())
    }

    /// Destroys the data key of a merchant and all its secrets. What is left gets its MACs by a key
    /// of the store.
    fn shred(
        &mut self,
        merchant: &str,
        keys: &MerchantKeys,
        row: &StoredMerchant,
    ) -> Result<(), StoreFault> {
        let (store, now) = (self.view.store, self.view.now());
        let connection = self.view.connection();
        let closed = MerchantKeys::closed(&store.keys, merchant);
        let of_it = "WHERE merchant = ?1 ORDER BY key_id";
        for row in record::select::<CredentialRow>(connection, &keys.rows, of_it, &[&merchant])? {
            // Nothing of it is rotated any more, so its policy may go.
            let row = CredentialRow { revision: row.revision + 1, policy: None, ..row };
            record::put(connection, &closed.rows, &row)?;
        }
        for stored in record::select::<StoredVersion>(connection, &keys.rows, of_it, &[&merchant])?
        {
            let mut row = VersionRow { revision: stored.row.revision + 1, ..stored.row };
            row.state = VersionState::Destroyed;
            row.destroyed_at = row.destroyed_at.or(Some(now));
            let stored = StoredVersion { row, blob: None, equality: None, ..stored };
            record::put(connection, &closed.rows, &stored)?;
        }
        let condition = "WHERE merchant = ?1";
        for kept in record::select::<DataKey>(connection, &keys.rows, condition, &[&merchant])? {
            let revision = kept.revision + 1;
            let kept = DataKey { kek: None, blob: None, revision, ..kept };
            record::put(connection, &closed.rows, &kept)?;
        }
        record::put(connection, &closed.rows, row)?;
        self.view.know(merchant, closed);
        let id = merchant.to_owned();
        self.tombstones.push(Tombstone::Merchant { id, at: now.secs() });
        self.wiped = true;
        Ok(())
    }

    /// The merchant's keys, where it can take new secrets and rows.
    fn open_keys(&self, merchant: &str) -> Result<Rc<MerchantKeys>, StoreFault> {
        let keys = self.known(merchant)?;
        if keys.is_closed() {
            return Err(StoreFault::Refused(format!("merchant {merchant} is closed")));
        }
        Ok(keys)
    }

    /// A new credential of an existing merchant.
    ///
    /// # Errors
    /// As above.
    pub fn add_credential(&mut self, row: &CredentialRow) -> Result<(), StoreFault> {
        let keys = self.open_keys(&row.merchant)?;
        let name = || format!("credential {}", row.key_id);
        if self.view.credential(&row.key_id)?.is_some() {
            return Err(StoreFault::Exists(name()));
        }
        if row.revision != 0 {
            return Err(conflict(name()));
        }
        self.write_credential(&keys, row)
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// As above; merchant and environment never change.
    pub fn set_credential(&mut self, row: &CredentialRow) -> Result<(), StoreFault> {
        let keys = self.open_keys(&row.merchant)?;
        let name = format!("credential {}", row.key_id);
        let kept = self.view.credential(&row.key_id)?;
        let kept = kept.ok_or_else(|| StoreFault::Missing(name.clone()))?;
        if kept.revision != row.revision {
            return Err(conflict(name));
        }
        if (&kept.merchant, kept.live) != (&row.merchant, row.live) {
            let cause = format!("the merchant and the environment of {name} never change");
            return Err(StoreFault::Refused(cause));
        }
        self.write_credential(&keys, row)
    }

    fn write_credential(
        &mut self,
        keys: &MerchantKeys,
        row: &CredentialRow,
    ) -> Result<(), StoreFault> {
        if let Some(policy) = &row.policy
            && !self.view.policies()?.iter().any(|known| known.name == *policy)
        {
            return Err(StoreFault::Missing(format!("policy {policy}")));
        }
        let raised = CredentialRow { revision: row.revision + 1, ..row.clone() };
        record::put(self.view.connection(), &keys.rows, &raised)?;
        self.touched.insert(row.merchant.clone());
        self.wrote(Some(&row.merchant));
        Ok(())
    }

    fn credential_of(&self, version: &VersionRow) -> Result<CredentialRow, StoreFault> {
        let missing = || StoreFault::Missing(format!("credential {}", version.key_id));
        self.view.credential(&version.key_id)?.ok_or_else(missing)
    }

    /// A new version with its secret.
    ///
    /// # Errors
    /// As above; [`StoreFault::Exists`] also for a secret that another version has, and for a
    /// second active one.
    pub fn add_version(&mut self, row: &VersionRow, secret: &Secret) -> Result<(), StoreFault> {
        let credential = self.credential_of(row)?;
        let keys = self.open_keys(&credential.merchant)?;
        let kept = self.view.stored_version(&credential, (&row.kind, row.number))?;
        if kept.is_some() {
            return Err(StoreFault::Exists(version_name(row)));
        }
        if row.revision != 0 || row.state >= VersionState::Revoked {
            return Err(conflict(version_name(row)));
        }
        let alone = !matches!(row.kind, Kind::Value(_));
        if alone && self.view.owner_of(secret)?.is_some() {
            return Err(StoreFault::Exists("a version with the same secret".to_owned()));
        }
        let mut stored = StoredVersion {
            merchant: credential.merchant.clone(),
            row: VersionRow { revision: 1, ..row.clone() },
            blob: None,
            equality: alone.then(|| equality_of(self.view.store, secret)),
        };
        let place = secret_place(&stored, credential.live);
        stored.blob = Some(keys.seal(&credential.merchant, &place, secret)?);
        self.write_version(&keys, &stored)
    }

    /// Changes a version: never its secret. A state of `destroyed` overwrites the secret.
    ///
    /// # Errors
    /// As above; one that was revoked can only be destroyed, and a destroyed one stays so.
    pub fn set_version(&mut self, row: &VersionRow) -> Result<(), StoreFault> {
        let credential = self.credential_of(row)?;
        let keys = self.open_keys(&credential.merchant)?;
        let kept = self.view.stored_version(&credential, (&row.kind, row.number))?;
        let kept = kept.ok_or_else(|| StoreFault::Missing(version_name(row)))?;
        if kept.row.revision != row.revision {
            return Err(conflict(version_name(row)));
        }
        let state = self.at_rest(&kept.row)?;
        if state >= VersionState::Revoked && row.state < state {
            let cause = format!("{} is out of use for good", version_name(row));
            return Err(StoreFault::Refused(cause));
        }
        let row = VersionRow { revision: row.revision + 1, ..row.clone() };
        if row.state >= VersionState::Revoked && row.state > kept.row.state {
            self.tombstones.push(Tombstone::Version {
                key_id: row.key_id.clone(),
                kind: row.kind.to_string(),
                number: row.number,
                at: self.view.now().secs(),
                destroyed: row.state == VersionState::Destroyed,
            });
        }
        let mut stored = StoredVersion { row, ..kept };
        if stored.row.state == VersionState::Destroyed {
            self.wiped |= stored.blob.is_some();
            (stored.blob, stored.equality) = (None, None);
        }
        self.write_version(&keys, &stored)
    }

    /// The state of a version, as the tombstones have it.
    fn at_rest(&self, row: &VersionRow) -> Result<VersionState, StoreFault> {
        let mut row = row.clone();
        lay_to_rest(&mut row, &*self.view.dead()?);
        Ok(row.state)
    }

    fn write_version(
        &mut self,
        keys: &MerchantKeys,
        stored: &StoredVersion,
    ) -> Result<(), StoreFault> {
        record::put(self.view.connection(), &keys.rows, stored).map_err(|fault| {
            let row = &stored.row;
            let second = format!("an active version of {} of {}", row.kind, row.key_id);
            if is_not_unique(&fault) { StoreFault::Exists(second) } else { fault }
        })?;
        self.touched.insert(stored.merchant.clone());
        self.wrote(Some(&stored.merchant));
        Ok(())
    }
}

fn is_merchant_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(good)
}

fn is_not_unique(fault: &StoreFault) -> bool {
    let StoreFault::Database(fault) = fault else { return false };
    let code = fault.sqlite_error().map(|fault| fault.extended_code);
    code == Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}
