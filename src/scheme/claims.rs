//! What a request says of itself, each part exactly once and of its exact form.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::crypto::{Bytes32, HexCase, unhex};

use super::{Recipe, Scheme, X_API_KEY, X_NONCE, X_SIGNATURE, X_TIMESTAMP};

/// Key id, timestamp, nonce and signature as a request states them. Nothing here is proved yet.
#[derive(Debug)]
pub struct Claims {
    pub(super) key_id: HeaderValue,
    pub(super) timestamp: Timestamp,
    pub(super) timestamp_text: HeaderValue,
    pub(super) nonce: Option<HeaderValue>,
    pub(super) signature: Bytes32,
}

/// Why a head has no claims; the name is that of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimFault {
    /// The header is absent.
    Missing(&'static str),
    /// The header is repeated or not of its form.
    Malformed(&'static str),
}

impl Claims {
    /// The key id, 1 to 128 visible ASCII characters.
    pub fn key_id(&self) -> &str {
        self.key_id.to_str().unwrap_or_default()
    }

    /// The timestamp that is signed.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The nonce that is signed, where the scheme has one.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_ref().map(HeaderValue::as_bytes)
    }
}

impl Scheme {
    /// Reads the claims of a request from its headers.
    ///
    /// # Errors
    /// The first claim that is absent, repeated or malformed, in the order of the scheme.
    pub fn claims(&self, headers: &HeaderMap) -> Result<Claims, ClaimFault> {
        let key_id = once(headers, &X_API_KEY, "X-API-KEY", is_key_id)?;
        let timestamp_text = once(headers, &X_TIMESTAMP, "X-TIMESTAMP", is_timestamp)?;
        let (nonce, case) = match self.recipe {
            Recipe::KwikPaisa => (None, HexCase::Any),
            Recipe::CountersignV1 => {
                (Some(once(headers, &X_NONCE, "X-NONCE", is_nonce)?), HexCase::Lower)
            }
        };
        let text = once(headers, &X_SIGNATURE, "X-SIGNATURE", |text| text.len() == 64)?;
        let signature = unhex(text.as_bytes(), case).ok_or(ClaimFault::Malformed("X-SIGNATURE"))?;
        let timestamp = seconds(timestamp_text.as_bytes());
        Ok(Claims { key_id, timestamp, timestamp_text, nonce, signature })
    }
}

fn once(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
    good: fn(&[u8]) -> bool,
) -> Result<HeaderValue, ClaimFault> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(ClaimFault::Missing(shown))?;
    if values.next().is_some() || !good(value.as_bytes()) {
        return Err(ClaimFault::Malformed(shown));
    }
    Ok(value.clone())
}

pub(super) fn is_key_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// Ten digits without a leading zero: with a fixed length no byte can move between the body and a
/// timestamp that follows it without a delimiter.
fn is_timestamp(text: &[u8]) -> bool {
    text.len() == 10 && text.iter().all(u8::is_ascii_digit) && text.first() != Some(&b'0')
}

fn is_nonce(text: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (16..=64).contains(&text.len()) && text.iter().all(good)
}

/// The value of at most ten digits.
fn seconds(digits: &[u8]) -> Timestamp {
    let value = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Timestamp::from_secs(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn with_timestamp(text: &str) -> Result<Claims, ClaimFault> {
        let signature = "ab".repeat(32);
        let pairs = [("x-api-key", "k"), ("x-timestamp", text), ("x-signature", &signature)];
        Scheme::preset("kwikpaisa").unwrap().claims(&headers(&pairs))
    }

    #[test]
    fn timestamps_are_ten_plain_digits() {
        assert_eq!(with_timestamp("1700000000").unwrap().timestamp().secs(), 1_700_000_000);
        for text in [
            "",
            "170000000",
            "17000000000",
            "1700000000000",
            "-700000000",
            "+700000000",
            "0700000000",
            "1e9       ",
            "1700000000.",
            "0x65920080",
            "1 00000000",
            "NaN",
            "٣٤٥٦٧",
        ] {
            assert_eq!(
                with_timestamp(text).unwrap_err(),
                ClaimFault::Malformed("X-TIMESTAMP"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_claim_comes_exactly_once() {
        let scheme = Scheme::preset("kwikpaisa").unwrap();
        let signature = "ab".repeat(32);
        let mut all = headers(&[("x-api-key", "k"), ("x-timestamp", "1700000000")]);
        assert_eq!(scheme.claims(&all).unwrap_err(), ClaimFault::Missing("X-SIGNATURE"));
        all.append("x-signature", signature.parse().unwrap());
        assert!(scheme.claims(&all).is_ok());
        all.append("x-api-key", "k".parse().unwrap());
        assert_eq!(scheme.claims(&all).unwrap_err(), ClaimFault::Malformed("X-API-KEY"));
    }

    #[test]
    fn our_scheme_wants_a_nonce_and_lower_case() {
        let scheme = Scheme::preset("countersign-v1").unwrap();
        let upper = "AB".repeat(32);
        let mut all =
            headers(&[("x-api-key", "k"), ("x-timestamp", "1700000000"), ("x-signature", &upper)]);
        assert_eq!(scheme.claims(&all).unwrap_err(), ClaimFault::Missing("X-NONCE"));
        all.insert("x-nonce", "short".parse().unwrap());
        assert_eq!(scheme.claims(&all).unwrap_err(), ClaimFault::Malformed("X-NONCE"));
        all.insert("x-nonce", "0123456789abcdef".parse().unwrap());
        assert_eq!(scheme.claims(&all).unwrap_err(), ClaimFault::Malformed("X-SIGNATURE"));
    }
}
