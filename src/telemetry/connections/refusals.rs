//! Connections that were refused: told in the log at most once a second and reason, so that nobody
//! can fill the log by connecting.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

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
    pub(super) const ALL: [Self; 7] = [
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

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client, as far as it is known.
    pub peer: IpAddr,
    /// The other end of the socket, where that is not the client: a balancer.
    pub via: Option<IpAddr>,
}

/// Connections refused for one reason since the last time that anybody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// Where the last one came from.
    pub last: Origin,
}

/// What the log was not told yet, by reason.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<BTreeMap<Reason, Refused>>);

/// Why a connection was refused, where the log says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Something is wrong with the certificate of the client.
    Certificate(CertificateFault),
    /// A balancer's PROXY header is absent, broken or late, or stands where none may stand.
    ProxyHeader,
    /// The listener holds as many connections as it may.
    Total,
    /// The client's address holds as many connections as it may.
    Address,
}

impl Reason {
    /// Its text in logs, which is that of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate(fault) => fault.as_str(),
            Self::ProxyHeader => "proxy_header",
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

impl Untold {
    pub(super) fn note(&self, reason: Reason, origin: Origin) {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = untold.entry(reason).or_insert(Refused { count: 0, last: origin });
        one.count += 1;
        one.last = origin;
    }

    pub(super) fn take(&self) -> BTreeMap<Reason, Refused> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
