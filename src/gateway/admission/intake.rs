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
pub struct Entered(Box<Guarded>);

/// In one place from here to the upstream, so that a step passes on a pointer and copies nothing.
struct Guarded {
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
        let trusted = standing.trusted;
        Ok(Entered(Box::new(Guarded { head, authority, now, arrived, trusted, visit })))
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
        &self.0.head
    }

    /// Host or `:authority` as sent.
    pub fn authority(&self) -> &HeaderValue {
        &self.0.authority
    }

    /// The host of the authority, without port.
    pub fn host(&self) -> &str {
        guard::host_of(self.0.authority.as_bytes()).unwrap_or_default()
    }

    /// The gate's time at which the request came; it serves every step.
    pub fn now(&self) -> Timestamp {
        self.0.now
    }

    /// When the request came, as the table of addresses counts.
    pub fn arrived(&self) -> Duration {
        self.0.arrived
    }

    /// Whether its address verified a request of late.
    pub fn trusted(&self) -> bool {
        self.0.trusted
    }

    /// Takes the request apart; what was checked is not checked any more.
    pub(super) fn into_parts(self) -> (Parts, HeaderValue, Timestamp, Visit) {
        let Guarded { head, authority, now, visit, .. } = *self.0;
        (head, authority, now, visit)
    }
}

impl Deref for Entered {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.0.visit
    }
}
