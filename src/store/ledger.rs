//! What must not happen twice, kept on the disk: orders that went to an upstream, and messages that
//! were accepted under schemes without time.
//!
//! Promises that what it said yes to is durable before [`Hold::sent`] returns, and that nothing
//! else gets a yes for the same meanwhile. Must never be done here: waiting for a disk on the
//! caller's thread. One thread of its own writes, and commits at once whatever queued meanwhile.

mod messages;
mod orders;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::{Clock, Timestamp};
use crate::crypto::{MacKey, NoRandom};
use crate::limit::{LEDGER_MESSAGES_MAX, LEDGER_ORDERS_MAX};
use crate::telemetry::LedgerMetrics;

use messages::MessageEntry;
use orders::OrderEntry;
use tables::Place;
use writer::{Finish, Op, Writer};

pub use orders::{Order, OrderState};

/// The file of the state folder that the tables are in: not that of the keys, whose backups must
/// not wind orders back.
const FILE: &str = "ledger.db";

/// Questions that may wait for the writer; one more is refused.
const WAITING_MAX: usize = 16 * 1024;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// 128 bits of a keyed digest: nobody reads out of it what it was made of.
type Digest = [u8; 16];

/// The ledger. Dropped, it writes what has queued and ends its thread.
pub struct Ledger {
    queue: Option<Sender<Op>>,
    key: MacKey,
    clock: Clock,
    shared: Arc<Shared>,
    tickets: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// What the writer shares with those who ask.
#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    orders: AtomicU64,
    messages: AtomicU64,
    fullest: AtomicU64,
    orders_max: AtomicU64,
    messages_max: AtomicU64,
    /// Why the newest commit failed; none: it did not.
    fault: Mutex<Option<String>>,
}

/// How much may be kept; beyond, everything new is [`Refused::Busy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Orders of all merchants together.
    pub orders: u64,
    /// Messages of one credential, under all its secrets.
    pub messages: u64,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self { orders: LEDGER_ORDERS_MAX, messages: LEDGER_MESSAGES_MAX }
    }
}

/// A message under a scheme that signs no time.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The key id of the credential that signed it.
    pub credential: &'a str,
    /// The secret that signed it, for as long as which it is remembered.
    pub secret: &'a [u8],
    /// What makes it one of its kind: its MAC, or its nonce where that is signed.
    pub proof: &'a [u8],
}

/// Why something gets no yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was there before, and how far it came.
    Taken(OrderState),
    /// The ledger is full, away, or has too much to do.
    Busy,
}

/// The ledger could not note something; then it must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Why the ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The database.
    #[error("{}: the ledger of orders cannot be used: {cause}", .path.display())]
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
    /// No random bytes for its key.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// No thread.
    #[error("the system gives no thread: {0}")]
    Thread(io::Error),
}

/// How much the ledger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Orders whose period is not over, and some whose is.
    pub orders: u64,
    /// Messages.
    pub messages: u64,
    /// Messages of the credential that has the most, of those asked for since the start.
    pub fullest: u64,
    /// Questions that wait.
    pub waiting: usize,
}

/// One order or message as the writer knows it.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Order(OrderEntry),
    Message(MessageEntry),
}

impl Entry {
    fn digest(&self) -> Digest {
        match self {
            Self::Order(order) => order.digest,
            Self::Message(message) => message.digest,
        }
    }
}

impl Ledger {
    /// Opens the ledger of a state folder, and makes one where there is none.
    ///
    /// # Errors
    /// What the file, the database or the system says.
    pub fn open(
        folder: &Path,
        clock: Clock,
        metrics: LedgerMetrics,
    ) -> Result<Arc<Self>, LedgerFault> {
        Self::at(&Place::File(folder.join(FILE)), clock, metrics)
    }

    /// A ledger that ends with the process: for demonstrations and tests.
    ///
    /// # Errors
    /// What the database or the system says.
    pub fn in_memory(clock: Clock, metrics: LedgerMetrics) -> Result<Arc<Self>, LedgerFault> {
        Self::at(&Place::Memory, clock, metrics)
    }

    fn at(place: &Place, clock: Clock, metrics: LedgerMetrics) -> Result<Arc<Self>, LedgerFault> {
        let (connection, key) = tables::open(place)?;
        let shared = Arc::new(Shared::default());
        let (queue, questions) = mpsc::channel();
        let writer =
            Writer::new(connection, questions, Arc::clone(&shared), clock.clone(), metrics);
        let writer = writer.map_err(|cause| place.database(cause))?;
        let thread = std::thread::Builder::new().name("ledger".into());
        let thread = thread.spawn(move || writer.run()).map_err(LedgerFault::Thread)?;
        let tickets = AtomicU64::new(0);
        let ledger = Self { queue: Some(queue), key, clock, shared, tickets, thread: Some(thread) };
        ledger.set_limits(LedgerLimits::default());
        Ok(Arc::new(ledger))
    }

    /// Sets how much may be kept from now on.
    pub fn set_limits(&self, limits: LedgerLimits) {
        self.shared.orders_max.store(limits.orders, Ordering::Relaxed);
        self.shared.messages_max.store(limits.messages, Ordering::Relaxed);
    }

    /// Takes an order that nobody has taken within its period. It is in this process's hands only,
    /// until [`Hold::sent`] makes it durable.
    ///
    /// # Errors
    /// [`Refused::Taken`] for one that somebody has, and [`Refused::Busy`].
    pub async fn reserve(self: &Arc<Self>, order: &Order<'_>) -> Result<Hold, Refused> {
        self.claim(Entry::Order(order.entry(&self.key, self.clock.now()))).await
    }

    /// Takes a message that was not accepted before, in the same way. It is remembered for the life
    /// of the secret that signed it.
    ///
    /// # Errors
    /// As for [`Ledger::reserve`].
    pub async fn remember(self: &Arc<Self>, message: &Message<'_>) -> Result<Hold, Refused> {
        self.claim(Entry::Message(message.entry(&self.key))).await
    }

    /// Says which secrets live: of all others, messages are forgotten once they have been gone for
    /// 30 days. Pairs of key ids and secrets.
    pub fn keep_only<'a>(&self, living: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let names = living.into_iter().map(|(credential, secret)| {
            let message = Message { credential, secret, proof: &[] };
            message.entry(&self.key).secret
        });
        self.tell(Op::Finish(Finish::Living(names.collect())));
    }

    /// How much it holds.
    pub fn usage(&self) -> Usage {
        Usage {
            orders: self.shared.orders.load(Ordering::Relaxed),
            messages: self.shared.messages.load(Ordering::Relaxed),
            fullest: self.shared.fullest.load(Ordering::Relaxed),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
        }
    }

    /// Why nothing could be written the last time, if so: for the log.
    pub fn fault(&self) -> Option<String> {
        self.shared.fault().clone()
    }

    async fn claim(self: &Arc<Self>, entry: Entry) -> Result<Hold, Refused> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let held = Held { entry, ticket };
        // Made before the question: an asker who leaves gives back what he may have got.
        let mut hold = Hold { ledger: Arc::clone(self), held, stage: Stage::Reserved };
        match self.ask(|reply| Op::Claim(held, reply)).await {
            Ok(Ok(())) => Ok(hold),
            Ok(Err(refused)) => {
                hold.stage = Stage::Done;
                Err(refused)
            }
            Err(Busy) => Err(Refused::Busy),
        }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Op) -> Result<T, Busy> {
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Busy);
        }
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply));
        timeout(PATIENCE, answer).await.ok().and_then(Result::ok).ok_or(Busy)
    }

    fn tell(&self, op: Op) {
        // A writer that is no more drops its questions, and then nobody gets a yes.
        let _gone = self.queue.as_ref().map(|queue| queue.send(op));
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A thread that panicked has nothing left to write.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

impl Shared {
    fn fault(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in the hands of one request: what others took by the same digest is not mistaken for
/// it.
#[derive(Clone, Copy, Debug)]
struct Held {
    entry: Entry,
    ticket: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In this process's hands only.
    Reserved,
    /// Perhaps on the disk, and nothing has left.
    Sending,
    /// On the disk, and something may have left.
    Sent,
    /// Settled.
    Done,
}

/// An order or message that one request has and no other gets. Dropped before it is sent, it is
/// free again; dropped after, it stays taken, for nobody knows what came of it.
#[must_use]
pub struct Hold {
    ledger: Arc<Ledger>,
    held: Held,
    stage: Stage,
}

impl Hold {
    /// Notes that it is about to leave. Nothing may leave before this has returned `Ok`.
    ///
    /// # Errors
    /// [`Busy`] where it cannot be made durable: then it must not leave.
    pub async fn sent(&mut self) -> Result<(), Busy> {
        if self.stage == Stage::Sent {
            return Ok(());
        }
        self.stage = Stage::Sending;
        let held = self.held;
        self.ledger.ask(|reply| Op::Send(held, reply)).await??;
        self.stage = Stage::Sent;
        Ok(())
    }

    /// Notes that it was answered. An order may be released by its answer, a message never is.
    pub fn answered(mut self, released: bool) {
        self.stage = match self.held.entry {
            Entry::Order(_) if released => Stage::Sending,
            Entry::Order(order) => {
                self.ledger.tell(Op::Finish(Finish::Answered(order)));
                Stage::Done
            }
            Entry::Message(_) => Stage::Done,
        };
    }

    /// Gives it back: it is certain that nothing has left.
    pub fn give_back(mut self) {
        if self.stage == Stage::Sent {
            self.stage = Stage::Sending;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        match self.stage {
            Stage::Reserved => self.ledger.tell(Op::Withdraw(self.held)),
            Stage::Sending => self.ledger.tell(Op::Finish(Finish::Erased(self.held))),
            Stage::Sent | Stage::Done => {}
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// A keyed digest of parts, each with its length, so that no two lists of parts are the same bytes.
fn digest(key: &MacKey, label: &str, parts: &[&[u8]]) -> Digest {
    let mut mac = key.begin();
    mac.update(label.as_bytes());
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    let whole = mac.finish();
    whole.first_chunk().copied().unwrap_or_default()
}

/// A time as the database keeps it.
fn stored(time: Timestamp) -> i64 {
    i64::try_from(time.secs()).unwrap_or(i64::MAX)
}
