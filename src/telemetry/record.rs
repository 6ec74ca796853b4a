//! What is noted of one request on its way, and the one line that comes of it.
//!
//! A core notes for itself ([`Lane`]); nothing is shared or formatted on the path of a request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version};

use super::code::Code;
use super::log::{Line, Queue};
use super::metrics::{RouteMetrics, StageTimes};
use super::usage::{Tally, Uses, VerifiedBy};
use crate::clock::Clock;
use crate::crypto::{NoRandom, random};
use crate::peer::Peer;

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Guard, route, claims and time.
    Head,
    /// Reading the body.
    Body,
    /// The MACs.
    Verify,
    /// Permission, replay memory and limits.
    Decide,
    /// Waiting for the upstream.
    Upstream,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [Self::Head, Self::Body, Self::Verify, Self::Decide, Self::Upstream];

    /// Its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Verify => "verify",
            Self::Decide => "decide",
            Self::Upstream => "upstream",
        }
    }

    /// Its name in log lines, where its time is in microseconds.
    pub fn label_us(self) -> &'static str {
        match self {
            Self::Head => "head_us",
            Self::Body => "body_us",
            Self::Verify => "verify_us",
            Self::Decide => "decide_us",
            Self::Upstream => "upstream_us",
        }
    }

    /// Its place in [`Stage::ALL`].
    #[expect(clippy::as_conversions, reason = "the number of a fieldless variant")]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A name for one request: 32 hexadecimal digits, unlike any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

impl RequestId {
    pub(super) fn new(high: u64, low: u64) -> Self {
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            if let [first, second] = pair {
                *first = digit(byte >> 4);
                *second = digit(byte & 15);
            }
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// A number that the id draws, evenly spread.
    pub(super) fn draw(&self) -> u32 {
        let digits = self.as_str().get(24..).unwrap_or_default();
        u32::from_str_radix(digits, 16).unwrap_or_default()
    }

    /// The id as a header value.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// The notes of one request.
pub struct Record {
    id: RequestId,
    started: Instant,
    last: Cell<Instant>,
    spans: [Cell<Duration>; Stage::ALL.len()],
    /// Taken by the line that is written of them.
    notes: RefCell<Option<Notes>>,
}

/// What a line tells beside codes and times.
pub(super) struct Notes {
    pub(super) method: Method,
    pub(super) target: Option<PathAndQuery>,
    pub(super) version: Version,
    pub(super) peer: Rc<Peer>,
    pub(super) route: Option<RouteMetrics>,
    pub(super) owner: Option<Arc<Owner>>,
    /// The version of the secret that signed it.
    pub(super) verified: Option<VerifiedBy>,
    /// Why it was refused, where it went on all the same.
    pub(super) refused: Option<Code>,
    /// The trace that it belongs to, where the listener traces.
    pub(super) trace: Option<Box<str>>,
}

/// Who a credential is in log lines.
#[derive(Debug)]
pub struct Owner {
    /// Its key id.
    pub key_id: Arc<str>,
    /// Its merchant's id.
    pub merchant: Arc<str>,
    /// `test` or `live`.
    pub environment: &'static str,
}

impl Record {
    /// The request's id.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// How long after `origin` the request came.
    pub fn since(&self, origin: Instant) -> Duration {
        self.started.saturating_duration_since(origin)
    }

    /// When the last stage was over.
    pub fn last(&self) -> Instant {
        self.last.get()
    }

    /// Notes that a stage is over.
    pub fn passed(&self, stage: Stage) {
        let now = Instant::now();
        if let Some(span) = self.spans.get(stage.index()) {
            span.set(now - self.last.replace(now));
        }
    }

    /// Notes the route.
    pub fn is_for(&self, route: RouteMetrics) {
        self.note(|notes| notes.route = Some(route));
    }

    /// Notes whose key id was given.
    pub fn names(&self, owner: &Arc<Owner>) {
        self.note(|notes| notes.owner = Some(Arc::clone(owner)));
    }

    /// Notes that the signature was good, and which version made it.
    pub fn verified(&self, by: VerifiedBy) {
        self.note(|notes| notes.verified = Some(by));
    }

    /// Notes that it was refused and goes on.
    pub fn observed(&self, verdict: Code) {
        self.note(|notes| notes.refused = Some(verdict));
    }

    /// Notes the trace that it belongs to: hexadecimal digits.
    pub fn is_in(&self, trace: Box<str>) {
        self.note(|notes| notes.trace = Some(trace));
    }

    /// Whether its signature was good; false once its line is written.
    pub fn is_verified(&self) -> bool {
        self.notes.borrow().as_ref().is_some_and(|notes| notes.verified.is_some())
    }

    fn note(&self, change: impl FnOnce(&mut Notes)) {
        if let Some(notes) = self.notes.borrow_mut().as_mut() {
            change(notes);
        }
    }
}

/// One core's notebook.
pub struct Lane {
    seed: u64,
    count: Cell<u64>,
    clock: Clock,
    times: StageTimes,
    unrouted: RouteMetrics,
    queue: Option<Arc<Queue>>,
    tally: Tally,
}

impl Lane {
    /// A notebook. `unrouted` counts requests without a route; without a `queue` no line is
    /// written. `uses` is told which versions of managed secrets were used.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new(
        clock: Clock,
        times: StageTimes,
        unrouted: RouteMetrics,
        queue: Option<Arc<Queue>>,
        uses: Uses,
    ) -> Result<Self, NoRandom> {
        let seed = u64::from_be_bytes(random()?);
        let tally = Tally::new(uses);
        Ok(Self { seed, count: Cell::new(seed), clock, times, unrouted, queue, tally })
    }

    /// Opens the notes of a request.
    pub fn begin(
        &self,
        method: &Method,
        target: Option<&PathAndQuery>,
        version: Version,
        peer: &Rc<Peer>,
    ) -> Rc<Record> {
        // An odd step and a mixing bijection: ids of one core never repeat and tell no count.
        let count = self.count.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.count.set(count);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let started = Instant::now();
        Rc::new(Record {
            id: RequestId::new(self.seed, mixed ^ (mixed >> 31)),
            started,
            last: Cell::new(started),
            spans: Default::default(),
            notes: RefCell::new(Some(Notes {
                method: method.clone(),
                target: target.cloned(),
                version,
                peer: Rc::clone(peer),
                route: None,
                owner: None,
                verified: None,
                refused: None,
                trace: None,
            })),
        })
    }

    /// Closes the notes: counts, times and one line.
    pub fn finish(&self, record: &Record, code: Code, status: u16) {
        let total = record.started.elapsed();
        self.times.observe_total(total.as_secs_f64());
        for (stage, span) in Stage::ALL.into_iter().zip(&record.spans) {
            if !span.get().is_zero() {
                self.times.observe(stage, span.get().as_secs_f64());
            }
        }
        let Some(notes) = record.notes.take() else { return };
        let route = notes.route.as_ref().unwrap_or(&self.unrouted);
        route.count(code);
        if let Some(verdict) = notes.refused {
            route.count_observed(verdict);
        }
        if let (Some(by @ VerifiedBy { number: 1.., .. }), Some(owner)) =
            (notes.verified, &notes.owner)
        {
            self.tally.count(&owner.key_id, by, self.clock.now(), notes.peer.ip);
        }
        let takes = |queue: &&Arc<Queue>| queue.takes(&record.id, code, status, total);
        if let Some(queue) = self.queue.as_ref().filter(takes) {
            let wall_millis = self.clock.wall_millis();
            let spans = record.spans.each_ref().map(Cell::get);
            let (id, notes) = (&record.id, &notes);
            queue.push(&Line { wall_millis, id, code, status, notes, spans, total });
        }
    }

    /// Hands over what was noted since the last time.
    pub fn flush(&self) {
        self.times.flush();
        self.tally.hand_over();
    }
}
