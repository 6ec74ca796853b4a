//! The series of certificates that are ordered from an authority. Labels are names from
//! configuration and codes.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::Register;

/// What is counted of certificates that are ordered.
#[derive(Clone, Debug)]
pub struct AcmeMetrics {
    issued: IntCounterVec,
    failures: IntCounterVec,
    last: IntGaugeVec,
    next: IntGaugeVec,
    missing: IntGauge,
}

impl AcmeMetrics {
    pub(super) fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            issued: all.counters(
                "acme_certificates_issued_total",
                "Certificates that the authority issued",
                &["certificate"],
            )?,
            failures: all.counters(
                "acme_order_failures_total",
                "Orders for certificates that came to nothing, by reason",
                &["reason"],
            )?,
            last: all.gauges(
                "acme_last_issued_timestamp_seconds",
                "When the authority issued a certificate since the start, Unix seconds",
                &["certificate"],
            )?,
            next: all.gauges(
                "acme_next_order_timestamp_seconds",
                "When the next order for a certificate is made, Unix seconds",
                &["certificate"],
            )?,
            missing: all.gauge(
                "acme_certificates_missing",
                "Names that have no certificate from the authority yet",
            )?,
        })
    }

    /// A certificate was issued at `now` (Unix seconds).
    pub fn issued(&self, certificate: &str, now: u64) {
        self.issued.with_label_values(&[certificate]).inc();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.last.with_label_values(&[certificate]).set(now);
    }

    /// An order came to nothing, for a reason from a closed list.
    pub fn failed(&self, reason: &'static str) {
        self.failures.with_label_values(&[reason]).inc();
    }

    /// Replaces what is shown of each name: when its next order is made (Unix seconds), and whether
    /// it has a certificate.
    pub fn show<'n>(&self, all: impl IntoIterator<Item = (&'n str, u64, bool)>) {
        self.next.reset();
        let mut missing = 0;
        for (certificate, next, has_certificate) in all {
            let next = i64::try_from(next).unwrap_or(i64::MAX);
            self.next.with_label_values(&[certificate]).set(next);
            missing += i64::from(!has_certificate);
        }
        self.missing.set(missing);
    }
}
