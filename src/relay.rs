//! Wake-ups on their way to a task, without those that the task would cause itself for nothing.
//!
//! The HTTP library wakes a connection for each piece of a body that is taken from it, the last one
//! too, after which nothing is left to do. Where the task that takes a piece is the one that moves
//! the connection, such a wake-up costs a whole turn of it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Stands between what wakes and the task that is woken. Everything that is hushed happens on the
/// thread of that task.
#[derive(Debug)]
pub struct Relay {
    line: Arc<Line>,
    /// Made once, because it counts references that every processor may write.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Line {
    task: AtomicWaker,
    hushed: AtomicBool,
    heard: AtomicBool,
}

impl Relay {
    /// One that leads to no task yet.
    pub fn new() -> Rc<Self> {
        let line = Arc::<Line>::default();
        let waker = Waker::from(Arc::clone(&line));
        Rc::new(Self { line, waker })
    }

    /// The waker whose calls it hands on.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// From now on the task of this context is woken.
    pub fn follow(&self, cx: &Context<'_>) {
        self.line.task.register(cx.waker());
    }

    /// From now on nobody is woken.
    pub fn forget(&self) {
        drop(self.line.task.take());
    }

    /// Does something; a wake-up from within it reaches nobody, and is told.
    pub fn hush<T>(&self, deed: impl FnOnce() -> T) -> (T, bool) {
        self.line.hushed.store(true, Ordering::Relaxed);
        let done = deed();
        self.line.hushed.store(false, Ordering::Relaxed);
        // Mostly nothing was heard, and to look is cheaper than to exchange.
        let heard = self.line.heard.load(Ordering::Relaxed);
        if heard {
            self.line.heard.store(false, Ordering::Relaxed);
        }
        (done, heard)
    }
}

impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.hushed.load(Ordering::Relaxed) {
            true => self.heard.store(true, Ordering::Relaxed),
            false => self.task.wake(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    pub(crate) struct Count(pub(crate) AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_what_is_hushed_and_what_has_no_task_wakes_nobody() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let relay = Relay::new();
        let woken = || count.0.swap(0, Ordering::Relaxed);
        relay.waker().wake_by_ref();
        assert_eq!(woken(), 0);
        relay.follow(&Context::from_waker(&task));
        assert_eq!(relay.hush(|| relay.waker().wake_by_ref()), ((), true));
        assert_eq!(relay.hush(|| 7), (7, false));
        assert_eq!(woken(), 0);
        relay.waker().wake_by_ref();
        assert_eq!(woken(), 1);
        relay.follow(&Context::from_waker(&task));
        relay.forget();
        relay.waker().wake_by_ref();
        assert_eq!(woken(), 0);
    }
}
