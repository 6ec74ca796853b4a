//! Seventh step: what the credential may do. [`Permitted`] comes from an address, over a connection
//! with a certificate, to a place and in an environment that its owner agreed to. Only the owner
//! learns of these refusals.

use std::ops::Deref;

use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::signature::Verified;
use crate::gateway::rejection::Rejection;
use crate::peer::Bindings;

/// A request that its credential may make.
#[must_use]
pub(super) struct Permitted {
    verified: Verified,
}

/// Checks address, certificate, environment and scopes.
///
/// # Errors
/// `address_not_allowed`, `certificate_not_allowed` or `not_in_scope`.
pub(super) fn check(verified: Verified, bindings: Option<&Bindings>) -> Result<Permitted, Stopped> {
    let credential = verified.credential();
    if !credential.allows_address(verified.ip()) {
        return Err(observed::stop(verified, Rejection::AddressNotAllowed));
    }
    let certificate = verified.peer.certificate.as_deref();
    if bindings.is_some_and(|all| !all.allow(&credential.owner.key_id, certificate)) {
        return Err(observed::stop(verified, Rejection::CertificateNotAllowed));
    }
    let head = verified.head();
    let environment = verified.route().spec.environment;
    if environment.is_some_and(|own| own != credential.environment)
        // To ask for keys is to ask for no service: every scope may.
        || !(verified.route().spec.is_session()
            || credential.allows(&head.method, head.uri.path()))
    {
        return Err(observed::stop(verified, Rejection::NotInScope));
    }
    Ok(Permitted { verified })
}

impl Permitted {
    pub(super) fn into_verified(self) -> Verified {
        self.verified
    }
}

impl Deref for Permitted {
    type Target = Verified;

    fn deref(&self) -> &Verified {
        &self.verified
    }
}
