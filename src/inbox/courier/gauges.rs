//! What is seen of the journal from outside: how many deliveries are where, how old, and what
//! stands still until an operator does something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::inbox::source::Sources;
use crate::journal::{State, Usage};
use crate::telemetry::InboxMetrics;

/// Every state with its label.
const STATES: [(State, &str); 6] = [
    (State::Confirming, "confirming"),
    (State::Delivering, "delivering"),
    (State::Delivered, "delivered"),
    (State::Disagreed, "disagreed"),
    (State::Dead, "dead"),
    (State::Held, "held"),
];

/// Names for which something was told: when there is nothing any more, that is told too.
#[derive(Default)]
pub(super) struct Gauges {
    told: BTreeSet<String>,
}

impl Gauges {
    /// Tells what there is.
    pub(super) fn tell(
        &mut self,
        metrics: &InboxMetrics,
        sources: &Sources,
        usage: &Usage,
        stopped: &BTreeMap<String, String>,
        now_millis: u64,
    ) {
        let known: BTreeSet<&str> =
            sources.iter().map(|source| &*source.destination.name).collect();
        self.told.extend(known.iter().map(|name| (*name).to_owned()));
        self.told.extend(usage.deliveries.iter().map(|(name, ..)| name.clone()));
        self.told.extend(stopped.keys().cloned());
        for name in &self.told {
            let count = |state| {
                let own = usage.deliveries.iter();
                let own = own.filter(|(of, in_state, _)| of == name && *in_state == state);
                own.fold(0_u64, |sum, (.., count)| sum.saturating_add(*count))
            };
            for (state, label) in STATES {
                let gauge = metrics.deliveries.with_label_values(&[name.as_str(), label]);
                gauge.set(signed(count(state)));
            }
            let stuck = |reason, count| {
                let gauge = metrics.stuck.with_label_values(&[name.as_str(), reason]);
                gauge.set(signed(count));
            };
            stuck("dead", count(State::Dead));
            stuck("disagreed", count(State::Disagreed));
            stuck("held", count(State::Held));
            stuck("stopped", u64::from(stopped.contains_key(name)));
            // Nobody delivers to what is gone from configuration.
            let gone = !known.contains(name.as_str());
            stuck("gone", if gone { count(State::Delivering) } else { 0 });
            let oldest = usage.oldest_open_millis.iter().find(|(of, _)| of == name);
            let age = oldest.map_or(0, |(_, since)| now_millis.saturating_sub(*since) / 1000);
            metrics.oldest.with_label_values(&[name.as_str()]).set(signed(age));
        }
        metrics.journal.bytes.set(signed(usage.bytes));
        metrics.journal.keys.set(signed(usage.keys));
    }
}

/// Counts one more post-back that was given up.
pub(super) fn post_back_given_up(metrics: &InboxMetrics, source: &Arc<str>) {
    metrics.stuck.with_label_values(&[&**source, "post_back"]).inc();
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
