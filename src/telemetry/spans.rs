//! The spans of requests that are to be exported: which requests have some, and where they wait.
//!
//! A core hands over what it has noted anyway. Nothing is formatted here, nothing waits for whoever
//! takes the spans away, and a core wakes him once for many: beyond the room that there is, spans
//! are dropped and counted.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::code::Code;
use super::metrics::{Register, RouteMetrics};
use super::record::{Owner, RequestId, Stage};
use super::trace::Trace;
use crate::limit::Rate;

const MILLION: u64 = 1_000_000;

/// Which requests have spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRules {
    /// So many of a million, of the traces that begin here. Others go by what their caller says.
    pub per_million: u32,
    /// How often a request may have spans whose signature was not good: whoever sends it can ask
    /// for a trace all the same.
    pub unverified: Rate,
    /// How many requests' spans are taken away at once.
    pub batch: NonZeroUsize,
}

/// What is known of one request that ended, for its spans.
#[derive(Debug)]
pub struct Span {
    /// The request's id, which names its spans.
    pub id: RequestId,
    /// The trace that it is part of.
    pub trace: Trace,
    /// When it came, in nanoseconds since 1970 by the wall clock.
    pub start_nanos: u64,
    /// From its head to the head of its answer.
    pub total: Duration,
    /// The time in each stage, in the order of [`Stage::ALL`]; zero: not passed.
    pub stages: [Duration; Stage::ALL.len()],
    /// How it asked an upstream; none: it asked none.
    pub asked: Option<Asked>,
    /// How it ended.
    pub code: Code,
    /// Why it was refused, where it went on all the same.
    pub refused: Option<Code>,
    /// The status of its answer.
    pub status: u16,
    /// Its method; none: one that is no standard one.
    pub method: Option<&'static str>,
    /// The version of HTTP that it came in.
    pub protocol: &'static str,
    /// Its route.
    pub route: Option<RouteMetrics>,
    /// Whose key id it gave.
    pub owner: Option<Arc<Owner>>,
    /// Whether its signature was good.
    pub verified: bool,
}

/// How a request asked an upstream.
#[derive(Debug)]
pub struct Asked {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// When, after the request came.
    pub after: Duration,
    /// How long it took to the head of the answer, or until the end without one.
    pub took: Duration,
}

impl Span {
    /// How many spans this is: that of the request, and that of the way to its upstream.
    pub fn count(&self) -> u64 {
        1 + u64::from(self.asked.is_some())
    }
}

/// The series of spans, by what became of them.
#[derive(Clone, Debug)]
pub struct SpanMetrics {
    /// The collector has them.
    pub exported: IntCounter,
    /// There was no room to wait.
    pub dropped_full: IntCounter,
    /// Too many of requests without a good signature.
    pub dropped_rate: IntCounter,
    /// The collector did not want them.
    pub refused: IntCounter,
    /// They could not be brought to the collector.
    pub failed: IntCounter,
}

impl SpanMetrics {
    pub(super) fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        let help = "Spans of requests, by what became of them";
        let by_outcome = all.counters("spans_total", help, &["outcome"])?;
        let of = |outcome| by_outcome.with_label_values(&[outcome]);
        Ok(Self {
            exported: of("exported"),
            dropped_full: of("dropped_full"),
            dropped_rate: of("dropped_rate"),
            refused: of("refused"),
            failed: of("failed"),
        })
    }
}

/// Spans that wait to be exported, of all cores.
pub struct Spans {
    waiting: Mutex<VecDeque<Box<Span>>>,
    room: NonZeroUsize,
    enough: Notify,
    rules: ArcSwap<InForce>,
    metrics: SpanMetrics,
}

struct InForce {
    rules: SpanRules,
    unverified: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>,
}

impl InForce {
    fn new(rules: SpanRules) -> Self {
        let SpanRules { unverified: rate, .. } = rules;
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { rules, unverified: RateLimiter::direct_with_clock(quota, MonotonicClock) }
    }
}

impl Spans {
    /// Room for the spans of so many requests.
    pub fn new(room: NonZeroUsize, rules: SpanRules, metrics: SpanMetrics) -> Self {
        Self {
            waiting: Mutex::new(VecDeque::with_capacity(room.get())),
            room,
            enough: Notify::new(),
            rules: ArcSwap::from_pointee(InForce::new(rules)),
            metrics,
        }
    }

    /// Goes by other rules from now on.
    pub fn set_rules(&self, rules: SpanRules) {
        self.rules.store(Arc::new(InForce::new(rules)));
    }

    /// What is counted.
    pub fn metrics(&self) -> &SpanMetrics {
        &self.metrics
    }

    /// Whether a trace that begins with this request is recorded: its id decides.
    pub(super) fn samples(&self, id: &RequestId) -> bool {
        let per_million = self.rules.load().rules.per_million;
        u64::from(id.draw()) * MILLION < u64::from(per_million) << u32::BITS
    }

    /// Adds the spans of a request whose trace is recorded.
    pub(super) fn push(&self, span: Span) {
        let (count, in_force) = (span.count(), self.rules.load());
        if !span.verified && in_force.unverified.check().is_err() {
            self.metrics.dropped_rate.inc_by(count);
            return;
        }
        let span = Box::new(span);
        let mut waiting = self.waiting();
        if waiting.len() >= self.room.get() {
            drop(waiting);
            self.metrics.dropped_full.inc_by(count);
            return;
        }
        waiting.push_back(span);
        let is_enough = waiting.len() >= in_force.rules.batch.get();
        drop(waiting);
        if is_enough {
            self.enough.notify_one();
        }
    }

    /// Waits until there are as many as are taken at once. Whoever waits may be woken for nothing.
    pub async fn enough(&self) {
        self.enough.notified().await;
    }

    /// Takes the oldest away, and says whether there were as many as are taken at once.
    pub fn take(&self) -> (Vec<Box<Span>>, bool) {
        let batch = self.rules.load().rules.batch.get();
        let mut waiting = self.waiting();
        let count = waiting.len().min(batch);
        (waiting.drain(..count).collect(), count == batch)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Box<Span>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
