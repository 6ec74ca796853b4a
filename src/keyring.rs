//! Who may sign: an immutable snapshot of merchants, credentials and secret versions.
//!
//! Built whole or not at all, and read without locks. It knows no file and no HTTP. It never says
//! whether a key exists: [`Keyring::verifying_keys`] answers for every key id with as many keys.

pub mod lifecycle;
pub mod managed;
mod merchant;

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::crypto::NoRandom;
use crate::envelope::Envelope;
use crate::limit::Rate;
use crate::quota::{self, Allowance, Quotas};
use crate::replay::{Memory, Share};
use crate::roll::Material;
use crate::scheme::{Scheme, VerifyingKey};
use crate::telemetry::{Owner, VerifiedBy};

pub use lifecycle::State;
pub use merchant::{
    CredentialSpec, Environment, KeyId, KeyIdFault, MerchantSpec, Scope, ScopeFault, VersionSpec,
};

/// The most secrets of one credential that can verify at the same time.
pub const LIVE_VERSIONS_MAX: usize = 4;

/// Key ids up to this length lie within their credential; ours have 28 characters.
const KEY_ID_USUAL: usize = 31;

/// What the log says of a key id that is nobody's, for people put secrets in wrong places. About as
/// long as a key id is.
const NOBODY: &str = "(not-in-service)";

/// All credentials by key id.
pub struct Keyring {
    credentials: HashSet<ByKeyId>,
    /// For each scheme in use, so that an unknown key id costs what a known one does.
    decoys: Vec<(Arc<Scheme>, [VerifyingKey; LIVE_VERSIONS_MAX])>,
    /// Whom a key id that is nobody's names in the log, at the cost of one that is somebody's.
    nobody: Arc<Owner>,
    /// How many MACs every request costs: as many as the credential with the most live versions
    /// has.
    tries: usize,
}

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
    found_by: SmallVec<[u8; KEY_ID_USUAL]>,
    versions: SmallVec<[Version; 1]>,
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

struct Version {
    key: Arc<VerifyingKey>,
    /// Its number in the store; 0 for one that configuration states.
    number: u32,
    state: State,
    /// Pending, and verifies already: its first use makes it the active one.
    on_first_use: bool,
    /// Without an end, the end of time.
    until: Timestamp,
}

/// A credential that is found by its key id.
struct ByKeyId(Arc<Credential>);

impl Borrow<[u8]> for ByKeyId {
    fn borrow(&self) -> &[u8] {
        &self.0.found_by
    }
}

impl Hash for ByKeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.found_by.as_slice().hash(state);
    }
}

impl PartialEq for ByKeyId {
    fn eq(&self, other: &Self) -> bool {
        self.0.found_by == other.0.found_by
    }
}

impl Eq for ByKeyId {}

impl Keyring {
    /// Builds the snapshot. Limits and shares keep what they hold for names that they know already.
    ///
    /// # Errors
    /// When the operating system gives no random bytes for decoys.
    #[expect(clippy::mutable_key_type, reason = "its key id never changes")]
    pub fn build(
        merchants: impl IntoIterator<Item = MerchantSpec>,
        memory: &Memory,
        quotas: &Quotas,
    ) -> Result<Self, NoRandom> {
        let nobody = Owner {
            key_id: NOBODY.into(),
            merchant: Arc::from(NOBODY),
            environment: Environment::Test.as_str(),
        };
        let credentials = HashSet::new();
        let mut empty =
            Self { credentials, decoys: Vec::new(), nobody: Arc::new(nobody), tries: 1 };
        empty.add(merchants, memory, quotas)?;
        Ok(empty)
    }

    /// What is left when everything that the store holds is taken out.
    #[must_use]
    pub fn stated(&self) -> Self {
        self.keep(|credential| !credential.is_managed())
    }

    /// The next snapshot, in which these merchants have the credentials that are given here and no
    /// others, and those that are gone have none. All other credentials are shared with this one.
    ///
    /// # Errors
    /// When the operating system gives no random bytes for decoys.
    pub fn with(
        &self,
        merchants: Vec<MerchantSpec>,
        gone: &[Arc<str>],
        memory: &Memory,
        quotas: &Quotas,
    ) -> Result<Self, NoRandom> {
        let changed: HashSet<Arc<str>> =
            merchants.iter().map(|merchant| &merchant.id).chain(gone).cloned().collect();
        let mut next = self.keep(|credential| !changed.contains(&credential.merchant.id));
        next.add(merchants, memory, quotas)?;
        Ok(next)
    }

    #[expect(clippy::mutable_key_type, reason = "its key id never changes")]
    fn keep(&self, wanted: impl Fn(&Credential) -> bool) -> Self {
        let kept = self.credentials.iter().filter(|one| wanted(&one.0));
        let credentials = kept.map(|one| ByKeyId(Arc::clone(&one.0))).collect();
        let (decoys, nobody) = (self.decoys.clone(), Arc::clone(&self.nobody));
        Self { credentials, decoys, nobody, tries: self.tries }
    }

    fn add(
        &mut self,
        merchants: impl IntoIterator<Item = MerchantSpec>,
        memory: &Memory,
        quotas: &Quotas,
    ) -> Result<(), NoRandom> {
        for spec in merchants {
            let merchant = Arc::new(Merchant {
                header: visible(&spec.id),
                addresses: spec.addresses.into(),
                allowance: quotas.merchant(Arc::clone(&spec.id), spec.rate),
                id: spec.id,
            });
            for spec in spec.credentials {
                if self.decoys.iter().all(|(scheme, _)| *scheme != spec.scheme) {
                    let decoy = || spec.scheme.decoy();
                    let own = [decoy()?, decoy()?, decoy()?, decoy()?];
                    self.decoys.push((Arc::clone(&spec.scheme), own));
                }
                let credential = Arc::new(Credential::new(spec, &merchant, memory, quotas));
                self.credentials.insert(ByKeyId(credential));
            }
        }
        let live = self.credentials.iter().map(|one| one.0.versions_that_can_live());
        self.tries = live.max().unwrap_or(1).clamp(1, LIVE_VERSIONS_MAX);
        Ok(())
    }

    /// The keys to try for a key id: those of the credential that may verify by this scheme now,
    /// filled up with decoys to the same number for every key id, known or not.
    pub fn verifying_keys(
        &self,
        key_id: &str,
        scheme: &Scheme,
        now: Timestamp,
    ) -> VerifyingKeys<'_> {
        let known = self.credentials.get(key_id.as_bytes()).map(|found| &found.0);
        let credential = known.filter(|one| *one.scheme == *scheme && one.in_service(now));
        let versions = credential.map_or(&[][..], |one| one.versions.as_slice());
        let live = versions.iter().filter(|one| one.verifies(now));
        let shared: SmallVec<[&Version; LIVE_VERSIONS_MAX]> = live.take(self.tries).collect();
        // Under a scheme of no credential every key id is unknown, and there is nothing to hide.
        let decoys = self.decoys.iter().find(|(own, _)| **own == *scheme);
        let decoys = decoys.map_or(&[][..], |(_, decoys)| decoys.as_slice());
        let live = shared.iter().map(|one| &*one.key);
        let keys = live.chain(decoys).take(self.tries).collect();
        let owner = credential.map_or(&self.nobody, |one| &one.owner);
        VerifyingKeys { credential, owner, keys, shared }
    }

    /// The secrets of a credential that verify by this scheme now, each with its version; none
    /// where the key id is unknown, not in service, or of another scheme. For key ids that
    /// configuration names: who asks learns which ones there are.
    pub fn live_versions(
        &self,
        key_id: &str,
        scheme: &Scheme,
        now: Timestamp,
    ) -> impl Iterator<Item = (&VerifyingKey, VerifiedBy)> {
        let known = self.credentials.get(key_id.as_bytes()).map(|found| &found.0);
        let credential = known.filter(|one| *one.scheme == *scheme && one.in_service(now));
        let versions = credential.map_or(&[][..], |one| one.versions.as_slice());
        let live = versions.iter().filter(move |one| one.verifies(now));
        live.map(|one| (&*one.key, one.verified_by()))
    }

    /// The merchants and key ids that configuration states.
    pub fn stated_names(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let stated = self.credentials.iter().filter(|one| !one.0.is_managed());
        let names = |one: &ByKeyId| (one.0.merchant.id.to_string(), one.0.key_id().to_owned());
        stated.map(names).unzip()
    }

    /// Every secret that verifies or may do so again, with the key id of its credential.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.credentials.iter().flat_map(|one| {
            let versions = one.0.versions.iter();
            versions.map(|version| (one.0.key_id(), version.key.secret().expose()))
        })
    }

    /// How many credentials there are.
    pub fn len(&self) -> usize {
        self.credentials.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.credentials.is_empty()
    }
}

/// The keys to try for one request.
#[must_use]
pub struct VerifyingKeys<'keyring> {
    credential: Option<&'keyring Arc<Credential>>,
    owner: &'keyring Arc<Owner>,
    keys: SmallVec<[&'keyring VerifyingKey; LIVE_VERSIONS_MAX]>,
    /// Those of them that are no decoys: the first ones.
    shared: SmallVec<[&'keyring Version; LIVE_VERSIONS_MAX]>,
}

impl<'keyring> VerifyingKeys<'keyring> {
    /// The keys, decoys among them.
    pub fn as_slice(&self) -> &[&VerifyingKey] {
        &self.keys
    }

    /// Whom the key id names, for the log: the credential, or a stand-in for all that are not in
    /// service. What a caller is told must not depend on it, nor how long that takes.
    pub fn owner(&self) -> &Arc<Owner> {
        self.owner
    }

    /// The credential in service that the key id names, for those who explain failures.
    pub fn credential(&self) -> Option<&'keyring Arc<Credential>> {
        self.credential
    }

    /// Whose key it is, and the key itself; nobody's when it is a decoy.
    pub fn owner_of(&self, index: usize) -> Option<(&Arc<Credential>, &Arc<VerifyingKey>)> {
        self.credential.zip(self.shared.get(index).map(|one| &one.key))
    }

    /// The version that a key is of.
    pub fn version_of(&self, index: usize) -> VerifiedBy {
        let version = self.shared.get(index);
        version.map(|one| one.verified_by()).unwrap_or_default()
    }
}

impl Credential {
    fn new(
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

    fn is_managed(&self) -> bool {
        self.versions.iter().any(|version| version.number > 0)
    }

    fn in_service(&self, now: Timestamp) -> bool {
        !self.suspended && now <= self.expires
    }

    fn versions_that_can_live(&self) -> usize {
        let can = |one: &&Version| {
            matches!(one.state, State::Active | State::Retiring) || one.on_first_use
        };
        self.versions.iter().filter(can).count()
    }
}

impl Version {
    fn verified_by(&self) -> VerifiedBy {
        VerifiedBy { number: self.number, pending: self.on_first_use }
    }

    fn verifies(&self, now: Timestamp) -> bool {
        let in_first_use = self.on_first_use && self.state == State::Pending && now <= self.until;
        in_first_use || self.state.verifies(now, Some(self.until))
    }
}

/// A header value of text that is visible ASCII by construction.
fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
