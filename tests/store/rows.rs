//! Rows and rules: what is written is read, and what may not be is refused.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use countersign::custody::{CustodyFault, Masters};
use countersign::store::row::*;
use countersign::store::{HeldCredential, Holding, StoreFault};
use rusqlite::Connection;
use serde_json::json;

use crate::support::*;

#[test]
fn sqlite_is_free_of_the_bug_that_loses_its_log() {
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn a_store_is_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let house = House::new();
    shared(&house.open());
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
    let mut sealed = Vec::new();
    read(&store, |view| view.everyone_sealed(|found| sealed.push(found.unwrap())));
    let versions_of = |all: &[Holding]| -> Vec<(VersionRow, bool)> {
        let all = all.iter().flat_map(|one| &one.credentials).flat_map(|one| &one.versions);
        all.map(|(row, secret)| (row.clone(), secret.is_some())).collect()
    };
    let without = versions_of(&held).into_iter().map(|(row, _)| (row, false));
    assert_eq!(versions_of(&sealed), without.collect::<Vec<_>>());
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
    let policy = |id: &str| read(&store, |view| view.credential(id)).unwrap().policy;
    assert_eq!((policy("pk_mer_a"), policy("pk_mer_b")), (None, Some("yearly".to_owned())));
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
    let taken = house.raw().execute("DELETE FROM change WHERE sequence = 1", []);
    assert_eq!(taken.unwrap(), 1);
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
