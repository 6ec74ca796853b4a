//! One message and its answer: the checks in their order, and what is sealed in return.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::random;
use crate::secret::Plaintext;

use super::chains::{Chains, Kill, Worn};
use super::epoch::Epochs;
use super::keys::{KeySet, Material, Side};
use super::kid::{ChainId, Kid, Label, seconds};
use super::policy::Policy;
use super::sealing::{NoRandom, P, P_BYTES, aad_next, aad_request, aad_response};
use super::{next, sealing};

/// What all cores share of rolling keys.
pub struct Roll {
    /// The epochs whose secrets are held.
    pub epochs: Arc<Epochs>,
    /// What is remembered of chains.
    pub chains: Chains,
    tell: Box<Tell>,
}

/// Who is told of what happens. It is called on the path of a request, so it must not wait.
pub type Tell = dyn Fn(&Event) + Send + Sync;

/// What somebody beside the path has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Fresh chains were handed out.
    Session {
        /// Whose they are.
        key_id: Arc<str>,
        /// How many.
        lanes: usize,
    },
    /// A chain was killed: to be kept, so that it stays dead after a restart.
    Killed(Kill),
    /// A chain was used after it was killed: somebody may hold keys that he should not.
    KilledChainUsed {
        /// Whose it was.
        key_id: Arc<str>,
        /// Which one.
        chain: ChainId,
    },
}

/// Whose message it is.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// The merchant's id.
    pub merchant: &'a str,
    /// The credential's key id.
    pub key_id: &'a Arc<str>,
    /// Its root and anchors.
    pub material: &'a Material,
}

/// A message whose signature was verified.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What its keys are called, as it was sent.
    pub label: &'a str,
    /// The time that was signed.
    pub time: Timestamp,
    /// The method.
    pub method: &'a str,
    /// Path and query, as they were sent.
    pub target: &'a str,
    /// What was sealed: `p || ciphertext || tag`. None where it was not of its form.
    pub sealed: Option<&'a [u8]>,
    /// Whether it is the session call.
    pub session: bool,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The label is none, or of no version of the anchor that is good.
    #[error("the key id is none of roll.v1, or its anchor is not in use")]
    UnsupportedKid,
    /// The epoch's secret is not held.
    #[error("the epoch of this key is over")]
    UnknownEpoch,
    /// The key set or its chain is too old, or from the future.
    #[error("the key or its chain is past its time")]
    KeyExpired,
    /// The chain was killed, alone or with all others.
    #[error("the chain was killed")]
    ChainRevoked,
    /// A newer set of the chain was used.
    #[error("a newer key of this chain was used")]
    KeySuperseded,
    /// The anchor seals only the session call here, or it is not what seals that.
    #[error("the anchor is not what seals this")]
    AnchorNotAllowed,
    /// The key set has sealed as many messages as it may.
    #[error("the key has sealed as many messages as it may")]
    KeyExhausted,
    /// It does not open.
    #[error("the message cannot be opened")]
    CannotOpen,
    /// No room for another chain, no epoch to make keys of, or no random bytes.
    #[error("there is no room for another chain, or no epoch")]
    Busy,
}

impl From<Worn> for Refusal {
    fn from(worn: Worn) -> Self {
        match worn {
            Worn::Revoked => Self::ChainRevoked,
            Worn::Superseded => Self::KeySuperseded,
            Worn::Exhausted => Self::KeyExhausted,
            Worn::Full => Self::Busy,
        }
    }
}

impl From<NoRandom> for Refusal {
    fn from(_: NoRandom) -> Self {
        Self::Busy
    }
}

/// A message that opened.
pub struct Opened {
    /// What was sealed in it.
    pub text: Plaintext,
    /// How its answer is sealed.
    pub reply: Reply,
}

impl Roll {
    /// What cores share, and who is told of what happens.
    pub fn new(epochs: Arc<Epochs>, chains: Chains, tell: Box<Tell>) -> Self {
        Self { epochs, chains, tell }
    }

    /// Checks a message in the order of the protocol, opens it, and derives the next key set.
    ///
    /// # Errors
    /// The first check that says no.
    pub fn open(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        message: &Message<'_>,
        now: Timestamp,
    ) -> Result<Opened, Refusal> {
        let label: Label = message.label.parse().map_err(|_| Refusal::UnsupportedKid)?;
        match label {
            // Whoever holds a rolled key only must not get fresh chains by it.
            Label::Rolled(_) if message.session => Err(Refusal::UnsupportedKid),
            Label::Rolled(kid) => self.open_rolled(party, policy, message, kid, now),
            Label::Anchor(version) => self.open_anchored(party, policy, message, version, now),
        }
    }

    fn open_rolled(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        message: &Message<'_>,
        kid: Kid,
        now: Timestamp,
    ) -> Result<Opened, Refusal> {
        let epoch = self.epochs.held(kid.epoch).ok_or(Refusal::UnknownEpoch)?;
        if !policy.is_current(kid, now) {
            return Err(Refusal::KeyExpired);
        }
        let root = &party.material.root;
        if kid.issued_at() <= root.since {
            return Err(Refusal::ChainRevoked);
        }
        let taken = self.chains.take(party.key_id, kid, policy, now);
        let taken = taken.inspect_err(|worn| self.note(*worn, party, kid))?;
        let keys = epoch.source(party.key_id, root).key_set(party.merchant, party.key_id, kid);
        let text = open(&keys, Label::Rolled(kid), message)?;
        let generation = kid.generation.checked_add(1).ok_or(Refusal::KeyExhausted)?;
        let next = self.issue(party, policy, kid.chain, generation, now)?;
        if !taken.keep() {
            return Err(Refusal::ChainRevoked);
        }
        Ok(opened(keys, Label::Rolled(kid), message, text, next))
    }

    fn open_anchored(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        message: &Message<'_>,
        version: u32,
        now: Timestamp,
    ) -> Result<Opened, Refusal> {
        let keys = party.material.anchor(version, now).ok_or(Refusal::UnsupportedKid)?;
        if !message.session && !policy.anchor_everywhere {
            return Err(Refusal::AnchorNotAllowed);
        }
        let label = Label::Anchor(version);
        let text = open(keys, label, message)?;
        let next = self.begin(party, policy, now)?;
        Ok(opened(keys.clone(), label, message, text, next))
    }

    /// The first key set of a new chain, as JSON.
    ///
    /// # Errors
    /// `Busy` where there is no epoch or no random byte.
    pub(super) fn begin(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        self.issue(party, policy, ChainId::starting(now, random()?), 1, now)
    }

    /// A key set as JSON. Costs no state.
    fn issue(
        &self,
        party: &Party<'_>,
        policy: &Policy,
        chain: ChainId,
        generation: u32,
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let epoch = self.epochs.current(now).ok_or(Refusal::Busy)?;
        let root = &party.material.root;
        // Later than what is dead because it is too old to tell; and never before the chain began,
        // by the clock of another gate.
        let dead = self.chains.lost().max(root.since);
        let issued = seconds(now).max(seconds(dead).saturating_add(1)).max(seconds(chain.start()));
        let kid = Kid { epoch: epoch.number(), chain, generation, issued };
        let keys = epoch.source(party.key_id, root).key_set(party.merchant, party.key_id, kid);
        Ok(next::to_json(kid, &keys, policy.expiry(kid), policy.uses_max))
    }

    pub(super) fn tell(&self, event: &Event) {
        (self.tell)(event);
    }

    fn note(&self, worn: Worn, party: &Party<'_>, kid: Kid) {
        if worn == Worn::Revoked {
            let key_id = Arc::clone(party.key_id);
            self.tell(&Event::KilledChainUsed { key_id, chain: kid.chain });
        }
    }
}

impl fmt::Debug for Roll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roll")
            .field("epochs", &self.epochs)
            .field("chains", &self.chains)
            .finish_non_exhaustive()
    }
}

fn open(keys: &KeySet, label: Label, message: &Message<'_>) -> Result<Plaintext, Refusal> {
    let aad = aad_request(message.time, message.method, message.target, label);
    let sealed = message.sealed.ok_or(Refusal::CannotOpen)?;
    keys.to_gate().open(&aad, sealed).map_err(|sealing::CannotOpen| Refusal::CannotOpen)
}

fn opened(
    keys: KeySet,
    label: Label,
    message: &Message<'_>,
    text: Plaintext,
    next: Zeroizing<Vec<u8>>,
) -> Opened {
    let p = message.sealed.and_then(<[u8]>::first_chunk::<P_BYTES>).copied().unwrap_or_default();
    Opened { text, reply: Reply { keys, label, p_request: p, next } }
}

/// How the answer to a message that opened is sealed.
pub struct Reply {
    keys: KeySet,
    label: Label,
    p_request: P,
    next: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// What the request's keys are called.
    pub fn label(&self) -> Label {
        self.label
    }

    /// Seals a body under the status that it goes with.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(&self, status: u16, body: &[u8]) -> Result<Vec<u8>, NoRandom> {
        self.side().seal(&aad_response(status, self.label, &self.p_request), body)
    }

    /// Seals the next key set.
    ///
    /// # Errors
    /// As above.
    pub fn seal_next(&self) -> Result<Vec<u8>, NoRandom> {
        self.side().seal(&aad_next(self.label, &self.p_request), &self.next)
    }

    fn side(&self) -> Side<'_> {
        self.keys.to_client()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.label).finish()
    }
}
