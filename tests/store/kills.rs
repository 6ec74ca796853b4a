//! Processes that die in the middle, and processes that write at once. Each child is this test
//! program again, told by the environment what to do; what it says on its output is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::custody::{MasterSource, Masters};
use countersign::store::row::*;
use countersign::store::{Store, StoreFault};

use crate::support::*;

const FOLDER: &str = "STORE_TEST_FOLDER";
const NAME: &str = "STORE_TEST_NAME";
const DEATHS: usize = 200;

fn child(test: &str, house: &House, name: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, house.folder.path())
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// In a child: its store and its name.
fn told() -> Option<(Store, String)> {
    let folder = PathBuf::from(env::var_os(FOLDER)?);
    let masters = Masters::open(&MasterSource::File(folder.join("master.key"))).unwrap();
    let store = Store::open(&folder.join("keys.db"), masters, Clock::system()).unwrap();
    Some((store, env::var(NAME).unwrap()))
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {text}").unwrap();
    out.flush().unwrap();
}

/// A merchant with a credential, whose secret is known by its name.
fn add(store: &Store, id: &str) -> Result<(), StoreFault> {
    change(store, |change| {
        change.add_merchant(&merchant(id))?;
        let key_id = format!("pk_{id}");
        change.add_credential(&credential(id, &key_id))?;
        let row = version(&key_id, Kind::Signing, 1, VersionState::Active);
        change.add_version(&row, &secret(&format!("secret of {id}")))?;
        change.audit("merchant.created", id, serde_json::json!({}), None)
    })
}

fn revoke(store: &Store, id: &str) -> Result<(), StoreFault> {
    change(store, |change| {
        let mut row = change.versions(&format!("pk_{id}"))?.remove(0);
        row.state = VersionState::Revoked;
        change.set_version(&row)
    })
}

/// Writes, rotates and rewraps until it is killed.
fn live(store: &Store, name: &str) {
    let first = name.parse::<u32>().unwrap() % 6;
    for turn in first.. {
        let id = format!("m_{name}_{turn}");
        add(store, &id).unwrap();
        say(&format!("added {id}"));
        if turn % 2 == 1 {
            revoke(store, &id).unwrap();
            say(&format!("revoked {id}"));
        }
        if turn % 3 == 2 {
            let version = store.rotate_kek(&actor()).unwrap();
            say(&format!("kek {version}"));
            store.rewrap(&actor(), |_, _| {}).unwrap();
            say(&format!("moved {version}"));
        }
    }
}

/// What was acknowledged.
#[derive(Default)]
struct Known {
    added: BTreeSet<String>,
    revoked: BTreeSet<String>,
    kek: u32,
    /// The newest KEK to which everything had moved.
    moved: u32,
}

impl Known {
    fn hear(&mut self, line: &str) {
        let Some(said) = line.split("ack ").nth(1) else { return };
        match said.split_once(' ').unwrap() {
            ("added", id) => drop(self.added.insert(id.to_owned())),
            ("revoked", id) => drop(self.revoked.insert(id.to_owned())),
            ("kek", version) => self.kek = version.parse().unwrap(),
            ("moved", version) => self.moved = version.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn check(&self, store: &Store) {
        let (held, faults) = everyone(store);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(read(store, |view| view.unconfirmed()), None);
        let held: BTreeMap<_, _> =
            held.iter().map(|holding| (holding.merchant.id.clone(), holding)).collect();
        assert!(held.len() >= 1200 + self.added.len());
        for id in &self.added {
            let holding = held.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            let (row, secret) = &holding.credentials[0].versions[0];
            match secret {
                Some(secret) => assert_eq!(secret.expose(), format!("secret of {id}").as_bytes()),
                None => assert_eq!(row.state, VersionState::Revoked),
            }
        }
        for id in &self.revoked {
            let (row, _) = &held[id].credentials[0].versions[0];
            assert_eq!(row.state, VersionState::Revoked, "{id}");
        }
        let keks = read(store, |view| view.keks());
        assert!(keks.iter().map(|kek| kek.version).max().unwrap() >= self.kek);
        let behind = keks.iter().filter(|kek| kek.version < self.moved);
        assert_eq!(behind.map(|kek| kek.wraps).sum::<u64>(), 0);
    }
}

#[test]
fn two_hundred_deaths_lose_nothing_that_was_acknowledged() {
    if let Some((store, name)) = told() {
        return live(&store, &name);
    }
    let house = House::new();
    // So many that a rewrap takes several transactions.
    let fill = change(&house.open(), |change| {
        (0..1200).try_for_each(|n| change.add_merchant(&merchant(&format!("m_{n}"))))
    });
    fill.unwrap();
    let mut known = Known::default();
    for death in 0..DEATHS {
        let name = format!("{death}");
        let mut child =
            child("kills::two_hundred_deaths_lose_nothing_that_was_acknowledged", &house, &name);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Its first words, then a moment that differs each time.
        for line in lines.by_ref() {
            let line = line.unwrap();
            known.hear(&line);
            if line.contains("ack ") {
                break;
            }
        }
        let longest = if death % 10 == 0 { 400_000 } else { 40_000 };
        thread::sleep(Duration::from_micros(u64::try_from(death * 7919 % longest).unwrap()));
        child.kill().unwrap();
        lines.for_each(|line| known.hear(&line.unwrap()));
        child.wait().unwrap();
        let store = house.open();
        known.check(&store);
        if death % 20 == 19 {
            let trial = tried(&store);
            assert!(trial.faults.is_empty(), "{:?}", trial.faults);
        }
    }
    let Known { added, revoked, kek, moved } = &known;
    assert!(added.len() >= DEATHS && !revoked.is_empty() && (*kek, *moved) > (1, 1));
}

#[test]
fn two_processes_that_write_at_once_lose_nothing() {
    if let Some((store, name)) = told() {
        for turn in 0..40 {
            let id = format!("m_{name}_{turn}");
            add(&store, &id).unwrap();
            change(&store, |change| change.add_usage(&usage(1, turn))).unwrap();
            if turn % 10 == 0 {
                store.rotate_kek(&actor()).unwrap();
                store.rewrap(&actor(), |_, _| {}).unwrap();
            }
        }
        return;
    }
    let house = House::new();
    let store = house.open();
    let test = "kills::two_processes_that_write_at_once_lose_nothing";
    let children = ["a", "b"].map(|name| child(test, &house, name));
    let output = children.map(|child| child.wait_with_output().unwrap());
    assert!(output.iter().all(|output| output.status.success()), "{output:?}");
    let (held, faults) = everyone(&store);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(held.len(), 80);
    assert_eq!(read(&store, |view| view.usage("pk_mer_a", at(0)))[0].requests, 80);
    let trial = tried(&store);
    assert!(trial.faults.is_empty(), "{:?}", trial.faults);
    let changes = read(&store, |view| view.changes_after(0)).unwrap();
    assert!(changes.len() >= 80);
}
