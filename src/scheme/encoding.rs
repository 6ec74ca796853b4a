//! How a signature is written. What is read back is compared as bytes, so every value has one
//! spelling only, but for the letters of hexadecimal where the scheme says so.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use smallvec::SmallVec;

use crate::crypto::{HexCase, unhex};

/// The longest signature, in bytes: that of an RSA key of 8192 bits.
pub(super) const SIGNATURE_BYTES_MAX: usize = 1024;

/// A signature as bytes.
pub(super) type SignatureBytes = SmallVec<[u8; 64]>;

/// A way of writing bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `0-9a-f`.
    HexLower,
    /// `0-9A-F`.
    HexUpper,
    /// Hexadecimal that is written in small letters and read in any.
    HexAny,
    /// With padding (RFC 4648 section 4).
    Base64,
    /// Without padding (RFC 4648 section 5).
    Base64Url,
    /// With padding (RFC 4648 section 5).
    Base64UrlPadded,
    /// As it is.
    Raw,
}

/// What `encode` may say.
pub(super) const NAMES: [&str; 6] =
    ["hex", "hex | upper", "base64", "base64url", "base64url_padded", "raw"];

impl Encoding {
    /// The encoding of a name; `any_case` for hexadecimal that is compared without case.
    pub(super) fn named(name: &str, any_case: bool) -> Option<Self> {
        let words: Vec<&str> = name.split('|').map(str::trim).collect();
        Some(match words.as_slice() {
            ["hex" | "HEX"] | ["hex", "upper" | "lower"] if any_case => Self::HexAny,
            ["hex"] | ["hex", "lower"] => Self::HexLower,
            ["HEX"] | ["hex", "upper"] => Self::HexUpper,
            ["base64"] => Self::Base64,
            ["base64url"] => Self::Base64Url,
            ["base64url_padded"] => Self::Base64UrlPadded,
            ["raw"] => Self::Raw,
            _ => return None,
        })
    }

    /// Whether it is hexadecimal.
    pub(super) fn is_hex(self) -> bool {
        matches!(self, Self::HexLower | Self::HexUpper | Self::HexAny)
    }

    /// The bytes of a text; none where it is not of this encoding, or has too many.
    pub(super) fn decode(self, text: &[u8]) -> Option<SignatureBytes> {
        if text.len() > SIGNATURE_BYTES_MAX * 2 {
            return None;
        }
        let case = match self {
            Self::HexLower => HexCase::Lower,
            Self::HexAny => HexCase::Any,
            Self::HexUpper if text.iter().any(u8::is_ascii_lowercase) => return None,
            Self::HexUpper => HexCase::Any,
            Self::Base64 => return base64(&STANDARD, text),
            Self::Base64Url => return base64(&URL_SAFE_NO_PAD, text),
            Self::Base64UrlPadded => return base64(&URL_SAFE, text),
            Self::Raw => {
                return (text.len() <= SIGNATURE_BYTES_MAX).then(|| SmallVec::from_slice(text));
            }
        };
        if text.len() == 64 {
            return unhex(text, case).map(|bytes| SmallVec::from_slice(&bytes));
        }
        let mut bytes = SignatureBytes::new();
        for pair in text.chunks(2) {
            let [high, low] = pair else { return None };
            let digit = |digit: &u8| {
                let capital = digit.is_ascii_uppercase() && case == HexCase::Lower;
                char::from(*digit).to_digit(16).filter(|_| !capital)
            };
            bytes.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
        }
        Some(bytes)
    }

    /// Bytes as text.
    pub(super) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let hex = |digits: &[u8; 16]| {
            let digit = |n: u8| digits.get(usize::from(n)).copied().unwrap_or_default();
            bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
        };
        match self {
            Self::HexLower | Self::HexAny => hex(b"0123456789abcdef"),
            Self::HexUpper => hex(b"0123456789ABCDEF"),
            Self::Base64 => STANDARD.encode(bytes).into_bytes(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
            Self::Base64UrlPadded => URL_SAFE.encode(bytes).into_bytes(),
            Self::Raw => bytes.to_vec(),
        }
    }
}

/// Strict: padding must be right and unused bits zero, so no value has two spellings.
fn base64(engine: &impl base64::Engine, text: &[u8]) -> Option<SignatureBytes> {
    engine.decode(text).ok().filter(|b| b.len() <= SIGNATURE_BYTES_MAX).map(SmallVec::from_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, any_case: bool, text: &str) -> Option<Vec<u8>> {
        let encoding = Encoding::named(name, any_case).unwrap();
        encoding.decode(text.as_bytes()).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn every_encoding_goes_both_ways() {
        let bytes: Vec<u8> = (0..=255).collect();
        for name in NAMES {
            for any_case in [false, true] {
                let encoding = Encoding::named(name, any_case).unwrap();
                for length in [0, 1, 16, 20, 31, 32, 33, 64, 256] {
                    let text = encoding.encode(&bytes[..length]);
                    assert_eq!(encoding.decode(&text).unwrap().to_vec(), bytes[..length], "{name}");
                }
            }
        }
    }

    #[test]
    fn a_value_has_one_spelling() {
        assert_eq!(decoded("hex", false, "aB"), None);
        assert_eq!(decoded("hex", false, &"aB".repeat(32)), None);
        assert_eq!(decoded("hex | upper", false, "ab"), None);
        assert_eq!(decoded("hex | upper", false, &"ab".repeat(32)), None);
        assert_eq!(decoded("hex", true, "aBAb"), Some(vec![0xab, 0xab]));
        assert_eq!(decoded("hex", false, "abc"), None);
        assert_eq!(decoded("hex", false, "+1"), None);
        assert_eq!(decoded("base64", false, "YR=="), None);
        assert_eq!(decoded("base64", false, "YQ"), None);
        assert_eq!(decoded("base64url", false, "YQ=="), None);
        assert_eq!(decoded("base64", false, "YQ==\n"), None);
        assert_eq!(decoded("raw", false, &"a".repeat(1025)), None);
        assert!(Encoding::named("hexx", false).is_none());
    }
}
