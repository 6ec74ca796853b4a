//! The ledger in a process that is killed, two hundred times over: nothing that it said yes to is
//! lost, and nothing that was not sent is kept.
//!
//! The test is both: run by itself it is the parent; with a folder in its environment, the child.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::store::ledger::{Ledger, Message, Order, OrderState, Refused};
use countersign::telemetry::GateMetrics;
use futures_util::future::join_all;

const FOLDER: &str = "LEDGER_TEST_FOLDER";
const ROUND: &str = "LEDGER_TEST_ROUND";
const NAME: &str = "two_hundred_kills_lose_nothing_that_was_acknowledged";
const KILLS: u32 = 200;

fn open(folder: &Path) -> Arc<Ledger> {
    let metrics = GateMetrics::new().unwrap().ledger;
    Ledger::open(folder, Clock::system(), metrics).unwrap_or_else(|fault| panic!("{fault}"))
}

fn order(value: &str) -> Order<'_> {
    let period = Duration::from_secs(3600);
    Order { merchant: "acme", environment: "live", group: "pay", value, period }
}

fn message(proof: &str) -> Message<'_> {
    Message { credential: "pk", secret: b"a secret of sixteen", proof: proof.as_bytes() }
}

/// Sixteen at a time take numbers, and do with each what its last digit says.
fn child(folder: &Path, round: &str) {
    let ledger = open(folder);
    let say = |what: &str, number: &str| {
        let line = format!("{what} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    let (ledger, say) = (&ledger, &say);
    let work = |lane: u32| async move {
        for step in 0.. {
            let number = format!("{round}-{lane}-{step}");
            let mut hold = ledger.reserve(&order(&number)).await.unwrap();
            match step % 4 {
                // Only taken, and in its hands for good.
                0 => {
                    std::mem::forget(hold);
                    say("taken", &number);
                }
                1 => {
                    hold.sent().await.unwrap();
                    say("sent", &number);
                    std::mem::forget(hold);
                }
                2 => {
                    hold.sent().await.unwrap();
                    say("sent", &number);
                    hold.answered(false);
                }
                _ => {
                    ledger.remember(&message(&number)).await.unwrap().sent().await.unwrap();
                    say("remembered", &number);
                }
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(join_all((0..16).map(work)));
}

/// Runs a child until it has said so many things, and some microseconds more; what it said.
fn killed(folder: &Path, round: u32) -> Vec<(String, String)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(ROUND, round.to_string());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<String> =
        lines.by_ref().take(4 + usize::try_from(round % 40).unwrap()).map(Result::unwrap).collect();
    std::thread::sleep(Duration::from_micros(u64::from(round) * 37 % 3000));
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.map_while(Result::ok));
    let pairs = said.iter().filter_map(|line| line.split_once(' '));
    let known = ["taken", "sent", "remembered"];
    let pairs = pairs.filter(|(what, _)| known.contains(what));
    pairs.map(|(what, number)| (what.to_owned(), number.to_owned())).collect()
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(&PathBuf::from(folder), &std::env::var(ROUND).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut all = Vec::new();
    let check = |said: &[(String, String)], ledger: &Arc<Ledger>| {
        for (what, number) in said {
            let found = runtime.block_on(async {
                match what.as_str() {
                    "remembered" => ledger.remember(&message(number)).await,
                    _ => ledger.reserve(&order(number)).await,
                }
            });
            match (what.as_str(), found) {
                // Given back at once, so that it is free in the end as well.
                ("taken", Ok(hold)) => drop(hold),
                ("sent" | "remembered", Err(Refused::Taken(state))) => {
                    assert_ne!(state, OrderState::Reserved, "{number}");
                }
                (_, found) => panic!("{what} {number}: {found:?}"),
            }
        }
    };
    for round in 0..KILLS {
        let said = killed(folder.path(), round);
        assert!(!said.is_empty(), "round {round} said nothing");
        check(&said, &open(folder.path()));
        all.extend(said);
    }
    assert!(all.iter().filter(|(what, _)| what == "sent").count() > 1000, "{}", all.len());
    check(&all, &open(folder.path()));
    let database = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
