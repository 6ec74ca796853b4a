//! What is noted of one message: counted, logged with codes and lengths, and in the journal why it
//! was refused.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use serde_json::json;

use crate::clock::Timestamp;
use crate::gateway::admission::reading::Broken;
use crate::journal::{DeliveryId, Refusal};
use crate::peer::Peer;
use crate::telemetry::{Level, Use, UsedVersion};

use super::Inbox;
use super::answer::Outcome;
use super::body::Received;
use super::message::Misshapen;
use super::refusal::Refused;
use super::shape::Told;
use super::source::{Source, SourceKeys};
use super::verification::Verified;

/// The visit of one message. Dropped before it was closed, because the sender left, it is counted
/// as such, and against its address unless the signature was good.
pub(super) struct Visit<'i> {
    inbox: &'i Inbox,
    /// Whom it is for.
    pub(super) source: Arc<Source>,
    /// Who brings it.
    pub(super) peer: Rc<Peer>,
    /// When it came, in Unix milliseconds of the gate's time.
    pub(super) received_millis: u64,
    began: Instant,
    head_bytes: usize,
    body_bytes: Cell<usize>,
    verified: Cell<bool>,
    /// What of it was not as it must be, in the words of the profile.
    misshapen: RefCell<Option<Box<str>>>,
    closed: Cell<bool>,
}

impl<'i> Visit<'i> {
    /// Begins at the end of the head.
    pub(super) fn begin(
        inbox: &'i Inbox,
        source: Arc<Source>,
        head: &Parts,
        peer: &Rc<Peer>,
    ) -> Self {
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        Self {
            inbox,
            source,
            peer: Rc::clone(peer),
            received_millis: inbox.clock.now_millis(),
            began: Instant::now(),
            head_bytes: head.method.as_str().len() + target + fields.sum::<usize>(),
            body_bytes: Cell::new(0),
            verified: Cell::new(false),
            misshapen: RefCell::new(None),
            closed: Cell::new(false),
        }
    }

    /// When it came, as the table of addresses counts.
    pub(super) fn arrived(&self) -> Duration {
        self.began.saturating_duration_since(self.inbox.started)
    }

    /// Notes how much of its body was read, be it all or not.
    pub(super) fn read<'m>(
        &self,
        received: Result<&'m Received, Broken>,
    ) -> Result<&'m Received, Refused> {
        let bytes = received.as_ref().map_or_else(|broken| broken.bytes, |all| all.body().len());
        self.body_bytes.set(bytes);
        received.map_err(Refused::from)
    }

    /// Notes that its signature was good: its address is known from now on, and the version of a
    /// managed secret was used.
    pub(super) fn verified(&self, verified: &Verified<'_>) {
        let Some(by) = verified.by() else { return };
        self.verified.set(true);
        self.inbox.addresses.verified(self.peer.ip, self.arrived());
        if let SourceKeys::Credential(key_id) = &self.source.keys
            && by.number > 0
        {
            let (number, pending) = (by.number, by.pending);
            let version = UsedVersion { key_id: key_id.shared(), number, pending };
            let last_at = Timestamp::from_secs(self.received_millis / 1000);
            let once = Use { requests: 1, last_at, last_address: self.peer.ip };
            self.inbox.uses.give_back([(version, once)].into());
        }
    }

    /// Notes what of it was not as it must be.
    pub(super) fn told<'m>(&self, told: Result<Told<'m>, Misshapen>) -> Result<Told<'m>, Refused> {
        told.map_err(|Misshapen { what }| {
            self.misshapen.replace(Some(what));
            Refused::Misshapen
        })
    }

    /// Ends it.
    pub(super) fn close(&self, outcome: &Result<Outcome, Refused>, status: u16) {
        self.closed.set(true);
        if let Err(refused) = outcome {
            if refused.counts_against_address() {
                self.count_against_address();
            }
            if refused.is_noted() {
                self.note(*refused);
            }
        }
        if let Ok(Outcome::Stored(id, Some(why))) = outcome {
            self.tell_held(id, why);
        }
        let code = code(outcome);
        self.count(code);
        if self.inbox.access_log {
            self.log(outcome, code, status);
        }
    }

    fn count(&self, code: &str) {
        let (metrics, name) = (&self.inbox.metrics, &*self.source.name);
        metrics.webhooks.with_label_values(&[name, code]).inc();
        metrics.seconds.with_label_values(&[name]).observe(self.began.elapsed().as_secs_f64());
    }

    fn count_against_address(&self) {
        self.inbox.addresses.failed(self.peer.ip, self.inbox.started.elapsed());
    }

    fn note(&self, refused: Refused) {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        self.inbox.journal.note_refusal(Refusal {
            source: Arc::clone(&self.source.name),
            reason: refused.code(),
            at_millis: self.received_millis,
            head_bytes: bytes(self.head_bytes),
            body_bytes: bytes(self.body_bytes.get()),
            address: self.peer.ip,
        });
    }

    /// Says that an operator has to look at a delivery, or it stays where it is.
    fn tell_held(&self, id: &DeliveryId, why: &'static str) {
        let (source, destination) = (&self.source.name, &self.source.destination.name);
        let fields = json!({
            "source": &**source,
            "destination": &**destination,
            "delivery": id.as_str(),
            "must_confirm": why,
        });
        self.inbox.log.event(Level::Warn, "delivery_held", fields);
    }

    fn log(&self, outcome: &Result<Outcome, Refused>, code: &str, status: u16) {
        let delivery = match outcome {
            Ok(Outcome::Stored(id, _) | Outcome::Duplicate(id)) => Some(id.as_str()),
            Ok(Outcome::Probe) | Err(_) => None,
        };
        let word = if outcome.is_ok() { code } else { "refused" };
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut fields = json!({
            "source": &*self.source.name,
            "outcome": word,
            "code": code,
            "status": status,
            "peer": self.peer.ip.to_string(),
            "bytes": self.body_bytes.get(),
            "took_us": took,
        });
        if let Some(fields) = fields.as_object_mut() {
            let via = self.peer.via();
            fields.extend(via.map(|via| ("via".to_owned(), json!(via.to_string()))));
            fields.extend(delivery.map(|id| ("delivery".to_owned(), json!(id))));
            let what = self.misshapen.take();
            fields.extend(what.map(|what| ("shape".to_owned(), json!(&*what))));
        }
        self.inbox.log.event(Level::Info, "webhook", fields);
    }
}

fn code(outcome: &Result<Outcome, Refused>) -> &'static str {
    match outcome {
        Ok(Outcome::Probe) => "probe",
        Ok(Outcome::Stored(..)) => "stored",
        Ok(Outcome::Duplicate(_)) => "duplicate",
        Err(refused) => refused.code(),
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.closed.get() {
            return;
        }
        if !self.verified.get() && !std::thread::panicking() {
            self.count_against_address();
        }
        self.count("client_gone");
    }
}
