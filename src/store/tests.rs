use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::row::*;
use super::*;
use crate::clock::{Hand, Timestamp};
use crate::custody::MasterSource;
use crate::limit::Rate;
use crate::secret::Secret;

/// A folder with a master key, in which stores can be made.
struct House {
    folder: TempDir,
    clock: Clock,
    hand: Hand,
}

const NOW: u64 = 1_750_000_000;

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(NOW));
        let house = Self { folder, clock, hand };
        Masters::create(&house.source()).unwrap();
        house
    }

    fn source(&self) -> MasterSource {
        MasterSource::File(self.folder.path().join("master.key"))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.db")
    }

    fn tombstones(&self) -> PathBuf {
        self.folder.path().join("keys.tombstones")
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Store, StoreFault> {
        Store::open(&self.path(), Masters::open(&self.source()).unwrap(), self.clock.clone())
    }
}

fn actor() -> Actor {
    Actor { kind: ActorKind::CommandLine, name: "root".to_owned(), address: None, request_id: None }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(NOW + secs)
}

fn rate(n: u32) -> Rate {
    let n = NonZeroU32::new(n).unwrap();
    Rate { per_second: n, burst: n }
}

fn merchant(id: &str) -> MerchantRow {
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

fn credential(merchant: &str, key_id: &str) -> CredentialRow {
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

fn version(key_id: &str, kind: Kind, number: u32, state: VersionState) -> VersionRow {
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

fn secret(text: &str) -> Secret {
    Secret::of_any_length(text.as_bytes().to_vec())
}

fn policy(name: &str) -> PolicyRow {
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

fn token(id: &str) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        name: "console".to_owned(),
        role: Role::Security,
        merchant: None,
        digest: crate::crypto::sha256(id.as_bytes()),
        created_at: at(0),
        expires_at: at(100),
        revoked_at: None,
        revision: 0,
    }
}

fn epoch(number: u32) -> EpochRow {
    EpochRow {
        number,
        not_before: at(0),
        not_after: at(100),
        destroy_at: at(200),
        destroyed_at: None,
    }
}

/// A store in which every table has rows, two merchants among them.
fn filled(house: &House) -> Store {
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

fn usage(requests: u64, last: u64) -> UsageRow {
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

fn everyone(store: &Store) -> (Vec<Holding>, Vec<StoreFault>) {
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

fn read<T>(store: &Store, reader: impl FnOnce(&View<'_>) -> Result<T, StoreFault>) -> T {
    store.read(reader).unwrap()
}

fn change<T>(
    store: &Store,
    writer: impl FnOnce(&mut Change<'_>) -> Result<T, StoreFault>,
) -> Result<T, StoreFault> {
    store.change(&actor(), writer)
}

#[test]
fn sqlite_is_free_of_the_bug_that_loses_its_log() {
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn what_was_written_is_read_after_a_start_too() {
    let house = House::new();
    drop(filled(&house));
    let store = house.open();
    read(&store, |view| {
        let row = view.merchant("mer_a")?.unwrap();
        assert_eq!(row, MerchantRow { revision: 1, ..merchant("mer_a") });
        assert_eq!(view.merchants("", 10)?.len(), 2);
        assert_eq!(view.merchants("mer_a", 10)?[0].id, "mer_b");
        let row = view.credential("pk_mer_b")?.unwrap();
        let expected = credential("mer_b", "pk_mer_b");
        let policy_name = Some("yearly".to_owned());
        assert_eq!(row, CredentialRow { revision: 1, policy: policy_name, ..expected });
        assert_eq!(view.credentials(None, "", 1)?.len(), 1);
        assert_eq!(view.credentials(Some("mer_b"), "", 9)?[0].key_id, "pk_mer_b");
        let rows = view.versions("pk_mer_a")?;
        assert_eq!(rows.len(), 3);
        let expected = version("pk_mer_a", Kind::Signing, 2, VersionState::Active);
        assert_eq!(rows[1], VersionRow { revision: 1, ..expected });
        assert_eq!(view.secret(&rows[1])?.expose(), b"MARKER pk_mer_a 2");
        let owner = view.owner_of(&secret("MARKER pk_mer_b 1"))?;
        assert_eq!(owner, Some(("pk_mer_b".to_owned(), Kind::Signing, 1)));
        assert_eq!(view.owner_of(&secret("the same for all"))?, None);
        assert_eq!(view.policies()?, [PolicyRow { revision: 1, ..policy("yearly") }]);
        assert_eq!(view.epochs()?, [epoch(1), epoch(2)]);
        assert_eq!(view.epoch_secret(2)?.unwrap().expose().len(), 32);
        assert_eq!(view.tokens()?, [TokenRow { revision: 1, ..token("tok_1") }]);
        assert_eq!(view.kills()?.len(), 1);
        assert_eq!(view.usage("pk_mer_a", at(0))?, [usage(3, 10)]);
        let keks = view.keks()?;
        assert_eq!((keks.len(), keks[0].current, keks[0].wraps), (1, true, 2));
        let audit = view.audit(None, None, 10)?;
        assert_eq!((audit.len(), audit[0].sequence), (3, 3));
        assert_eq!(view.audit(Some("mer_b"), Some(3), 10)?[0].detail, json!({"n": 2}));
        assert_eq!(view.verify_audit()?, 3);
        assert_eq!(view.unconfirmed()?, None);
        Ok(())
    });
    let (held, faults) = everyone(&store);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(held.len(), 2);
    let HeldCredential { row, versions } = &held[0].credentials[0];
    assert_eq!((row.key_id.as_str(), versions.len(), held[0].raised), ("pk_mer_a", 3, 0));
    assert_eq!(versions[0].1.as_ref().unwrap().expose(), b"MARKER pk_mer_a 1");
    let alone = read(&store, |view| view.holding("mer_b")).unwrap();
    assert_eq!(alone.merchant.id, "mer_b");
    assert!(read(&store, |view| view.holding("mer_c")).is_none());
}

#[test]
fn every_file_is_its_owners_alone() {
    let house = House::new();
    let store = filled(&house);
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    drop(store);
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(house.path(), open).unwrap();
    let fault = house.try_open().unwrap_err().to_string();
    assert!(fault.contains("mode 640"), "{fault}");
}

#[test]
fn an_error_undoes_everything() {
    let house = House::new();
    let store = filled(&house);
    let before = read(&store, |view| view.sequence());
    let fault = change(&store, |change| {
        change.add_merchant(&merchant("mer_c"))?;
        change.audit("merchant.created", "mer_c", json!({}), None)?;
        change.add_merchant(&merchant("mer_a"))
    });
    assert!(matches!(fault, Err(StoreFault::Exists(_))), "{fault:?}");
    read(&store, |view| {
        assert_eq!(view.sequence()?, before);
        assert_eq!(view.merchant("mer_c")?, None);
        view.verify_audit()
    });
    let (held, faults) = everyone(&store);
    assert!(held.len() == 2 && faults.is_empty());
}

#[test]
fn older_revisions_conflict_and_rules_hold() {
    let house = House::new();
    let store = filled(&house);
    let old = read(&store, |view| view.merchant("mer_a")).unwrap();
    change(&store, |change| change.set_merchant(&old)).unwrap();
    let again = change(&store, |change| change.set_merchant(&old));
    assert!(matches!(again, Err(StoreFault::Conflict(_))), "{again:?}");
    let missing = change(&store, |change| change.set_merchant(&merchant("mer_x")));
    assert!(matches!(missing, Err(StoreFault::Missing(_))));
    let bad = change(&store, |change| change.add_merchant(&merchant("mer/x")));
    assert!(matches!(bad, Err(StoreFault::Refused(_))));
    let third = version("pk_mer_a", Kind::Signing, 3, VersionState::Active);
    let second = change(&store, |change| change.add_version(&third, &secret("another secret")));
    assert!(matches!(&second, Err(StoreFault::Exists(what)) if what.contains("active")));
    let third = VersionRow { state: VersionState::Pending, ..third };
    let same = change(&store, |change| change.add_version(&third, &secret("MARKER pk_mer_b 1")));
    assert!(matches!(same, Err(StoreFault::Exists(_))));
    let used = change(&store, |change| change.remove_policy("yearly"));
    assert!(matches!(used, Err(StoreFault::Refused(_))));
    let nobody = credential("mer_x", "pk_x");
    let nobody = change(&store, |change| change.add_credential(&nobody));
    assert!(matches!(nobody, Err(StoreFault::Missing(_))));
}

#[test]
fn what_is_revoked_stays_so_and_what_is_destroyed_is_gone() {
    let house = House::new();
    let store = filled(&house);
    let set = |row: &VersionRow| change(&store, |change| change.set_version(row));
    let row = || read(&store, |view| Ok(view.versions("pk_mer_a")?.remove(1)));
    let revoked = VersionRow { state: VersionState::Revoked, ..row() };
    set(&revoked).unwrap();
    let again = VersionRow { state: VersionState::Active, ..row() };
    assert!(matches!(set(&again), Err(StoreFault::Refused(_))));
    set(&VersionRow { state: VersionState::Destroyed, ..row() }).unwrap();
    let destroyed = row();
    assert_eq!(destroyed.state, VersionState::Destroyed);
    let opened = store.read(|view| view.secret(&destroyed));
    assert!(matches!(opened, Err(StoreFault::Missing(_))));
    // Its secret may be made again by chance, and by nobody's will.
    assert_eq!(read(&store, |view| view.owner_of(&secret("MARKER pk_mer_a 2"))), None);
    assert!(everyone(&store).1.is_empty());
}

#[test]
fn a_closed_merchant_loses_every_secret_and_keeps_its_history() {
    let house = House::new();
    let store = filled(&house);
    let row = read(&store, |view| view.merchant("mer_a")).unwrap();
    let closed = MerchantRow { status: MerchantStatus::Closed, ..row };
    change(&store, |change| change.set_merchant(&closed)).unwrap();
    let (held, faults) = everyone(&store);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(held[0].merchant.status, MerchantStatus::Closed);
    for (row, secret) in &held[0].credentials[0].versions {
        assert!(row.state == VersionState::Destroyed && secret.is_none());
    }
    let row = read(&store, |view| view.merchant("mer_a")).unwrap();
    let revived = MerchantRow { status: MerchantStatus::Active, ..row };
    let revived = change(&store, |change| change.set_merchant(&revived));
    assert!(matches!(revived, Err(StoreFault::Refused(_))));
    let more = change(&store, |change| change.add_credential(&credential("mer_a", "pk_new")));
    assert!(matches!(more, Err(StoreFault::Refused(_))));
}

#[test]
fn changes_are_told_in_order_and_use_is_none() {
    let house = House::new();
    let store = filled(&house);
    let (from, version) = (read(&store, |view| view.sequence()), store.data_version().unwrap());
    assert_eq!(store.data_version().unwrap(), version);
    let row = read(&store, |view| view.merchant("mer_b")).unwrap();
    change(&store, |change| change.set_merchant(&row)).unwrap();
    assert_ne!(store.data_version().unwrap(), version);
    change(&store, |change| change.put_policy(&policy("monthly"))).unwrap();
    change(&store, |change| change.add_usage(&usage(4, 5))).unwrap();
    let changes = read(&store, |view| view.changes_after(from)).unwrap();
    let whose: Vec<_> = changes.iter().map(|changed| changed.merchant.as_deref()).collect();
    assert_eq!(whose, [Some("mer_b"), None]);
    assert_eq!(changes[1].sequence, from + 2);
    assert_eq!(read(&store, |view| view.changes_after(from + 3)), None);
    assert_eq!(read(&store, |view| view.usage("pk_mer_a", at(0))), [usage(7, 10)]);
    let changed = store.writer.lock().unwrap().execute("DELETE FROM change WHERE sequence = 1", []);
    assert_eq!(changed.unwrap(), 1);
    assert_eq!(read(&store, |view| view.changes_after(0)), None, "a gap");
}

#[test]
fn a_destroyed_epoch_has_no_secret() {
    let house = House::new();
    let store = filled(&house);
    change(&store, |change| change.destroy_epoch(1)).unwrap();
    assert!(read(&store, |view| view.epoch_secret(1)).is_none());
    assert!(read(&store, |view| view.epoch_secret(2)).is_some());
    assert!(read(&store, |view| Ok(view.epochs()?[0].destroyed_at)).is_some());
}

#[test]
fn a_killed_chain_is_forgotten_when_nobody_can_present_it() {
    let house = House::new();
    let store = filled(&house);
    house.hand.advance(Duration::from_secs(900));
    assert_eq!(read(&store, |view| view.kills()).len(), 1);
    house.hand.advance(Duration::from_secs(1));
    assert_eq!(read(&store, |view| view.kills()).len(), 0);
}

#[test]
fn files_that_are_no_store_of_ours_are_refused_by_name() {
    let house = House::new();
    std::fs::write(house.path(), b"this is not a database, whatever its name may say about it")
        .unwrap();
    std::fs::set_permissions(house.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(house.try_open().is_err());
    std::fs::remove_file(house.path()).unwrap();
    let other = Connection::open(house.path()).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    std::fs::set_permissions(house.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let fault = house.try_open().unwrap_err().to_string();
    assert!(fault.contains("not a store of keys"), "{fault}");
    other.execute_batch("DROP TABLE theirs").unwrap();
    drop(other);
    drop(house.open());
    let newer = Connection::open(house.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let fault = house.try_open().unwrap_err().to_string();
    assert!(fault.contains("format 99"), "{fault}");
}

#[test]
fn another_master_key_does_not_open_it() {
    let house = House::new();
    drop(filled(&house));
    std::fs::remove_file(house.folder.path().join("master.key")).unwrap();
    Masters::create(&house.source()).unwrap();
    let fault = house.try_open().unwrap_err();
    assert!(matches!(fault, StoreFault::Custody(CustodyFault::Missing(_))), "{fault}");
}
