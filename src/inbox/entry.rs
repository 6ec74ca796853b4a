//! First steps: an address that keeps failing waits, the head has one reading ([`Entered`]), and
//! its method brings messages ([`Announced`]).

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

use crate::clock::Timestamp;
use crate::gateway::admission::intake::guard::{self, Authority, Checked};
use crate::limit::HeadLimits;
use crate::peer::Peer;
use crate::quota::Addresses;
use crate::recipe::Subject;

use super::refusal::Refused;
use super::source::Source;

/// A message for a source, whose head every program reads alike.
#[must_use]
pub(super) struct Entered {
    source: Arc<Source>,
    head: Parts,
    authority: Authority,
    now: Timestamp,
    received_millis: u64,
    trusted: bool,
}

/// A message whose method brings messages.
#[must_use]
pub(super) struct Announced(Entered);

/// What a head is looked at with.
pub(super) struct Threshold<'a> {
    /// From where it came.
    pub(super) peer: &'a Peer,
    /// What it may hold.
    pub(super) limits: &'a HeadLimits,
    /// Addresses that keep failing.
    pub(super) addresses: &'a Addresses,
    /// When it came, as the table of addresses counts.
    pub(super) arrived: Duration,
    /// When it came, in Unix milliseconds of the gate's time.
    pub(super) received_millis: u64,
}

/// Lets a message in.
///
/// # Errors
/// `slowed`, and what the guard of heads finds.
pub(super) fn enter(
    source: Arc<Source>,
    head: Parts,
    threshold: &Threshold<'_>,
) -> Result<Entered, Refused> {
    let standing = threshold.addresses.standing(threshold.peer.ip, threshold.arrived);
    // A provider sends for everybody from the same few addresses, and anybody can have it send here
    // what his own secret signs: that must not keep the true messages out.
    if let Some(wait) = standing.slowed.filter(|_| !standing.trusted) {
        return Err(Refused::Slowed(wait));
    }
    let Checked { authority, coded } = guard::check(&head, threshold.limits, threshold.peer)?;
    if coded {
        return Err(Refused::UnsupportedEncoding);
    }
    let received_millis = threshold.received_millis;
    let now = Timestamp::from_secs(received_millis / 1000);
    Ok(Entered { source, head, authority, now, received_millis, trusted: standing.trusted })
}

impl Entered {
    /// The message, where its method brings one; none for a probe, of which nothing is kept.
    ///
    /// # Errors
    /// `method` for any other.
    pub(super) fn announces(self) -> Result<Option<Announced>, Refused> {
        let (source, method) = (&self.source, &self.head.method);
        if source.methods.contains(method) {
            return Ok(Some(Announced(self)));
        }
        if source.probes.contains(method) { Ok(None) } else { Err(Refused::Method) }
    }
}

impl Announced {
    /// Whom it is for.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.0.source
    }

    /// The head as it came.
    pub(super) fn head(&self) -> &Parts {
        &self.0.head
    }

    /// Host, or `:authority`, as it came.
    pub(super) fn authority(&self) -> &str {
        self.0.authority.value.to_str().unwrap_or_default()
    }

    /// Path and query as they came.
    pub(super) fn target(&self) -> &str {
        self.0.head.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The gate's time at which it came: it is judged by that, once.
    pub(super) fn now(&self) -> Timestamp {
        self.0.now
    }

    /// The same in Unix milliseconds.
    pub(super) fn received_millis(&self) -> u64 {
        self.0.received_millis
    }

    /// Whether its address verified something of late.
    pub(super) fn is_trusted(&self) -> bool {
        self.0.trusted
    }

    /// The message as schemes and templates look at it, without a body.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            method: self.head().method.as_str(),
            scheme: "https",
            authority: self.authority(),
            target: self.target(),
            headers: &self.head().headers,
            body: &[],
            status: None,
            public_url: self.source().public_url.as_deref(),
            secret: None,
            values: &self.source().values,
        }
    }
}
