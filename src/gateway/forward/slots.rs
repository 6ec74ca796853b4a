//! How many requests of one core an upstream has at a time, and the short line before it. One that
//! hangs fills its line and then costs nobody anything.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::UpstreamFault;
use crate::gateway::upstream::{Queue, UpstreamSpec};

/// One permit a request in flight, and who waits for one.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    count: usize,
    line: Queue,
    waiting: Cell<usize>,
}

/// One more that waits, for as long as it lives.
struct Waiting<'s>(&'s Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Slots {
    /// This core's part, one of `cores`.
    pub(super) fn new(spec: &UpstreamSpec, cores: NonZeroUsize) -> Self {
        let count = spec.connections_max.get().div_ceil(cores.get());
        let length_max = spec.queue.length_max.get().div_ceil(cores.get());
        let length_max = NonZeroUsize::new(length_max).unwrap_or(NonZeroUsize::MIN);
        let line = Queue { length_max, ..spec.queue };
        Self { free: Arc::new(Semaphore::new(count)), count, line, waiting: Cell::new(0) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.count.saturating_sub(self.free.available_permits())
    }

    /// A permit for one request; when all are taken, the first that comes free in time.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, UpstreamFault> {
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(slot);
        }
        if self.waiting.get() >= self.line.length_max.get() {
            return Err(UpstreamFault::Busy);
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        let slot = timeout(self.line.patience, Arc::clone(&self.free).acquire_owned()).await;
        slot.ok().and_then(Result::ok).ok_or(UpstreamFault::Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn slots(connections: usize, waiting: usize, cores: usize) -> Slots {
        let count = |count| NonZeroUsize::new(count).unwrap();
        let spec = UpstreamSpec {
            connections_max: count(connections),
            queue: Queue { length_max: count(waiting), patience: Duration::from_secs(1) },
            ..UpstreamSpec::new("a".into(), Vec::new())
        };
        Slots::new(&spec, count(cores))
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn the_line_is_short_and_moves_on() {
        let slots = slots(3, 4, 2);
        let mut taken = vec![slots.take().await.unwrap(), slots.take().await.unwrap()];
        assert_eq!((slots.count(), slots.taken()), (2, 2));
        let mut first = Box::pin(slots.take());
        let mut second = Box::pin(slots.take());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(slots.take().await.unwrap_err(), UpstreamFault::Busy, "at once");
        taken.pop();
        let _first = first.await.unwrap();
        assert_eq!(second.await.unwrap_err(), UpstreamFault::Busy, "after a while");
        assert_eq!(slots.waiting.get(), 0);
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn one_that_leaves_leaves_the_line() {
        let slots = slots(1, 1, 1);
        let _taken = slots.take().await.unwrap();
        let mut waits = Box::pin(slots.take());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(waits);
        assert_eq!(slots.waiting.get(), 0);
    }
}
