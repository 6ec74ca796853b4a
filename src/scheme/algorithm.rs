//! How a message becomes a signature, and what is needed to tell a good one.

use std::fmt;

use crate::crypto::asymmetric::{self, MessageInProgress, PublicKey};
use crate::crypto::digest::Tag;
use crate::crypto::{equal_bytes, mac};
use crate::recipe::{Evaluation, Fault, Template};

/// What `mac` may say, but for the names of digests: `hmac-` before one of them, or one of them
/// alone where the secret stands in the message.
pub(super) const COMPARISON: &str = "none";

/// A way of signing.
pub(super) enum Algorithm {
    /// One algorithm, or the plain comparison.
    Fixed(Method),
    /// The message chooses, among the algorithms that a `map` lists.
    Chosen(Template),
}

/// A way of signing that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A MAC, or a digest of a message that holds the secret.
    Mac(mac::Algorithm),
    /// A signature by a key pair, of which the public half is known here.
    Public(asymmetric::Algorithm),
    /// The message itself is what is compared: for tokens.
    Comparison,
}

impl Method {
    /// The method of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            COMPARISON => Some(Self::Comparison),
            // What most people call RSASSA-PKCS1-v1_5.
            "rsa-sha256" => Some(Self::Public(asymmetric::Algorithm::RsaPkcs1Sha256)),
            name => mac::Algorithm::find(name)
                .map(Self::Mac)
                .or_else(|| asymmetric::Algorithm::named(name).map(Self::Public)),
        }
    }

    /// Whether nobody can make a signature without a key beside the message.
    pub(super) fn is_keyed(self) -> bool {
        matches!(self, Self::Mac(mac::Algorithm::Hmac(_)) | Self::Public(_))
    }
}

impl Algorithm {
    /// How many bytes every signature has, where that is known before there is a message.
    pub(super) fn signature_bytes(&self) -> Option<usize> {
        match self {
            Self::Fixed(Method::Mac(algorithm)) => Some(algorithm.bytes()),
            _ => None,
        }
    }

    /// The method for a message.
    pub(super) fn of(&self, message: &Evaluation<'_>) -> Result<Method, Fault> {
        match self {
            Self::Fixed(method) => Ok(*method),
            Self::Chosen(template) => {
                let name = message.text(template)?;
                Method::named(&name).ok_or_else(Fault::malformed)
            }
        }
    }
}

/// A key for one method.
#[derive(Clone)]
pub(super) enum Key {
    /// A MAC's key with its state set up, or a digest.
    Mac(mac::Key),
    /// A public key.
    Public(Box<PublicKey>),
    /// None is needed.
    Comparison,
}

impl Key {
    /// Makes bytes ready for a method.
    pub(super) fn new(method: Method, bytes: &[u8]) -> Result<Self, KeyFault> {
        Ok(match method {
            Method::Mac(algorithm) => Self::Mac(algorithm.key(bytes)),
            Method::Public(algorithm) => Self::Public(Box::new(PublicKey::read(bytes, algorithm)?)),
            Method::Comparison => Self::Comparison,
        })
    }

    /// Begins a message.
    pub(super) fn begin(&self) -> InProgress {
        match self {
            Self::Mac(key) => InProgress::Mac(key.begin()),
            Self::Public(key) => {
                InProgress::Public(Box::new((key.algorithm().begin(), (**key).clone())))
            }
            Self::Comparison => InProgress::Comparison(Vec::new()),
        }
    }
}

/// Why a secret is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The scheme cannot make a key of it.
    #[error("{0}")]
    Secret(#[from] Fault),
    /// It is no public key, or not of this kind.
    #[error("{0}")]
    PublicKey(#[from] asymmetric::KeyFault),
    /// A value that the scheme reads is not given.
    #[error("the scheme needs the value `{0}`: values = {{ {0} = {{ file = \"…\" }} }}")]
    Value(String),
}

/// A message that is taken in.
pub(super) enum InProgress {
    /// Under a MAC.
    Mac(mac::InProgress),
    /// For a public key.
    Public(Box<(MessageInProgress, PublicKey)>),
    /// To be compared as it is.
    Comparison(Vec<u8>),
}

/// What a message gave: the value that its signature must have, or a public key that tells.
pub(super) enum Proof {
    /// The only good signature.
    Tag(Tag),
    /// Whatever this key finds good.
    Public(Box<(MessageInProgress, PublicKey)>),
    /// These bytes.
    Comparison(Vec<u8>),
}

impl InProgress {
    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Mac(mac) => mac.update(bytes),
            Self::Public(message) => message.0.update(bytes),
            Self::Comparison(message) => message.extend_from_slice(bytes),
        }
    }

    /// Ends the message.
    pub(super) fn finish(self) -> Proof {
        match self {
            Self::Mac(mut mac) => Proof::Tag(mac.finish()),
            Self::Public(message) => Proof::Public(message),
            Self::Comparison(message) => Proof::Comparison(message),
        }
    }
}

impl Proof {
    /// Whether a signature is good, in constant time for equal lengths.
    pub(super) fn is(&self, signature: &[u8]) -> bool {
        match self {
            Self::Tag(tag) => equal_bytes(tag.as_bytes(), signature),
            Self::Public(message) => message.1.verifies(message.0.clone(), signature),
            Self::Comparison(message) => !message.is_empty() && equal_bytes(message, signature),
        }
    }

    /// What there is only one of, where that is known; nothing for a public key.
    pub(super) fn into_tag(self) -> Tag {
        match self {
            Self::Tag(tag) => tag,
            other => Tag::new(other.signature().unwrap_or_default()),
        }
    }

    /// The one signature that is good; none where only a private key can make one.
    pub(super) fn signature(&self) -> Option<&[u8]> {
        match self {
            Self::Tag(tag) => Some(tag.as_bytes()),
            Self::Comparison(message) => Some(message),
            Self::Public(_) => None,
        }
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(method) => method.fmt(f),
            Self::Chosen(_) => f.write_str("chosen by the message"),
        }
    }
}
