//! What the ledger costs: orders a second with 256 that wait, how long one waits, and bytes a row.
//!
//! The disk is that of the folder for temporary files; `TMPDIR` names another.
#![expect(clippy::expect_used, reason = "a bench that cannot go on has nothing to measure")]
#![expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "numbers for people")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::{Clock, Timestamp};
use countersign::store::ledger::{Ledger, Message, Order};
use countersign::telemetry::GateMetrics;
use futures_util::future::join_all;

const PERIOD: Duration = Duration::from_secs(24 * 3600);

fn open(folder: &Path) -> Arc<Ledger> {
    let (clock, _) = Clock::by_hand(Timestamp::from_secs(1_764_000_000));
    let metrics = GateMetrics::new().expect("metrics").ledger;
    Ledger::open(folder, clock, metrics).expect("a ledger")
}

async fn order(ledger: &Arc<Ledger>, number: &str) {
    let order = Order {
        merchant: "acme",
        environment: "live",
        group: "pay",
        value: number,
        period: PERIOD,
    };
    let mut hold = ledger.reserve(&order).await.expect("new");
    hold.sent().await.expect("noted");
    hold.answered(false);
}

async fn message(ledger: &Arc<Ledger>, number: &str) {
    let proof = number.as_bytes();
    let message = Message { credential: "pk_live_acme", secret: b"a secret of sixteen", proof };
    let mut hold = ledger.remember(&message).await.expect("new");
    hold.sent().await.expect("noted");
    hold.answered(false);
}

/// So many at once, each a number of times; the time of all, and of each one.
fn run<F: Future<Output = ()>>(
    label: &str,
    waiting: usize,
    each: usize,
    work: impl Fn(String) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let work = &work;
    let lane = |lane: usize| async move {
        let mut times = Vec::with_capacity(each);
        for step in 0..each {
            let started = Instant::now();
            work(format!("{label}-{waiting}-{lane}-{step}")).await;
            times.push(started.elapsed());
        }
        times
    };
    let started = Instant::now();
    let times = runtime.expect("a runtime").block_on(join_all((0..waiting).map(lane)));
    let elapsed = started.elapsed().as_secs_f64();
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    let at =
        |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{label:9} {waiting:4} waiting: {:7.0} a second, half in {:7.3} ms, 99 % in {:7.3} ms",
        times.len() as f64 / elapsed,
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
    );
}

fn bytes(folder: &Path) -> u64 {
    // What is in the log of the database is moved to it when the last connection closes.
    std::fs::metadata(folder.join("ledger.db")).expect("the file").len()
}

fn main() {
    for (waiting, each) in [(1, 1000), (32, 1000), (256, 400)] {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = open(folder.path());
        run("orders", waiting, each, |number| {
            let ledger = Arc::clone(&ledger);
            async move { order(&ledger, &number).await }
        });
        run("messages", waiting, each, |number| {
            let ledger = Arc::clone(&ledger);
            async move { message(&ledger, &number).await }
        });
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (label, count) in [("order", 200_000), ("message", 200_000)] {
        let ledger = open(folder.path());
        let before = bytes(folder.path());
        run(label, 1000, count / 1000, |number| {
            let ledger = Arc::clone(&ledger);
            async move {
                match label {
                    "order" => order(&ledger, &number).await,
                    _ => message(&ledger, &number).await,
                }
            }
        });
        drop(ledger);
        let each = (bytes(folder.path()) - before) as f64 / count as f64;
        println!("{label}: {each:.1} bytes each");
    }
}
