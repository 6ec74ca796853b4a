//! A credential in service, with its merchant and the versions of its secret: where it may be used
//! from, what for and how often, and which of its keys verify.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::{CredentialSpec, Environment, Scope, State};
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::limit::Rate;
use crate::quota::{self, Allowance, Quotas};
use crate::replay::{Memory, Share};
use crate::roll::Material;
use crate::scheme::{Scheme, VerifyingKey};
use crate::telemetry::{Owner, VerifiedBy};

/// Key ids up to this length lie within their credential; ours have 28 characters.
pub(super) const KEY_ID_USUAL: usize = 31;

/// A merchant in service.
#[derive(Debug)]
pub struct Merchant {
    /// Its id.
    pub id: Arc<str>,
    /// Its id as a header for the upstream.
    pub header: HeaderValue,
    addresses: Box<[IpNet]>,
    allowance: Allowance,
}

/// A credential in service. Laid out as it stands here: what a look-up reads comes first, in two
/// lines of the cache, since no cache holds those of all credentials.
#[repr(C)]
pub struct Credential {
    /// Its key id, once more: elsewhere it would be one more place to read.
    pub(super) found_by: SmallVec<[u8; KEY_ID_USUAL]>,
    pub(super) versions: SmallVec<[Version; 1]>,
    /// Without an end, the end of time.
    expires: Timestamp,
    /// What its secrets sign by.
    pub scheme: Arc<Scheme>,
    suspended: bool,
    /// Test or live.
    pub environment: Environment,
    /// Whether reads may repeat under one MAC with other targets.
    pub repeatable_reads: bool,
    /// Who it is, by its public key id.
    pub owner: Arc<Owner>,
    /// Whose it is.
    pub merchant: Arc<Merchant>,
    allowance: Option<Allowance>,
    scopes: Box<[Scope]>,
    /// Its parts of the replay memory.
    pub shares: Arc<[Share]>,
    /// What few credentials have, kept apart so that the others do not pay for it.
    extras: Option<Box<Extras>>,
}

/// What few credentials have.
struct Extras {
    addresses: Box<[IpNet]>,
    envelope: Option<Arc<Envelope>>,
    answer_key: Option<Arc<VerifyingKey>>,
    rolling: Option<Rolling>,
}

impl Extras {
    fn are_none(&self) -> bool {
        let Self { addresses, envelope, answer_key, rolling } = self;
        addresses.is_empty() && envelope.is_none() && answer_key.is_none() && rolling.is_none()
    }
}

/// What a credential's keys roll by.
pub struct Rolling {
    /// Its root and anchors.
    pub material: Material,
    /// How many session calls it may still make.
    sessions: Allowance,
}

pub(super) struct Version {
    pub(super) key: Arc<VerifyingKey>,
    /// Its number in the store; 0 for one that configuration states.
    number: u32,
    state: State,
    /// Pending, and verifies already: its first use makes it the active one.
    on_first_use: bool,
    /// Without an end, the end of time.
    until: Timestamp,
}

impl Merchant {
    pub(super) fn new(id: Arc<str>, addresses: Vec<IpNet>, rate: Rate, quotas: &Quotas) -> Self {
        Self {
            header: visible(&id),
            addresses: addresses.into(),
            allowance: quotas.merchant(Arc::clone(&id), rate),
            id,
        }
    }
}

impl Credential {
    pub(super) fn new(
        spec: CredentialSpec,
        merchant: &Arc<Merchant>,
        memory: &Memory,
        quotas: &Quotas,
    ) -> Self {
        let scheme = spec.scheme;
        let share = memory.share(Arc::clone(&merchant.id));
        let versions = spec.versions.into_iter().map(|version| Version {
            key: Arc::new(version.key),
            number: version.number,
            state: version.state,
            on_first_use: version.on_first_use,
            until: version.until.unwrap_or(Timestamp::MAX),
        });
        let rolling = spec.rolling.map(|material| {
            // No key id holds a space, so this is nobody else's name.
            let name = format!("{} sessions", spec.key_id);
            Rolling { material, sessions: quotas.credential(name, Rate::SESSIONS) }
        });
        let (envelope, answer_key) = (spec.envelope, spec.answer_key.map(Arc::new));
        let addresses: Box<[IpNet]> = spec.addresses.into();
        let extras = Extras { addresses, envelope, answer_key, rolling };
        let extras = (!extras.are_none()).then(|| Box::new(extras));
        Self {
            found_by: SmallVec::from_slice(spec.key_id.as_str().as_bytes()),
            owner: Arc::new(Owner {
                key_id: spec.key_id.shared(),
                merchant: Arc::clone(&merchant.id),
                environment: spec.environment.as_str(),
            }),
            merchant: Arc::clone(merchant),
            environment: spec.environment,
            extras,
            repeatable_reads: spec.repeatable_reads,
            shares: match spec.environment {
                Environment::Test => [share, memory.test_share()].into(),
                Environment::Live => [share].into(),
            },
            allowance: spec.rate.map(|rate| quotas.credential(spec.key_id.shared(), rate)),
            scopes: spec.scopes.into(),
            expires: spec.expires.unwrap_or(Timestamp::MAX),
            suspended: spec.suspended,
            versions: versions.collect(),
            scheme,
        }
    }

    /// Its public key id.
    pub fn key_id(&self) -> &str {
        &self.owner.key_id
    }

    /// Its key id as a header for the upstream.
    pub fn header(&self) -> HeaderValue {
        visible(self.key_id())
    }

    /// What its bodies are sealed in, on routes that ask for that.
    pub fn envelope(&self) -> Option<&Arc<Envelope>> {
        self.extras.as_ref()?.envelope.as_ref()
    }

    /// What signs answers, where the scheme signs them with a secret of their own.
    pub fn answer_key(&self) -> Option<&Arc<VerifyingKey>> {
        self.extras.as_ref()?.answer_key.as_ref()
    }

    /// What its keys roll by, on routes that ask for that.
    pub fn rolling(&self) -> Option<&Rolling> {
        self.extras.as_ref()?.rolling.as_ref()
    }

    /// Whether it may be used from an address: of its own networks and of its merchant's.
    pub fn allows_address(&self, ip: IpAddr) -> bool {
        let within = |nets: &[IpNet]| nets.is_empty() || nets.iter().any(|net| net.contains(&ip));
        let own = self.extras.as_ref().map_or(&[][..], |extras| &extras.addresses);
        within(own) && within(&self.merchant.addresses)
    }

    /// Whether its scopes cover a request.
    pub fn allows(&self, method: &Method, path: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope.allows(method, path))
    }

    /// Spends one request of its own limit, then one of its merchant's. What the merchant's refuses
    /// stays spent on its own: never more than the stated burst passes.
    ///
    /// # Errors
    /// How long to wait.
    pub fn spend(&self) -> Result<(), Duration> {
        match &self.allowance {
            Some(own) => quota::spend(own, &self.merchant.allowance),
            None => self.merchant.allowance.spend(),
        }
    }

    /// Spends one session call, where it has rolling keys.
    ///
    /// # Errors
    /// How long to wait.
    pub fn spend_session(&self) -> Result<(), Duration> {
        self.rolling().map_or(Ok(()), |rolling| rolling.sessions.spend())
    }

    /// The keys that verify now.
    pub fn live_keys(&self, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        let live = self.versions.iter().filter(move |one| one.verifies(now));
        live.map(|one| &*one.key)
    }

    /// The keys that do not verify yet or any more. Suspended and revoked ones are not among them:
    /// nobody may learn that a key is one of those.
    pub fn resting_keys(&self, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        let resting = self.versions.iter().filter(move |one| {
            let may_tell = matches!(one.state, State::Pending | State::Active | State::Retiring);
            may_tell && !one.verifies(now)
        });
        resting.map(|one| &*one.key)
    }

    pub(super) fn is_managed(&self) -> bool {
        self.versions.iter().any(|version| version.number > 0)
    }

    pub(super) fn in_service(&self, now: Timestamp) -> bool {
        !self.suspended && now <= self.expires
    }

    pub(super) fn versions_that_can_live(&self) -> usize {
        let can = |one: &&Version| {
            matches!(one.state, State::Active | State::Retiring) || one.on_first_use
        };
        self.versions.iter().filter(can).count()
    }
}

impl Version {
    pub(super) fn verified_by(&self) -> VerifiedBy {
        VerifiedBy { number: self.number, pending: self.on_first_use }
    }

    pub(super) fn verifies(&self, now: Timestamp) -> bool {
        let in_first_use = self.on_first_use && self.state == State::Pending && now <= self.until;
        in_first_use || self.state.verifies(now, Some(self.until))
    }
}

/// A header value of text that is visible ASCII by construction.
fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
