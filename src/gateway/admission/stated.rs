//! Between the body and the proof: the claims that only the body states. [`Stated`] has every claim
//! that its scheme asks for, within the window of its route.
//!
//! Where the head has stated them already, nothing happens here.

use std::ops::Deref;

use crate::gateway::admission::body::Received;
use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::{claims, freshness};
use crate::keyring::KeyId;
use crate::scheme::Claims;

/// A request with all of its claims.
#[must_use]
pub(super) struct Stated {
    received: Received,
    claims: Box<Claims>,
}

/// Reads the claims of the body, where the head has none.
///
/// # Errors
/// `missing_header` or `malformed_header` for the first that is absent, repeated or malformed, and
/// `stale_timestamp`.
pub(super) fn read(mut received: Received) -> Result<Stated, Stopped> {
    if let Some(claims) = received.take_claims() {
        return Ok(Stated { received, claims });
    }
    let claims = match claims::of(&received.route().spec.scheme, &received, received.body()) {
        Ok(claims) => Box::new(claims),
        Err(rejection) => return Err(observed::stop(received, rejection)),
    };
    let stated = Stated { received, claims };
    match freshness::within(&stated, &stated.claims) {
        Ok(()) => Ok(stated),
        Err(rejection) => Err(observed::stop(stated, rejection)),
    }
}

impl Stated {
    /// What the request says of itself.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Who signs: the request says so, or the route does.
    pub(super) fn key_id(&self) -> &str {
        let of_route = self.received.route().spec.credential.as_ref().map(KeyId::as_str);
        self.claims.key_id().or(of_route).unwrap_or_default()
    }

    pub(super) fn into_received(self) -> Received {
        self.received
    }
}

impl Deref for Stated {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}
