//! The store of keys: one SQLite file, open to several processes, read into a snapshot and never
//! asked on the path of a request.
//!
//! [`Store::read`] sees one moment; [`Store::change`] is one transaction that writes rows, their
//! MACs, the change log and the audit log together, or nothing.

pub mod row;

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;

use serde_json::Value;

use crate::clock::{Clock, Timestamp};
use crate::custody::{CustodyFault, Masters};
use crate::secret::Secret;

use row::{
    AuditRow, CredentialRow, EpochRow, KekRow, Kind, KillRow, MerchantRow, PolicyRow, TokenRow,
    UsageRow, VersionRow,
};

/// Keys, merchants and what happened to them.
pub struct Store {
    _clock: Clock,
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// By which way.
    pub kind: ActorKind,
    /// The operating system's user, the token's id, or `countersign`.
    pub name: String,
    /// From where, by the API.
    pub address: Option<IpAddr>,
    /// The request that asked for it, by the API.
    pub request_id: Option<String>,
}

/// The way a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// The command line.
    CommandLine,
    /// The admin API.
    Api,
    /// The gate itself: by policy, by time, by use.
    System,
}

/// Why the store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The file cannot be opened or is none of ours.
    #[error("{path}: {cause}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The database.
    #[error("the store: {0}")]
    Database(#[from] rusqlite::Error),
    /// Keys that keep keys.
    #[error(transparent)]
    Custody(#[from] CustodyFault),
    /// A row was changed by somebody else than this program.
    #[error("{table} {row}: {cause}")]
    Tampered {
        /// The table.
        table: &'static str,
        /// The row's name.
        row: String,
        /// What is wrong.
        cause: String,
    },
    /// Somebody else changed the row since it was read.
    #[error("{0} was changed meanwhile")]
    Conflict(String),
    /// A row that must be there is not.
    #[error("there is no {0}")]
    Missing(String),
    /// A row that must not be there is.
    #[error("{0} exists already")]
    Exists(String),
}

/// One moment of the store.
pub struct View<'store> {
    _store: &'store Store,
}

/// One transaction: everything that a [`View`] reads, and changes.
pub struct Change<'store> {
    view: View<'store>,
}

/// A change that others may have to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its place in the order of all changes.
    pub sequence: u64,
    /// Whose rows changed; none: something that concerns all (a policy, an epoch, a KEK, a token).
    pub merchant: Option<String>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹store›")
    }
}

impl Store {
    /// Opens a store, and makes one where there is no file. Rows are checked when they are read.
    ///
    /// # Errors
    /// A file that is none of ours, a newer format, master keys that do not open its KEKs.
    pub fn open(_path: &Path, _masters: Masters, _clock: Clock) -> Result<Self, StoreFault> {
        unimplemented!()
    }

    /// Reads one moment.
    ///
    /// # Errors
    /// What `reader` says, and rows that were tampered with.
    pub fn read<T, E: From<StoreFault>>(
        &self,
        _reader: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        unimplemented!()
    }

    /// Changes rows in one durable transaction. An error undoes all of it.
    ///
    /// # Errors
    /// What `writer` says, and what the database says of it.
    pub fn change<T, E: From<StoreFault>>(
        &self,
        _actor: &Actor,
        _writer: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        unimplemented!()
    }

    /// A number that differs whenever any process changed the file since it was last asked; costs
    /// microseconds.
    ///
    /// # Errors
    /// The database.
    pub fn data_version(&self) -> Result<u64, StoreFault> {
        unimplemented!()
    }
}

impl View<'_> {
    /// The clock's time at which this moment is read.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }

    /// The number of the newest change.
    ///
    /// # Errors
    /// The database.
    pub fn sequence(&self) -> Result<u64, StoreFault> {
        unimplemented!()
    }

    /// Every change after one, in their order; none when that is longer ago than the log reaches,
    /// and everything is to be read anew.
    ///
    /// # Errors
    /// The database.
    pub fn changes_after(&self, _sequence: u64) -> Result<Option<Vec<Changed>>, StoreFault> {
        unimplemented!()
    }

    /// Merchants by id, after one, at most so many.
    ///
    /// # Errors
    /// The database, and a row that was tampered with.
    pub fn merchants(&self, _after: &str, _most: usize) -> Result<Vec<MerchantRow>, StoreFault> {
        unimplemented!()
    }

    /// A merchant.
    ///
    /// # Errors
    /// As above.
    pub fn merchant(&self, _id: &str) -> Result<Option<MerchantRow>, StoreFault> {
        unimplemented!()
    }

    /// Credentials by key id, after one, at most so many; of a merchant or of all.
    ///
    /// # Errors
    /// As above.
    pub fn credentials(
        &self,
        _merchant: Option<&str>,
        _after: &str,
        _most: usize,
    ) -> Result<Vec<CredentialRow>, StoreFault> {
        unimplemented!()
    }

    /// A credential.
    ///
    /// # Errors
    /// As above.
    pub fn credential(&self, _key_id: &str) -> Result<Option<CredentialRow>, StoreFault> {
        unimplemented!()
    }

    /// Every version of every kind of a credential, by kind and number.
    ///
    /// # Errors
    /// As above.
    pub fn versions(&self, _key_id: &str) -> Result<Vec<VersionRow>, StoreFault> {
        unimplemented!()
    }

    /// The secret of a version.
    ///
    /// # Errors
    /// As above; a destroyed one has none.
    pub fn secret(&self, _version: &VersionRow) -> Result<Secret, StoreFault> {
        unimplemented!()
    }

    /// Whether any version of any credential has these bytes as its secret, and which: by a keyed
    /// digest, for equal secrets must not be.
    ///
    /// # Errors
    /// The database.
    pub fn owner_of(&self, _secret: &Secret) -> Result<Option<(String, Kind, u32)>, StoreFault> {
        unimplemented!()
    }

    /// Every policy, by name.
    ///
    /// # Errors
    /// As above.
    pub fn policies(&self) -> Result<Vec<PolicyRow>, StoreFault> {
        unimplemented!()
    }

    /// Every epoch, by number, the destroyed ones too.
    ///
    /// # Errors
    /// As above.
    pub fn epochs(&self) -> Result<Vec<EpochRow>, StoreFault> {
        unimplemented!()
    }

    /// The secret of an epoch; none once it is destroyed.
    ///
    /// # Errors
    /// As above.
    pub fn epoch_secret(&self, _number: u32) -> Result<Option<Secret>, StoreFault> {
        unimplemented!()
    }

    /// Every KEK version.
    ///
    /// # Errors
    /// As above.
    pub fn keks(&self) -> Result<Vec<KekRow>, StoreFault> {
        unimplemented!()
    }

    /// Every token of the admin API.
    ///
    /// # Errors
    /// As above.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreFault> {
        unimplemented!()
    }

    /// Chains of rolling keys that were killed and could still be presented.
    ///
    /// # Errors
    /// As above.
    pub fn kills(&self) -> Result<Vec<KillRow>, StoreFault> {
        unimplemented!()
    }

    /// The use of a credential's versions, hour by hour, the newest first, since one.
    ///
    /// # Errors
    /// As above.
    pub fn usage(&self, _key_id: &str, _since: Timestamp) -> Result<Vec<UsageRow>, StoreFault> {
        unimplemented!()
    }

    /// Audit rows before one, the newest first, at most so many; of an object or of all.
    ///
    /// # Errors
    /// As above.
    pub fn audit(
        &self,
        _object: Option<&str>,
        _before: Option<u64>,
        _most: usize,
    ) -> Result<Vec<AuditRow>, StoreFault> {
        unimplemented!()
    }
}

impl<'store> Deref for Change<'store> {
    type Target = View<'store>;

    fn deref(&self) -> &View<'store> {
        &self.view
    }
}

/// What each `add_…` and `set_…` has in common: the row's `revision` is checked against the one in
/// the store (a conflict otherwise) and raised, its MAC is made, and the change log gets an entry.
impl Change<'_> {
    /// A new merchant, and its data key.
    ///
    /// # Errors
    /// [`StoreFault::Exists`], the database.
    pub fn add_merchant(&mut self, _row: &MerchantRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Changes a merchant.
    ///
    /// # Errors
    /// [`StoreFault::Missing`], [`StoreFault::Conflict`], the database.
    pub fn set_merchant(&mut self, _row: &MerchantRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A new credential of an existing merchant.
    ///
    /// # Errors
    /// As above.
    pub fn add_credential(&mut self, _row: &CredentialRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// As above.
    pub fn set_credential(&mut self, _row: &CredentialRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A new version with its secret.
    ///
    /// # Errors
    /// As above.
    pub fn add_version(&mut self, _row: &VersionRow, _secret: &Secret) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Changes a version: never its secret. A state of `destroyed` overwrites the secret.
    ///
    /// # Errors
    /// As above.
    pub fn set_version(&mut self, _row: &VersionRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Removes a pending version that nobody saw, as if it never was.
    ///
    /// # Errors
    /// As above; for a version in any other state.
    pub fn discard_version(&mut self, _row: &VersionRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A new policy, or a changed one.
    ///
    /// # Errors
    /// As above.
    pub fn put_policy(&mut self, _row: &PolicyRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Removes a policy that no credential names.
    ///
    /// # Errors
    /// As above.
    pub fn remove_policy(&mut self, _name: &str) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A new epoch with a new secret.
    ///
    /// # Errors
    /// As above.
    pub fn add_epoch(&mut self, _row: &EpochRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Overwrites an epoch's secret.
    ///
    /// # Errors
    /// As above.
    pub fn destroy_epoch(&mut self, _number: u32) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A token of the admin API, new or changed.
    ///
    /// # Errors
    /// As above.
    pub fn put_token(&mut self, _row: &TokenRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// A chain that is dead from now on.
    ///
    /// # Errors
    /// As above.
    pub fn add_kill(&mut self, _row: &KillRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// Adds to the use of a version in an hour.
    ///
    /// # Errors
    /// As above.
    pub fn add_usage(&mut self, _row: &UsageRow) -> Result<(), StoreFault> {
        unimplemented!()
    }

    /// What happened, for the audit log: an action of KEYS such as `secret.rotated`, the object it
    /// happened to, and details that hold no secret.
    ///
    /// # Errors
    /// The database.
    pub fn audit(
        &mut self,
        _action: &'static str,
        _object: &str,
        _detail: Value,
        _reason: Option<&str>,
    ) -> Result<(), StoreFault> {
        unimplemented!()
    }
}
