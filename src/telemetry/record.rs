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
use super::spans::{Asked, Span, Spans};
use super::trace::Trace;
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

    /// The id's digits.
    pub(super) fn digits(&self) -> &[u8; 32] {
        &self.0
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
    /// Whether its trace is recorded, where that begins here.
    sampled: bool,
    /// Taken by the line that is written of them.
    notes: RefCell<Option<Notes>>,
}

/// What a line tells beside codes and times.
pub(super) struct Notes {
    pub(super) method: Method,
    pub(super) target: Option<PathAndQuery>,
    pub(super) version: Version,
    pub(super) peer: Rc<Peer>,
    pub(super) route: Option<Rc<RouteMetrics>>,
    pub(super) owner: Option<Arc<Owner>>,
    /// The version of the secret that signed it.
    pub(super) verified: Option<VerifiedBy>,
    /// Why it was refused, where it went on all the same.
    pub(super) refused: Option<Code>,
    /// The trace that it belongs to, where its header or the way to its upstream said so.
    pub(super) traced: Option<Box<Traced>>,
}

/// A request's part in its trace. In a box, so that requests without one have no room for it.
pub(super) struct Traced {
    pub(super) trace: Trace,
    /// The upstream that was given the trace, and when.
    asked: Option<(Arc<str>, Instant)>,
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
    pub fn is_for(&self, route: Rc<RouteMetrics>) {
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

    /// Whether a trace that begins with it is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Notes the trace that its header says it belongs to.
    pub fn came_in(&self, trace: Trace) {
        self.note(|notes| notes.traced = Some(Box::new(Traced { trace, asked: None })));
    }

    /// Notes the trace in which it goes on to an upstream, from now on.
    pub fn goes_on_in(&self, trace: Trace, upstream: &Arc<str>) {
        let asked = Some((Arc::clone(upstream), self.last.get()));
        self.note(|notes| notes.traced = Some(Box::new(Traced { trace, asked })));
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

/// How a request ended, and when.
struct Ended {
    end_nanos: u64,
    code: Code,
    status: u16,
    total: Duration,
}

impl Record {
    /// What its spans are made of.
    fn span(&self, notes: Notes, trace: Trace, ended: Ended) -> Span {
        let Ended { end_nanos, code, status, total } = ended;
        let stages = self.spans.each_ref().map(Cell::get);
        let asked = notes.traced.and_then(|traced| traced.asked);
        let asked = asked.map(|(upstream, at)| {
            let after = at.saturating_duration_since(self.started);
            let answered = stages.get(Stage::Upstream.index()).filter(|took| !took.is_zero());
            let took = answered.copied().unwrap_or(total.saturating_sub(after));
            Asked { upstream, after, took }
        });
        let total_nanos = u64::try_from(total.as_nanos()).unwrap_or(u64::MAX);
        Span {
            id: self.id,
            trace,
            start_nanos: end_nanos.saturating_sub(total_nanos),
            total,
            stages,
            asked,
            code,
            refused: notes.refused,
            status,
            method: standard(&notes.method),
            protocol: protocol(notes.version),
            route: notes.route.map(|route| (*route).clone()),
            owner: notes.owner,
            verified: notes.verified.is_some(),
        }
    }
}

/// The name of a method that is a standard one (RFC 9110, section 9; RFC 5789). Any other is a word
/// of the client's choosing.
fn standard(method: &Method) -> Option<&'static str> {
    let known = [
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::CONNECT, "CONNECT"),
        (Method::TRACE, "TRACE"),
    ];
    known.into_iter().find(|(own, _)| own == method).map(|(_, name)| name)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
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
    spans: Option<Arc<Spans>>,
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
        let count = Cell::new(seed);
        Ok(Self { seed, count, clock, times, unrouted, queue, spans: None, tally })
    }

    /// The same, with spans that are exported.
    #[must_use]
    pub fn exporting(self, spans: Option<Arc<Spans>>) -> Self {
        Self { spans, ..self }
    }

    /// Whether spans are exported, so that it matters in which trace a request came.
    pub fn exports(&self) -> bool {
        self.spans.is_some()
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
        let id = RequestId::new(self.seed, mixed ^ (mixed >> 31));
        let sampled = self.spans.as_ref().is_none_or(|spans| spans.samples(&id));
        let started = Instant::now();
        Rc::new(Record {
            id,
            started,
            last: Cell::new(started),
            spans: Default::default(),
            sampled,
            notes: RefCell::new(Some(Notes {
                method: method.clone(),
                target: target.cloned(),
                version,
                peer: Rc::clone(peer),
                route: None,
                owner: None,
                verified: None,
                refused: None,
                traced: None,
            })),
        })
    }

    /// Closes the notes: counts, times, one line, and spans where they are exported.
    pub fn finish(&self, record: &Record, code: Code, status: u16) {
        let total = record.started.elapsed();
        self.times.observe_total(total.as_secs_f64());
        for (stage, span) in Stage::ALL.into_iter().zip(&record.spans) {
            if !span.get().is_zero() {
                self.times.observe(stage, span.get().as_secs_f64());
            }
        }
        let Some(notes) = record.notes.take() else { return };
        let route = notes.route.as_deref().unwrap_or(&self.unrouted);
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
        if let Some(spans) = &self.spans {
            let trace = notes.traced.as_ref().map(|traced| traced.trace);
            let trace = trace.unwrap_or_else(|| Trace::begun(&record.id, record.sampled));
            if trace.is_sampled() {
                let end_nanos = self.clock.wall_nanos();
                spans.push(record.span(notes, trace, Ended { end_nanos, code, status, total }));
            }
        }
    }

    /// Hands over what was noted since the last time.
    pub fn flush(&self) {
        self.times.flush();
        self.tally.hand_over();
    }
}
