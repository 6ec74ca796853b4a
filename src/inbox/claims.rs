//! Fourth step: what a message says of its signature. [`Stated`] has each claim once and well
//! formed, none of them proved; or it has no signature at all and is for a source that takes such.

use crate::scheme::{ClaimFault, Claims};

use super::body::Received;
use super::refusal::Refused;

/// A message with its claims.
#[must_use]
pub(super) struct Stated<'m> {
    received: &'m Received,
    claims: Option<Claims>,
}

/// Reads the claims that the source's scheme asks for.
///
/// # Errors
/// `missing_claim` or `malformed_claim`.
pub(super) fn read(received: &Received) -> Result<Stated<'_>, Refused> {
    let (source, subject) = (received.announced().source(), received.subject());
    let claims = match source.scheme.claims(&subject) {
        Ok(claims) => Some(claims),
        Err(ClaimFault::Missing(_))
            if source.unsigned && source.scheme.finds_no_signature(&subject) =>
        {
            None
        }
        Err(ClaimFault::Missing(_)) => return Err(Refused::MissingClaim),
        Err(ClaimFault::Malformed(_)) => return Err(Refused::MalformedClaim),
    };
    Ok(Stated { received, claims })
}

impl<'m> Stated<'m> {
    /// The message.
    pub(super) fn received(&self) -> &'m Received {
        self.received
    }

    /// Its claims; none where it has no signature at all.
    pub(super) fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }
}
