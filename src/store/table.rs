//! The tables: which row lies in which, and what is kept beside what the rest of the program sees.

use std::sync::OnceLock;

use rusqlite::types::Value;

use crate::clock::Timestamp;

use super::record::{Columns, Fields, NotOfItsForm, Table, Texts};
use super::row::{
    AuditRow, CredentialRow, EpochRow, KillRow, Kind, MerchantRow, PolicyRow, TokenRow, UsageRow,
    VersionRow,
};

/// The columns of a struct, in the order that is written here.
macro_rules! columns {
    ($row:ty { $($field:ident),* $(,)? }) => {
        impl Columns for $row {
            fn names(_: &'static str, into: &mut Vec<&'static str>) {
                $(names_of(|row: &$row| &row.$field, stringify!($field), into);)*
            }

            fn put(&self, into: &mut Vec<Value>) {
                $(self.$field.put(into);)*
            }

            fn take(from: &mut Fields<'_, '_>) -> Result<Self, NotOfItsForm> {
                Ok(Self { $($field: Columns::take(from)?),* })
            }
        }
    };
}

/// The names of a field's columns; the function only tells its type.
fn names_of<R, T: Columns>(_: fn(&R) -> &T, field: &'static str, into: &mut Vec<&'static str>) {
    T::names(field, into);
}

/// A struct that has a table.
macro_rules! table {
    ($row:ty, $name:literal, $key:literal) => {
        impl Table for $row {
            const NAME: &'static str = $name;
            const KEY: usize = $key;

            fn texts() -> &'static OnceLock<Texts> {
                static TEXTS: OnceLock<Texts> = OnceLock::new();
                &TEXTS
            }
        }
    };
}

/// What concerns the whole store, in its only row: it changes with every transaction.
#[derive(Clone)]
pub(super) struct Head {
    /// 1.
    pub(super) id: u32,
    /// Rises with each transaction.
    pub(super) revision: u64,
    /// The number of the newest change.
    pub(super) changes: u64,
    /// The number of the newest audit row.
    pub(super) audits: u64,
    /// Its digest.
    pub(super) audit_digest: [u8; 32],
    /// The lines of the tombstone file.
    pub(super) tombstones: u64,
    /// The MAC of the last of them.
    pub(super) tombstone_mac: [u8; 32],
    /// A MAC over the names and revisions of all KEKs; so for the tables that follow.
    pub(super) keks: [u8; 32],
    pub(super) policies: [u8; 32],
    pub(super) epochs: [u8; 32],
    pub(super) tokens: [u8; 32],
    /// What all merchants' rows come to, wrapped by the store's key.
    pub(super) merchants: Vec<u8>,
    /// Rises with every change of what wraps what.
    pub(super) wrapping: u64,
    /// Its value when every blob was last opened and every MAC checked.
    pub(super) proved: Option<u64>,
}

/// The store's own key, wrapped by a KEK.
#[derive(Clone)]
pub(super) struct StoreKeyRow {
    /// 1.
    pub(super) id: u32,
    pub(super) kek: u32,
    pub(super) blob: Vec<u8>,
    pub(super) revision: u64,
}

/// What a KEK wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Merchants' data keys and the store's key.
    Merchants,
    /// Epochs' secrets: left out of backups.
    Epochs,
}

/// A KEK, wrapped by a master key.
#[derive(Clone)]
pub(super) struct StoredKek {
    pub(super) version: u32,
    pub(super) purpose: Purpose,
    pub(super) current: bool,
    pub(super) master: String,
    pub(super) created_at: Timestamp,
    pub(super) blob: Vec<u8>,
    pub(super) revision: u64,
}

#[derive(Clone)]
pub(super) struct StoredMerchant {
    pub(super) row: MerchantRow,
    /// A MAC over the names and revisions of all its credentials and versions.
    pub(super) cover: [u8; 32],
}

/// The data key of a merchant; none once the merchant is closed.
pub(super) struct DataKey {
    pub(super) merchant: String,
    pub(super) kek: Option<u32>,
    pub(super) blob: Option<Vec<u8>>,
    pub(super) revision: u64,
}

#[derive(Clone)]
pub(super) struct StoredVersion {
    pub(super) merchant: String,
    pub(super) row: VersionRow,
    pub(super) blob: Option<Vec<u8>>,
    /// A keyed digest of the secret, by which equal ones are found.
    pub(super) equality: Option<[u8; 32]>,
}

pub(super) struct StoredEpoch {
    pub(super) row: EpochRow,
    pub(super) kek: Option<u32>,
    pub(super) blob: Option<Vec<u8>>,
    pub(super) revision: u64,
}

/// A line of the change log.
pub(super) struct ChangeRow {
    pub(super) sequence: u64,
    pub(super) merchant: Option<String>,
}

impl Columns for Purpose {
    fn names(field: &'static str, into: &mut Vec<&'static str>) {
        into.push(field);
    }

    fn put(&self, into: &mut Vec<Value>) {
        into.push(Value::Text(self.word().to_owned()));
    }

    fn take(from: &mut Fields<'_, '_>) -> Result<Self, NotOfItsForm> {
        match String::take(from)?.as_str() {
            "merchants" => Ok(Self::Merchants),
            "epochs" => Ok(Self::Epochs),
            _ => Err(NotOfItsForm),
        }
    }
}

impl Purpose {
    /// Its word in the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Merchants => "merchants",
            Self::Epochs => "epochs",
        }
    }
}

columns!(Head {
    id,
    revision,
    changes,
    audits,
    audit_digest,
    tombstones,
    tombstone_mac,
    keks,
    policies,
    epochs,
    tokens,
    merchants,
    wrapping,
    proved,
});
columns!(StoreKeyRow { id, kek, blob, revision });
columns!(StoredKek { version, purpose, current, master, created_at, blob, revision });
columns!(MerchantRow { id, name, status, rate, addresses, contacts, created_at, revision });
columns!(StoredMerchant { row, cover });
columns!(DataKey { merchant, kek, blob, revision });
columns!(CredentialRow {
    merchant,
    key_id,
    live,
    name,
    scheme,
    envelope,
    rate,
    addresses,
    scopes,
    repeatable_reads,
    expires_at,
    suspended,
    policy,
    created_at,
    revision,
});
columns!(VersionRow {
    key_id,
    kind,
    number,
    state,
    suspended_from,
    on_first_use,
    check_value,
    origin,
    created_by,
    created_at,
    activate_at,
    activated_at,
    overlap_secs,
    retire_at,
    expires_at,
    revoked_at,
    compromised_since,
    reason,
    destroyed_at,
    shown,
    revision,
});
columns!(StoredVersion { merchant, row, blob, equality });
columns!(PolicyRow {
    name,
    max_age_secs,
    max_messages,
    rotate_at,
    overlap_secs,
    cutover,
    automatic,
    remind_days,
    revision,
});
columns!(EpochRow { number, not_before, not_after, destroy_at, destroyed_at });
columns!(StoredEpoch { row, kek, blob, revision });
columns!(TokenRow {
    id,
    name,
    role,
    merchant,
    digest,
    created_at,
    expires_at,
    revoked_at,
    revision,
});
columns!(KillRow { key_id, chain, at, until });
columns!(UsageRow { key_id, kind, number, hour, requests, last_at, last_address });
columns!(AuditRow {
    sequence,
    at,
    actor_kind,
    actor,
    address,
    request_id,
    action,
    object,
    detail,
    reason,
    digest,
});
columns!(ChangeRow { sequence, merchant });

table!(Head, "head", 1);
table!(StoreKeyRow, "store_key", 1);
table!(StoredKek, "kek", 1);
table!(StoredMerchant, "merchant", 1);
table!(DataKey, "data_key", 1);
table!(CredentialRow, "credential", 2);
table!(StoredVersion, "version", 4);
table!(PolicyRow, "policy", 1);
table!(StoredEpoch, "epoch", 1);
table!(TokenRow, "token", 1);
table!(KillRow, "kill", 2);
table!(UsageRow, "usage", 4);
table!(AuditRow, "audit", 1);
table!(ChangeRow, "change", 1);

/// The name of a version among all of the store, as tombstones and faults say it.
pub(super) type VersionName = (String, Kind, u32);
