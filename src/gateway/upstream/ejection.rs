//! Leaving out an address that keeps failing, by what requests to it came to.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::PoisonError;
use std::time::Duration;

use http::StatusCode;

use super::{Address, Upstream};

/// When an address is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row.
    pub failures: NonZeroU32,
    /// For how long.
    pub period: Duration,
    /// The part of the addresses that may be out at a time, in thousandths.
    pub at_most: NonZeroU16,
    /// Statuses of answers that are failures.
    pub statuses: Vec<StatusCode>,
}

impl Upstream {
    /// Notes what an address answered.
    pub fn answered(&self, address: &Address, status: StatusCode) {
        let Some(ejection) = &self.spec.ejection else { return };
        if ejection.statuses.contains(&status) {
            self.failed(address);
        } else {
            address.note_success();
        }
    }

    /// Notes that an address gave no connection, no answer in time, or none that could be read; and
    /// leaves it out after so many in a row, if that leaves enough others.
    pub fn failed(&self, address: &Address) {
        address.metrics.failures.inc();
        let Some(ejection) = &self.spec.ejection else { return };
        if address.note_failure() < ejection.failures.get() {
            return;
        }
        let _one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = self.addresses.load();
        let out = addresses.iter().filter(|one| one.is_ejected()).count();
        let out_max = addresses.len().saturating_mul(usize::from(ejection.at_most.get())) / 1000;
        if out < out_max && !address.is_ejected() {
            // Back after its time it has one trial, not as many as before.
            address.eject(ejection.period, ejection.failures.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::upstream::{UpstreamSpec, UpstreamUrl};
    use crate::telemetry::GateMetrics;

    fn upstream(addresses: u16, period: Duration, at_most: u16) -> Upstream {
        let url = |n| UpstreamUrl { host: "127.0.0.1".into(), port: 1 + n };
        let spec = UpstreamSpec {
            ejection: Some(Ejection {
                failures: NonZeroU32::new(3).unwrap(),
                period,
                at_most: NonZeroU16::new(at_most).unwrap(),
                statuses: vec![StatusCode::BAD_GATEWAY],
            }),
            ..UpstreamSpec::new("a".into(), (0..addresses).map(url).collect())
        };
        Upstream::new(spec, GateMetrics::new().unwrap().upstream("a"), None).unwrap()
    }

    fn out(upstream: &Upstream) -> Vec<bool> {
        upstream.addresses().iter().map(|address| address.is_ejected()).collect()
    }

    #[test]
    fn only_failures_in_a_row_count() {
        let upstream = upstream(2, Duration::from_secs(60), 500);
        let first = Arc::clone(&upstream.addresses()[0]);
        for _ in 0..5 {
            upstream.failed(&first);
            upstream.answered(&first, StatusCode::BAD_GATEWAY);
            upstream.answered(&first, StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(out(&upstream), [false, false]);
        upstream.failed(&first);
        upstream.failed(&first);
        upstream.answered(&first, StatusCode::BAD_GATEWAY);
        assert_eq!(out(&upstream), [true, false]);
        assert_eq!(first.metrics.failures.get(), 13);
    }

    #[test]
    fn no_more_are_left_out_than_may_be() {
        for (addresses, at_most, expected) in
            [(1, 500, 0), (1, 1000, 1), (3, 500, 1), (4, 500, 2), (4, 999, 3), (3, 300, 0)]
        {
            let upstream = upstream(addresses, Duration::from_secs(60), at_most);
            for address in upstream.addresses().iter() {
                (0..10).for_each(|_| upstream.failed(address));
            }
            let out = out(&upstream).into_iter().filter(|out| *out).count();
            assert_eq!(out, expected, "{addresses} {at_most}");
        }
    }

    #[test]
    fn one_that_comes_back_is_on_trial() {
        let upstream = upstream(2, Duration::from_millis(20), 500);
        let first = Arc::clone(&upstream.addresses()[0]);
        (0..3).for_each(|_| upstream.failed(&first));
        assert!(first.is_ejected());
        std::thread::sleep(Duration::from_millis(25));
        assert!(!first.is_ejected());
        upstream.failed(&first);
        assert!(first.is_ejected(), "one failure is enough");
        std::thread::sleep(Duration::from_millis(25));
        upstream.answered(&first, StatusCode::OK);
        upstream.failed(&first);
        assert!(!first.is_ejected(), "it did well in between");
    }

    #[test]
    fn a_change_elsewhere_leaves_an_address_out() {
        let before = upstream(2, Duration::from_secs(60), 500);
        (0..3).for_each(|_| before.failed(&before.addresses()[0]));
        let mut spec = before.spec.clone();
        spec.urls.push(UpstreamUrl { host: "127.0.0.2".into(), port: 1 });
        spec.urls.swap(0, 1);
        let metrics = before.metrics.clone();
        let after = Upstream::new(spec.clone(), metrics.clone(), Some(&before)).unwrap();
        assert_eq!(out(&after), [false, true, false]);
        spec.ejection = None;
        let without = Upstream::new(spec, metrics, Some(&after)).unwrap();
        assert_eq!(out(&without), [false; 3]);
    }
}
