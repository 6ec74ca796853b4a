//! Webhooks that were taken, kept on the disk until they are done with: deliveries, what is still
//! to be done for each, what was refused, and by what a repeated one is known.
//!
//! Promises that what [`Journal::keep`] said is kept has reached the disk, once, together with all
//! that is to be done for it; and that nothing else is. One writes: a thread of its own, which
//! commits what queued meanwhile. Must never be done here: judging a message.

mod content;
mod delivery;
mod desk;
mod keeping;
mod name;
mod progress;
mod reader;
mod refusals;
mod retention;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::telemetry::JournalMetrics;

use content::Fresh;
use progress::Outcome;
use reader::Reader;
use tables::Place;
use writer::{Op, Reply, Writer};

pub use delivery::{
    ATTEMPTS_MAX, Attempt, Confirmation, Delivery, DeliveryId, Facts, Lane, NewDelivery, Settled,
    State, Task, Verdict, Work,
};
pub use desk::{Desk, Filter, History};
pub use refusals::{Refusal, RefusalRow};

/// The file of the state folder that the tables are in.
const FILE: &str = "inbox.db";

/// Questions that may wait for the writer; one more is refused.
const WAITING_MAX: usize = 8 * 1024;
/// Bytes of deliveries that may wait for it.
const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The journal of a state folder, open. Dropped, it writes what has queued and ends its thread.
pub struct Journal {
    queue: Option<Sender<Op>>,
    clock: Clock,
    metrics: JournalMetrics,
    shared: Arc<Shared>,
    reader: Reader,
    thread: Option<JoinHandle<()>>,
}

/// What the writer shares with those who ask.
#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    limits: Mutex<JournalLimits>,
    refusals: Mutex<refusals::Buffer>,
    /// Secrets of which keys were forgotten, by their sources.
    forgotten: RwLock<HashMap<String, HashSet<[u8; 16]>>>,
    /// Open deliveries that were not signed, by their sources.
    unsigned: RwLock<HashMap<String, u64>>,
    changed: Arc<Notify>,
    /// Why the newest commit failed; none: it did not.
    fault: Mutex<Option<String>>,
}

/// How much a journal may hold. Whatever is full refuses new deliveries with [`Busy`]; nothing
/// that is not done with is ever removed to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Bytes of deliveries, done ones included.
    pub bytes: u64,
    /// Deliveries that are not done with.
    pub open: u64,
    /// Keys by which repeated deliveries are known.
    pub keys: u64,
    /// Refused messages of one source that are noted; the oldest make room.
    pub refusals: u64,
    /// How long a delivery that is done with is kept.
    pub keep_done: Duration,
    /// How long one that is dead or disagreed about is kept.
    pub keep_failed: Duration,
    /// How long a refused message is noted.
    pub keep_refusals: Duration,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            bytes: 8 * 1024 * 1024 * 1024,
            open: 1_000_000,
            keys: 50_000_000,
            refusals: 10_000,
            keep_done: 30 * DAY,
            keep_failed: 90 * DAY,
            keep_refusals: 30 * DAY,
        }
    }
}

/// What [`Journal::keep`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on the disk.
    Stored(DeliveryId),
    /// It was there before.
    Duplicate(DeliveryId),
}

/// The journal is full, away, or has too much to do. Nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The database.
    #[error("{}: the journal of webhooks cannot be used: {cause}", .path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },
    /// The file.
    #[error("{}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The file, which a newer version made.
    #[error("{}: a newer version made this journal of webhooks", .path.display())]
    Newer {
        /// Its file.
        path: PathBuf,
    },
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::crypto::NoRandom),
    /// No thread.
    #[error("the system gives no thread: {0}")]
    Thread(io::Error),
}

/// How much a journal holds, for gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of deliveries.
    pub bytes: u64,
    /// Keys by which repeated ones are known.
    pub keys: u64,
    /// Deliveries by destination and state.
    pub deliveries: Vec<(String, State, u64)>,
    /// When the oldest came that is not done with, by destination, in Unix milliseconds.
    pub oldest_open_millis: Vec<(String, u64)>,
}

impl Journal {
    /// Opens the journal of a state folder for the gate: makes one where there is none, and starts
    /// the thread that writes.
    ///
    /// # Errors
    /// What the file, the database or the system says.
    pub fn open(
        folder: &Path,
        clock: Clock,
        metrics: JournalMetrics,
    ) -> Result<Arc<Self>, JournalFault> {
        Self::at(Place::File(folder.join(FILE)), clock, metrics)
    }

    /// A journal that ends with the process, for demonstrations and tests.
    ///
    /// # Errors
    /// What the database or the system says.
    pub fn in_memory(clock: Clock, metrics: JournalMetrics) -> Result<Arc<Self>, JournalFault> {
        Self::at(Place::memory(), clock, metrics)
    }

    /// Sets how much may be kept from now on.
    pub fn set_limits(&self, limits: JournalLimits) {
        *lock(&self.shared.limits) = limits;
    }

    /// Keeps a delivery with everything that is to be done for it, unless its key is known.
    ///
    /// # Errors
    /// [`Busy`]: nothing was kept, and the sender has to try again.
    pub async fn keep(&self, delivery: NewDelivery) -> Result<Kept, Busy> {
        let id = name::fresh(self.clock.now_millis()).map_err(|_| Busy)?;
        let fresh = Fresh::new(id, delivery).ok_or(Busy)?;
        self.ask(|reply| Op::Keep(Box::new(fresh), reply)).await
    }

    /// Notes a refused message. Waits for nobody; under a flood some are only counted.
    pub fn note_refusal(&self, refusal: Refusal) {
        if !self.shared.refusals().note(refusal) {
            self.metrics.refusals_dropped.inc();
        }
    }

    /// Whether keys of a secret of a source were forgotten because of their age: then a message
    /// under it may be older than memory reaches, and has to be confirmed.
    pub fn has_forgotten(&self, source: &str, secret: &[u8; 16]) -> bool {
        let forgotten = self.shared.forgotten.read().unwrap_or_else(PoisonError::into_inner);
        forgotten.get(source).is_some_and(|secrets| secrets.contains(secret))
    }

    /// How many deliveries of a source are not done with and were not signed, a quarter of a second
    /// ago at the most. From memory.
    pub fn open_unsigned(&self, source: &str) -> u64 {
        let unsigned = self.shared.unsigned.read().unwrap_or_else(PoisonError::into_inner);
        unsigned.get(source).copied().unwrap_or(0)
    }

    /// What is due in a lane at a time, the longest due first, without those whose sequence is
    /// among `without`. In an ordered lane nothing comes before what is older and of the same order
    /// key; of a stopped destination nothing is due. Blocks shortly: for the thread that does the
    /// work.
    ///
    /// # Errors
    /// What the database says.
    pub fn due(
        &self,
        lane: &Lane,
        now_millis: u64,
        ordered: bool,
        most: usize,
        without: &HashSet<i64>,
    ) -> Result<Vec<Task>, JournalFault> {
        self.reader.read(|one| reader::due(one, lane, now_millis, ordered, most, without))
    }

    /// When the first task of a lane is due, in Unix milliseconds: those that are under way, and
    /// those that wait for an older one, included. None where its destination is stopped.
    ///
    /// # Errors
    /// What the database says.
    pub fn next_due(&self, lane: &Lane) -> Result<Option<u64>, JournalFault> {
        self.reader.read(|one| reader::next_due(one, lane))
    }

    /// Writes down what came of a task.
    ///
    /// # Errors
    /// [`Busy`]: it is to be taken as not tried; it will be tried again. So it is where nothing of
    /// that kind can come of that work.
    pub async fn settle(&self, sequence: i64, work: Work, settled: Settled) -> Result<(), Busy> {
        let outcome = Outcome::new(sequence, work, settled).ok_or(Busy)?;
        self.ask(|reply| Op::Settle(Box::new(outcome), reply)).await
    }

    /// Resolves after the next commit that brought work, or that another process made.
    /// Subscribe (call) before reading, await after: then no wake is missed.
    pub fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.shared.changed).notified_owned()
    }

    /// Stops a destination (410): nothing is delivered to it until it is resumed.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn stop_destination(&self, name: &str, why: &str) -> Result<(), Busy> {
        self.ask(|reply| Op::Stop(name.to_owned(), why.to_owned(), reply)).await
    }

    /// Destinations that are stopped, with why.
    ///
    /// # Errors
    /// What the database says.
    pub fn stopped(&self) -> Result<BTreeMap<String, String>, JournalFault> {
        self.reader.read(reader::stopped)
    }

    /// How much it holds. Blocks shortly.
    ///
    /// # Errors
    /// What the database says.
    pub fn usage(&self) -> Result<Usage, JournalFault> {
        self.reader.read(reader::usage)
    }

    /// Why nothing could be written the last time, if so: for the log.
    pub fn fault(&self) -> Option<String> {
        self.shared.fault().clone()
    }

    fn at(place: Place, clock: Clock, metrics: JournalMetrics) -> Result<Arc<Self>, JournalFault> {
        let connection = place.make()?;
        let reader = Reader::new(&place)?;
        let shared = Arc::new(Shared::default());
        let (queue, questions) = mpsc::channel();
        let (told, counts) = (Arc::clone(&shared), metrics.clone());
        let writer = Writer::new(place.clone(), connection, questions, told, clock.clone(), counts);
        let writer = writer.map_err(|cause| place.fault(cause))?;
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || writer.run()).map_err(JournalFault::Thread)?;
        let queue = Some(queue);
        Ok(Arc::new(Self { queue, clock, metrics, shared, reader, thread: Some(thread) }))
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Op) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        let op = question(reply);
        if !self.shared.enter(op.bytes()) {
            return Err(Busy);
        }
        self.metrics.waiting.inc();
        // A writer that is no more drops its questions, and then nobody gets a yes.
        let _gone = self.queue.as_ref().map(|queue| queue.send(op));
        timeout(PATIENCE, answer).await.ok().and_then(Result::ok).ok_or(Busy)?
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A thread that panicked has nothing left to write.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.waiting.load(Ordering::Relaxed);
        f.debug_struct("Journal").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes a place among those who wait, where there is one.
    fn enter(&self, bytes: usize) -> bool {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting_bytes = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is larger than all that may wait is taken when nothing does.
        let fits = waiting < WAITING_MAX && waiting_bytes < WAITING_BYTES_MAX;
        if !fits {
            self.leave(bytes);
        }
        fits
    }

    fn leave(&self, bytes: usize) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn limits(&self) -> JournalLimits {
        *lock(&self.limits)
    }

    fn refusals(&self) -> MutexGuard<'_, refusals::Buffer> {
        lock(&self.refusals)
    }

    fn fault(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.fault)
    }

    fn mark(&self, secrets: Vec<(String, [u8; 16])>) {
        if secrets.is_empty() {
            return;
        }
        let mut forgotten = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        for (source, secret) in secrets {
            forgotten.entry(source).or_default().insert(secret);
        }
    }

    fn set_unsigned(&self, counts: Vec<(String, u64)>) {
        let mut unsigned = self.unsigned.write().unwrap_or_else(PoisonError::into_inner);
        *unsigned = counts.into_iter().collect();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
