//! The door for webhooks that payment providers send in. [`Inbox::receive`] is the path of one:
//! verify, read, keep, acknowledge; [`courier::Courier`] does what comes after. What is
//! acknowledged is on the disk, once; what is delivered was verified, and confirmed where that
//! proves too little. The acknowledgement waits for the disk and for nothing else. Must never be
//! done here: keeping more of an unverified message than that it came, and why it was refused.

mod ambiguity;
mod answer;
mod body;
mod claims;
pub mod courier;
pub mod destination;
mod entry;
mod freshness;
pub mod inquiry;
mod keeping;
pub mod message;
pub mod profile;
mod refusal;
mod shape;
pub mod source;
mod unsigned;
#[cfg(test)]
mod tests;
mod verification;
mod visit;

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Response;
use http::request::Parts;
use http_body::Body;
use prometheus::IntCounter;

use crate::clock::Clock;
use crate::gateway::admission::budget::Budget;
use crate::gateway::admission::intake::guard;
use crate::gateway::admission::unread::Asked;
use crate::journal::Journal;
use crate::keyring::Keyring;
use crate::limit::{BodyDeadlines, HeadLimits};
use crate::peer::Peer;
use crate::quota::Addresses;
use crate::telemetry::{InboxMetrics, Log, Uses};

pub use refusal::Refused;
pub use unsigned::Unsigned;

use answer::Outcome;
use body::Received;
use entry::Threshold;
use source::{Source, Sources};
use visit::Visit;

/// The inbox, shared by all cores: one immutable snapshot of sources, one of keys that is replaced
/// apart, and the parts that outlive every reload.
pub struct Inbox {
    /// Who sends.
    pub sources: Arc<Sources>,
    /// Who may sign.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// Where deliveries are kept.
    pub journal: Arc<Journal>,
    /// The gate's time.
    pub clock: Clock,
    /// Memory for bodies that nothing vouches for yet.
    pub budget: Arc<Budget>,
    /// Addresses that keep failing.
    pub addresses: Arc<Addresses>,
    /// What a head may hold.
    pub head: HeadLimits,
    /// Deadline and pace of a body.
    pub body: BodyDeadlines,
    /// Since when the table of addresses counts.
    pub started: Instant,
    /// Where each webhook has its line.
    pub log: Log,
    /// Whether each webhook has a line.
    pub access_log: bool,
    /// What is counted.
    pub metrics: InboxMetrics,
    /// Which versions of managed secrets are used.
    pub uses: Uses,
    /// What sources may still bring unsigned.
    pub unsigned: Arc<Unsigned>,
    /// Messages that ended in a panic.
    pub panics: IntCounter,
}

impl Inbox {
    /// The source that a request is for, whatever its method; none: it is for somebody else.
    pub fn source_of(&self, head: &Parts) -> Option<Arc<Source>> {
        let host = guard::host_named(&head.uri, head.version, &head.headers)?;
        self.sources.find(host, head.uri.path()).cloned()
    }

    /// Takes a message of a source.
    pub async fn receive<B: Body<Data = Bytes> + Unpin>(
        &self,
        source: Arc<Source>,
        head: Box<Parts>,
        mut body: B,
        peer: &Rc<Peer>,
    ) -> Response<Bytes> {
        let asked = Asked::of(&head);
        let visit = Visit::begin(self, source, &head, peer);
        let path = AssertUnwindSafe(self.path(&visit, head, &mut body)).catch_unwind();
        let (mut answer, outcome) = path.await.unwrap_or_else(|_| {
            self.panics.inc();
            let outcome = Err(Refused::Internal);
            (answer::of(&outcome, &visit.source, None), outcome)
        });
        answer::settle(&mut answer, outcome.as_ref().err().copied(), &mut body, asked).await;
        visit.close(&outcome, answer.status().as_u16());
        answer
    }

    /// From a message to its answer. The message stays until that is made of it.
    async fn path<B: Body<Data = Bytes> + Unpin>(
        &self,
        visit: &Visit<'_>,
        head: Box<Parts>,
        body: &mut B,
    ) -> (Response<Bytes>, Result<Outcome, Refused>) {
        let came = OnceCell::new();
        let outcome = self.steps(visit, *head, body, &came).await;
        (answer::of(&outcome, &visit.source, came.get()), outcome)
    }

    /// Every message passes these steps, in this order, or is refused.
    async fn steps<B: Body<Data = Bytes> + Unpin>(
        &self,
        visit: &Visit<'_>,
        head: Parts,
        body: &mut B,
        came: &OnceCell<Received>,
    ) -> Result<Outcome, Refused> {
        let entered = entry::enter(Arc::clone(&visit.source), head, &self.threshold(visit))?;
        let Some(announced) = entered.announces()? else { return Ok(Outcome::Probe) };
        let memory = self.budget.open(visit.peer.ip, announced.is_trusted());
        let received = body::receive(announced, body, memory, self.body, came).await;
        let stated = claims::read(visit.read(received)?)?;
        let fresh = freshness::check(stated)?;
        // After the body, which may take its time: a key that ended meanwhile is none.
        let (keyring, now) = (self.keyring.load_full(), self.clock.now());
        let room = || self.unsigned.take(&visit.source.name, &self.journal);
        let verified = verification::verify(fresh, &keyring, now, room).await?;
        visit.verified(&verified);
        let told = visit.told(shape::read(verified))?;
        Ok(keeping::keep(told, &self.journal).await?)
    }

    fn threshold<'a>(&'a self, visit: &'a Visit<'_>) -> Threshold<'a> {
        Threshold {
            peer: &visit.peer,
            limits: &self.head,
            addresses: &self.addresses,
            arrived: visit.arrived(),
            received_millis: visit.received_millis,
        }
    }
}
