//! Metrics of client connections: accepted, refused, handshakes, and what ended them.
//!
//! Label sets are closed: an enum here names every label value, so no client can add a series.

mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

pub use refusals::{CertificateFault, Origin, Reason, Refused};

use refusals::Untold;

/// The protocol that a client connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (or 1.0), one request at a time.
    Http1,
    /// HTTP/2, many streams.
    Http2,
}

/// Why a connection was closed right after accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The listener holds as many connections as it may.
    Total,
    /// The client's address holds as many connections as it may.
    Address,
}

/// Why a connection never became a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The handshake deadline passed.
    Timeout,
    /// The peers did not agree, or the client sent something that is not TLS.
    Tls,
    /// The client speaks HTTP without TLS.
    PlainHttp,
    /// The client went away.
    Closed,
    /// A balancer's PROXY header is absent, broken or late, or stands where none may stand.
    ProxyHeader,
    /// The client's certificate is absent or not good.
    Certificate(CertificateFault),
}

/// The deadline that ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// A request's head did not end in time.
    Head,
    /// No request came.
    Idle,
    /// The client reads its answer too slowly.
    Pace,
    /// The client does not read its answer at all.
    Stall,
    /// The drain was over.
    Drain,
}

/// The TLS version of a completed handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Everything the gate counts about client connections.
#[derive(Debug)]
pub struct ConnectionMetrics {
    open_http1: IntGauge,
    open_http2: IntGauge,
    accepted: IntCounter,
    accept_errors: IntCounter,
    refused_total: IntCounter,
    refused_address: IntCounter,
    handshake_timeout: IntCounter,
    handshake_tls: IntCounter,
    handshake_plain_http: IntCounter,
    handshake_closed: IntCounter,
    handshake_proxy_header: IntCounter,
    handshake_certificate: BTreeMap<CertificateFault, IntCounter>,
    seconds_v12: Histogram,
    seconds_v13: Histogram,
    closed_head: IntCounter,
    closed_idle: IntCounter,
    closed_pace: IntCounter,
    closed_stall: IntCounter,
    closed_drain: IntCounter,
    expiry: IntGaugeVec,
    list_expiry: IntGaugeVec,
    untold: Untold,
}

const HANDSHAKE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

impl ConnectionMetrics {
    /// Registers every series, so that each shows from the start.
    ///
    /// # Errors
    /// When the registry already has one of them.
    pub fn new(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let open = gauges(registry, "connections_open", "Client connections", "protocol")?;
        let refused =
            counters(registry, "connections_refused_total", "Refused at accept", "reason")?;
        let failed = counters(
            registry,
            "tls_handshake_failures_total",
            "Connections that never became TLS",
            "reason",
        )?;
        let closed = counters(
            registry,
            "connections_closed_by_deadline_total",
            "Connections ended by a deadline",
            "deadline",
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("tls_handshake_seconds", "From accept to the end of the handshake")
                .namespace("countersign")
                .buckets(HANDSHAKE_BUCKETS.to_vec()),
            &["version"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let expiry = gauges(
            registry,
            "certificate_expiry_timestamp_seconds",
            "When a certificate's chain expires, Unix seconds",
            "certificate",
        )?;
        let list_expiry = gauges(
            registry,
            "crl_expiry_timestamp_seconds",
            "When a list of revoked certificates ends, Unix seconds",
            "list",
        )?;
        Ok(Arc::new(Self {
            open_http1: open.with_label_values(&["h1"]),
            open_http2: open.with_label_values(&["h2"]),
            accepted: counter(registry, "connections_accepted_total", "Accepted connections")?,
            accept_errors: counter(registry, "accept_errors_total", "Errors of accept(2)")?,
            refused_total: refused.with_label_values(&["total"]),
            refused_address: refused.with_label_values(&["address"]),
            handshake_timeout: failed.with_label_values(&["timeout"]),
            handshake_tls: failed.with_label_values(&["tls"]),
            handshake_plain_http: failed.with_label_values(&["plain_http"]),
            handshake_closed: failed.with_label_values(&["closed"]),
            handshake_proxy_header: failed.with_label_values(&["proxy_header"]),
            handshake_certificate: CertificateFault::ALL
                .map(|fault| (fault, failed.with_label_values(&[fault.as_str()])))
                .into(),
            seconds_v12: seconds.with_label_values(&["1.2"]),
            seconds_v13: seconds.with_label_values(&["1.3"]),
            closed_head: closed.with_label_values(&["head"]),
            closed_idle: closed.with_label_values(&["idle"]),
            closed_pace: closed.with_label_values(&["pace"]),
            closed_stall: closed.with_label_values(&["stall"]),
            closed_drain: closed.with_label_values(&["drain"]),
            expiry,
            list_expiry,
            untold: Untold::default(),
        }))
    }

    /// A connection was accepted (it may be refused next).
    pub fn accepted(&self) {
        self.accepted.inc();
    }

    /// `accept(2)` failed.
    pub fn accept_error(&self) {
        self.accept_errors.inc();
    }

    /// A connection was closed right after accept.
    pub fn refused(&self, reason: Refusal, origin: Origin) {
        let (counter, reason) = match reason {
            Refusal::Total => (&self.refused_total, Reason::Total),
            Refusal::Address => (&self.refused_address, Reason::Address),
        };
        counter.inc();
        self.untold.note(reason, origin);
    }

    /// A connection never became TLS. What operators have to mend is told in the log as well.
    pub fn handshake_failed(&self, reason: HandshakeFault, origin: Origin) {
        match reason {
            HandshakeFault::Timeout => self.handshake_timeout.inc(),
            HandshakeFault::Tls => self.handshake_tls.inc(),
            HandshakeFault::PlainHttp => self.handshake_plain_http.inc(),
            HandshakeFault::Closed => self.handshake_closed.inc(),
            HandshakeFault::ProxyHeader => {
                self.handshake_proxy_header.inc();
                self.untold.note(Reason::ProxyHeader, origin);
            }
            HandshakeFault::Certificate(fault) => {
                self.handshake_certificate.get(&fault).into_iter().for_each(IntCounter::inc);
                self.untold.note(Reason::Certificate(fault), origin);
            }
        }
    }

    /// Connections that were refused since this was asked the last time, by reason.
    pub fn refused_lately(&self) -> BTreeMap<Reason, Refused> {
        self.untold.take()
    }

    /// A handshake took `time` from accept.
    pub fn handshake_done(&self, version: TlsVersion, time: Duration) {
        match version {
            TlsVersion::V12 => self.seconds_v12.observe(time.as_secs_f64()),
            TlsVersion::V13 => self.seconds_v13.observe(time.as_secs_f64()),
        }
    }

    /// Counts a connection as open until the returned value is dropped.
    pub fn opened(&self, protocol: Protocol) -> OpenConnection {
        let gauge = match protocol {
            Protocol::Http1 => &self.open_http1,
            Protocol::Http2 => &self.open_http2,
        };
        gauge.inc();
        OpenConnection(gauge.clone())
    }

    /// A deadline ended a connection.
    pub fn closed_by(&self, deadline: Deadline) {
        match deadline {
            Deadline::Head => self.closed_head.inc(),
            Deadline::Idle => self.closed_idle.inc(),
            Deadline::Pace => self.closed_pace.inc(),
            Deadline::Stall => self.closed_stall.inc(),
            Deadline::Drain => self.closed_drain.inc(),
        }
    }

    /// Replaces the certificates shown: each name and the Unix second at which its chain expires.
    /// Of several with one name the earliest counts.
    pub fn set_certificates<'n>(&self, expiries: impl IntoIterator<Item = (&'n str, i64)>) {
        replace(&self.expiry, expiries);
    }

    /// The same of lists of revoked certificates, each by the name of its file.
    pub fn set_lists<'n>(&self, expiries: impl IntoIterator<Item = (&'n str, i64)>) {
        replace(&self.list_expiry, expiries);
    }
}

/// Shows these and no others, of several with one name the earliest.
fn replace<'n>(gauges: &IntGaugeVec, expiries: impl IntoIterator<Item = (&'n str, i64)>) {
    let mut earliest = BTreeMap::new();
    for (name, second) in expiries {
        earliest.entry(name).and_modify(|own: &mut i64| *own = second.min(*own)).or_insert(second);
    }
    gauges.reset();
    for (name, second) in earliest {
        gauges.with_label_values(&[name]).set(second);
    }
}

/// Counts requests that came in clear to the redirect listener, by `outcome`.
///
/// # Errors
/// When the registry already has it.
pub fn plain_requests(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let (name, help) = ("plain_requests_total", "Requests that came in clear");
    let requests = counters(registry, name, help, "outcome")?;
    // A first event must show as an increase, not as a new series.
    for outcome in ["redirected", "challenge", "secret", "refused"] {
        requests.with_label_values(&[outcome]).reset();
    }
    Ok(requests)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::with_opts(Opts::new(name, help).namespace("countersign"))?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> prometheus::Result<IntCounterVec> {
    let counters = IntCounterVec::new(Opts::new(name, help).namespace("countersign"), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help).namespace("countersign"), &[label])?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_is_counted_until_it_is_dropped() {
        let metrics = ConnectionMetrics::new(&Registry::new()).unwrap();
        let one = metrics.opened(Protocol::Http2);
        assert_eq!(metrics.open_http2.get(), 1);
        drop(one);
        assert_eq!(metrics.open_http2.get(), 0);
    }

    #[test]
    fn certificates_that_are_gone_are_no_longer_shown() {
        let registry = Registry::new();
        let metrics = ConnectionMetrics::new(&registry).unwrap();
        metrics.set_certificates([("a.example", 1), ("b.example", 2)]);
        metrics.set_certificates([("b.example", 4), ("b.example", 3), ("b.example", 5)]);
        let shown = registry.gather();
        let family =
            shown.iter().find(|family| family.name().contains("certificate_expiry")).unwrap();
        assert_eq!(family.get_metric().len(), 1);
        assert_eq!(metrics.expiry.with_label_values(&["b.example"]).get(), 3, "the earliest");
    }
}
