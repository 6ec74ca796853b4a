//! The series of the inbox and of its journal. Label sets are closed: names from configuration, and
//! codes.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::{Register, opts, seconds};

/// What is counted of webhooks, from their receipt to their end.
#[derive(Clone, Debug)]
pub struct InboxMetrics {
    /// Messages by `source` and `outcome`: `stored`, `duplicate`, `probe`, `client_gone`, or why
    /// they were refused.
    pub webhooks: IntCounterVec,
    /// From the end of the head to the answer of a message, by `source`.
    pub seconds: HistogramVec,
    /// What was tried for deliveries, by `work` (`confirm`, `post_back`, `deliver`), `lane` (the
    /// source or the destination) and `outcome`.
    pub attempts: IntCounterVec,
    /// Confirmations by `source` and `outcome`: `agreed`, `disagreed`.
    pub confirmations: IntCounterVec,
    /// Deliveries by `destination` and `state`.
    pub deliveries: IntGaugeVec,
    /// The age of the oldest delivery that is not done with, by `destination`, in seconds.
    pub oldest: IntGaugeVec,
    /// What nobody does anything about by itself, by `name` and `reason`: `dead`, `disagreed`,
    /// `held` (deliveries), `stopped` (1 for a destination), `post_back` (given up since the
    /// start). Worth an alarm when it is not 0.
    pub stuck: IntGaugeVec,
    /// The journal.
    pub journal: JournalMetrics,
}

/// What is counted of the journal.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    /// How long its commits take.
    pub commit_seconds: Histogram,
    /// Commits that failed.
    pub failures: IntCounter,
    /// Deliveries that wait to be kept.
    pub waiting: IntGauge,
    /// Bytes of deliveries in it.
    pub bytes: IntGauge,
    /// Keys by which repeated deliveries are known.
    pub keys: IntGauge,
    /// Refused messages that were counted and not noted.
    pub refusals_dropped: IntCounter,
}

impl InboxMetrics {
    pub(super) fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            webhooks: all.add(IntCounterVec::new(
                opts("webhooks_total", "Webhooks by source and outcome"),
                &["source", "outcome"],
            )?)?,
            seconds: all.add(HistogramVec::new(
                seconds("webhook_seconds", "From the head of a webhook to its answer"),
                &["source"],
            )?)?,
            attempts: all.add(IntCounterVec::new(
                opts("webhook_attempts_total", "What was tried for deliveries"),
                &["work", "lane", "outcome"],
            )?)?,
            confirmations: all.add(IntCounterVec::new(
                opts("webhook_confirmations_total", "What came of confirming deliveries"),
                &["source", "outcome"],
            )?)?,
            deliveries: all.add(IntGaugeVec::new(
                opts("webhook_deliveries", "Deliveries by destination and state"),
                &["destination", "state"],
            )?)?,
            oldest: all.add(IntGaugeVec::new(
                opts("webhook_oldest_open_seconds", "Age of the oldest delivery not done with"),
                &["destination"],
            )?)?,
            stuck: all.add(IntGaugeVec::new(
                opts("webhook_stuck", "What goes on only when an operator does something"),
                &["name", "reason"],
            )?)?,
            journal: JournalMetrics::new(all)?,
        })
    }

    /// Shows what can come of confirming deliveries of a source: a first event must show as an
    /// increase, not as a new series.
    pub fn begin_confirming(&self, source: &str) {
        for outcome in ["agreed", "disagreed"] {
            drop(self.confirmations.with_label_values(&[source, outcome]));
        }
    }
}

impl JournalMetrics {
    fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            commit_seconds: all.add(Histogram::with_opts(seconds(
                "journal_commit_seconds",
                "Time that a commit of the journal takes",
            ))?)?,
            failures: all
                .counter("journal_commit_failures_total", "Commits of the journal that failed")?,
            waiting: all.gauge("journal_waiting", "Webhooks that wait for the journal")?,
            bytes: all.gauge("journal_bytes", "Bytes of deliveries in the journal")?,
            keys: all.gauge("journal_keys", "Keys by which repeated webhooks are known")?,
            refusals_dropped: all.counter(
                "journal_refusals_dropped_total",
                "Refused webhooks that were counted and not noted",
            )?,
        })
    }
}
