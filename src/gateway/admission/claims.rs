//! Third step: what the request says of itself. [`Claimed`] has each claim once and well formed,
//! and none of them proved.

use std::ops::Deref;

use crate::gateway::admission::routing::Routed;
use crate::gateway::rejection::Rejection;
use crate::scheme::{ClaimFault, Claims};

/// A request with its claims.
#[must_use]
pub(super) struct Claimed {
    routed: Routed,
    claims: Claims,
}

/// Reads the claims that the route's scheme asks for.
///
/// # Errors
/// `missing_header` or `malformed_header` for the first that is absent, repeated or malformed.
pub(super) fn read(routed: Routed) -> Result<Claimed, Rejection> {
    let claims = routed.route().spec.scheme.claims(&routed.head().headers);
    let claims = claims.map_err(|fault| match fault {
        ClaimFault::Missing(header) => Rejection::MissingHeader(header),
        ClaimFault::Malformed(header) => Rejection::MalformedHeader(header),
    })?;
    Ok(Claimed { routed, claims })
}

impl Claimed {
    /// What the request says of itself.
    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(super) fn into_routed(self) -> Routed {
        self.routed
    }
}

impl Deref for Claimed {
    type Target = Routed;

    fn deref(&self) -> &Routed {
        &self.routed
    }
}
