//! How a message is signed: claims out of a head, and a verdict over bytes. Pure: no clock, no
//! key look-up, no network.
//!
//! Admission knows this face only: [`Scheme::claims`], [`Scheme::verify`] and [`Scheme::coverage`].
//! What a scheme reads and signs stays in here, so that recipes can take the presets' place.

mod claims;
pub mod http_signatures;
mod sign;
mod verification;

use std::sync::Arc;

use http::HeaderName;

use crate::crypto::MacKey;
use crate::secret::Secret;

pub use claims::{ClaimFault, Claims};
pub use sign::{Outgoing, SignFault};
pub use verification::{Message, Verdict, Verification};

pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(crate) const X_TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
pub(crate) const X_SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
pub(crate) const X_NONCE: HeaderName = HeaderName::from_static("x-nonce");

/// A way of signing requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    recipe: Recipe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recipe {
    /// KwikPaisa's: HMAC-SHA-256, hexadecimal, over the raw body and the timestamp's text.
    KwikPaisa,
    /// Ours: HMAC-SHA-256, lower-case hexadecimal, over nine lines.
    CountersignV1,
}

/// What a signature binds. A part that is not bound can be changed by whoever sees the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The method.
    pub method: bool,
    /// The target: path and query.
    pub target: bool,
    /// The body.
    pub body: bool,
    /// The time.
    pub time: bool,
    /// A value that is used once.
    pub nonce: bool,
}

/// A secret made ready for one scheme.
#[derive(Clone)]
pub struct VerifyingKey(MacKey);

impl VerifyingKey {
    /// A key that matches nothing, for key ids that do not exist.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn decoy() -> Result<Self, crate::crypto::NoRandom> {
        MacKey::decoy().map(Self)
    }
}

impl Scheme {
    /// The built-in schemes by name.
    pub const PRESETS: [&str; 2] = ["kwikpaisa", "countersign-v1"];

    /// A built-in scheme.
    pub fn preset(name: &str) -> Option<Arc<Self>> {
        let recipe = match name {
            "kwikpaisa" => Recipe::KwikPaisa,
            "countersign-v1" => Recipe::CountersignV1,
            _ => return None,
        };
        Some(Arc::new(Self { recipe }))
    }

    /// Its name in configuration, logs and metrics.
    pub fn name(&self) -> &'static str {
        match self.recipe {
            Recipe::KwikPaisa => "kwikpaisa",
            Recipe::CountersignV1 => "countersign-v1",
        }
    }

    /// What its signature binds.
    pub fn coverage(&self) -> Coverage {
        let all = matches!(self.recipe, Recipe::CountersignV1);
        Coverage { method: all, target: all, body: true, time: true, nonce: all }
    }

    /// The headers that carry its claims: they end at the gate.
    pub fn credential_headers(&self) -> &'static [HeaderName] {
        static KWIKPAISA: [HeaderName; 3] = [X_API_KEY, X_TIMESTAMP, X_SIGNATURE];
        static COUNTERSIGN_V1: [HeaderName; 4] = [X_API_KEY, X_TIMESTAMP, X_NONCE, X_SIGNATURE];
        match self.recipe {
            Recipe::KwikPaisa => &KWIKPAISA,
            Recipe::CountersignV1 => &COUNTERSIGN_V1,
        }
    }

    /// Makes a secret ready, once, when keys change.
    pub fn key(&self, secret: &Secret) -> VerifyingKey {
        VerifyingKey(MacKey::new(secret))
    }
}

impl Coverage {
    /// The parts that stay open, in words.
    pub fn open_parts(&self) -> Vec<&'static str> {
        let parts = [
            (self.method, "method"),
            (self.target, "target"),
            (self.body, "body"),
            (self.time, "time"),
            (self.nonce, "nonce"),
        ];
        parts.iter().filter(|(bound, _)| !bound).map(|(_, name)| *name).collect()
    }

    /// Whether one signature can serve several methods or targets.
    pub fn leaves_target_open(&self) -> bool {
        !(self.method && self.target)
    }
}
