//! The mark: a stamp on the disk that no passed message is above, so that a start after a crash
//! knows what to refuse.
//!
//! Promises that a claim passes only up to what is durable. Must never be done here: writing on the
//! path; one thread of its own writes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock::{Clock, Timestamp};

use super::{Memory, Refusal, StateFolder};

/// How far ahead of the gate's time the mark stands.
const AHEAD: Duration = Duration::from_secs(2);
/// Without a mark in order for this long, the memory is busy.
const OVERDUE: Duration = Duration::from_secs(2);
/// How often the marking thread looks whether there is something to write.
const LOOK: Duration = Duration::from_millis(250);

/// What claims know of the mark.
pub(super) struct Settled {
    /// Claims up to this many seconds pass at once. Never above what is durable; 0 while overdue.
    reached: AtomicU64,
    /// The newest stamp that a claim waits for.
    wanted: AtomicU64,
    /// When the mark was last in order, in ms since `start`.
    in_order_ms: AtomicU64,
    start: Instant,
    /// Without a folder there is nothing to write.
    always: bool,
    written: Notify,
    writer: OnceLock<Thread>,
    fault: Mutex<Option<io::Error>>,
}

impl Settled {
    /// For a memory that no folder keeps.
    pub(super) fn always() -> Self {
        Self { always: true, ..Self::up_to(u64::MAX) }
    }

    /// With a mark of so many seconds on the disk; 0 is none.
    pub(super) fn up_to(mark: u64) -> Self {
        Self {
            reached: AtomicU64::new(mark),
            wanted: AtomicU64::new(0),
            in_order_ms: AtomicU64::new(0),
            start: Instant::now(),
            always: false,
            written: Notify::new(),
            writer: OnceLock::new(),
            fault: Mutex::new(None),
        }
    }

    /// Whether a claim with this stamp passes without waiting.
    pub(super) fn reaches(&self, stamp: Timestamp) -> bool {
        stamp.secs() <= self.reached.load(Ordering::Acquire)
    }

    /// Waits until the mark on the disk covers a stamp.
    pub(super) async fn wait(&self, stamp: Timestamp) -> Result<(), Refusal> {
        if self.overdue().is_some() {
            return Err(Refusal::Busy);
        }
        self.wanted.fetch_max(stamp.secs(), Ordering::SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
        let covered = async {
            loop {
                let mut written = std::pin::pin!(self.written.notified());
                // Enlisted before the look, so that no write is missed between the two.
                written.as_mut().enable();
                if self.reaches(stamp) {
                    return;
                }
                written.await;
            }
        };
        tokio::time::timeout(OVERDUE, covered).await.map_err(|_| Refusal::Busy)
    }

    /// For how long the mark has been overdue, if it is; then no claim passes until it is in order.
    pub(super) fn check(&self) -> Option<Duration> {
        let overdue = self.overdue();
        if overdue.is_some() {
            // A write that succeeds at this moment is seen again at the writer's next look.
            self.reached.store(0, Ordering::Release);
        }
        overdue
    }

    fn overdue(&self) -> Option<Duration> {
        let in_order = Duration::from_millis(self.in_order_ms.load(Ordering::Acquire));
        let since = self.start.elapsed().saturating_sub(in_order);
        (!self.always && since > OVERDUE).then_some(since)
    }

    fn in_order(&self, mark: u64) {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.in_order_ms.store(now_ms, Ordering::Release);
        if self.reached.swap(mark, Ordering::AcqRel) != mark {
            self.written.notify_waiters();
        }
    }

    fn fault(&self) -> std::sync::MutexGuard<'_, Option<io::Error>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Why the mark could not be written the last time, if so: for the log.
    pub fn mark_fault(&self) -> Option<String> {
        self.settled.fault().as_ref().map(ToString::to_string)
    }
}

/// The thread that keeps the mark 2 s ahead of the gate's time.
#[derive(Debug)]
pub struct Marker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Marker {
    /// Starts the thread. Claims above the mark of the last run wait for its first write.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(memory: Arc<Memory>, folder: Arc<StateFolder>, clock: Clock) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || keep_mark(&memory, &folder, &clock, &stopped);
        let thread = thread::Builder::new().name("mark".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and waits for it: before the memory is saved.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say; had it panicked, the mark would be overdue.
            let _ended = thread.join();
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.end();
    }
}

fn keep_mark(memory: &Memory, folder: &StateFolder, clock: &Clock, stop: &AtomicBool) {
    let settled = &memory.settled;
    // Asked for by claims before this thread was there: `wanted` keeps it.
    let _first = settled.writer.set(thread::current());
    let mut durable = settled.reached.load(Ordering::Acquire);
    let mut has_no_past = true;
    while !stop.load(Ordering::Acquire) {
        let ahead = clock.now().saturating_add(AHEAD).secs();
        let goal = ahead.max(settled.wanted.load(Ordering::SeqCst)).max(durable);
        match write(folder, goal, durable, &mut has_no_past) {
            Ok(()) => {
                durable = goal;
                settled.in_order(durable);
                *settled.fault() = None;
            }
            Err(fault) => {
                *settled.fault() = Some(fault);
                settled.check();
            }
        }
        thread::park_timeout(LOOK);
    }
}

/// Writes what is not on the disk yet. The marker of no past goes after the first mark is durable:
/// in between, the mark counts.
fn write(folder: &StateFolder, goal: u64, durable: u64, has_no_past: &mut bool) -> io::Result<()> {
    if goal > durable {
        folder.write_mark(goal)?;
    }
    if *has_no_past {
        folder.remove_no_past()?;
        *has_no_past = false;
    }
    Ok(())
}
