//! How the claims of a scheme look, for those who explain why one is malformed.

use super::Scheme;
use super::algorithm::{Algorithm, Method};
use super::encoding::Encoding;
use super::time_unit::TimeUnit;

/// How a claim is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Unix time in seconds.
    Seconds,
    /// A signature in so many hexadecimal digits.
    Hex {
        /// How many.
        digits: usize,
        /// Whether lower case is demanded.
        lower: bool,
    },
    /// A signature in base64, of either alphabet.
    Base64,
}

impl Scheme {
    /// How the claim is written that a fault calls by this name; none for claims without a form
    /// that can be mistaken.
    pub fn form(&self, name: &str) -> Option<Form> {
        let named = |plan: &&super::plan::Plan| {
            let time = plan.time.as_ref().is_some_and(|claim| claim.shown == name);
            time || plan.places.iter().any(|place| place.signature.shown == name)
        };
        let plan = self.plans().find(named)?;
        if plan.time.as_ref().is_some_and(|claim| claim.shown == name) {
            return matches!(self.time_unit, TimeUnit::Seconds).then_some(Form::Seconds);
        }
        let Algorithm::Fixed(Method::Mac(algorithm)) = plan.algorithm else { return None };
        Some(match self.encoding {
            Encoding::HexLower => Form::Hex { digits: 2 * algorithm.bytes(), lower: true },
            Encoding::HexUpper | Encoding::HexAny => {
                Form::Hex { digits: 2 * algorithm.bytes(), lower: false }
            }
            Encoding::Base64 | Encoding::Base64Url | Encoding::Base64UrlPadded => Form::Base64,
            Encoding::Raw => return None,
        })
    }
}
