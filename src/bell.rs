//! Waiting for a socket once. The HTTP library asks several times in a turn whether something has
//! come, and again in every turn; each time the runtime looks, locks and takes the waker anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Rings when there is something to read; until then nobody need look.
#[derive(Debug, Default)]
pub struct Bell {
    /// To who asked last. Mostly that is the same task for as long as the socket lives; another
    /// gets a line of its own, so that none is ever changed and a ring need not lock it.
    line: Option<Line>,
    /// Whether who asked found nothing, and waits.
    waits: bool,
}

#[derive(Debug)]
struct Line {
    cord: Arc<Cord>,
    waker: Waker,
}

#[derive(Debug)]
struct Cord {
    task: Waker,
    rang: AtomicBool,
}

impl Line {
    fn to(task: &Waker) -> Self {
        let cord = Arc::new(Cord { task: task.clone(), rang: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&cord));
        Self { cord, waker }
    }
}

impl Bell {
    /// Looks whether there is something, unless that was done and the bell has not rung since. The
    /// task of the context is woken when it does.
    pub fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let same = self.line.take().filter(|line| line.cord.task.will_wake(cx.waker()));
        if let Some(line) = &same
            && self.waits
            && !line.cord.rang.load(Ordering::Acquire)
        {
            self.line = same;
            return Poll::Pending;
        }
        let line = self.line.insert(same.unwrap_or_else(|| Line::to(cx.waker())));
        // Before the look: what comes after it rings, and is not forgotten.
        line.cord.rang.store(false, Ordering::Release);
        let found = look(&mut Context::from_waker(&line.waker));
        self.waits = found.is_pending();
        found
    }
}

impl Wake for Cord {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::relay::tests::Count;

    #[test]
    fn nobody_looks_twice_before_it_rings_and_every_ring_wakes_who_asked_last() {
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let [first, second] = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
        let woken = || counts.each_ref().map(|count| count.0.swap(0, Ordering::Relaxed));
        let (looks, kept) = (Cell::new(0), Cell::new(None));
        let mut bell = Bell::default();
        let mut poll = |task: &Waker, found: Poll<()>| {
            let found = bell.poll(&Context::from_waker(task), |cx| {
                looks.set(looks.get() + 1);
                kept.set(Some(cx.waker().clone()));
                found
            });
            (found, looks.get())
        };
        let ring = || kept.take().unwrap().wake();
        assert_eq!(poll(&first, Poll::Pending), (Poll::Pending, 1));
        assert_eq!(poll(&first, Poll::Ready(())), (Poll::Pending, 1));
        ring();
        assert_eq!(woken(), [1, 0]);
        assert_eq!(poll(&first, Poll::Ready(())), (Poll::Ready(()), 2));
        assert_eq!(
            poll(&first, Poll::Pending),
            (Poll::Pending, 3),
            "it was found, so it may be again"
        );
        assert_eq!(poll(&second, Poll::Pending), (Poll::Pending, 4), "another task waits now");
        assert_eq!(poll(&second, Poll::Pending), (Poll::Pending, 4));
        ring();
        assert_eq!(woken(), [0, 1]);
        assert_eq!(poll(&second, Poll::Pending), (Poll::Pending, 5));
    }
}
