//! HTTP Message Signatures (RFC 9421) with Digest Fields (RFC 9530).
//!
//! The credential fixes the algorithm, and the requirement what must be covered; a message that
//! says otherwise is refused. Pure, like all schemes: no clock, no key look-up, no network.

mod body_digest;
mod component;
mod fault;
mod input;
mod message;
mod query;
mod requirement;
mod sign;
mod structured;

use http::{HeaderMap, HeaderName};

use crate::crypto::{asymmetric, digest, mac};

use message::Sink;

pub use body_digest::{BodyDigests, CONTENT_DIGEST, REPR_DIGEST};
pub use component::Component;
pub use fault::Fault;
pub use input::{Choice, Claims, SIGNATURE, SIGNATURE_INPUT};
pub use message::{Message, Request, Response};
pub use requirement::Requirement;
pub use sign::{NotSigned, Signer, Statement};

/// The identifier of the last line of every signature base.
const SIGNATURE_PARAMETERS: &str = "\"@signature-params\"";

/// How the messages of some credentials are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSignatures {
    /// The only algorithm.
    pub algorithm: Algorithm,
    /// Which signature counts.
    pub choice: Choice,
    /// What a signature of a request must cover.
    pub requirement: Requirement,
}

/// The algorithms of RFC 9421 section 3.3 that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`.
    HmacSha256,
    /// `ed25519`.
    Ed25519,
    /// `ecdsa-p256-sha256`.
    EcdsaP256,
    /// `rsa-pss-sha512`.
    RsaPss,
}

/// What an algorithm is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A secret that both sides have.
    Mac(mac::Algorithm),
    /// A key pair, of which the verifier has the public half.
    KeyPair(asymmetric::Algorithm),
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::HmacSha256, Self::Ed25519, Self::EcdsaP256, Self::RsaPss];

    /// Its name in the registry of RFC 9421 section 6.2.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::RsaPss => "rsa-pss-sha512",
        }
    }

    /// What it is computed with.
    pub const fn method(self) -> Method {
        match self {
            Self::HmacSha256 => Method::Mac(mac::Algorithm::Hmac(digest::Algorithm::Sha256)),
            Self::Ed25519 => Method::KeyPair(asymmetric::Algorithm::Ed25519),
            Self::EcdsaP256 => Method::KeyPair(asymmetric::Algorithm::EcdsaP256),
            Self::RsaPss => Method::KeyPair(asymmetric::Algorithm::RsaPssSha512),
        }
    }
}

impl HttpSignatures {
    /// The only signature of a message, over method, target and body.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, choice: Choice::default(), requirement: Requirement::default() }
    }

    /// The headers that carry its claims.
    pub fn credential_headers() -> &'static [HeaderName] {
        static HEADERS: [HeaderName; 2] = [SIGNATURE_INPUT, SIGNATURE];
        &HEADERS
    }

    /// Reads what a message says of its signature.
    ///
    /// # Errors
    /// When there is none that counts, or it is not of its form.
    pub fn claims(&self, headers: &HeaderMap) -> Result<Claims, Fault> {
        Claims::read(headers, &self.choice, self.algorithm)
    }

    /// Checks that a signature covers what it must. Of a response that is the status, the body
    /// where there is one, and of the request what the requirement says of method and target.
    ///
    /// # Errors
    /// The first thing that it does not cover.
    pub fn check(
        &self,
        claims: &Claims,
        message: &Message<'_>,
        has_body: bool,
    ) -> Result<(), Fault> {
        self.requirement.check(claims, message, has_body)
    }
}

impl Claims {
    /// Feeds the signature base (RFC 9421 section 2.5) to a sink, piece by piece.
    ///
    /// # Errors
    /// When a component is not in the message or has no value that can be signed. What was fed
    /// until then is of no use.
    pub fn feed(&self, message: &Message<'_>, sink: Sink<'_>) -> Result<(), Fault> {
        base(&self.components, &self.parameters, message, sink)
    }

    /// The lines of the signature base: an identifier and its value each.
    ///
    /// # Errors
    /// As [`Claims::feed`].
    pub fn lines(&self, message: &Message<'_>) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let mut lines = Vec::with_capacity(self.components.len() + 1);
        for component in &self.components {
            let mut value = Vec::new();
            message.value(component, &mut |bytes| value.extend_from_slice(bytes))?;
            lines.push((component.to_string(), value));
        }
        lines.push((SIGNATURE_PARAMETERS.to_owned(), self.parameters.as_bytes().to_vec()));
        Ok(lines)
    }

    /// The digests that the body must have: those in the fields that are covered.
    ///
    /// # Errors
    /// When such a field is malformed or has no digest of an algorithm that is known here.
    pub fn body_digests(&self, message: &Message<'_>) -> Result<BodyDigests, Fault> {
        BodyDigests::of(&self.components, message.headers())
    }
}

/// Feeds a signature base.
fn base(
    components: &[Component],
    parameters: &str,
    message: &Message<'_>,
    sink: Sink<'_>,
) -> Result<(), Fault> {
    for component in components {
        sink(component.as_str().as_bytes());
        sink(b": ");
        message.value(component, sink)?;
        sink(b"\n");
    }
    sink(SIGNATURE_PARAMETERS.as_bytes());
    sink(b": ");
    sink(parameters.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
