//! The door for webhooks that payment providers send in. [`Inbox::receive`] is the path of one:
//! read, verify, look at its shape, keep, acknowledge. [`Courier`] does what comes after: confirm,
//! post back, deliver.
//!
//! Promises that what is acknowledged is on the disk, once, and that what is delivered was verified,
//! and confirmed where its scheme proves too little. The acknowledgement waits for the disk and for
//! nothing else. Must never be done here: keeping anything of a message that was not verified but
//! that it came, why it was refused, and how long it was.

pub mod courier;
pub mod destination;
pub mod inquiry;
pub mod message;
pub mod profile;
pub mod source;

mod refusal;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::gateway::admission::budget::Budget;
use crate::journal::Journal;
use crate::keyring::Keyring;
use crate::limit::{BodyDeadlines, HeadLimits};
use crate::peer::Peer;
use crate::quota::Addresses;
use crate::telemetry::{InboxMetrics, Log};

pub use refusal::Refused;

use source::{Source, Sources};

/// One core's inbox.
pub struct Inbox {
    /// The snapshot in force.
    pub sources: Arc<ArcSwap<Sources>>,
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
}

impl Inbox {
    /// The source that a request is for, whatever its method; none: it is for somebody else.
    pub fn source_of(&self, _head: &Parts) -> Option<Arc<Source>> {
        unimplemented!()
    }

    /// Takes a message of a source.
    pub async fn receive(
        &self,
        _source: Arc<Source>,
        _request: Request<Incoming>,
        _peer: &Rc<Peer>,
    ) -> Response<Full<Bytes>> {
        unimplemented!()
    }
}
