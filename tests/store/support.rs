//! A folder with a store in it, and rows to put there.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use countersign::clock::{Clock, Hand, Timestamp};
use countersign::custody::{MasterSource, Masters};
use countersign::limit::Rate;
use countersign::secret::Secret;
use countersign::store::row::*;
use countersign::store::{Actor, ActorKind, Change, Holding, Store, StoreFault, Trial, View};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// A folder with a master key, in which stores can be made.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) hand: Hand,
}

pub(crate) const NOW: u64 = 1_750_000_000;

impl House {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(NOW));
        let house = Self { folder, clock, hand };
        Masters::create(&house.source()).unwrap();
        house
    }

    pub(crate) fn source(&self) -> MasterSource {
        MasterSource::File(self.folder.path().join("master.key"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("keys.db")
    }

    pub(crate) fn tombstones(&self) -> PathBuf {
        self.folder.path().join("keys.tombstones")
    }

    pub(crate) fn masters(&self) -> Masters {
        Masters::open(&self.source()).unwrap()
    }

    /// The database, as somebody with another program sees it.
    pub(crate) fn raw(&self) -> Connection {
        let raw = Connection::open(self.path()).unwrap();
        raw.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
            .unwrap();
        raw
    }

    /// Another folder with the same files.
    pub(crate) fn copied(&self) -> Self {
        let (clock, hand) = Clock::by_hand(at(0));
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder, clock, hand }
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Store, StoreFault> {
        Store::open(&self.path(), self.masters(), self.clock.clone())
    }
}

pub(crate) fn actor() -> Actor {
    Actor { kind: ActorKind::CommandLine, name: "root".to_owned(), address: None, request_id: None }
}

pub(crate) fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(NOW + secs)
}

pub(crate) fn rate(n: u32) -> Rate {
    let n = NonZeroU32::new(n).unwrap();
    Rate { per_second: n, burst: n }
}

pub(crate) fn merchant(id: &str) -> MerchantRow {
    MerchantRow {
        id: id.to_owned(),
        name: format!("Merchant {id}"),
        status: MerchantStatus::Active,
        rate: rate(10),
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        contacts: vec!["keys@merchant.example".to_owned()],
        created_at: at(0),
        revision: 0,
    }
}

pub(crate) fn credential(merchant: &str, key_id: &str) -> CredentialRow {
    CredentialRow {
        key_id: key_id.to_owned(),
        merchant: merchant.to_owned(),
        live: true,
        name: "till".to_owned(),
        scheme: "countersign-v1".to_owned(),
        envelope: Some("roll.v1".to_owned()),
        rate: Some(rate(3)),
        addresses: vec!["2001:db8::/32".parse().unwrap()],
        scopes: vec!["POST /v1/orders".to_owned()],
        repeatable_reads: false,
        expires_at: Some(at(1000)),
        suspended: false,
        policy: None,
        created_at: at(0),
        revision: 0,
    }
}

pub(crate) fn version(key_id: &str, kind: Kind, number: u32, state: VersionState) -> VersionRow {
    VersionRow {
        key_id: key_id.to_owned(),
        kind,
        number,
        state,
        suspended_from: None,
        on_first_use: false,
        check_value: "0a1b2c".to_owned(),
        origin: SecretOrigin::Generated,
        created_by: "root".to_owned(),
        created_at: at(0),
        activate_at: Some(at(5)),
        activated_at: Some(at(6)),
        overlap_secs: 86_400,
        retire_at: None,
        expires_at: Some(at(10_000)),
        revoked_at: None,
        compromised_since: None,
        reason: Some("why not".to_owned()),
        destroyed_at: None,
        shown: true,
        revision: 0,
    }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::of_any_length(text.as_bytes().to_vec())
}

pub(crate) fn policy(name: &str) -> PolicyRow {
    PolicyRow {
        name: name.to_owned(),
        max_age_secs: Some(86_400),
        max_messages: Some(1 << 31),
        rotate_at: Some(at(7)),
        overlap_secs: 60,
        cutover: Cutover::After(30),
        automatic: true,
        remind_days: vec![30, 7, 1],
        revision: 0,
    }
}

pub(crate) fn token(id: &str) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        name: "console".to_owned(),
        role: Role::Security,
        merchant: None,
        digest: countersign::crypto::sha256(id.as_bytes()),
        created_at: at(0),
        expires_at: at(100),
        revoked_at: None,
        revision: 0,
    }
}

pub(crate) fn epoch(number: u32) -> EpochRow {
    EpochRow {
        number,
        not_before: at(0),
        not_after: at(100),
        destroy_at: at(200),
        destroyed_at: None,
    }
}

/// A store in which every table has rows, two merchants among them.
pub(crate) fn filled(house: &House) -> Store {
    let store = house.open();
    store
        .change::<_, StoreFault>(&actor(), |change| {
            change.put_policy(&policy("yearly"))?;
            for id in ["mer_a", "mer_b"] {
                change.add_merchant(&merchant(id))?;
                let key_id = format!("pk_{id}");
                let row = credential(id, &key_id);
                change.add_credential(&CredentialRow { policy: Some("yearly".into()), ..row })?;
                for (number, state) in [(1, VersionState::Retiring), (2, VersionState::Active)] {
                    let row = version(&key_id, Kind::Signing, number, state);
                    change.add_version(&row, &secret(&format!("MARKER {key_id} {number}")))?;
                }
                let value = version(&key_id, Kind::Value("iv".into()), 1, VersionState::Active);
                change.add_version(&value, &secret("the same for all"))?;
            }
            change.add_epoch(&epoch(1))?;
            change.add_epoch(&epoch(2))?;
            change.put_token(&token("tok_1"))?;
            let (key_id, chain) = ("pk_mer_a".to_owned(), *b"chain001");
            change.add_kill(&KillRow { key_id, chain, at: at(1), until: at(900) })?;
            change.add_usage(&usage(3, 10))?;
            change.audit("merchant.created", "mer_a", json!({"n": 1}), None)?;
            change.audit("merchant.created", "mer_b", json!({"n": 2}), Some("asked for"))?;
            change.audit("epoch.created", "1", json!(null), None)
        })
        .unwrap();
    store
}

pub(crate) fn usage(requests: u64, last: u64) -> UsageRow {
    UsageRow {
        key_id: "pk_mer_a".to_owned(),
        kind: Kind::Signing,
        number: 2,
        hour: at(0),
        requests,
        last_at: at(last),
        last_address: "203.0.113.7".parse().unwrap(),
    }
}

pub(crate) fn everyone(store: &Store) -> (Vec<Holding>, Vec<StoreFault>) {
    let (mut held, mut faults) = (Vec::new(), Vec::new());
    store
        .read::<_, StoreFault>(|view| {
            view.everyone(|next| match next {
                Ok(holding) => held.push(holding),
                Err(fault) => faults.push(fault),
            })
        })
        .unwrap();
    (held, faults)
}

pub(crate) fn read<T>(store: &Store, reader: impl FnOnce(&View<'_>) -> Result<T, StoreFault>) -> T {
    store.read(reader).unwrap()
}

pub(crate) fn change<T>(
    store: &Store,
    writer: impl FnOnce(&mut Change<'_>) -> Result<T, StoreFault>,
) -> Result<T, StoreFault> {
    store.change(&actor(), writer)
}

/// Everything is looked at.
pub(crate) fn tried(store: &Store) -> Trial {
    store.verify_all(&actor(), |_| {}).unwrap()
}

/// Every file of a folder, its subfolders too, that holds these bytes.
pub(crate) fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files_with(&path, bytes));
        } else if memchr::memmem::find(&fs::read(&path).unwrap(), bytes).is_some() {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}
