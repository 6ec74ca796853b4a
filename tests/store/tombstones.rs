//! The file of what is dead: missing, cut, changed, and of another store.

use std::fs;

use countersign::store::StoreFault;
use countersign::store::row::*;

use crate::support::*;

/// A store with three lines: a revoked version, a killed chain (from the start), a token.
fn with_dead() -> House {
    let house = House::new();
    let store = filled(&house);
    change(&store, |change| {
        let mut row = change.versions("pk_mer_a")?.remove(0);
        row.state = VersionState::Revoked;
        change.set_version(&row)?;
        let mut token = change.tokens()?.remove(0);
        token.revoked_at = Some(at(3));
        change.put_token(&token)
    })
    .unwrap();
    house
}

fn doubt(house: &House) -> Option<String> {
    let store = house.open();
    let doubt = read(&store, |view| view.unconfirmed());
    let suspended =
        everyone(&store).0.iter().all(|held| held.merchant.status == MerchantStatus::Suspended);
    assert_eq!(doubt.is_some(), suspended);
    assert!(everyone(&store).1.is_empty());
    doubt
}

#[test]
fn a_whole_file_is_not_in_doubt() {
    let house = with_dead();
    assert_eq!(doubt(&house), None);
    assert_eq!(fs::read_to_string(house.tombstones()).unwrap().lines().count(), 4);
}

#[test]
fn a_missing_cut_or_changed_file_suspends_everything() {
    let house = with_dead();
    let text = fs::read_to_string(house.tombstones()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |at: usize| {
        let rest = lines.iter().enumerate().filter(|(line, _)| *line != at);
        rest.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let changed = [
        String::new(),
        "nothing\n".to_owned(),
        without(0),
        without(1),
        without(3),
        text.replace("pk_mer_a", "pk_mer_b"),
        text.replace("false", "true"),
        format!("{}\n", lines[0]),
    ];
    for changed in changed {
        fs::write(house.tombstones(), &changed).unwrap();
        assert!(doubt(&house).is_some(), "{changed}");
    }
    fs::remove_file(house.tombstones()).unwrap();
    assert!(doubt(&house).unwrap().contains("no such file"));
    fs::write(house.tombstones(), &text).unwrap();
    assert_eq!(doubt(&house), None);
    let other = with_dead();
    fs::copy(other.tombstones(), house.tombstones()).unwrap();
    assert!(doubt(&house).is_some());
}

#[test]
fn a_line_that_was_being_written_is_none_and_the_next_takes_its_place() {
    let house = with_dead();
    let text = fs::read_to_string(house.tombstones()).unwrap();
    fs::write(house.tombstones(), format!("{text}{{\"version\":{{\"key_")).unwrap();
    assert_eq!(doubt(&house), None);
    let store = house.open();
    change(&store, |change| {
        let mut row = change.versions("pk_mer_b")?.remove(0);
        row.state = VersionState::Revoked;
        change.set_version(&row)
    })
    .unwrap();
    drop(store);
    assert_eq!(doubt(&house), None);
    let now = fs::read_to_string(house.tombstones()).unwrap();
    assert!(now.starts_with(&text) && now.lines().count() == 5, "{now}");
}

#[test]
fn what_is_revoked_while_in_doubt_is_in_the_file_once_it_is_confirmed() {
    let house = with_dead();
    fs::remove_file(house.tombstones()).unwrap();
    let store = house.open();
    change(&store, |change| {
        let mut row = change.versions("pk_mer_b")?.remove(1);
        row.state = VersionState::Destroyed;
        change.set_version(&row)
    })
    .unwrap();
    assert!(!house.tombstones().exists());
    store.confirm_restore(&actor()).unwrap();
    let text = fs::read_to_string(house.tombstones()).unwrap();
    assert!(text.contains("pk_mer_b") && text.contains("pk_mer_a") && text.contains("tok_1"));
    drop(store);
    assert_eq!(doubt(&house), None);
}

#[test]
fn a_change_that_is_undone_leaves_no_line() {
    let house = with_dead();
    let before = fs::read(house.tombstones()).unwrap();
    let store = house.open();
    let undone = change(&store, |change| {
        let mut row = change.versions("pk_mer_b")?.remove(0);
        row.state = VersionState::Revoked;
        change.set_version(&row)?;
        change.add_merchant(&merchant("mer_a"))
    });
    assert!(matches!(undone, Err(StoreFault::Exists(_))));
    assert_eq!(fs::read(house.tombstones()).unwrap(), before);
}

#[test]
fn a_killed_chain_stays_dead_when_its_row_is_taken_out() {
    let house = with_dead();
    let store = house.open();
    assert_eq!(house.raw().execute("DELETE FROM kill", []).unwrap(), 1);
    let kills = read(&store, |view| view.kills());
    assert_eq!((kills.len(), kills[0].chain), (1, *b"chain001"));
}

#[test]
fn a_file_that_has_grown_long_drops_chains_that_nobody_can_present() {
    let house = with_dead();
    let store = house.open();
    let backup = house.folder.path().join("backup.db");
    store.backup(&actor(), &backup).unwrap();
    let kill = |n: u64, until| KillRow {
        key_id: "pk_mer_a".to_owned(),
        chain: n.to_be_bytes(),
        at: at(1),
        until,
    };
    let many =
        change(&store, |change| (0..10_000).try_for_each(|n| change.add_kill(&kill(n, at(950)))));
    many.unwrap();
    let lines = || fs::read_to_string(house.tombstones()).unwrap().lines().count();
    assert_eq!(lines(), 10_004);
    let older = house.copied();
    house.hand.advance(std::time::Duration::from_secs(951));
    change(&store, |change| change.add_kill(&kill(10_000, at(2000)))).unwrap();
    assert_eq!(lines(), 4, "a name, the version, the token, the new one");
    change(&store, |change| change.add_kill(&kill(10_001, at(2000)))).unwrap();
    assert_eq!(read(&store, |view| view.kills()).len(), 2);
    drop(store);
    assert_eq!(doubt(&house), None);
    // The database as it was when the file began anew and its transaction was cut off, and one
    // from long before.
    let text = fs::read(house.tombstones()).unwrap();
    let cut = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(3).unwrap().0;
    fs::write(older.tombstones(), &text[..=cut]).unwrap();
    assert_eq!(doubt(&older), None);
    let restored = countersign::store::Store::restore(
        &backup,
        &house.path(),
        house.masters(),
        house.clock.clone(),
    );
    assert_eq!(restored.unwrap().unconfirmed, None);
    assert_eq!(doubt(&house), None);
}
