//! What the journal costs: acknowledgements a second with 1, 16 and 256 senders, and how long one
//! waits, into an empty journal and into one with 100,000 deliveries that wait for a dead
//! destination, while old ones go. And what reading what is due costs there.
//!
//! The disk is that of the folder for temporary files; `TMPDIR` names another.
#![expect(clippy::expect_used, reason = "a bench that cannot go on has nothing to measure")]
#![expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "numbers for people")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign::clock::{Clock, Hand, Timestamp};
use countersign::journal::{
    Attempt, Desk, Facts, Filter, Journal, Lane, NewDelivery, Settled, Verdict, Work,
};
use countersign::telemetry::GateMetrics;
use futures_util::future::join_all;

const START: u64 = 1_764_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Deliveries that wait for the dead destination, and that are done with and go.
const WAITING: u64 = 100_000;
const OLD: u64 = 100_000;

struct Bed {
    journal: Arc<Journal>,
    clock: Clock,
    hand: Hand,
    next: AtomicU64,
}

impl Bed {
    fn open(folder: &Path) -> Self {
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(START));
        let metrics = GateMetrics::new().expect("metrics").inbox.journal;
        let journal = Journal::open(folder, clock.clone(), metrics).expect("a journal");
        Self { journal, clock, hand, next: AtomicU64::new(1) }
    }

    /// A delivery of 2 KiB and ten header fields, about one of a hundred orders.
    fn delivery(&self, destination: &str) -> NewDelivery {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut key = [0; 32];
        // Keys are digests: they come in no order.
        key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        NewDelivery {
            source: "fiuu".into(),
            destination: destination.into(),
            key,
            secret: Some([1; 16]),
            key_until: Timestamp::from_secs(START + 400 * DAY.as_secs()),
            received_millis: self.clock.now_millis(),
            method: "POST".into(),
            target: "/webhooks/fiuu".into(),
            headers: (0..10)
                .map(|field| (format!("x-field-{field}"), Bytes::from_static(b"a value of it")))
                .collect(),
            body: Bytes::from(vec![b'x'; 2048]),
            verdict: Verdict {
                scheme: "fiuu".into(),
                strength: "partial".into(),
                secret_version: Some(1),
                stated: None,
                provider_id: None,
                must_confirm: None,
            },
            facts: Facts::from([("order".into(), number.to_string())]),
            order_key: Some((number % 100).to_string()),
            first: Some(Work::Deliver),
            post_back: false,
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn print(label: &str, mut times: Vec<Duration>, elapsed: Duration) {
    times.sort_unstable();
    let at =
        |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{label:34}: {:7.0} a second, half in {:7.3} ms, 99 % in {:7.3} ms, all in {:7.3} ms",
        times.len() as f64 / elapsed.as_secs_f64(),
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
        times.last().copied().unwrap_or_default().as_secs_f64() * 1e3,
    );
}

/// So many senders, each a number of times; the time of all, and of each one.
fn keep(bed: &Bed, label: &str, senders: usize, each: usize) {
    let sender = |_| async move {
        let mut times = Vec::with_capacity(each);
        for _ in 0..each {
            let new = bed.delivery("shop");
            let started = Instant::now();
            bed.journal.keep(new).await.expect("kept");
            times.push(started.elapsed());
        }
        times
    };
    let started = Instant::now();
    let times = runtime().block_on(join_all((0..senders).map(sender)));
    let times = times.into_iter().flatten().collect();
    print(&format!("{label}, {senders} senders"), times, started.elapsed());
}

/// Deliveries that go at once when their time is over, and those of a dead destination.
fn fill(bed: &Bed) {
    let attempt = || Attempt {
        id: "att_01jbench000000000000000000".into(),
        at_millis: bed.clock.now_millis(),
        took_millis: 20,
        outcome: "delivered".into(),
        status: Some(200),
    };
    runtime().block_on(async {
        for (destination, count) in [("old", OLD), ("dead", WAITING)] {
            for _ in 0..count / 1000 {
                let new = (0..1000).map(|_| bed.journal.keep(bed.delivery(destination)));
                assert!(join_all(new).await.iter().all(Result::is_ok));
            }
        }
        let sequences: Vec<i64> = (1..).take(OLD as usize).collect();
        for some in sequences.chunks(1000) {
            let done = some.iter().map(|sequence| {
                bed.journal.settle(*sequence, Work::Deliver, Settled::Done { attempt: attempt() })
            });
            assert!(join_all(done).await.iter().all(Result::is_ok));
        }
    });
}

/// What a courier does that finds 16 at a time, all of them under way already.
fn read(bed: &Bed, label: &str, ordered: bool) {
    let lane = Lane { work: Work::Deliver, name: "dead".into() };
    let started = Instant::now();
    let times = (0..200).map(|_| {
        let started = Instant::now();
        let tasks = bed.journal.due(&lane, u64::MAX, ordered, 16, &HashSet::new());
        assert_eq!(tasks.expect("tasks").len(), 16);
        started.elapsed()
    });
    let times = times.collect();
    print(label, times, started.elapsed());
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::open(folder.path());
    for (senders, each) in [(1, 1000), (16, 500), (256, 100)] {
        keep(&bed, "empty", senders, each);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::open(folder.path());
    fill(&bed);
    read(&bed, "due, 100,000 wait", false);
    read(&bed, "due in order, 100,000 wait", true);
    for (senders, each) in [(1, 500), (16, 500), (256, 100)] {
        keep(&bed, "100,000 wait", senders, each);
    }
    bed.hand.advance(31 * DAY);
    bed.clock.tick();
    // Old ones go meanwhile, and a courier reads.
    let reading = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lane = Lane { work: Work::Deliver, name: "dead".into() };
            while reading.load(Ordering::Relaxed) {
                bed.journal.due(&lane, u64::MAX, true, 16, &HashSet::new()).expect("tasks");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for (senders, each) in [(1, 500), (16, 500), (256, 100)] {
            keep(&bed, "100,000 wait, old ones go", senders, each);
        }
        reading.store(false, Ordering::Relaxed);
    });
    let left = bed.journal.usage().expect("usage").deliveries;
    println!("left: {left:?}");
    let desk = Desk::open(folder.path(), bed.clock.clone()).expect("a desk");
    let dead = Filter { destination: Some("dead".into()), ..Filter::default() };
    let started = Instant::now();
    let replayed = desk.replay(&dead, false).expect("replayed");
    println!("replayed {replayed} in {:.2} s", started.elapsed().as_secs_f64());
}
