//! First step: addresses that keep failing are slowed, and nothing passes that two programs could
//! read differently. [`Entered`] is a request whose head has one reading.

mod guard;

use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::request::Parts;

use crate::clock::Timestamp;
use crate::gateway::rejection::Rejection;
use crate::limit::HeadLimits;
use crate::peer::Peer;
use crate::quota::Addresses;
use crate::telemetry::Record;

/// The door's own rules, the same for every route.
#[derive(Clone)]
pub struct Intake {
    head: HeadLimits,
    addresses: Arc<Addresses>,
    /// The origin of the times that the table of addresses knows.
    started: Instant,
}

/// A request whose head every program reads alike.
#[must_use]
pub struct Entered {
    head: Parts,
    authority: HeaderValue,
    now: Timestamp,
    arrived: Duration,
    trusted: bool,
    visit: Visit,
}

/// Where a request came from and what is noted of it on its way.
#[derive(Clone)]
pub struct Visit {
    /// The other end of the connection.
    pub peer: Rc<Peer>,
    /// What is noted.
    pub record: Rc<Record>,
}

impl Intake {
    /// Rules over a head, and the table of addresses, whose times count from `started`.
    pub fn new(head: HeadLimits, addresses: Arc<Addresses>, started: Instant) -> Self {
        Self { head, addresses, started }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// `rate_limited` for an address that keeps failing; `bad_request`, `headers_too_large`,
    /// `unsupported_encoding` or `misdirected` for what [`guard`] finds.
    pub fn enter(&self, head: Parts, visit: Visit, now: Timestamp) -> Result<Entered, Rejection> {
        let arrived = visit.record.since(self.started);
        let standing = self.addresses.standing(visit.peer.ip, arrived);
        if let Some(wait) = standing.slowed {
            return Err(Rejection::RateLimited(wait));
        }
        let authority = guard::check(&head, &self.head, &visit.peer)?;
        Ok(Entered { head, authority, now, arrived, trusted: standing.trusted, visit })
    }

    /// Notes how a request from an address ended.
    pub fn settle(&self, ip: IpAddr, rejection: Option<Rejection>) {
        if rejection.is_some_and(Rejection::counts_against_address) {
            self.addresses.failed(ip, self.started.elapsed());
        }
    }
}

impl Entered {
    /// The head as received.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// Host or `:authority` as sent.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The host of the authority, without port.
    pub fn host(&self) -> &str {
        guard::host_of(self.authority.as_bytes()).unwrap_or_default()
    }

    /// The gate's time at which the request came; it serves every step.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When the request came, as the table of addresses counts.
    pub fn arrived(&self) -> Duration {
        self.arrived
    }

    /// Whether its address verified a request of late.
    pub fn trusted(&self) -> bool {
        self.trusted
    }

    /// Takes the request apart; what was checked is not checked any more.
    pub(super) fn into_parts(self) -> (Parts, HeaderValue, Timestamp, Visit) {
        (self.head, self.authority, self.now, self.visit)
    }
}

impl Deref for Entered {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.visit
    }
}
