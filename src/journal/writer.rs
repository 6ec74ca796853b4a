//! The thread that writes: everything that has queued is one commit.
//!
//! Of a batch that cannot be committed nothing is kept, and everybody in it learns that. Refusals,
//! and what goes because its time is over, go with the commits of others, and at rest.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Result};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::telemetry::JournalMetrics;

use super::content::Fresh;
use super::keeping::{self, Room};
use super::progress::{self, Outcome};
use super::refusals::{self, Refusal};
use super::retention::{self, Purged, Step};
use super::tables::{Place, stored};
use super::{Busy, Kept, Shared, reader};

/// The most that goes into one commit.
const BATCH_MAX: usize = 1024;
/// The most bytes of deliveries that go into one commit; the one that goes beyond goes as well.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often the thread looks for what is over, and for what another process did.
const REST: Duration = Duration::from_millis(250);
/// How soon the next step follows where one was not enough.
const NEXT_STEP: Duration = Duration::from_millis(5);
/// What goes at once when nobody waits.
const STEP_AT_REST: Step = Step { rows: 256, bytes: 4 * 1024 * 1024 };
/// Under load, as many rows go as come, twice over, and no more bytes than these.
const STEP_BYTES_UNDER_LOAD: i64 = 1024 * 1024;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<std::result::Result<T, Busy>>;

/// What the writer is asked.
pub(super) enum Op {
    Keep(Box<Fresh>, Reply<Kept>),
    Settle(Box<Outcome>, Reply<()>),
    /// A destination, and why.
    Stop(String, String, Reply<()>),
}

impl Op {
    /// Bytes that wait with it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Keep(fresh, _) => fresh.bytes,
            Self::Settle(..) | Self::Stop(..) => 0,
        }
    }

    /// Nobody waits for it any more.
    fn is_left(&self) -> bool {
        match self {
            Self::Keep(_, reply) => reply.is_closed(),
            // What was tried is worth to be noted, whoever hears of it.
            Self::Settle(..) | Self::Stop(..) => false,
        }
    }
}

/// What came of one question, once the commit is on the disk.
enum Done {
    Kept(std::result::Result<Kept, Busy>),
    Noted,
}

/// Why a batch could not be committed.
struct Failure {
    text: String,
    /// The connection may be of no use any more.
    anew: bool,
}

impl From<rusqlite::Error> for Failure {
    fn from(fault: rusqlite::Error) -> Self {
        let code = fault.sqlite_error_code();
        let waited = matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        Self { text: fault.to_string(), anew: !waited }
    }
}

pub(super) struct Writer {
    place: Place,
    /// None: it failed, and is opened anew.
    connection: Option<Connection>,
    queue: Receiver<Op>,
    shared: Arc<Shared>,
    clock: Clock,
    metrics: JournalMetrics,
    /// What `data_version` was: another process has changed it since.
    version: i64,
    looked: Instant,
    /// There is more to be removed or given back than the last step did.
    more: bool,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        connection: Connection,
        queue: Receiver<Op>,
        shared: Arc<Shared>,
        clock: Clock,
        metrics: JournalMetrics,
    ) -> Result<Self> {
        let version = version(&connection)?;
        shared.mark(retention::marked(&connection)?);
        let mut writer = Self {
            place,
            connection: Some(connection),
            queue,
            shared,
            clock,
            metrics,
            version,
            looked: Instant::now(),
            more: false,
        };
        writer.look();
        Ok(writer)
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            match self.queue.recv_timeout(if self.more { NEXT_STEP } else { REST }) {
                Ok(first) => self.fill(&mut batch, first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.work(batch);
            if self.looked.elapsed() >= REST {
                self.look();
            }
        }
        self.work(Vec::new());
    }

    fn fill(&self, batch: &mut Vec<Op>, first: Op) {
        let mut bytes = 0_usize;
        let mut next = Some(first);
        while let Some(op) = next {
            bytes = bytes.saturating_add(op.bytes());
            batch.push(op);
            let full = batch.len() >= BATCH_MAX || bytes >= BATCH_BYTES_MAX;
            next = if full { None } else { self.queue.try_recv().ok() };
        }
    }

    fn work(&mut self, mut batch: Vec<Op>) {
        batch.iter().for_each(|op| self.shared.leave(op.bytes()));
        self.metrics.waiting.sub(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        batch.retain(|op| !op.is_left());
        if batch.is_empty() && !self.needs_commit() {
            self.more = self.connection.as_ref().is_some_and(gives_back);
            return;
        }
        let started = Instant::now();
        let refusals = self.shared.refusals().take();
        match self.commit(&batch, &refusals) {
            Ok((done, purged)) => {
                if !batch.is_empty() {
                    self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
                    self.shared.changed.notify_waiters();
                }
                self.shared.mark(purged.marked);
                *self.shared.fault() = None;
                self.more = purged.more;
                batch.into_iter().zip(done).for_each(|(op, done)| answer(op, done));
            }
            Err(failure) => {
                let dropped = self.shared.refusals().give_back(refusals);
                self.metrics.refusals_dropped.inc_by(u64::try_from(dropped).unwrap_or(u64::MAX));
                self.metrics.failures.inc();
                *self.shared.fault() = Some(failure.text);
                self.more = false;
                if failure.anew && self.place.is_lasting() {
                    self.connection = None;
                }
                // What cannot be undone now is undone before the next begins.
                let _undone = self.connection.as_ref().map(roll_back);
                batch.into_iter().for_each(refuse);
            }
        }
    }

    /// Whether there is something to be done that nobody asks for.
    fn needs_commit(&self) -> bool {
        // After a failure a commit is tried without being asked, to see when it is over.
        let failed = self.connection.is_none() || self.shared.fault().is_some();
        failed || !self.shared.refusals().is_empty() || self.has_old()
    }

    fn has_old(&self) -> bool {
        let (now, limits) = (self.clock.now_millis(), self.shared.limits());
        let due = self.connection.as_ref().map(|one| retention::is_due(one, now, &limits));
        due.is_none_or(|due| due.unwrap_or(true))
    }

    fn commit(
        &mut self,
        batch: &[Op],
        refusals: &[Refusal],
    ) -> std::result::Result<(Vec<Done>, Purged), Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        let connection = self.connection.insert(connection);
        roll_back(connection)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let limits = self.shared.limits();
        let now_millis = self.clock.now_millis();
        let mut room = Room::new(connection, limits)?;
        let mut done = Vec::with_capacity(batch.len());
        for op in batch {
            done.push(perform(connection, &mut room, op, now_millis)?);
        }
        refusals::insert(connection, refusals, limits.refusals)?;
        let step = match batch.len() {
            0 => STEP_AT_REST,
            rows => Step { rows: 2 * rows, bytes: STEP_BYTES_UNDER_LOAD },
        };
        let purged = retention::purge(connection, now_millis, &limits, step)?;
        if self.shared.fault().is_some() {
            // Something is written in any case: it shows whether that is possible again.
            connection.execute_batch("UPDATE totals SET one = one")?;
        }
        connection.execute_batch("COMMIT")?;
        Ok((done, purged))
    }

    fn reopen(&mut self) -> std::result::Result<Connection, Failure> {
        let failure = |text| Failure { text, anew: true };
        let connection = self.place.writer().map_err(|fault| failure(fault.to_string()))?;
        self.version = version(&connection)?;
        Ok(connection)
    }

    /// Looks at what others did meanwhile, and shows what there is.
    fn look(&mut self) {
        self.looked = Instant::now();
        let Some(connection) = &self.connection else { return };
        // Whatever fails here fails with the next commit as well, and is told there.
        if let Ok(version) = version(connection)
            && version != self.version
        {
            self.version = version;
            self.shared.changed.notify_waiters();
        }
        if let Ok(room) = Room::new(connection, self.shared.limits()) {
            self.metrics.bytes.set(stored(room.bytes));
            self.metrics.keys.set(stored(room.keys));
        }
        if let Ok(unsigned) = reader::unsigned(connection) {
            self.shared.set_unsigned(unsigned);
        }
    }
}

/// A number that changes when another connection has committed something.
fn version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Undoes what is begun, if something is.
fn roll_back(connection: &Connection) -> Result<()> {
    match connection.is_autocommit() {
        true => Ok(()),
        false => connection.execute_batch("ROLLBACK"),
    }
}

/// Space that cannot be given back now is tried again at the next rest.
fn gives_back(connection: &Connection) -> bool {
    retention::give_back(connection).unwrap_or(false)
}

fn perform(connection: &Connection, room: &mut Room, op: &Op, now_millis: u64) -> Result<Done> {
    match op {
        Op::Keep(fresh, _) => keeping::keep(connection, room, fresh, now_millis).map(Done::Kept),
        Op::Settle(outcome, _) => {
            progress::settle(connection, outcome, now_millis).map(|()| Done::Noted)
        }
        Op::Stop(name, why, _) => {
            let sql = "INSERT OR REPLACE INTO stopped (destination, why, at) VALUES (?1, ?2, ?3)";
            let row = (name, why, stored(now_millis));
            connection.prepare_cached(sql)?.execute(row).map(|_| Done::Noted)
        }
    }
}

/// Whoever does not listen any more has what he asked for all the same.
fn answer(op: Op, done: Done) {
    match (op, done) {
        (Op::Keep(_, reply), Done::Kept(kept)) => drop(reply.send(kept)),
        (Op::Settle(_, reply) | Op::Stop(_, _, reply), Done::Noted) => drop(reply.send(Ok(()))),
        (op, _) => refuse(op),
    }
}

fn refuse(op: Op) {
    match op {
        Op::Keep(_, reply) => drop(reply.send(Err(Busy))),
        Op::Settle(_, reply) | Op::Stop(_, _, reply) => drop(reply.send(Err(Busy))),
    }
}
