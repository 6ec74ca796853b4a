//! The series of routes that only watch. Label sets are closed: routes and codes.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::code::Code;
use super::metrics::{Register, opts};

/// What is counted where refusals are only watched.
#[derive(Clone, Debug)]
pub struct ObservedMetrics {
    requests: IntCounterVec,
    days_left: IntGaugeVec,
}

impl ObservedMetrics {
    pub(super) fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: all.add(IntCounterVec::new(
                opts("observed_total", "Refused requests that went on, by route and refusal"),
                &["route", "code"],
            )?)?,
            days_left: all.add(IntGaugeVec::new(
                opts("observe_days_left", "Days until a route that only watches enforces"),
                &["route"],
            )?)?,
        })
    }

    /// Shows what can be refused on a route and go on: a first event must show as an increase, not
    /// as a new series.
    pub fn begin(&self, route: &str, codes: &[Code]) {
        codes.iter().for_each(|code| drop(self.of(route, *code)));
    }

    /// Counts of what was refused on a route and went on. A look-up, on such requests only.
    pub(super) fn of(&self, route: &str, code: Code) -> IntCounter {
        self.requests.with_label_values(&[route, code.as_str()])
    }

    /// Replaces the days that are left: each route that watches and its days.
    pub fn set_days_left<'n>(&self, routes: impl IntoIterator<Item = (&'n str, u64)>) {
        self.days_left.reset();
        for (route, days) in routes {
            let days = i64::try_from(days).unwrap_or(i64::MAX);
            self.days_left.with_label_values(&[route]).set(days);
        }
    }
}
