//! Backup, trial and restore.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

use countersign::custody::Masters;
use countersign::store::row::*;
use countersign::store::{Store, StoreFault};

use crate::support::*;

fn backed_up(house: &House, store: &Store) -> PathBuf {
    let path = house.folder.path().join("backup.db");
    store.backup(&actor(), &path).unwrap();
    path
}

#[test]
fn a_backup_opens_and_has_no_epochs() {
    let house = House::new();
    let store = filled(&house);
    let backup = backed_up(&house, &store);
    let mode = fs::metadata(&backup).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(matches!(store.backup(&actor(), &backup), Err(StoreFault::Exists(_))));
    let trial = Store::try_backup(&backup, house.masters(), house.clock.clone()).unwrap();
    assert!(trial.faults.is_empty(), "{:?}", trial.faults);
    assert_eq!((trial.merchants, trial.secrets), (2, 6));
    assert!(trial.unconfirmed.is_some());
    let raw = rusqlite::Connection::open(&backup).unwrap();
    let count = |text: &str| raw.query_row(text, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM epoch WHERE blob IS NULL"), 2);
    assert_eq!(count("SELECT count(*) FROM epoch WHERE blob IS NOT NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM kek WHERE purpose = 'epochs'"), 0);
    // Neither the wrapped secrets nor their KEK are left over in a page.
    for text in ["SELECT blob FROM epoch", "SELECT blob FROM kek WHERE purpose = 'epochs'"] {
        let raw = house.raw();
        let blob: Vec<u8> = raw.query_row(text, [], |row| row.get(0)).unwrap();
        let found = files_with(house.folder.path(), &blob[blob.len() - 24..]);
        assert!(!found.is_empty() && !found.contains(&"backup.db".to_owned()), "{found:?}");
    }
    let left: Vec<_> = fs::read_dir(house.folder.path()).unwrap().collect();
    let folders = left.iter().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0, "no work folder is left");
    assert_eq!(read(&store, |view| view.audit(None, None, 1))[0].action, "store.backed_up");
}

#[test]
fn a_backup_is_one_moment_while_others_write() {
    let house = House::new();
    let store = filled(&house);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..60 {
                change(&store, |change| change.add_merchant(&merchant(&format!("m{n:02}"))))
                    .unwrap();
            }
        });
        for n in 0..5 {
            let path = house.folder.path().join(format!("backup-{n}.db"));
            store.backup(&actor(), &path).unwrap();
            let trial = Store::try_backup(&path, house.masters(), house.clock.clone()).unwrap();
            assert!(trial.faults.is_empty(), "{:?}", trial.faults);
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_backup_with_a_changed_byte_does_not_pass() {
    let house = House::new();
    let store = filled(&house);
    let backup = backed_up(&house, &store);
    let bytes = fs::read(&backup).unwrap();
    let at = memchr::memmem::find(&bytes, b"keys@merchant.example").unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(&backup, &changed).unwrap();
    let trial = Store::try_backup(&backup, house.masters(), house.clock.clone()).unwrap();
    assert!(trial.faults[0].to_string().starts_with("merchant mer_"), "{:?}", trial.faults);
    drop(store);
    let restored = Store::restore(&backup, &house.path(), house.masters(), house.clock.clone());
    assert!(matches!(restored, Err(StoreFault::Tampered { .. })));
    assert_eq!(everyone(&house.open()).0.len(), 2, "the store is as it was");
    fs::write(&backup, &bytes[..bytes.len() / 2]).unwrap();
    let half = Store::try_backup(&backup, house.masters(), house.clock.clone());
    assert!(half.is_err() || !half.unwrap().faults.is_empty());
    fs::write(&backup, b"").unwrap();
    assert!(Store::try_backup(&backup, house.masters(), house.clock.clone()).is_err());
}

#[test]
fn a_restore_into_the_same_place_knows_what_died_since() {
    let house = House::new();
    let store = filled(&house);
    let backup = backed_up(&house, &store);
    change(&store, |change| {
        for mut row in change.versions("pk_mer_a")?.into_iter().take(2) {
            row.state = VersionState::Revoked;
            change.set_version(&row)?;
        }
        let mut token = change.tokens()?.remove(0);
        token.revoked_at = Some(at(3));
        change.put_token(&token)?;
        let mut closed = change.merchant("mer_b")?.unwrap();
        closed.status = MerchantStatus::Closed;
        change.set_merchant(&closed)
    })
    .unwrap();
    let restore = || Store::restore(&backup, &house.path(), house.masters(), house.clock.clone());
    let in_use = restore().unwrap_err().to_string();
    assert!(in_use.contains("in use"), "{in_use}");
    drop(store);
    let trial = restore().unwrap();
    assert_eq!((trial.raised, trial.unconfirmed), (3, None));
    assert!(house.folder.path().join("keys.db.replaced").exists());
    let store = house.open();
    assert_eq!(read(&store, |view| view.unconfirmed()), None);
    let (held, faults) = everyone(&store);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!((held[0].raised, held[1].raised), (2, 1));
    let states: Vec<_> = held[0].credentials[0].versions.iter().collect();
    assert!(states[0].0.state == VersionState::Revoked && states[0].1.is_none());
    assert!(states[1].0.state == VersionState::Revoked && states[1].1.is_none());
    assert_eq!(held[1].merchant.status, MerchantStatus::Closed);
    assert!(held[1].credentials[0].versions.iter().all(|(_, secret)| secret.is_none()));
    let rows = read(&store, |view| view.versions("pk_mer_a"));
    let back = VersionRow { state: VersionState::Active, ..rows[1].clone() };
    let back = change(&store, |change| change.set_version(&back));
    assert!(matches!(back, Err(StoreFault::Refused(_))), "{back:?}");
    assert!(read(&store, |view| view.tokens())[0].revoked_at.is_some());
}

#[test]
fn a_restore_into_an_empty_place_waits_to_be_confirmed() {
    let house = House::new();
    let store = filled(&house);
    let mut row = read(&store, |view| Ok(view.versions("pk_mer_a")?.remove(0)));
    row.state = VersionState::Revoked;
    change(&store, |change| change.set_version(&row)).unwrap();
    let backup = backed_up(&house, &store);
    drop(store);
    let empty = House::new();
    fs::copy(house.folder.path().join("master.key"), empty.folder.path().join("master.key"))
        .unwrap();
    let trial =
        Store::restore(&backup, &empty.path(), empty.masters(), empty.clock.clone()).unwrap();
    assert!(trial.unconfirmed.is_some());
    let store = empty.open();
    let (held, faults) = everyone(&store);
    assert!(faults.is_empty());
    assert!(held.iter().all(|holding| holding.merchant.status == MerchantStatus::Suspended));
    assert!(read(&store, |view| view.unconfirmed()).is_some());
    store.confirm_restore(&actor()).unwrap();
    assert_eq!(read(&store, |view| view.unconfirmed()), None);
    let again = store.confirm_restore(&actor());
    assert!(matches!(again, Err(StoreFault::Refused(_))));
    let (held, _) = everyone(&store);
    assert!(held.iter().all(|holding| holding.merchant.status == MerchantStatus::Active));
    assert_eq!(held[0].credentials[0].versions[0].0.state, VersionState::Revoked);
    let text = fs::read_to_string(empty.tombstones()).unwrap();
    assert!(text.contains("\"number\":1"), "what is dead in the database is in the new file");
    assert!(tried(&store).faults.is_empty());
}

#[test]
fn a_restore_by_other_master_keys_touches_nothing() {
    let house = House::new();
    let store = filled(&house);
    let backup = backed_up(&house, &store);
    drop(store);
    let other = House::new();
    let before = fs::read(house.path()).unwrap();
    let masters = Masters::open(&other.source()).unwrap();
    let restored = Store::restore(&backup, &house.path(), masters, house.clock.clone());
    assert!(matches!(restored, Err(StoreFault::Custody(_))));
    assert_eq!(fs::read(house.path()).unwrap(), before);
}

#[test]
fn places_that_cannot_be_are_told_by_name() {
    let house = House::new();
    let store = filled(&house);
    let nowhere = house.folder.path().join("nowhere/backup.db");
    let fault = store.backup(&actor(), &nowhere).unwrap_err().to_string();
    assert!(fault.contains("nowhere/backup.db"), "{fault}");
    let garbage = house.folder.path().join("garbage");
    fs::write(&garbage, [7; 9000]).unwrap();
    drop(store);
    for from in [&nowhere, &garbage] {
        let restored = Store::restore(from, &house.path(), house.masters(), house.clock.clone());
        let fault = restored.unwrap_err().to_string();
        assert!(fault.contains(&*from.to_string_lossy()), "{fault}");
    }
    assert_eq!(everyone(&house.open()).0.len(), 2);
}
