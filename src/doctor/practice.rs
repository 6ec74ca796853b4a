//! How much the doctor may do, and what it has found.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

use crate::clock::Timestamp;
use crate::telemetry::{Mistakes, Owner, RequestId};

use super::mistake::Mistake;

/// Examinations a minute for one address (IPv6: one /64).
const PER_ADDRESS: u32 = 10;
/// Examinations a minute in all. Each takes about a millisecond of one core at most.
const IN_ALL: u32 = 600;
/// Addresses that are told apart at a time. Those that share a place share its examinations.
const PLACES: usize = 4096;
/// Findings that are kept; the oldest go first.
pub const FINDINGS_MAX: usize = 1000;

/// What was found about one refused request.
#[derive(Clone, Debug)]
pub struct Finding {
    /// When it was refused.
    pub at: Timestamp,
    /// Its id, as in the log.
    pub request_id: RequestId,
    /// The credential that it named.
    pub owner: Arc<Owner>,
    /// The mistake; none where no known one explains the signature.
    pub mistake: Option<Mistake>,
}

/// The doctor's limits and notes, shared by all cores.
pub struct Practice {
    visits: Mutex<Visits>,
    hasher: RandomState,
    findings: Mutex<VecDeque<Finding>>,
    counters: [IntCounter; Mistake::ALL.len()],
    unexplained: IntCounter,
}

/// Examinations in the minute that is.
struct Visits {
    minute: u64,
    in_all: u32,
    by_place: Box<[u32]>,
}

impl Practice {
    /// A practice without findings, which counts them by mistake.
    pub fn new(mistakes: &Mistakes) -> Self {
        let visits = Visits { minute: 0, in_all: 0, by_place: vec![0; PLACES].into() };
        Self {
            visits: Mutex::new(visits),
            hasher: RandomState::new(),
            findings: Mutex::new(VecDeque::new()),
            counters: Mistake::ALL.map(|mistake| mistakes.of(mistake.code())),
            unexplained: mistakes.of("unexplained"),
        }
    }

    /// Whether an address may take the doctor's time `now`, a time since the gate's start. If so it
    /// is counted.
    pub fn admits(&self, ip: IpAddr, now: Duration) -> bool {
        let block = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).unwrap_or_default(),
        };
        let place = self.hasher.hash_one((ip.is_ipv4(), block));
        let place = usize::try_from(place).unwrap_or_default() % PLACES;
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.as_secs() / 60;
        if visits.minute != minute {
            visits.minute = minute;
            visits.in_all = 0;
            visits.by_place.fill(0);
        }
        let open = visits.in_all < IN_ALL;
        let Some(own) = visits.by_place.get_mut(place).filter(|own| open && **own < PER_ADDRESS)
        else {
            return false;
        };
        *own += 1;
        visits.in_all += 1;
        true
    }

    /// Keeps and counts a finding.
    pub fn note(&self, finding: Finding) {
        let counter = finding.mistake.and_then(|mistake| {
            let place = Mistake::ALL.iter().position(|one| *one == mistake)?;
            self.counters.get(place)
        });
        counter.unwrap_or(&self.unexplained).inc();
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() >= FINDINGS_MAX {
            findings.pop_front();
        }
        findings.push_back(finding);
    }

    /// What was found of late, the newest first.
    pub fn findings(&self) -> Vec<Finding> {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::GateMetrics;

    fn practice() -> Practice {
        Practice::new(&GateMetrics::new().unwrap().mistakes)
    }

    #[test]
    fn an_address_gets_ten_a_minute_and_a_block_is_one_address() {
        let practice = practice();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let asked = |text: &str, seconds| practice.admits(ip(text), Duration::from_secs(seconds));
        let granted = (0..20).filter(|_| asked("2001:db8::1", 0)).count();
        assert_eq!(granted, 10);
        assert!(!asked("2001:db8::2", 59));
        assert!(asked("192.0.2.1", 59));
        assert!(asked("2001:db8::1", 60));
    }

    #[test]
    fn all_addresses_together_are_bounded() {
        let practice = practice();
        let from = |n: u32| practice.admits(IpAddr::V4(n.into()), Duration::ZERO);
        let granted = (0..5000).filter(|n| from(*n)).count();
        assert_eq!(granted, 600);
    }
}
