//! One address of an upstream, and what all cores know of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use super::UpstreamUrl;
use crate::telemetry::AddressMetrics;

/// An address that requests can go to.
#[derive(Debug)]
pub struct Address {
    /// What configuration calls it.
    pub url: UpstreamUrl,
    /// What its name stands for; none: asked for with every connection.
    pub found: Option<SocketAddr>,
    /// What is counted of it.
    pub metrics: AddressMetrics,
    /// Whose certificate it must show; none: plain HTTP.
    pub(super) server: Option<ServerName<'static>>,
    healthy: AtomicBool,
    /// Checks in a row that say otherwise.
    doubts: AtomicU32,
    /// Failures in a row.
    failures: AtomicU32,
    /// Until when it is left out, in milliseconds of its life; 0: it is not.
    ejected_until: AtomicU64,
    born: Instant,
    /// What the log was told last.
    told: AtomicU8,
}

impl Address {
    pub(super) fn new(
        url: UpstreamUrl,
        found: Option<SocketAddr>,
        server: Option<ServerName<'static>>,
        metrics: AddressMetrics,
    ) -> Self {
        Self {
            url,
            found,
            metrics,
            server,
            healthy: AtomicBool::new(true),
            doubts: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            born: Instant::now(),
            told: AtomicU8::new(0),
        }
    }

    /// Whether its health checks say so; true where there are none.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Notes what a check said; after so many in a row that say otherwise than what is known, that
    /// is known. One place checks, so nothing comes in between.
    pub(super) fn note_check(&self, well: bool, healthy: u32, unhealthy: u32) {
        let doubts = match well == self.is_healthy() {
            true => 0,
            false => self.doubts.load(Ordering::Relaxed).saturating_add(1),
        };
        let turns = doubts >= if well { healthy } else { unhealthy };
        self.doubts.store(if turns { 0 } else { doubts }, Ordering::Relaxed);
        if turns {
            self.healthy.store(well, Ordering::Relaxed);
        }
    }

    /// Whether it is left out for now. No clock is read where it was not.
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        if until == 0 {
            return false;
        }
        if self.age_millis() < until {
            return true;
        }
        // Whoever changed it in between knows better.
        let over =
            self.ejected_until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        over.is_err_and(|until| until != 0)
    }

    /// What changed since the log was told: whether it is healthy, whether it is left out.
    pub fn news(&self) -> (Option<bool>, Option<bool>) {
        let (healthy, ejected) = (self.is_healthy(), self.is_ejected());
        let now = u8::from(!healthy) | u8::from(ejected) << 1;
        let changed = self.told.swap(now, Ordering::Relaxed) ^ now;
        ((changed & 1 != 0).then_some(healthy), (changed & 2 != 0).then_some(ejected))
    }

    /// One more failure; says how many there were in a row.
    pub(super) fn note_failure(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// It did well.
    pub(super) fn note_success(&self) {
        // Looked at first: a store would take the cache line from the other cores.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Leaves it out from now on, and lets it come back on trial: after `failures` more it goes
    /// again.
    pub(super) fn eject(&self, period: Duration, failures: u32) {
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        self.failures.store(failures, Ordering::Relaxed);
        self.ejected_until.store(self.age_millis().saturating_add(period), Ordering::Relaxed);
    }

    fn age_millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::GateMetrics;

    #[test]
    fn checks_count_in_a_row() {
        let url = UpstreamUrl { host: "a".into(), port: 1 };
        let metrics = GateMetrics::new().unwrap().upstream("a").address("a:1");
        let address = Address::new(url, None, None, metrics);
        let after = |checks: &[bool]| {
            checks.iter().for_each(|well| address.note_check(*well, 2, 3));
            (address.is_healthy(), address.news().0)
        };
        assert_eq!(after(&[false, false, true, false, false]), (true, None));
        assert_eq!(after(&[false]), (false, Some(false)));
        assert_eq!(after(&[true, false, true]), (false, None));
        assert_eq!(after(&[true]), (true, Some(true)));
        assert_eq!(after(&[false, false]), (true, None));
    }
}
