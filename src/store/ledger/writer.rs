//! The thread that reads and writes: everything that has queued is one commit.
//!
//! Questions are answered in the order in which they came. A batch that cannot be committed is
//! undone whole, everybody in it learns that nothing was noted, and what was to be removed or
//! marked is done again before all else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::telemetry::LedgerMetrics;

use super::orders::{OrderEntry, OrderState};
use super::{Busy, Digest, Entry, Held, Refused, Shared, messages, orders};

/// The most that goes into one commit.
const BATCH_MAX: usize = 1024;
/// How often the thread looks for rows whose time is over when nobody asks for anything.
const REST: Duration = Duration::from_secs(1);
/// How many of these it removes then. Under load they go with the commits, twice as many as come.
const PURGED_AT_REST: usize = 4096;
/// The most that waits to be done again. What does not fit stays as it was: taken.
const AGAIN_MAX: usize = 64 * 1024;

/// What the writer is asked and told.
pub(super) enum Op {
    /// May somebody have this?
    Claim(Held, oneshot::Sender<std::result::Result<(), Refused>>),
    /// It is about to leave.
    Send(Held, oneshot::Sender<std::result::Result<(), Busy>>),
    /// Whoever had it does not want it any more; nothing was written.
    Withdraw(Held),
    Finish(Finish),
}

/// What nobody waits for, and is not to be lost.
#[derive(Clone)]
pub(super) enum Finish {
    /// As if it had never been.
    Erased(Held),
    Answered(OrderEntry),
    /// The secrets that live, by their names.
    Living(Arc<[Digest]>),
}

pub(super) struct Writer {
    connection: Connection,
    queue: Receiver<Op>,
    shared: Arc<Shared>,
    clock: Clock,
    metrics: LedgerMetrics,
    /// What requests of this process have, and by which ticket, until it is in the tables.
    in_hand: HashMap<Digest, u64>,
    again: Vec<Finish>,
    count: Count,
}

/// Rows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Count {
    orders: u64,
    messages: u64,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        queue: Receiver<Op>,
        shared: Arc<Shared>,
        clock: Clock,
        metrics: LedgerMetrics,
    ) -> Result<Self> {
        let number = |sql: &str| {
            let number = connection.query_row(sql, [], |row| row.get(0));
            number.map(|number: i64| u64::try_from(number).unwrap_or(0))
        };
        let count = Count {
            orders: number("SELECT value FROM ledger_about WHERE name = 'orders'")?,
            messages: number("SELECT coalesce(sum(messages), 0) FROM ledger_secrets")?,
        };
        let (in_hand, again) = (HashMap::new(), Vec::new());
        let writer = Self { connection, queue, shared, clock, metrics, in_hand, again, count };
        writer.show();
        Ok(writer)
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            match self.queue.recv_timeout(REST) {
                Ok(first) => batch.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            batch.extend(self.queue.try_iter().take(BATCH_MAX));
            self.work(batch);
        }
        self.work(Vec::new());
    }

    fn work(&mut self, batch: Vec<Op>) {
        let asked = |op: &&Op| matches!(op, Op::Claim(..) | Op::Send(..));
        self.shared.waiting.fetch_sub(batch.iter().filter(asked).count(), Ordering::Relaxed);
        let reads = |op: &Op| matches!(op, Op::Claim(..) | Op::Withdraw(_));
        let idle = batch.is_empty() && self.again.is_empty() && !self.has_old();
        if idle || self.again.is_empty() && !batch.is_empty() && batch.iter().all(reads) {
            batch.into_iter().for_each(|op| self.read(op));
        } else {
            self.commit(batch);
        }
    }

    /// What needs no commit.
    fn read(&mut self, op: Op) {
        match op {
            Op::Claim(held, reply) => {
                // Whoever does not listen any more takes back what he asked for.
                let _left = reply.send(self.claim(held));
            }
            Op::Withdraw(held) => self.withdraw(held),
            Op::Send(..) | Op::Finish(_) => {}
        }
    }

    fn commit(&mut self, batch: Vec<Op>) {
        let started = Instant::now();
        let purged = if batch.is_empty() { PURGED_AT_REST } else { 2 * batch.len() };
        let before = self.count;
        let mut done =
            self.roll_back().and_then(|()| self.connection.execute_batch("BEGIN IMMEDIATE"));
        let mut finishes = std::mem::take(&mut self.again);
        for finish in &finishes {
            done = done.and_then(|()| self.finish(finish));
        }
        let mut sends = Vec::new();
        for op in batch {
            match op {
                Op::Claim(_, reply) if done.is_err() => drop(reply.send(Err(Refused::Busy))),
                Op::Claim(..) | Op::Withdraw(_) => self.read(op),
                Op::Send(held, reply) => {
                    done = done.and_then(|()| self.insert(&held.entry));
                    sends.push((held, reply));
                }
                Op::Finish(finish) => {
                    if let Finish::Erased(held) = &finish {
                        self.withdraw(*held);
                    }
                    done = done.and_then(|()| self.finish(&finish));
                    finishes.push(finish);
                }
            }
        }
        done = done.and_then(|()| self.purge(purged)).and_then(|()| self.end(before));
        let noted = done.as_ref().map(drop).map_err(|_| Busy);
        match done {
            Ok(()) => {
                sends.iter().for_each(|(held, _)| self.withdraw(*held));
                self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
                *self.shared.fault() = None;
            }
            Err(fault) => {
                // What cannot be undone now is undone before the next begins.
                drop(self.roll_back());
                self.count = before;
                finishes.truncate(AGAIN_MAX);
                self.again = finishes;
                self.metrics.failures.inc();
                *self.shared.fault() = Some(fault.to_string());
            }
        }
        self.show();
        for (_, reply) in sends {
            let _left = reply.send(noted);
        }
    }

    fn claim(&mut self, held: Held) -> std::result::Result<(), Refused> {
        let found = match held.entry {
            _ if self.in_hand.contains_key(&held.entry.digest()) => Ok(Some(OrderState::Reserved)),
            Entry::Order(order) => order.find(&self.connection, self.clock.now()),
            Entry::Message(message) => {
                message.is_known(&self.connection).map(|known| known.then_some(OrderState::Sent))
            }
        };
        match found {
            Ok(Some(state)) => return Err(Refused::Taken(state)),
            Ok(None) if self.has_room(&held.entry) => {}
            Ok(None) | Err(_) => return Err(Refused::Busy),
        }
        self.in_hand.insert(held.entry.digest(), held.ticket);
        Ok(())
    }

    fn has_room(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Order(_) => self.count.orders < self.shared.orders_max.load(Ordering::Relaxed),
            Entry::Message(message) => {
                let count = message.of_credential(&self.connection).unwrap_or(u64::MAX);
                self.shared.fullest.fetch_max(count, Ordering::Relaxed);
                count < self.shared.messages_max.load(Ordering::Relaxed)
            }
        }
    }

    fn withdraw(&mut self, held: Held) {
        let digest = held.entry.digest();
        if self.in_hand.get(&digest) == Some(&held.ticket) {
            self.in_hand.remove(&digest);
        }
    }

    fn insert(&mut self, entry: &Entry) -> Result<()> {
        match entry {
            Entry::Order(order) => self.count.orders += order.insert(&self.connection)?,
            Entry::Message(message) => self.count.messages += message.insert(&self.connection)?,
        }
        Ok(())
    }

    fn finish(&mut self, finish: &Finish) -> Result<()> {
        match finish {
            Finish::Erased(Held { entry: Entry::Order(order), .. }) => {
                let fewer = order.erase(&self.connection)?;
                self.count.orders = self.count.orders.saturating_sub(fewer);
            }
            Finish::Erased(Held { entry: Entry::Message(message), .. }) => {
                let fewer = message.erase(&self.connection)?;
                self.count.messages = self.count.messages.saturating_sub(fewer);
            }
            Finish::Answered(order) => order.answer(&self.connection)?,
            Finish::Living(living) => {
                messages::keep_only(&self.connection, living, self.clock.now())?;
            }
        }
        Ok(())
    }

    /// Whether there are rows whose time is over.
    fn has_old(&self) -> bool {
        let now = self.clock.now();
        let order = orders::has_old(&self.connection, now);
        order.and_then(|old| Ok(old || messages::has_old(&self.connection, now)?)).unwrap_or(true)
    }

    fn purge(&mut self, most: usize) -> Result<()> {
        let now = self.clock.now();
        let fewer = orders::purge(&self.connection, now, most)?;
        self.count.orders = self.count.orders.saturating_sub(fewer);
        let fewer = messages::purge(&self.connection, now, most)?;
        self.count.messages = self.count.messages.saturating_sub(fewer);
        Ok(())
    }

    fn end(&self, before: Count) -> Result<()> {
        if before.orders != self.count.orders {
            let sql = "UPDATE ledger_about SET value = ?1 WHERE name = 'orders'";
            let orders = i64::try_from(self.count.orders).unwrap_or(i64::MAX);
            self.connection.prepare_cached(sql)?.execute([orders])?;
        }
        self.connection.execute_batch("COMMIT")
    }

    /// Undoes what is begun, if something is.
    fn roll_back(&self) -> Result<()> {
        match self.connection.is_autocommit() {
            true => Ok(()),
            false => self.connection.execute_batch("ROLLBACK"),
        }
    }

    fn show(&self) {
        self.shared.orders.store(self.count.orders, Ordering::Relaxed);
        self.shared.messages.store(self.count.messages, Ordering::Relaxed);
    }
}
