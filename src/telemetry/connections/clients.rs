//! Clients that were refused for their certificates: counted by reason, and told in the log at most
//! once a second, so that nobody can fill the log by handshakes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec};

/// What was wrong with the certificate of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateFault {
    /// There was none, where one is required.
    Absent,
    /// No authority that is believed signed it.
    Untrusted,
    /// It, or one above it, has ended or not begun.
    Expired,
    /// It, or one above it, was revoked.
    Revoked,
    /// There is no list of revoked certificates of its authority.
    ListMissing,
    /// The list of revoked certificates has ended.
    ListExpired,
    /// It is damaged, not for clients, or of an algorithm that is not taken.
    Unusable,
}

impl CertificateFault {
    const ALL: [Self; 7] = [
        Self::Absent,
        Self::Untrusted,
        Self::Expired,
        Self::Revoked,
        Self::ListMissing,
        Self::ListExpired,
        Self::Unusable,
    ];

    /// Its text in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "certificate_absent",
            Self::Untrusted => "certificate_untrusted",
            Self::Expired => "certificate_expired",
            Self::Revoked => "certificate_revoked",
            Self::ListMissing => "crl_missing",
            Self::ListExpired => "crl_expired",
            Self::Unusable => "certificate_unusable",
        }
    }
}

/// Clients refused for one reason since the last time that anybody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedClients {
    /// The reason.
    pub fault: CertificateFault,
    /// How many.
    pub count: u64,
    /// Where the last one came from.
    pub last: IpAddr,
}

/// Counters of all reasons, and what the log was not told yet.
#[derive(Debug)]
pub(super) struct Refusals {
    counters: BTreeMap<CertificateFault, IntCounter>,
    untold: Mutex<BTreeMap<CertificateFault, RefusedClients>>,
}

impl Refusals {
    pub(super) fn new(failed: &IntCounterVec) -> Self {
        let counter =
            |fault: CertificateFault| (fault, failed.with_label_values(&[fault.as_str()]));
        let counters = CertificateFault::ALL.map(counter).into();
        Self { counters, untold: Mutex::default() }
    }

    pub(super) fn count(&self, fault: CertificateFault) {
        if let Some(counter) = self.counters.get(&fault) {
            counter.inc();
        }
    }

    pub(super) fn note(&self, fault: CertificateFault, ip: IpAddr) {
        self.count(fault);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let one = untold.entry(fault).or_insert(RefusedClients { fault, count: 0, last: ip });
        one.count += 1;
        one.last = ip;
    }

    pub(super) fn take(&self) -> Vec<RefusedClients> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *untold).into_values().collect()
    }
}
