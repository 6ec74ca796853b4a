//! The log: one line a request, and events. One thread writes them. When nobody takes them they are
//! dropped and counted, never waited for.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use prometheus::IntCounter;
use serde_json::{Map, Value, json};

use super::code::Code;
use super::record::{Notes, RequestId, Stage};
use crate::clock::Clock;
use crate::limit::MIB;

mod format;
mod sampling;

use format::Times;
pub use sampling::Sampling;

/// Bytes that one queue holds before it drops lines: some 20,000 of them.
const QUEUE_BYTES_MAX: usize = 8 * MIB;
/// How often lines are written.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long the last lines wait for somebody who takes them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for programs.
    Json,
    /// `key=value`, for people.
    Text,
}

/// Where lines go.
#[derive(Clone, Debug)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// Memory, for whoever embeds the gate.
    Memory(Arc<Mutex<Vec<u8>>>),
    /// Nowhere.
    Discard,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something happened as it should.
    Info,
    /// Somebody should look at it.
    Warn,
    /// Something does not work.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One finished request.
pub(super) struct Line<'a> {
    pub(super) wall_millis: u64,
    pub(super) id: &'a RequestId,
    pub(super) code: Code,
    pub(super) status: u16,
    pub(super) notes: &'a Notes,
    pub(super) spans: [Duration; Stage::ALL.len()],
    pub(super) total: Duration,
}

/// Lines that wait to be written: those of one core, or the events.
///
/// A line is formatted where it is made: that costs less than to hand over what it is made of,
/// which would keep the buffers of a request alive until it is written.
pub struct Queue {
    format: LogFormat,
    /// Where not all lines of good requests are written.
    sampling: Option<Sampling>,
    page: Mutex<Page>,
    dropped: IntCounter,
}

#[derive(Default)]
struct Page {
    text: Vec<u8>,
    times: Times,
}

impl Queue {
    fn new(format: LogFormat, sampling: Option<Sampling>, dropped: IntCounter) -> Arc<Self> {
        Arc::new(Self { format, sampling, page: Mutex::default(), dropped })
    }

    /// Whether the line of a request that ended like this is written.
    pub(super) fn takes(&self, id: &RequestId, code: Code, status: u16, total: Duration) -> bool {
        match &self.sampling {
            None => true,
            Some(sampling) => sampling.takes(id, code, status, total),
        }
    }

    /// Adds the line of a request.
    pub(super) fn push(&self, line: &Line<'_>) {
        self.add(line.wall_millis, |time, text| format::request(self.format, time, line, text));
    }

    fn add(&self, wall_millis: u64, write: impl FnOnce(&str, &mut Vec<u8>)) {
        let mut page = lock(&self.page);
        let Page { text, times } = &mut *page;
        if text.len() < QUEUE_BYTES_MAX {
            write(times.of(wall_millis), text);
        } else {
            self.dropped.inc();
        }
    }

    /// Exchanges what waits for an empty page.
    fn take(&self, empty: &mut Vec<u8>) {
        std::mem::swap(empty, &mut lock(&self.page).text);
    }
}

/// The log of a gate.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    sink: LogSink,
    clock: Clock,
    events: Arc<Queue>,
    /// The events' queue first.
    queues: Mutex<Vec<Arc<Queue>>>,
    stopped: AtomicBool,
    writer: Mutex<Option<Writer>>,
}

/// The thread that writes.
struct Writer {
    thread: Thread,
    /// Says nothing, and ends with the thread.
    over: Receiver<()>,
}

impl Log {
    /// Opens a log and starts its writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(
        format: LogFormat,
        sink: LogSink,
        clock: Clock,
        dropped: IntCounter,
    ) -> std::io::Result<Self> {
        let events = Queue::new(format, None, dropped);
        let shared = Arc::new(Shared {
            sink,
            clock,
            queues: Mutex::new(vec![Arc::clone(&events)]),
            events,
            stopped: AtomicBool::new(false),
            writer: Mutex::new(None),
        });
        let own = Arc::clone(&shared);
        let (alive, over) = mpsc::channel::<()>();
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || {
            own.run();
            drop(alive);
        })?;
        *lock(&shared.writer) = Some(Writer { thread: writer.thread().clone(), over });
        Ok(Self(shared))
    }

    /// A queue for one core's request lines: all of them, or what `sampling` leaves of them.
    pub fn queue(&self, sampling: Option<Sampling>) -> Arc<Queue> {
        let queue = Queue::new(self.0.events.format, sampling, self.0.events.dropped.clone());
        lock(&self.0.queues).push(Arc::clone(&queue));
        queue
    }

    /// Writes an event: `fields` is a JSON object.
    pub fn event(&self, level: Level, event: &'static str, fields: Value) {
        let mut line = Map::new();
        line.insert("level".into(), json!(level.as_str()));
        line.insert("event".into(), json!(event));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let events = &self.0.events;
        events.add(self.0.clock.wall_millis(), |time, text| {
            format::event(events.format, time, &line, text);
        });
    }

    /// Writes what is left and ends the writer. What nobody takes in time is lost with it: a reader
    /// that has stopped must not keep the gate from ending.
    pub fn close(&self) {
        self.0.stopped.store(true, Ordering::Release);
        if let Some(writer) = lock(&self.0.writer).take() {
            writer.thread.unpark();
            let _ = writer.over.recv_timeout(PATIENCE);
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut text = Vec::new();
        loop {
            let last = self.stopped.load(Ordering::Acquire);
            // Cloned, so that a reader who is slow to take lines holds up nobody who makes them.
            let queues = lock(&self.queues).clone();
            for queue in queues {
                queue.take(&mut text);
                self.write(&text);
                text.clear();
            }
            if last {
                return;
            }
            std::thread::park_timeout(INTERVAL);
        }
    }

    fn write(&self, text: &[u8]) {
        match &self.sink {
            LogSink::Stdout if !text.is_empty() => {
                // Without a reader there is nobody to tell.
                let mut out = std::io::stdout().lock();
                drop(out.write_all(text).and_then(|()| out.flush()));
            }
            LogSink::Memory(memory) => lock(memory).extend_from_slice(text),
            LogSink::Stdout | LogSink::Discard => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
