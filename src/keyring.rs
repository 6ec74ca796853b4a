//! Who may sign: an immutable snapshot of merchants, credentials and secret versions.
//!
//! Built whole or not at all, and read without locks. It knows no file and no HTTP. It never says
//! whether a key exists: [`Keyring::verifying_keys`] answers for every key id with as many keys.

mod credential;
pub mod lifecycle;
pub mod managed;
mod merchant;

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::crypto::NoRandom;
use crate::quota::Quotas;
use crate::replay::Memory;
use crate::scheme::{Scheme, VerifyingKey};
use crate::telemetry::{Owner, VerifiedBy};

use credential::Version;
pub use credential::{Credential, Merchant, Rolling};
pub use lifecycle::State;
pub use merchant::{
    CredentialSpec, Environment, KeyId, KeyIdFault, MerchantSpec, Scope, ScopeFault, VersionSpec,
};

/// The most secrets of one credential that can verify at the same time.
pub const LIVE_VERSIONS_MAX: usize = 4;

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
            let merchant = Arc::new(Merchant::new(spec.id, spec.addresses, spec.rate, quotas));
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

#[cfg(test)]
mod tests;
