//! The journal in a process that is killed, a hundred times over: nothing that it acknowledged is
//! lost, no key is kept twice, and what is to be done fits to how far each delivery is. And on a
//! disk that is full.
//!
//! Each test is both: run by itself it is the parent; with a folder in its environment, the child.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::clock::{Clock, Timestamp};
use countersign::journal::{
    Attempt, Busy, Confirmation, DeliveryId, Desk, Facts, Filter, Journal, Kept, Lane, NewDelivery,
    Settled, State, Verdict, Work,
};
use countersign::telemetry::GateMetrics;
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, setrlimit};

const FOLDER: &str = "JOURNAL_TEST_FOLDER";
const ROUND: &str = "JOURNAL_TEST_ROUND";
const KILLED: &str = "a_hundred_kills_lose_nothing_that_was_acknowledged";
const FULL: &str = "a_full_disk_makes_it_busy_and_nothing_is_remembered";
const KILLS: u32 = 100;
const LANES: u32 = 16;

fn open(folder: &Path) -> Arc<Journal> {
    let metrics = GateMetrics::new().unwrap().inbox.journal;
    Journal::open(folder, Clock::system(), metrics).unwrap_or_else(|fault| panic!("{fault}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// A delivery whose key is its name, of a source and for a destination of that lane alone.
fn delivery(lane: &str, name: &str, first: Work) -> NewDelivery {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    NewDelivery {
        source: lane.into(),
        destination: lane.into(),
        key,
        secret: Some([1; 16]),
        key_until: Timestamp::MAX,
        received_millis: 1_764_000_000_000,
        method: "POST".into(),
        target: "/webhooks".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from(name.to_owned()),
        verdict: Verdict {
            scheme: "s".into(),
            strength: "full".into(),
            secret_version: None,
            stated: None,
            provider_id: None,
            must_confirm: None,
        },
        facts: Facts::new(),
        order_key: Some("order".into()),
        first: Some(first),
        post_back: false,
    }
}

fn attempt() -> Attempt {
    Attempt {
        id: "att_0".into(),
        at_millis: 1,
        took_millis: 1,
        outcome: "delivered".into(),
        status: Some(200),
    }
}

fn confirmation(agreed: bool) -> Confirmation {
    let asked = "provider".into();
    Confirmation { agreed, asked, state: None, differences: Vec::new(), at_millis: 1 }
}

fn say(what: &str, name: &str, id: &DeliveryId) {
    let line = format!("{what} {name} {id}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// The place of a delivery in the journal, of its open task.
fn place(journal: &Journal, lane: &str, work: Work, id: &DeliveryId) -> i64 {
    let lane = Lane { work, name: lane.into() };
    let tasks = journal.due(&lane, u64::MAX, false, 10_000, &HashSet::new()).unwrap();
    let found = tasks.iter().find(|task| task.delivery.id == *id);
    found.unwrap_or_else(|| panic!("{id} has no task")).delivery.sequence
}

/// Sixteen at a time keep deliveries, and do with each what its last digit says.
fn child(folder: &Path, round: &str) {
    let journal = open(folder);
    let journal = &*journal;
    let work = |lane: u32| async move {
        let lane = format!("{round}-{lane}");
        for step in 0.. {
            let name = format!("{lane}-{step}");
            let first = if step % 4 < 2 { Work::Deliver } else { Work::Confirm };
            let new = delivery(&lane, &name, first);
            let Ok(Kept::Stored(id)) = journal.keep(new).await else { panic!("{name}") };
            say("stored", &name, &id);
            if step % 4 == 0 {
                continue;
            }
            let sequence = place(journal, &lane, first, &id);
            let attempt = attempt();
            let (what, settled) = match step % 4 {
                1 => ("delivered", Settled::Done { attempt }),
                2 => {
                    ("confirmed", Settled::Confirmed { attempt, confirmation: confirmation(true) })
                }
                _ => {
                    ("disagreed", Settled::Disagreed { attempt, confirmation: confirmation(false) })
                }
            };
            journal.settle(sequence, first, settled).await.unwrap();
            say(what, &name, &id);
        }
    };
    runtime().block_on(join_all((0..LANES).map(work)));
}

/// Runs a child until it has said so many things, and some microseconds more; what it said.
fn killed(folder: &Path, round: u32) -> Vec<[String; 3]> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", KILLED, "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(ROUND, round.to_string());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<String> =
        lines.by_ref().take(4 + usize::try_from(round % 40).unwrap()).map(Result::unwrap).collect();
    std::thread::sleep(Duration::from_micros(u64::from(round) * 137 % 5000));
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.map_while(Result::ok));
    let known = ["stored", "delivered", "confirmed", "disagreed"];
    let words = said.iter().filter_map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        Some([words.next()?, words.next()?, words.next()?])
    });
    words.filter(|[what, _, _]| known.contains(&what.as_str())).collect()
}

/// What every file must fulfil, whenever it is looked at: each of these finds nothing.
const SOUND: [&str; 9] = [
    "SELECT count(*) FROM deliveries WHERE sequence NOT IN (SELECT sequence FROM contents)",
    "SELECT count(*) FROM contents WHERE sequence NOT IN (SELECT sequence FROM deliveries)",
    "SELECT count(*) FROM deliveries WHERE id NOT IN (SELECT delivery FROM keys)",
    "SELECT count(*) FROM keys WHERE delivery NOT IN (SELECT id FROM deliveries)",
    "SELECT count(*) FROM deliveries AS d WHERE (state = 0) <> EXISTS \
     (SELECT 1 FROM tasks AS t WHERE t.sequence = d.sequence AND t.work = 0)",
    "SELECT count(*) FROM deliveries AS d WHERE (state = 1) <> EXISTS \
     (SELECT 1 FROM tasks AS t WHERE t.sequence = d.sequence AND t.work = 2)",
    "SELECT count(*) FROM deliveries WHERE (state > 2) <> (ended_at IS NOT NULL)",
    "SELECT count(*) FROM tasks AS t JOIN deliveries AS d ON d.sequence = t.sequence \
     WHERE t.behind <> EXISTS (SELECT 1 FROM deliveries AS o WHERE o.destination = d.destination \
     AND o.order_key = d.order_key AND o.state < 2 AND o.sequence < d.sequence)",
    "SELECT count(*) FROM totals WHERE bytes <> (SELECT sum(bytes) FROM deliveries) \
     OR open <> (SELECT count(*) FROM deliveries WHERE ended_at IS NULL) \
     OR keys <> (SELECT count(*) FROM keys) \
     OR keys <> (SELECT sum(deliveries) FROM counts)",
];

fn check_tables(folder: &Path) {
    let database = rusqlite::Connection::open(folder.join("inbox.db")).unwrap();
    for sql in SOUND {
        let wrong: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(wrong, 0, "{sql}");
    }
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// Everything that was said is so: the last thing of each delivery.
fn check(folder: &Path, said: &[[String; 3]]) {
    let journal = open(folder);
    let desk = Desk::open(folder, Clock::system()).unwrap();
    let states: HashMap<String, State> = desk
        .list(&Filter::default(), usize::MAX)
        .unwrap()
        .into_iter()
        .map(|one| (one.id.to_string(), one.state))
        .collect();
    let lasts: HashMap<&str, &[String; 3]> =
        said.iter().map(|words| (words[1].as_str(), words)).collect();
    runtime().block_on(async {
        for [what, name, id] in lasts.values() {
            let state = states[id];
            match what.as_str() {
                // What came of it may have reached the disk, and nobody was told.
                "stored" => assert_ne!(state, State::Held, "{name}"),
                "delivered" => assert_eq!(state, State::Delivered, "{name}"),
                "confirmed" => assert_eq!(state, State::Delivering, "{name}"),
                _ => assert_eq!(state, State::Disagreed, "{name}"),
            }
            let lane = name.rsplit_once('-').unwrap().0;
            let again = journal.keep(delivery(lane, name, Work::Deliver)).await;
            let Ok(Kept::Duplicate(known)) = again else { panic!("{name}: {again:?}") };
            assert_eq!(known.as_str(), id, "{name}");
        }
    });
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(&PathBuf::from(folder), &std::env::var(ROUND).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for round in 0..KILLS {
        let said = killed(folder.path(), round);
        assert!(!said.is_empty(), "round {round} said nothing");
        check(folder.path(), &said);
        all.extend(said);
    }
    assert!(all.iter().filter(|[what, _, _]| what == "stored").count() > 1000, "{}", all.len());
    check(folder.path(), &all);
    check_tables(folder.path());
}

/// In a process that may write no more than so many bytes to a file, until it allows itself more.
fn limited(folder: &Path) {
    let journal = open(folder);
    let keep = |number: u32| {
        let mut new = delivery("lane", &format!("{number}"), Work::Deliver);
        new.body = vec![b'x'; 64 * 1024].into();
        journal.keep(new)
    };
    let runtime = runtime();
    runtime.block_on(async {
        let mut kept = Vec::new();
        for number in 0..40 {
            kept.push((number, keep(number).await.is_ok()));
        }
        let stored = kept.iter().filter(|(_, stored)| *stored).count();
        assert!((1..40).contains(&stored), "{stored}");
        assert!(journal.fault().is_some());
        // What could not be kept is not due, and what was is still read.
        let lane = Lane { work: Work::Deliver, name: "lane".into() };
        let due = || journal.due(&lane, u64::MAX, false, 100, &HashSet::new()).unwrap().len();
        assert_eq!(due(), stored);
        assert_eq!(journal.usage().unwrap().keys, u64::try_from(stored).unwrap());
        setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        for (number, was_stored) in kept {
            match keep(number).await {
                Ok(Kept::Duplicate(_)) => assert!(was_stored, "{number}"),
                Ok(Kept::Stored(_)) => assert!(!was_stored, "{number}"),
                Err(Busy) => panic!("{number}: {:?}", journal.fault()),
            }
        }
        assert_eq!(journal.fault(), None);
        assert_eq!(due(), 40);
    });
}

#[test]
fn a_full_disk_makes_it_busy_and_nothing_is_remembered() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return limited(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // A process that writes more is not to be ended, but told.
    let script = "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", FULL, "--nocapture", "--test-threads=1"]).env(FOLDER, folder.path());
    let done = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stdout));
    check_tables(folder.path());
}
