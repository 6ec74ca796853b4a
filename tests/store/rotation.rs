//! Other keys in the place of those before.

use countersign::custody::{MasterSource, Masters};
use countersign::store::StoreFault;

use crate::support::*;

fn many(store: &countersign::store::Store, count: usize) {
    change(store, |change| {
        for n in 0..count {
            change.add_merchant(&merchant(&format!("many_{n:05}")))?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_kek_is_rotated_rewrapped_and_removed_in_this_order_only() {
    let house = House::new();
    let store = filled(&house);
    many(&store, 1100);
    let refused = |version| store.remove_kek(&actor(), version).unwrap_err().to_string();
    assert!(refused(1).contains("the one that wraps"));
    assert_eq!(store.rotate_kek(&actor()).unwrap(), 3, "the epochs have one too");
    assert!(refused(1).contains("1102 data keys"), "{}", refused(1));
    let mut heard = Vec::new();
    let done = store.rewrap(&actor(), |done, all| heard.push((done, all))).unwrap();
    assert!(done.moved == 1102 && done.refused.is_empty());
    assert_eq!(heard[..3], [(500, 1102), (1000, 1102), (1102, 1102)]);
    assert!(refused(1).contains("no full trial"));
    let trial = tried(&store);
    assert!(trial.faults.is_empty(), "{:?}", trial.faults);
    assert_eq!((trial.merchants, trial.credentials, trial.versions), (1102, 2, 6));
    assert_eq!((trial.secrets, trial.audits), (6, 6));
    store.remove_kek(&actor(), 1).unwrap();
    assert!(matches!(store.remove_kek(&actor(), 1), Err(StoreFault::Missing(_))));
    drop(store);
    let store = house.open();
    assert!(everyone(&store).1.is_empty());
    let keks = read(&store, |view| view.keks());
    assert_eq!((keks.len(), keks[0].version, keks[0].wraps), (1, 3, 1102));
    assert!(read(&store, |view| view.epoch_secret(1)).is_some());
}

#[test]
fn a_process_that_had_it_open_follows_a_rotation_of_another() {
    let house = House::new();
    let (first, second) = (filled(&house), house.open());
    first.rotate_kek(&actor()).unwrap();
    first.rewrap(&actor(), |_, _| {}).unwrap();
    Masters::open(&house.source()).unwrap().rotate().unwrap();
    assert_eq!(first.rewrap_masters(&actor()).unwrap(), 4);
    // The one that did not see the new master key must not wrap by the one before.
    second.rotate_kek(&actor()).unwrap();
    let newest = house.masters().current().as_str().to_owned();
    assert!(read(&first, |view| view.keks()).iter().all(|kek| kek.master == newest));
    change(&first, |change| change.add_merchant(&merchant("mer_c"))).unwrap();
    let (held, faults) = everyone(&second);
    assert!(faults.is_empty() && held.len() == 3, "{faults:?}");
}

#[test]
fn a_master_key_is_released_when_nothing_depends_on_it() {
    let house = House::new();
    let store = filled(&house);
    let mut masters = house.masters();
    let first = masters.current().as_str().to_owned();
    let release = |id: &str| store.release_master(id).map_err(|fault| fault.to_string());
    assert!(release(&first).unwrap_err().contains("rotate it first"));
    let second = masters.rotate().unwrap();
    assert_eq!(store.rewrap_masters(&actor()).unwrap(), 2);
    assert!(release(&first).unwrap_err().contains("no full trial"));
    assert!(release(second.as_str()).is_err());
    assert!(tried(&store).faults.is_empty());
    release(&first).unwrap();
    masters.remove(&first).unwrap();
    drop(store);
    let store = house.open();
    assert!(tried(&store).faults.is_empty());
    assert_eq!(store.rewrap_masters(&actor()).unwrap(), 0);
}

#[test]
fn a_trial_that_found_something_releases_nothing() {
    let house = House::new();
    let store = filled(&house);
    store.rotate_kek(&actor()).unwrap();
    let hurt = "UPDATE data_key SET blob = zeroblob(85) WHERE merchant = 'mer_a'";
    house.raw().execute_batch(hurt).unwrap();
    let done = store.rewrap(&actor(), |_, _| {}).unwrap();
    assert_eq!((done.moved, done.refused.len()), (1, 1));
    assert!(!tried(&store).faults.is_empty());
    let refused = store.remove_kek(&actor(), 1).unwrap_err().to_string();
    assert!(refused.contains("1 data keys"), "{refused}");
}

#[test]
fn keys_of_spent_epochs_go_with_them() {
    let house = House::new();
    let store = filled(&house);
    let keks = || rusqlite_count(&house, "SELECT count(*) FROM kek WHERE purpose = 'epochs'");
    store.rotate_kek(&actor()).unwrap();
    assert_eq!(keks(), 2);
    change(&store, |change| change.add_epoch(&epoch(3))).unwrap();
    change(&store, |change| change.destroy_epoch(1)).unwrap();
    assert_eq!(keks(), 2);
    change(&store, |change| change.destroy_epoch(2)).unwrap();
    assert_eq!(keks(), 1);
    assert!(read(&store, |view| view.epoch_secret(3)).is_some());
    assert!(tried(&store).faults.is_empty());
}

fn rusqlite_count(house: &House, text: &str) -> u32 {
    house.raw().query_row(text, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_lost_master_key_is_told_by_name() {
    let house = House::new();
    let store = filled(&house);
    drop(store);
    let elsewhere = MasterSource::File(house.folder.path().join("other.key"));
    let masters = Masters::create(&elsewhere).unwrap();
    let lost = house.masters().current().as_str().to_owned();
    let fault = countersign::store::Store::open(&house.path(), masters, house.clock.clone());
    let fault = fault.unwrap_err().to_string();
    assert!(fault.contains(&lost), "{fault}");
}
