//! Takes spans away in batches and offers each batch to the collector until it is settled.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{Cause, Verdict, verdict};
use super::{Collector, encoding};
use crate::clock::Clock;
use crate::limit::KIB;
use crate::telemetry::{Level, Log, Span, Spans};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * KIB;
/// The wait after the first failure; each next one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest of these waits, and the longest that a collector can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// By when everything must be over; none: the gate runs.
pub type Stop = watch::Receiver<Option<std::time::Instant>>;

/// Brings spans to a collector. One for a gate, beside the cores.
pub struct Exporter {
    spans: Arc<Spans>,
    collector: Arc<ArcSwap<Collector>>,
    clock: Clock,
    log: Log,
    stop: Stop,
    /// Before this the collector wants no call.
    rests_until: Option<Instant>,
    /// Spans of the batch that is under way.
    under_way: u64,
    /// Spans dropped for want of room, as the log was told.
    dropped: u64,
    /// Whether the log was told of a failure that has not ended.
    failing: bool,
}

impl Exporter {
    /// An exporter of what waits in `spans`. The collector may be replaced at any time.
    pub fn new(
        spans: Arc<Spans>,
        collector: Arc<ArcSwap<Collector>>,
        clock: Clock,
        log: Log,
        stop: Stop,
    ) -> Self {
        Self {
            spans,
            collector,
            clock,
            log,
            stop,
            rests_until: None,
            under_way: 0,
            dropped: 0,
            failing: false,
        }
    }

    /// Exports until it is told to stop; then what still waits, each batch offered once, within the
    /// time that it is given. What is left is counted as failed.
    pub async fn run(mut self) {
        let over = over(self.stop.clone());
        tokio::select! {
            () = self.work() => {}
            () = over => {}
        }
        let mut left = self.under_way;
        loop {
            let (batch, _) = self.spans.take();
            if batch.is_empty() {
                break;
            }
            left += count(&batch);
        }
        self.spans.metrics().failed.inc_by(left);
    }

    async fn work(&mut self) {
        loop {
            let stops = self.stops();
            if !stops {
                let interval = self.collector.load().interval;
                tokio::select! {
                    () = sleep(interval) => {}
                    () = self.spans.enough() => {}
                    _ = self.stop.changed() => {}
                }
            }
            loop {
                let (batch, whole) = self.spans.take();
                if !batch.is_empty() {
                    self.export(&batch).await;
                }
                // A few more have come meanwhile, for sure: they wait for others.
                if !(whole || stops && !batch.is_empty()) {
                    break;
                }
            }
            if stops {
                return;
            }
        }
    }

    fn stops(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Offers a batch until it is settled, and counts what became of it.
    async fn export(&mut self, batch: &[Box<Span>]) {
        let total = count(batch);
        self.under_way = total;
        self.rest().await;
        let collector = self.collector.load_full();
        let body = Bytes::from(encoding::export(&collector.service, batch));
        let until = Instant::now() + collector.retry_for;
        let mut pause = PAUSE;
        let mut smooth = true;
        let cause = loop {
            self.rest().await;
            // Anew each time: a reload may have mended it.
            let collector = self.collector.load_full();
            let answer = collector
                .caller
                .call(request(&collector, body.clone()), collector.deadline, ANSWER_BYTES_MAX)
                .await;
            let metrics = self.spans.metrics();
            match verdict(answer, self.clock.now()) {
                Verdict::Taken { rejected } => {
                    let rejected = rejected.min(total);
                    metrics.refused.inc_by(rejected);
                    metrics.exported.inc_by(total - rejected);
                    break (rejected > 0).then(|| Cause::of("partial_success"));
                }
                Verdict::Refused(cause) => {
                    metrics.refused.inc_by(total);
                    break Some(cause);
                }
                Verdict::Lost(cause) => {
                    metrics.failed.inc_by(total);
                    break Some(cause);
                }
                Verdict::Later(cause, asked) => {
                    let wait = asked.map_or(pause, |asked| asked.clamp(PAUSE, RETRY_AFTER_MAX));
                    let again = Instant::now() + wait;
                    self.rests_until = Some(again);
                    if again > until || self.stops() {
                        metrics.failed.inc_by(total);
                        break Some(cause);
                    }
                    self.tell_failing(&cause);
                    smooth = false;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        };
        self.under_way = 0;
        let dropped = self.spans.metrics().dropped_full.get();
        let full = dropped > std::mem::replace(&mut self.dropped, dropped);
        match cause.or(full.then(|| Cause::of("queue_full"))) {
            Some(cause) => self.tell_failing(&cause),
            None if smooth => self.tell_recovered(),
            None => {}
        }
    }

    /// Waits as long as the collector asked for, or until the gate ends.
    async fn rest(&mut self) {
        if let Some(until) = self.rests_until.take().filter(|_| !self.stops()) {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    /// Says that spans do not arrive, once.
    fn tell_failing(&mut self, cause: &Cause) {
        if !std::mem::replace(&mut self.failing, true) {
            let fields = json!({ "cause": cause.code, "status": cause.status });
            self.log.event(Level::Warn, "span_export_failing", fields);
        }
    }

    fn tell_recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.log.event(Level::Info, "span_export_recovered", json!({}));
        }
    }
}

fn count(batch: &[Box<Span>]) -> u64 {
    batch.iter().map(|span| span.count()).sum()
}

/// Ends when the time is over that the gate gives for its end.
async fn over(mut stop: Stop) {
    // Who gives no time any more has none left.
    let Ok(until) = stop.wait_for(Option::is_some).await.map(|until| *until) else { return };
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => pending().await,
    }
}

fn request(collector: &Collector, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = collector.endpoint.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let own = concat!("countersign/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(own));
    for (name, secret) in &collector.headers {
        // Configuration takes only what can stand in a header.
        if let Ok(mut value) = HeaderValue::from_bytes(secret.expose()) {
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
    }
    request
}
