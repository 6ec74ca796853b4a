//! The keys of the store: KEKs under master keys, the store's own key and merchants' data keys
//! under a KEK, and what each of them is used for.
//!
//! Must never be done here: one key for two uses.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::Connection;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::derivation::hkdf;
use crate::crypto::{self, MacKey, digest};
use crate::custody::blob::{self, WrapId};
use crate::custody::{CustodyFault, KeyBytes, Masters};
use crate::secret::Secret;

use super::StoreFault;
use super::record::{self, Found, Message};
use super::table::{DataKey, Purpose, StoreKeyRow, StoredKek};

/// New random bytes for a key.
///
/// # Errors
/// When there are none.
pub(super) fn new_key() -> Result<KeyBytes, StoreFault> {
    let bytes = crypto::random::<32>().map_err(CustodyFault::NoRandom)?;
    Ok(Zeroizing::new(bytes))
}

/// Where something wrapped is kept: what its blob is bound to.
pub(super) fn place(table: &str, parts: &[&str], number: u64) -> Vec<u8> {
    let mut message = Message::of("place").text(table);
    for part in parts {
        message = message.text(part);
    }
    message.number(number).bytes().to_vec()
}

fn key_of(bytes: &[u8]) -> Result<KeyBytes, StoreFault> {
    let bytes = bytes.try_into().map_err(|_| CustodyFault::DoesNotOpen)?;
    Ok(Zeroizing::new(bytes))
}

/// A key for one use, from a key that wraps or stands above.
fn derived(key: &KeyBytes, purpose: &str) -> Result<Secret, StoreFault> {
    let info = [b"countersign store 1 ", purpose.as_bytes()].concat();
    let made = hkdf(digest::Algorithm::Sha256, &**key, b"", &info, 32);
    let made = made.map_err(|_| CustodyFault::DoesNotOpen)?;
    Ok(Secret::of_any_length(made.to_vec()))
}

/// What the store's own key is used for.
pub(super) struct StoreKeys {
    key: KeyBytes,
    /// MACs of rows that are no merchant's.
    pub(super) rows: MacKey,
    /// Digests by which equal secrets are found.
    pub(super) equality: MacKey,
    /// MACs of the tombstone file.
    pub(super) tombstones: MacKey,
    /// What stands for a merchant's row in the sum of all.
    pub(super) members: MacKey,
    /// Wraps that sum.
    sum: KeyBytes,
    /// The keys of closed merchants' rows.
    closed: MacKey,
}

impl StoreKeys {
    pub(super) fn of(key: KeyBytes) -> Result<Self, StoreFault> {
        let mac = |purpose| Ok::<_, StoreFault>(MacKey::new(&derived(&key, purpose)?));
        Ok(Self {
            rows: mac("rows")?,
            equality: mac("equal secrets")?,
            tombstones: mac("tombstones")?,
            members: mac("merchants")?,
            sum: key_of(derived(&key, "sum of merchants")?.expose())?,
            closed: mac("closed merchants")?,
            key,
        })
    }

    /// Wraps the sum of all merchants' rows.
    pub(super) fn seal_sum(&self, sum: &[u8; 32]) -> Result<Vec<u8>, StoreFault> {
        Ok(blob::seal(&self.sum, WrapId::of("store", 1), &place("head", &[], 1), sum)?)
    }

    /// Opens it.
    pub(super) fn open_sum(&self, sealed: &[u8]) -> Result<[u8; 32], StoreFault> {
        let clear = blob::open(&self.sum, &place("head", &[], 1), sealed)?;
        Ok(*key_of(&clear)?)
    }

    fn seal(&self, kek: &KeyBytes, version: u32) -> Result<Vec<u8>, StoreFault> {
        Ok(blob::seal(kek, kek_id(version), &place("store_key", &[], 1), &*self.key)?)
    }
}

fn kek_id(version: u32) -> WrapId {
    WrapId::of("kek", version)
}

fn kek_place(version: u32, purpose: Purpose) -> Vec<u8> {
    place("kek", &[purpose.word()], version.into())
}

/// The keys of a merchant's rows and secrets.
pub(super) struct MerchantKeys {
    /// MACs of its rows.
    pub(super) rows: MacKey,
    /// Wraps its secrets; none once it is closed.
    data: Option<KeyBytes>,
}

impl MerchantKeys {
    fn of(data: KeyBytes) -> Result<Self, StoreFault> {
        let rows = MacKey::new(&derived(&data, "rows")?);
        Ok(Self { rows, data: Some(data) })
    }

    /// Those of a merchant whose data key is no more.
    pub(super) fn closed(store: &StoreKeys, merchant: &str) -> Self {
        let key = Message::of("closed").text(merchant).mac(&store.closed);
        let rows = MacKey::new(&Secret::of_any_length(key.to_vec()));
        Self { rows, data: None }
    }

    /// Whether the data key is there.
    pub(super) fn is_closed(&self) -> bool {
        self.data.is_none()
    }

    /// Wraps a secret.
    pub(super) fn seal(
        &self,
        merchant: &str,
        place: &[u8],
        secret: &Secret,
    ) -> Result<Vec<u8>, StoreFault> {
        let data = self.data.as_ref().ok_or(CustodyFault::DoesNotOpen)?;
        Ok(blob::seal(data, WrapId::of(merchant, 1), place, secret.expose())?)
    }

    /// Opens one.
    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret, StoreFault> {
        let data = self.data.as_ref().ok_or(CustodyFault::DoesNotOpen)?;
        let mut clear = blob::open(data, place, sealed)?;
        Ok(Secret::of_any_length(std::mem::take(&mut *clear)))
    }
}

/// Master keys, and KEKs that were opened.
pub(super) struct Ring {
    masters: RwLock<Masters>,
    keks: RwLock<BTreeMap<u32, Arc<KeyBytes>>>,
}

impl Ring {
    pub(super) fn new(masters: Masters) -> Self {
        Self { masters: RwLock::new(masters), keks: RwLock::default() }
    }

    /// The name of the master key that wraps.
    pub(super) fn current_master(&self) -> String {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        masters.current().as_str().to_owned()
    }

    /// Looks again which master keys there are.
    pub(super) fn refresh(&self) -> Result<(), StoreFault> {
        Ok(self.masters.write().unwrap_or_else(PoisonError::into_inner).refresh()?)
    }

    /// Makes a KEK.
    pub(super) fn new_kek(
        &self,
        version: u32,
        purpose: Purpose,
        created_at: Timestamp,
    ) -> Result<(StoredKek, Arc<KeyBytes>), StoreFault> {
        let key = new_key()?;
        let (master, blob) = self.wrap(&key, version, purpose)?;
        let row =
            StoredKek { version, purpose, current: true, master, created_at, blob, revision: 1 };
        Ok((row, Arc::new(key)))
    }

    /// Wraps a KEK by the master key that wraps now: another process may have made a new one, and
    /// the one before may be about to go.
    fn wrap(
        &self,
        key: &KeyBytes,
        version: u32,
        purpose: Purpose,
    ) -> Result<(String, Vec<u8>), StoreFault> {
        self.refresh()?;
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        let blob = masters.wrap(key, &kek_place(version, purpose))?;
        Ok((masters.current().as_str().to_owned(), blob))
    }

    /// The same KEK under the master key that wraps now.
    pub(super) fn rewrapped(&self, row: &StoredKek) -> Result<StoredKek, StoreFault> {
        let key = self.open_kek(row)?;
        let (master, blob) = self.wrap(&key, row.version, row.purpose)?;
        Ok(StoredKek { master, blob, revision: row.revision + 1, ..row.clone() })
    }

    /// Opens a KEK by its master key. Another process may have made a new master key meanwhile.
    pub(super) fn open_kek(&self, row: &StoredKek) -> Result<KeyBytes, StoreFault> {
        let place = kek_place(row.version, row.purpose);
        let open = || {
            let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
            masters.unwrap(&row.master, &row.blob, &place)
        };
        match open() {
            Err(CustodyFault::Missing(_)) => {
                self.refresh()?;
                Ok(open()?)
            }
            other => Ok(other?),
        }
    }

    /// A KEK, opened once.
    pub(super) fn kek(
        &self,
        connection: &Connection,
        version: u32,
    ) -> Result<Arc<KeyBytes>, StoreFault> {
        let known = self.keks.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let Some(found) = record::find::<StoredKek>(connection, &[&version])? else {
            return Err(StoreFault::Tampered {
                table: "kek",
                row: version.to_string(),
                cause: "it wraps something, and is gone".to_owned(),
            });
        };
        // Its MAC is checked by whoever reads the table; a changed one does not open.
        let key = self.open_kek(found.claimed()?).map_err(|fault| match fault {
            StoreFault::Custody(CustodyFault::DoesNotOpen) => found.tampered("it does not open"),
            other => other,
        })?;
        let key = Arc::new(key);
        self.remember(version, &key);
        Ok(key)
    }

    /// Keeps a KEK that was just made.
    pub(super) fn remember(&self, version: u32, key: &Arc<KeyBytes>) {
        let mut keks = self.keks.write().unwrap_or_else(PoisonError::into_inner);
        keks.insert(version, Arc::clone(key));
    }

    /// Forgets one that was removed.
    pub(super) fn forget(&self, version: u32) {
        self.keks.write().unwrap_or_else(PoisonError::into_inner).remove(&version);
    }

    /// The store's own keys.
    pub(super) fn store_keys(&self, connection: &Connection) -> Result<StoreKeys, StoreFault> {
        let Some(found) = record::find::<StoreKeyRow>(connection, &[&1])? else {
            return Err(StoreFault::Tampered {
                table: "store_key",
                row: "1".to_owned(),
                cause: "it is gone".to_owned(),
            });
        };
        let row = found.claimed()?;
        let kek = self.kek(connection, row.kek)?;
        let clear = blob::open(&kek, &place("store_key", &[], 1), &row.blob);
        let clear = clear.map_err(|_| found.tampered("it does not open"))?;
        let keys = StoreKeys::of(key_of(&clear)?)?;
        found.proved(&keys.rows)?;
        Ok(keys)
    }

    /// The row of the store's own key under a KEK.
    pub(super) fn store_key_row(
        keys: &StoreKeys,
        (version, kek): (u32, &KeyBytes),
        revision: u64,
    ) -> Result<StoreKeyRow, StoreFault> {
        Ok(StoreKeyRow { id: 1, kek: version, blob: keys.seal(kek, version)?, revision })
    }

    /// A new data key for a merchant, and its row.
    pub(super) fn new_data_key(
        merchant: &str,
        (version, kek): (u32, &KeyBytes),
    ) -> Result<(DataKey, MerchantKeys), StoreFault> {
        let data = new_key()?;
        let row = wrapped_data_key(merchant, &data, (version, kek), 1)?;
        Ok((row, MerchantKeys::of(data)?))
    }

    /// The keys of a merchant by its row, which is not proved yet.
    pub(super) fn merchant_keys(
        &self,
        connection: &Connection,
        store: &StoreKeys,
        row: &DataKey,
    ) -> Result<MerchantKeys, StoreFault> {
        match self.data_key(connection, row)? {
            Some(data) => MerchantKeys::of(data),
            None => Ok(MerchantKeys::closed(store, &row.merchant)),
        }
    }

    /// The data key of a row; none for a merchant that is closed.
    fn data_key(
        &self,
        connection: &Connection,
        row: &DataKey,
    ) -> Result<Option<KeyBytes>, StoreFault> {
        let (Some(version), Some(sealed)) = (row.kek, &row.blob) else { return Ok(None) };
        let kek = self.kek(connection, version)?;
        let clear = blob::open(&kek, &place("data_key", &[&row.merchant], version.into()), sealed);
        let clear = clear.map_err(|_| StoreFault::Tampered {
            table: "data_key",
            row: row.merchant.clone(),
            cause: "it does not open".to_owned(),
        })?;
        key_of(&clear).map(Some)
    }

    /// The same data key under another KEK, and the key of its row; none for a merchant that is
    /// closed.
    pub(super) fn moved(
        &self,
        connection: &Connection,
        found: Found<DataKey>,
        to: (u32, &KeyBytes),
    ) -> Result<Option<(DataKey, MacKey)>, StoreFault> {
        let Some(data) = self.data_key(connection, found.claimed()?)? else { return Ok(None) };
        let rows = MerchantKeys::of(data.clone())?.rows;
        let row = found.proved(&rows)?;
        let moved = wrapped_data_key(&row.merchant, &data, to, row.revision + 1)?;
        Ok(Some((moved, rows)))
    }
}

fn wrapped_data_key(
    merchant: &str,
    data: &KeyBytes,
    (version, kek): (u32, &KeyBytes),
    revision: u64,
) -> Result<DataKey, StoreFault> {
    let place = place("data_key", &[merchant], version.into());
    let blob = blob::seal(kek, kek_id(version), &place, &**data)?;
    Ok(DataKey { merchant: merchant.to_owned(), kek: Some(version), blob: Some(blob), revision })
}

/// Wraps the secret of an epoch.
pub(super) fn seal_epoch(
    number: u32,
    (version, kek): (u32, &KeyBytes),
    secret: &KeyBytes,
) -> Result<Vec<u8>, StoreFault> {
    Ok(blob::seal(kek, kek_id(version), &place("epoch", &[], number.into()), &**secret)?)
}

/// Opens the secret of an epoch.
pub(super) fn open_epoch(number: u32, kek: &KeyBytes, sealed: &[u8]) -> Result<Secret, StoreFault> {
    let mut clear = blob::open(kek, &place("epoch", &[], number.into()), sealed)?;
    Ok(Secret::of_any_length(std::mem::take(&mut *clear)))
}
