//! What is told of the addresses behind the gate: gauges, and lines of the log.

use serde_json::json;

use crate::telemetry::Level;

use super::assembly::{Parts, lock};

impl Parts {
    /// Brings the gauges of addresses up to date.
    pub(super) fn refresh_upstreams(&self) {
        let shown = &self.metrics.addresses;
        shown.begin();
        for upstream in lock(&self.kept.upstreams).iter() {
            for address in upstream.addresses().iter() {
                let label = address.url.to_string();
                shown.show(&upstream.spec.name, &label, address.is_healthy(), address.is_ejected());
            }
        }
    }

    /// Logs which addresses were left out and came back, fell ill and got well, since the last time.
    pub(super) fn tell_upstreams(&self) {
        for upstream in lock(&self.kept.upstreams).iter() {
            for address in upstream.addresses().iter() {
                let (healthy, ejected) = address.news();
                let found = address.found.map(|found| found.to_string());
                let fields = || {
                    let label = address.url.to_string();
                    json!({ "upstream": &*upstream.spec.name, "address": label, "found": found })
                };
                match healthy {
                    Some(true) => self.log.event(Level::Info, "upstream_healthy", fields()),
                    Some(false) => self.log.event(Level::Warn, "upstream_unhealthy", fields()),
                    None => {}
                }
                match ejected {
                    Some(true) => self.log.event(Level::Warn, "upstream_ejected", fields()),
                    Some(false) => self.log.event(Level::Info, "upstream_returned", fields()),
                    None => {}
                }
            }
        }
    }
}
