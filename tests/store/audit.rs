//! Old rows of the audit log go in the open: what is left can be walked, and nothing hides in what
//! went.

use std::time::Duration;

use countersign::store::{Store, StoreFault};
use serde_json::json;

use crate::support::*;

/// A store whose audit log has one row each second.
fn noted(house: &House, rows: u64) -> Store {
    let store = house.open();
    (0..rows).for_each(|n| note(house, &store, n));
    store
}

fn note(house: &House, store: &Store, n: u64) {
    let done = change(store, |change| change.audit("thing.done", "thing", json!({ "n": n }), None));
    done.unwrap();
    house.hand.advance(Duration::from_secs(1));
}

fn trim(store: &Store, before: u64, most: u64) -> Result<u64, StoreFault> {
    change(store, |change| change.trim_audit(at(before), most))
}

fn numbers(store: &Store) -> Vec<u64> {
    let rows = read(store, |view| view.audit(None, None, 100));
    rows.iter().rev().map(|row| row.sequence).collect()
}

#[test]
fn what_is_old_goes_step_by_step_and_the_rest_can_be_walked() {
    let house = House::new();
    let store = noted(&house, 10);
    assert_eq!(trim(&store, 0, 100).unwrap(), 0, "nothing is that old");
    assert_eq!(numbers(&store).len(), 10, "and nothing was written");
    assert_eq!(trim(&store, 6, 4).unwrap(), 4);
    assert_eq!(numbers(&store), [5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(trim(&store, 6, 4).unwrap(), 2);
    assert_eq!(numbers(&store), [7, 8, 9, 10, 11, 12]);
    assert_eq!(trim(&store, 6, 4).unwrap(), 0);
    assert_eq!(read(&store, |view| view.verify_audit()), 6);
    let told = read(&store, |view| view.audit(Some("audit"), None, 1));
    assert_eq!((told[0].action.as_str(), &told[0].detail["through"]), ("audit.trimmed", &json!(6)));
    // The rows that told of a trimming grow old as well.
    house.hand.advance(Duration::from_secs(100));
    assert_eq!(trim(&store, 100, 100).unwrap(), 6);
    assert_eq!(numbers(&store), [13]);
    note(&house, &store, 11);
    drop(store);
    let store = house.open();
    assert_eq!(read(&store, |view| view.verify_audit()), 2);
    assert!(tried(&store).faults.is_empty());
    assert_eq!(trim(&store, 1000, 100).unwrap(), 2, "all of them");
    assert_eq!((numbers(&store), read(&store, |view| view.verify_audit())), (vec![15], 1));
}

#[test]
fn what_was_trimmed_cannot_be_moved() {
    let keep = "CREATE TABLE kept AS SELECT * FROM audit";
    for (edit, row) in [
        ("DELETE FROM audit WHERE sequence = 4", "audit 4"),
        ("DELETE FROM audit WHERE sequence <= 5", "audit 4"),
        ("INSERT INTO audit SELECT * FROM kept WHERE sequence = 3", "audit 4"),
        ("INSERT INTO audit SELECT * FROM kept WHERE sequence <= 3", "audit 4"),
        ("DELETE FROM audit WHERE action = 'audit.trimmed'", "audit 1"),
        ("UPDATE audit SET detail = '{}' WHERE action = 'audit.trimmed'", "audit 7"),
        ("DELETE FROM audit", "audit 1"),
    ] {
        let house = House::new();
        let store = noted(&house, 6);
        house.raw().execute_batch(keep).unwrap();
        assert_eq!(trim(&store, 3, 100).unwrap(), 3);
        assert_eq!(read(&store, |view| view.verify_audit()), 4);
        house.raw().execute_batch(edit).unwrap();
        let fault = store.read(|view| view.verify_audit()).unwrap_err().to_string();
        assert!(fault.contains(row), "{edit}: {fault}");
        let fault = trim(&store, 5, 100).unwrap_err().to_string();
        assert!(fault.contains("audit"), "{edit}: {fault}");
    }
}

/// Whoever changed a row does not get rid of it by waiting.
#[test]
fn a_row_that_was_changed_is_not_trimmed() {
    let house = House::new();
    let store = noted(&house, 6);
    house.raw().execute("UPDATE audit SET reason = 'none' WHERE sequence = 2", []).unwrap();
    assert!(trim(&store, 5, 100).unwrap_err().to_string().contains("audit 2"));
    assert_eq!(numbers_raw(&house), 6);
}

fn numbers_raw(house: &House) -> i64 {
    house.raw().query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
}
