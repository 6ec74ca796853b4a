//! Sixth step: proof. [`Verified`] was signed by a live secret version of a credential, over the
//! very bytes that it owns.
//!
//! As many MACs are tried for a key id that does not exist as for one that does.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::crypto::Bytes32;
use crate::gateway::admission::body::Received;
use crate::gateway::rejection::Rejection;
use crate::keyring::{Credential, VerifyingKeys};
use crate::quota::Addresses;
use crate::scheme::Message;
use crate::telemetry::Stage;

/// A request whose signature is good.
#[must_use]
pub(super) struct Verified {
    received: Received,
    credential: Arc<Credential>,
    mac: Bytes32,
}

/// Tries the keys on the bytes as received, in constant time.
///
/// # Errors
/// `invalid_signature`, whatever is wrong.
pub(super) async fn verify(
    received: Received,
    keys: VerifyingKeys<'_>,
    addresses: &Addresses,
) -> Result<Verified, Rejection> {
    received.record.names(keys.owner());
    let head = received.head();
    let message = Message {
        claims: received.claims(),
        method: &head.method,
        authority: received.authority().to_str().unwrap_or_default(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &head.headers,
        body: received.body(),
    };
    let mut verification = received.route().spec.scheme.verify(keys.as_slice(), message);
    while verification.step() {
        tokio::task::yield_now().await;
    }
    let verdict = verification.finish();
    let credential = verdict.matched.and_then(|index| keys.owner_of(index));
    let credential = Arc::clone(credential.ok_or(Rejection::InvalidSignature)?);
    if !received.standing().noted {
        addresses.verified(received.peer.ip, received.arrived());
    }
    received.record.verified();
    received.record.passed(Stage::Verify);
    Ok(Verified { received, credential, mac: verdict.mac })
}

impl Verified {
    /// Whose secret signed the request.
    pub(super) fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// The address that it came from.
    pub(super) fn ip(&self) -> IpAddr {
        self.peer.ip
    }

    /// What makes this request one of its kind: the signed nonce, or the MAC that the gate
    /// computed. Never a header's text, for one MAC has many spellings.
    pub(super) fn proof(&self) -> &[u8] {
        self.claims().nonce().unwrap_or(&self.mac)
    }

    pub(super) fn into_received(self) -> (Received, Arc<Credential>) {
        (self.received, self.credential)
    }
}

impl Deref for Verified {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}
