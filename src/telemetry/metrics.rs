//! The Prometheus series of the gate. Every label set is closed: names from configuration, codes,
//! stages. Handles are made once; nothing is looked up on the path of a request.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::local::LocalHistogram;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::acme::AcmeMetrics;
use super::code::Code;
use super::inbox::InboxMetrics;
use super::observed::ObservedMetrics;
use super::record::Stage;
use super::spans::SpanMetrics;
use super::upstream::{AllAddressMetrics, UpstreamMetrics};

/// Upper bounds in seconds, from well below a MAC to the longest deadline.
const SECONDS: [f64; 18] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Every series of the gate that is not of connections.
#[derive(Clone, Debug)]
pub struct GateMetrics {
    /// Where all series are registered.
    pub registry: Registry,
    requests: IntCounterVec,
    stages: HistogramVec,
    total: Histogram,
    upstream_connections: IntGaugeVec,
    upstream_opened: IntCounterVec,
    upstream_retries: IntCounterVec,
    /// What is known of each address of the upstreams.
    pub addresses: AllAddressMetrics,
    /// Reloads by `result`: `applied`, `refused`.
    pub reloads: IntCounterVec,
    /// When configuration was last applied, in Unix seconds.
    pub configured_at: IntGauge,
    /// Requests that ended in a panic.
    pub panics: IntCounter,
    /// Log lines that were dropped because nobody took them.
    pub log_lines_dropped: IntCounter,
    /// Bytes of request bodies in memory.
    pub body_bytes: IntGauge,
    /// Entries in the replay memory.
    pub replay_entries: IntGauge,
    /// Entries that the replay memory has room for.
    pub replay_capacity: IntGauge,
    /// The newest timestamp that the replay memory has forgotten, in Unix seconds.
    pub replay_forgotten: IntGauge,
    /// Gate time less wall clock, in milliseconds: positive while the wall clock is behind.
    pub clock_offset: IntGauge,
    /// Why the gate is not ready by `reason`; 1 while it holds.
    pub not_ready: IntGaugeVec,
    /// Credentials in service.
    pub credentials: IntGauge,
    /// Signatures that did not match, by the mistake behind them.
    pub mistakes: Mistakes,
    /// What happens to keys that the store holds.
    pub keys: KeyMetrics,
    /// The ledger of orders and remembered requests.
    pub ledger: LedgerMetrics,
    /// Webhooks.
    pub inbox: InboxMetrics,
    /// Certificates that are ordered from an authority.
    pub acme: AcmeMetrics,
    /// Routes that only watch.
    pub observed: ObservedMetrics,
    /// Spans of requests.
    pub spans: SpanMetrics,
    /// Calls of the admin API by `verb` (`none` before one is found) and `code`.
    pub admin_requests: IntCounterVec,
}

/// What happens to keys that the store holds.
#[derive(Clone, Debug)]
pub struct KeyMetrics {
    /// What the gate did to keys by itself, by `event`.
    pub done: IntCounterVec,
    /// What happened to chains of rolling keys, by `event`.
    pub rolling: IntCounterVec,
    /// Rows that are not in service because they cannot be believed or do not fit.
    pub refused: IntGauge,
    /// Times that the store could not be read or written.
    pub failures: IntCounter,
    /// The number of the newest change that is in force.
    pub sequence: IntGauge,
    /// When the first active secret ends by its expiry or policy, in Unix seconds; 0: none does.
    pub next_end: IntGauge,
}

/// What is counted of the ledger.
#[derive(Clone, Debug)]
pub struct LedgerMetrics {
    /// How long its commits take.
    pub commit_seconds: Histogram,
    /// Commits that failed.
    pub failures: IntCounter,
    /// Orders in it.
    pub orders: IntGauge,
    /// Remembered requests in it.
    pub messages: IntGauge,
    /// Remembered requests of the credential that has the most.
    pub fullest: IntGauge,
    /// Requests that wait for it.
    pub waiting: IntGauge,
}

/// Signatures that did not match, by the mistake behind them.
#[derive(Clone, Debug)]
pub struct Mistakes(IntCounterVec);

impl Mistakes {
    /// The counter of one mistake, from a closed list.
    pub fn of(&self, mistake: &'static str) -> IntCounter {
        self.0.with_label_values(&[mistake])
    }
}

/// How the requests of one route end.
#[derive(Clone, Debug)]
pub struct RouteMetrics(Arc<ByCode>);

#[derive(Debug)]
struct ByCode {
    name: Box<str>,
    counters: [IntCounter; Code::ALL.len()],
    observed: ObservedMetrics,
}

/// The stage histograms of one core: filled without sharing, handed over once in a while.
#[derive(Debug)]
pub struct StageTimes {
    stages: [LocalHistogram; Stage::ALL.len()],
    total: LocalHistogram,
}

impl GateMetrics {
    /// Registers every series.
    ///
    /// # Errors
    /// When a name is registered already.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let all = Register(&registry);
        let metrics = Self {
            requests: all.counters("requests_total", "Requests by outcome", &["route", "code"])?,
            stages: all.add(HistogramVec::new(
                seconds("request_stage_seconds", "Time that requests spend in each stage"),
                &["stage"],
            )?)?,
            total: all.add(Histogram::with_opts(seconds(
                "request_seconds",
                "Time from the head of a request to the head of its answer",
            ))?)?,
            upstream_connections: all.gauges(
                "upstream_connections",
                "Open connections to an upstream",
                &["upstream"],
            )?,
            upstream_opened: all.counters(
                "upstream_connections_opened_total",
                "Connections opened to an upstream",
                &["upstream"],
            )?,
            upstream_retries: all.counters(
                "upstream_retries_total",
                "Requests sent again on another connection",
                &["upstream"],
            )?,
            addresses: AllAddressMetrics::new(&all)?,
            reloads: all.counters("reloads_total", "Reloads of configuration", &["result"])?,
            configured_at: all.gauge("configured_at_seconds", "When configuration was applied")?,
            panics: all.counter("panics_total", "Requests that ended in a panic")?,
            log_lines_dropped: all
                .counter("log_lines_dropped_total", "Log lines that nobody took")?,
            body_bytes: all.gauge("body_bytes", "Request bodies in memory, in bytes")?,
            replay_entries: all.gauge("replay_entries", "Entries in the replay memory")?,
            replay_capacity: all
                .gauge("replay_entries_max", "Room in the replay memory, in entries")?,
            replay_forgotten: all.gauge(
                "replay_forgotten_seconds",
                "Newest timestamp that the replay memory has forgotten",
            )?,
            clock_offset: all.gauge(
                "clock_offset_milliseconds",
                "How far the gate's time is ahead of the wall clock",
            )?,
            not_ready: all.gauges("not_ready", "Why the gate is not ready", &["reason"])?,
            credentials: all.gauge("credentials", "Credentials in the keyring")?,
            mistakes: Mistakes(all.counters(
                "signature_mistakes_total",
                "Signatures that did not match, by the mistake behind them",
                &["mistake"],
            )?),
            keys: KeyMetrics::new(&all)?,
            ledger: LedgerMetrics::new(&all)?,
            inbox: InboxMetrics::new(&all)?,
            acme: AcmeMetrics::new(&all)?,
            observed: ObservedMetrics::new(&all)?,
            spans: SpanMetrics::new(&all)?,
            admin_requests: all.counters(
                "admin_requests_total",
                "Calls of the admin API by verb and outcome",
                &["verb", "code"],
            )?,
            registry: registry.clone(),
        };
        metrics.begin();
        Ok(metrics)
    }

    /// A first event must show as an increase, not as a new series.
    fn begin(&self) {
        for result in ["applied", "refused"] {
            self.reloads.with_label_values(&[result]).reset();
        }
        for event in ["key_session", "chain_killed", "killed_chain_used"] {
            self.keys.rolling.with_label_values(&[event]).reset();
        }
        let keys =
            ["secret_rotated", "secret_not_rotated", "secret_ends_soon", "audit_not_trimmed"];
        for event in keys {
            self.keys.done.with_label_values(&[event]).reset();
        }
    }

    /// The counters of a route.
    pub fn route(&self, name: &str) -> RouteMetrics {
        let counter = |code: Code| self.requests.with_label_values(&[name, code.as_str()]);
        let (counters, observed) = (Code::ALL.map(counter), self.observed.clone());
        RouteMetrics(Arc::new(ByCode { name: name.into(), counters, observed }))
    }

    /// The series of an upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            connections: self.upstream_connections.with_label_values(&[name]),
            opened: self.upstream_opened.with_label_values(&[name]),
            retries: self.upstream_retries.with_label_values(&[name]),
            addresses: self.addresses.clone(),
            name: name.into(),
        }
    }

    /// The stage histograms for one core.
    pub fn stage_times(&self) -> StageTimes {
        let local = |stage: Stage| self.stages.with_label_values(&[stage.as_str()]).local();
        StageTimes { stages: Stage::ALL.map(local), total: self.total.local() }
    }
}

impl KeyMetrics {
    fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            done: all.counters(
                "key_events_total",
                "What the gate did to keys by itself",
                &["event"],
            )?,
            rolling: all.counters(
                "rolling_events_total",
                "What happened to chains of rolling keys",
                &["event"],
            )?,
            refused: all.gauge("keys_refused", "Rows of the store that are not in service")?,
            failures: all
                .counter("key_store_failures_total", "Times the store was out of reach")?,
            sequence: all.gauge(
                "key_store_sequence",
                "The number of the newest change of the store that is in force",
            )?,
            next_end: all.gauge(
                "secret_next_end_seconds",
                "When the first active secret ends by its expiry or policy; 0 is none",
            )?,
        })
    }
}

impl LedgerMetrics {
    fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            commit_seconds: all.add(Histogram::with_opts(seconds(
                "ledger_commit_seconds",
                "Time that a commit of the ledger takes",
            ))?)?,
            failures: all
                .counter("ledger_commit_failures_total", "Commits of the ledger that failed")?,
            orders: all.gauge("ledger_orders", "Orders in the ledger")?,
            messages: all.gauge("ledger_messages", "Remembered requests in the ledger")?,
            fullest: all.gauge(
                "ledger_messages_of_fullest",
                "Remembered requests of the credential that has the most",
            )?,
            waiting: all.gauge("ledger_waiting", "Requests that wait for the ledger")?,
        })
    }
}

impl RouteMetrics {
    /// The route's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Counts one request.
    pub fn count(&self, code: Code) {
        if let Some(counter) = self.0.counters.get(code.index()) {
            counter.inc();
        }
    }

    /// Counts one that was refused and went on.
    pub(super) fn count_observed(&self, verdict: Code) {
        self.0.observed.of(&self.0.name, verdict).inc();
    }
}

impl StageTimes {
    /// Notes seconds spent in a stage.
    pub fn observe(&self, stage: Stage, seconds: f64) {
        if let Some(histogram) = self.stages.get(stage.index()) {
            histogram.observe(seconds);
        }
    }

    /// Notes the seconds of a whole request.
    pub fn observe_total(&self, seconds: f64) {
        self.total.observe(seconds);
    }

    /// Hands over what was noted.
    pub fn flush(&self) {
        self.stages.iter().for_each(LocalHistogram::flush);
        self.total.flush();
    }
}

/// Every series as text (Prometheus exposition format 0.0.4).
///
/// # Errors
/// When a series cannot be written.
pub fn encode(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

pub(super) fn seconds(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("countersign").buckets(SECONDS.to_vec())
}

pub(super) struct Register<'a>(&'a Registry);

impl Register<'_> {
    pub(super) fn add<C: Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(opts(name, help))?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }
}

pub(super) fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("countersign")
}
