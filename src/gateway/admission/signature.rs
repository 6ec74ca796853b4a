//! Sixth step: proof. [`Verified`] was signed by a live secret version of a credential, over the
//! very bytes that it owns.
//!
//! As many MACs are tried for a key id that does not exist as for one that does.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::crypto::digest::Tag;
use crate::doctor::Practice;
use crate::gateway::admission::body::Received;
use crate::gateway::admission::claims::subject;
use crate::gateway::admission::consultation;
use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::stated::Stated;
use crate::gateway::rejection::Rejection;
use crate::keyring::{Credential, VerifyingKeys};
use crate::quota::Addresses;
use crate::scheme::VerifyingKey;
use crate::secret::NamedSecrets;
use crate::telemetry::Stage;

/// A request whose signature is good.
#[must_use]
pub(super) struct Verified(Box<Signed>);

/// In one place from here to the upstream, so that a step passes on a pointer.
struct Signed {
    stated: Stated,
    credential: Arc<Credential>,
    key: Arc<VerifyingKey>,
    proof: Tag,
}

/// Tries the keys on the bytes as received, in constant time.
///
/// # Errors
/// `invalid_signature`, whatever is wrong.
pub(super) async fn verify(
    stated: Stated,
    keys: VerifyingKeys<'_>,
    addresses: &Addresses,
    practice: &Arc<Practice>,
) -> Result<Verified, Stopped> {
    stated.record.names(keys.owner());
    let (spec, values) = (&stated.route().spec, NamedSecrets::default());
    let message = subject(&stated, stated.body(), spec.public_url.as_deref(), &values);
    let mut verification = spec.scheme.verify(keys.as_slice(), stated.claims(), message);
    while verification.step() {
        tokio::task::yield_now().await;
    }
    let verdict = verification.finish();
    let matched = verdict.matched;
    let owner = matched.and_then(|index| keys.owner_of(index));
    let Some((credential, key)) = owner else {
        let mistake = consultation::ask(practice, &stated, &keys);
        return Err(observed::stop(stated, Rejection::InvalidSignature(mistake)));
    };
    let (credential, key) = (Arc::clone(credential), Arc::clone(key));
    if !stated.standing().noted {
        addresses.verified(stated.peer.ip, stated.arrived());
    }
    stated.record.verified(matched.map(|index| keys.version_of(index)).unwrap_or_default());
    stated.record.passed(Stage::Verify);
    Ok(Verified(Box::new(Signed { stated, credential, key, proof: verdict.proof })))
}

impl Verified {
    /// Whose secret signed the request.
    pub(super) fn credential(&self) -> &Arc<Credential> {
        &self.0.credential
    }

    /// The version of the secret that signed it: what is sealed is opened by the same.
    pub(super) fn key(&self) -> &Arc<VerifyingKey> {
        &self.0.key
    }

    /// The address that it came from.
    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip
    }

    /// What makes this request one of its kind: the signed nonce, or the MAC that the gate
    /// computed, or the digest of what a private key has signed. Never a header's text, for one MAC
    /// has many spellings.
    pub(super) fn proof(&self) -> &[u8] {
        self.claims().nonce().unwrap_or(self.0.proof.as_bytes())
    }

    pub(super) fn into_received(self) -> (Received, Arc<Credential>) {
        let Signed { stated, credential, .. } = *self.0;
        (stated.into_received(), credential)
    }
}

impl Deref for Verified {
    type Target = Stated;

    fn deref(&self) -> &Stated {
        &self.0.stated
    }
}
