//! What is done for deliveries after they were acknowledged: confirm, post back, deliver. A loop
//! over lanes, each with its own concurrency and pace, so that a slow one hurts nobody else.
//!
//! Promises that a delivery is tried under one id until its destination has it or its schedule is
//! over. Must never be done here: judging a message once more.

mod attempt;
mod confirm;
mod deliver;
mod lane;
mod pace;
mod post_back;
mod request;
mod rounds;
mod schedule;
mod signature;
mod work;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::{Journal, Settled};
use crate::keyring::Keyring;
use crate::telemetry::{InboxMetrics, Log};

use super::source::Sources;

use lane::Learned;
use rounds::Rounds;

/// How long at most nothing is looked at: another process may have asked for something.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long calls that are under way may go on after the order to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// All that the courier needs.
pub struct Courier {
    /// Where deliveries are kept.
    pub journal: Arc<Journal>,
    /// The snapshot in force.
    pub sources: Arc<ArcSwap<Sources>>,
    /// Keys, for inquiries.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The gate's time.
    pub clock: Clock,
    /// Where it tells what people must know.
    pub log: Log,
    /// What is counted.
    pub metrics: InboxMetrics,
}

/// What came of one try.
struct Outcome {
    settled: Settled,
    learned: Learned,
}

impl Outcome {
    /// Of who answered as they should.
    fn well(settled: Settled) -> Self {
        Self { settled, learned: Learned::Well }
    }
}

impl Courier {
    /// Works until it is told to stop, and then gives calls that are under way a moment to end.
    /// What was not settled by then is done again at the next start. Runs on a `LocalRuntime`.
    pub async fn run(self, stop: CancellationToken) {
        let journal = Arc::clone(&self.journal);
        let mut rounds = Rounds::new(self);
        // Before anything is read: what comes in between wakes it.
        let mut changed = std::pin::pin!(journal.changed());
        let mut look_at = Instant::now();
        while !stop.is_cancelled() {
            if look_at <= Instant::now() {
                rounds.look();
                look_at = Instant::now() + LOOK_EVERY;
            }
            let due = rounds.begin().map_or(look_at, Instant::from_std);
            tokio::select! {
                () = stop.cancelled() => {}
                ended = rounds.ended() => rounds.end(ended),
                () = &mut changed => {
                    changed.set(journal.changed());
                    look_at = Instant::now();
                }
                () = sleep_until(look_at.min(due)) => {}
            }
        }
        // Whatever is still under way after that is cut off with the last of `rounds`.
        drop(timeout(FAREWELL, rounds.all_ended()).await);
    }
}

#[cfg(test)]
mod tests;
