//! The series of certificates that are ordered from an authority. Labels are names from
//! configuration and codes.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::Register;

/// Why an order for a certificate came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFault {
    /// The authority has no whole answer.
    Unreachable,
    /// It answered with a fault of its own.
    ServerError,
    /// It wants fewer orders.
    RateLimited,
    /// It refused for another reason.
    Refused,
    /// It did not see the proof that the name leads here.
    ChallengeFailed,
    /// The order was not done within its deadline.
    TimedOut,
    /// It answered something that makes no sense.
    Unreadable,
    /// It issued a certificate that cannot be served.
    UnusableCertificate,
    /// Something of our own failed: no random bytes, or the state folder.
    Local,
}

impl OrderFault {
    const ALL: [Self; 9] = [
        Self::Unreachable,
        Self::ServerError,
        Self::RateLimited,
        Self::Refused,
        Self::ChallengeFailed,
        Self::TimedOut,
        Self::Unreadable,
        Self::UnusableCertificate,
        Self::Local,
    ];

    /// Its name in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::ChallengeFailed => "challenge_failed",
            Self::TimedOut => "timed_out",
            Self::Unreadable => "unreadable",
            Self::UnusableCertificate => "unusable_certificate",
            Self::Local => "local",
        }
    }
}

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
        let failures = all.counters(
            "acme_order_failures_total",
            "Orders for certificates that came to nothing, by reason",
            &["reason"],
        )?;
        // From the start, so that the first one is an increase.
        for fault in OrderFault::ALL {
            failures.with_label_values(&[fault.as_str()]);
        }
        Ok(Self {
            failures,
            issued: all.counters(
                "acme_certificates_issued_total",
                "Certificates that the authority issued",
                &["certificate"],
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

    /// An order came to nothing.
    pub fn failed(&self, fault: OrderFault) {
        self.failures.with_label_values(&[fault.as_str()]).inc();
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
