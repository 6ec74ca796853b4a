//! Metrics of upstreams and of their addresses, which are called as configuration calls them: what
//! a name stands for has no series of its own.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::Register;

/// What is counted of one upstream.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    /// Connections open now.
    pub connections: IntGauge,
    /// Connections opened so far.
    pub opened: IntCounter,
    /// Requests sent again on another connection.
    pub retries: IntCounter,
    pub(super) addresses: AllAddressMetrics,
    pub(super) name: Box<str>,
}

/// What is counted of one address.
#[derive(Clone, Debug)]
pub struct AddressMetrics {
    /// Requests that it has, told by each core once a second.
    pub in_flight: IntGauge,
    /// Connections that did not stand, answers that did not come or broke off, and statuses that
    /// are failures.
    pub failures: IntCounter,
    /// Times that its name could not be looked up.
    pub lookup_failures: IntCounter,
}

/// The series of all addresses.
#[derive(Clone, Debug)]
pub struct AllAddressMetrics {
    in_flight: IntGaugeVec,
    failures: IntCounterVec,
    lookup_failures: IntCounterVec,
    ejected: IntGaugeVec,
    healthy: IntGaugeVec,
}

impl AllAddressMetrics {
    pub(super) fn new(all: &Register<'_>) -> Result<Self, prometheus::Error> {
        let labels = ["upstream", "address"];
        Ok(Self {
            in_flight: all.gauges(
                "upstream_requests_in_flight",
                "Requests that an address has, as of the last second",
                &labels,
            )?,
            failures: all.counters(
                "upstream_failures_total",
                "Connections, answers and statuses of an address that were failures",
                &labels,
            )?,
            lookup_failures: all.counters(
                "upstream_lookup_failures_total",
                "Times that the name of an address could not be looked up",
                &labels,
            )?,
            ejected: all.gauges(
                "upstream_ejected",
                "Addresses that are left out because they kept failing",
                &labels,
            )?,
            healthy: all.gauges(
                "upstream_healthy",
                "Addresses that their health checks call healthy, or that have none",
                &labels,
            )?,
        })
    }

    /// Forgets what was healthy and what was left out, before it is told anew.
    pub fn begin(&self) {
        self.ejected.reset();
        self.healthy.reset();
    }

    /// One address more under its name.
    pub fn show(&self, upstream: &str, address: &str, healthy: bool, ejected: bool) {
        self.ejected.with_label_values(&[upstream, address]).add(i64::from(ejected));
        self.healthy.with_label_values(&[upstream, address]).add(i64::from(healthy));
    }
}

impl UpstreamMetrics {
    /// The series of one of its addresses.
    pub fn address(&self, address: &str) -> AddressMetrics {
        let labels = [&*self.name, address];
        AddressMetrics {
            in_flight: self.addresses.in_flight.with_label_values(&labels),
            failures: self.addresses.failures.with_label_values(&labels),
            lookup_failures: self.addresses.lookup_failures.with_label_values(&labels),
        }
    }
}
