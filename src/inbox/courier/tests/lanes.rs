//! One lane over a journal, without any call.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::inbox::courier::lane::{Duty, Lane, Learned};
use crate::inbox::courier::tests::bench::{Bench, destination, run, source};
use crate::inbox::destination::Destination;
use crate::journal::{self, Work};

const NOW: u64 = 1_790_000_000;

/// A lane of a destination for which ten deliveries lie, four of which may be under way.
struct Scene {
    bench: Bench,
    lane: Lane,
    duty: Duty,
}

impl Scene {
    async fn new() -> Self {
        let shop = Destination {
            concurrency: NonZeroUsize::new(4).unwrap(),
            ..destination("shop", ([127, 0, 0, 1], 1).into())
        };
        let (clock, _) = Clock::by_hand(Timestamp::from_secs(NOW));
        let mut bench = Bench::new(vec![source("pay", shop, |_| {})], clock);
        for n in 0..10 {
            bench.keep("pay", &format!("order-{n}")).await;
        }
        let sources = bench.sources.load_full();
        let source = sources.named("pay").unwrap();
        let duty = Duty::Deliver(Arc::clone(&source.destination));
        let key = journal::Lane { work: Work::Deliver, name: "shop".into() };
        Self { bench, lane: Lane::new(key, duty.clone()), duty }
    }

    /// Which deliveries begin now.
    fn take(&mut self) -> Vec<i64> {
        let taken = self.lane.take(&self.bench.journal, NOW * 1000).unwrap();
        taken.into_iter().map(|(_, task)| task.delivery.sequence).collect()
    }
}

#[test]
fn nothing_begins_twice_and_no_more_than_may() {
    run(async {
        let mut scene = Scene::new().await;
        let first = scene.take();
        assert_eq!((first.len(), scene.take()), (4, Vec::new()));
        scene.lane.end(first[1], Some(Learned::Well));
        let next = scene.take();
        // What ended is still there as long as nobody wrote down what came of it.
        assert_eq!(next, [first[1]]);
    });
}

#[test]
fn failures_leave_one_until_it_is_well_again() {
    run(async {
        let mut scene = Scene::new().await;
        let all = scene.take();
        for sequence in &all[..3] {
            scene.lane.end(*sequence, Some(Learned::Failed));
        }
        assert!(scene.take().is_empty(), "the fourth is still under way");
        scene.lane.end(all[3], Some(Learned::Failed));
        let probe = scene.take();
        assert_eq!((probe.len(), scene.take()), (1, Vec::new()));
        scene.lane.end(probe[0], Some(Learned::Failed));
        assert_eq!(scene.take().len(), 1);
        scene.lane.end(probe[0], Some(Learned::Well));
        assert_eq!(scene.take().len(), 4);
    });
}

#[test]
fn a_lane_rests_after_what_should_not_be_and_then_goes_on() {
    run(async {
        let mut scene = Scene::new().await;
        let all = scene.take();
        scene.lane.end(all[0], None);
        let wakes = scene.lane.wakes().unwrap();
        assert!(wakes > Instant::now() && scene.take().is_empty());
        tokio::time::sleep_until(wakes.into()).await;
        assert_eq!(scene.take(), [all[0]]);
    });
}

#[test]
fn what_is_stopped_or_gone_begins_nothing() {
    run(async {
        let mut scene = Scene::new().await;
        let all = scene.take();
        scene.lane.end(all[0], Some(Learned::Gone));
        assert!(scene.take().is_empty() && scene.lane.wakes().is_none());
        scene.lane.set_stopped(false);
        scene.lane.touch();
        assert_eq!(scene.take().len(), 1);
        scene.lane.set_duty(None);
        assert!(scene.take().is_empty() && !scene.lane.is_over());
        for sequence in &all {
            scene.lane.end(*sequence, Some(Learned::Well));
        }
        assert!(scene.take().is_empty() && scene.lane.is_over());
        scene.lane.set_duty(Some(scene.duty.clone()));
        assert_eq!(scene.take().len(), 4);
    });
}
