//! The log: one line a request, and events. Lines leave the path as values; one thread formats and
//! writes them. When nobody takes them they are dropped and counted, never waited for.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;
use serde_json::{Map, Value, json};

use super::code::Code;
use super::record::{Notes, RequestId, Stage};
use crate::clock::Clock;

mod format;

use format::Times;

/// Lines that one queue holds before it drops.
const QUEUE_LINES_MAX: usize = 16_384;
/// How often lines are written.
const INTERVAL: Duration = Duration::from_millis(50);

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
pub(super) struct Line {
    pub(super) wall_millis: u64,
    pub(super) id: RequestId,
    pub(super) code: Code,
    pub(super) status: u16,
    pub(super) notes: Notes,
    pub(super) spans: [Duration; Stage::ALL.len()],
    pub(super) total: Duration,
}

/// Lines of one core that wait to be written.
pub struct Queue {
    lines: Mutex<Vec<Line>>,
    dropped: IntCounter,
}

impl Queue {
    pub(super) fn push(&self, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < QUEUE_LINES_MAX {
            lines.push(line);
        } else {
            self.dropped.inc();
        }
    }
}

/// The log of a gate.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    format: LogFormat,
    sink: LogSink,
    clock: Clock,
    queues: Mutex<Vec<Arc<Queue>>>,
    events: Mutex<Vec<(u64, Value)>>,
    dropped: IntCounter,
    stopped: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
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
        let shared = Arc::new(Shared {
            format,
            sink,
            clock,
            queues: Mutex::new(Vec::new()),
            events: Mutex::new(Vec::new()),
            dropped,
            stopped: AtomicBool::new(false),
            writer: Mutex::new(None),
        });
        let own = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("log".into()).spawn(move || own.run())?;
        *lock(&shared.writer) = Some(writer);
        Ok(Self(shared))
    }

    /// A queue for one core's request lines.
    pub fn queue(&self) -> Arc<Queue> {
        let queue =
            Arc::new(Queue { lines: Mutex::new(Vec::new()), dropped: self.0.dropped.clone() });
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
        let mut events = lock(&self.0.events);
        if events.len() < QUEUE_LINES_MAX {
            events.push((self.0.clock.wall_millis(), Value::Object(line)));
        } else {
            self.0.dropped.inc();
        }
    }

    /// Writes what is left and ends the writer.
    pub fn close(&self) {
        self.0.stopped.store(true, Ordering::Release);
        if let Some(writer) = lock(&self.0.writer).take() {
            writer.thread().unpark();
            // A writer that panicked has nothing left to say.
            drop(writer.join());
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut text = Vec::new();
        let mut lines = Vec::new();
        let mut times = Times::default();
        loop {
            let last = self.stopped.load(Ordering::Acquire);
            for (wall_millis, event) in std::mem::take(&mut *lock(&self.events)) {
                let time = times.of(wall_millis);
                format::event(self.format, time, &event, &mut text);
            }
            for queue in lock(&self.queues).iter() {
                std::mem::swap(&mut lines, &mut *lock(&queue.lines));
                for line in lines.drain(..) {
                    let time = times.of(line.wall_millis);
                    format::request(self.format, time, &line, &mut text);
                }
            }
            self.write(&text);
            text.clear();
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
