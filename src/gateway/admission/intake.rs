//! First step: addresses that keep failing are slowed, and nothing passes that two programs could
//! read differently. [`Entered`] is a request whose head has one reading.

pub mod guard;

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
use crate::quota::{Addresses, Standing};
use crate::telemetry::Record;

use guard::{Authority, Checked};

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
    head: Box<Parts>,
    authority: Authority,
    coded: bool,
    now: Timestamp,
    arrived: Duration,
    standing: Standing,
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
    /// `unsupported_encoding` or `misdirected` for what the guard finds.
    pub fn enter(
        &self,
        head: Box<Parts>,
        visit: Visit,
        now: Timestamp,
    ) -> Result<Entered, Rejection> {
        let arrived = visit.record.since(self.started);
        let standing = self.addresses.standing(visit.peer.ip, arrived);
        if let Some(wait) = standing.slowed {
            return Err(Rejection::RateLimited(wait));
        }
        let Checked { authority, coded } = guard::check(&head, &self.head, &visit.peer)?;
        Ok(Entered(Box::new(Guarded { head, authority, coded, now, arrived, standing, visit })))
    }

    /// Begins an attempt to be admitted, which must be settled.
    pub fn attempt(&self, visit: &Visit) -> Attempt<'_> {
        let (ip, record) = (visit.peer.ip, Rc::clone(&visit.record));
        Attempt { intake: self, ip, record, settled: false }
    }
}

/// An attempt to be admitted. Dropped unsettled, because the client left in the middle of it, it
/// counts as failed unless the signature was good: whoever begins requests without ending them must
/// not do so for nothing.
#[must_use]
pub struct Attempt<'intake> {
    intake: &'intake Intake,
    ip: IpAddr,
    record: Rc<Record>,
    settled: bool,
}

impl Attempt<'_> {
    /// Notes how it ended.
    pub fn settle(mut self, rejection: Option<Rejection>) {
        self.settled = true;
        if rejection.is_some_and(Rejection::counts_against_address) {
            self.count();
        }
    }

    fn count(&self) {
        self.intake.addresses.failed(self.ip, self.intake.started.elapsed());
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // A defect of the gate is not the caller's failure.
        if !self.settled && !self.record.is_verified() && !std::thread::panicking() {
            self.count();
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
        &self.0.authority.value
    }

    /// The host of the authority, without port.
    pub fn host(&self) -> &str {
        self.0.authority.host()
    }

    /// Whether its body is sealed by a content coding.
    pub fn is_coded(&self) -> bool {
        self.0.coded
    }

    /// The gate's time at which the request came; it serves every step.
    pub fn now(&self) -> Timestamp {
        self.0.now
    }

    /// When the request came, as the table of addresses counts.
    pub fn arrived(&self) -> Duration {
        self.0.arrived
    }

    /// What was known of its address when it came.
    pub fn standing(&self) -> Standing {
        self.0.standing
    }

    /// Takes the request apart; what was checked is not checked any more.
    pub(super) fn into_parts(self) -> (Box<Parts>, HeaderValue, Timestamp, Visit) {
        let Guarded { head, authority, now, visit, .. } = *self.0;
        (head, authority.value, now, visit)
    }
}

impl Deref for Entered {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.0.visit
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use http::{Method, Version};

    use super::*;
    use crate::clock::Clock;
    use crate::limit::Rate;
    use crate::peer::CertNames;
    use crate::telemetry::{GateMetrics, Lane, Uses, VerifiedBy};

    fn visit() -> Visit {
        let ip = IpAddr::from([203, 0, 113, 7]);
        let metrics = GateMetrics::new().unwrap();
        let unrouted = metrics.route(&Arc::from("none"));
        let lane =
            Lane::new(Clock::system(), metrics.stage_times(), unrouted, None, Uses::default());
        let lane = lane.unwrap();
        let peer = Rc::new(Peer {
            address: (ip, 50_000).into(),
            ip,
            socket: ip,
            unclear: false,
            server_name: None,
            names: CertNames::new(Vec::new()),
            certificate: None,
            forwarded_for: HeaderValue::from_static("203.0.113.7"),
        });
        let record = lane.begin(&Method::POST, None, Version::HTTP_2, &peer);
        Visit { peer, record }
    }

    #[test]
    fn an_attempt_without_an_end_counts_unless_its_signature_was_good() {
        let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
        let addresses = Addresses::new(Addresses::ENTRIES, rate).unwrap();
        let intake = Intake::new(HeadLimits::default(), Arc::new(addresses), Instant::now());
        let visit = visit();
        let slowed = || intake.addresses.slowed(visit.peer.ip, intake.started.elapsed()).is_some();
        let verified = self::visit();
        verified.record.verified(VerifiedBy::default());
        drop(intake.attempt(&verified));
        intake.attempt(&visit).settle(None);
        intake.attempt(&visit).settle(Some(Rejection::Busy));
        assert!(!slowed());
        drop(intake.attempt(&visit));
        assert!(slowed());
    }
}
