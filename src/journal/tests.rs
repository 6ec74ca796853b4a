//! The journal against what it promises.

mod keeping;
mod model;
mod order;
mod retention;
mod trouble;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::{Hand, Timestamp};
use crate::telemetry::GateMetrics;

const START: u64 = 1_764_000_000;
const START_MILLIS: u64 = START * 1000;

struct Bed {
    folder: TempDir,
    clock: Clock,
    hand: Hand,
}

impl Bed {
    fn new() -> Self {
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(START));
        Self { folder: tempfile::tempdir().unwrap(), clock, hand }
    }

    fn open(&self) -> Arc<Journal> {
        Journal::open(self.folder.path(), self.clock.clone(), metrics()).unwrap()
    }

    fn desk(&self) -> Desk {
        Desk::open(self.folder.path(), self.clock.clone()).unwrap()
    }

    fn advance(&self, time: Duration) {
        self.hand.advance(time);
        self.clock.tick();
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join(FILE)).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn metrics() -> JournalMetrics {
    GateMetrics::new().unwrap().inbox.journal
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// Waits until something holds.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn verdict() -> Verdict {
    Verdict {
        scheme: "fiuu".into(),
        strength: "partial".into(),
        secret_version: Some(1),
        stated: None,
        provider_id: Some("evt_1".into()),
        must_confirm: Some("partial".into()),
    }
}

/// A delivery to `shop` whose key says all of it.
fn delivery(key: u8) -> NewDelivery {
    NewDelivery {
        source: "fiuu".into(),
        destination: "shop".into(),
        key: [key; 32],
        secret: Some([7; 16]),
        key_until: Timestamp::from_secs(START + 400 * 24 * 3600),
        received_millis: START_MILLIS,
        method: "POST".into(),
        target: "/webhooks/fiuu?x=1".into(),
        headers: vec![("Content-Type".into(), "text/plain".into())],
        body: Bytes::from(format!("body {key}")),
        verdict: verdict(),
        facts: Facts::from([("order".to_owned(), format!("order {key}"))]),
        order_key: None,
        first: Some(Work::Deliver),
        post_back: false,
    }
}

fn stored(kept: Result<Kept, Busy>) -> DeliveryId {
    match kept {
        Ok(Kept::Stored(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn lane(work: Work) -> Lane {
    Lane { work, name: if work == Work::Deliver { "shop".into() } else { "fiuu".into() } }
}

fn due(journal: &Journal, work: Work, now_millis: u64) -> Vec<Task> {
    journal.due(&lane(work), now_millis, false, 1000, &HashSet::new()).unwrap()
}

fn sequences(tasks: &[Task]) -> Vec<i64> {
    tasks.iter().map(|task| task.delivery.sequence).collect()
}

fn attempt(number: u32) -> Attempt {
    Attempt {
        id: format!("att_{number:026}"),
        at_millis: START_MILLIS + u64::from(number),
        took_millis: 5,
        outcome: "status".into(),
        status: Some(500),
    }
}

fn confirmation(agreed: bool) -> Confirmation {
    Confirmation {
        agreed,
        asked: "provider".into(),
        state: Some("succeeded".into()),
        differences: if agreed { Vec::new() } else { vec!["amount: 1 2".into()] },
        at_millis: START_MILLIS,
    }
}
