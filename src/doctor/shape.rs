//! What the form of a claim says of the mistake behind it. Nothing here knows a key: it tells a
//! caller only what that caller sent.

use std::time::Duration;

use crate::scheme::{Form, Scheme};

use super::mistake::Mistake;

/// What was meant by a claim, named as its fault names it, that is not of its form.
pub(crate) fn malformed(scheme: &Scheme, name: &str, text: &[u8]) -> Option<Mistake> {
    match scheme.form(name)? {
        Form::Seconds => timestamp(text),
        form => signature(text, form),
    }
}

/// A signature that is not of its form.
fn signature(text: &[u8], expected: Form) -> Option<Mistake> {
    let stripped = text.trim_ascii();
    if stripped.len() != text.len() || text.starts_with(b"\"") || text.starts_with(b"'") {
        return Some(Mistake::Quoted);
    }
    let hexadecimal = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    if let Form::Hex { digits, lower } = expected {
        if hexadecimal && text.len() == digits && lower {
            return Some(Mistake::SignatureCase);
        }
        if hexadecimal {
            return Some(length(text.len()));
        }
    }
    if hexadecimal && matches!(text.len(), 32 | 40 | 64 | 96 | 128) {
        return Some(Mistake::OtherEncoding);
    }
    if text.contains(&b'%') {
        return Some(Mistake::PercentEncoded);
    }
    let prefixed = [b'=', b' ', b':', b','];
    let body = text.iter().position(|byte| prefixed.contains(byte));
    if body.is_some_and(|at| at > 0 && at + 2 < text.len()) {
        return Some(Mistake::SignaturePrefix);
    }
    if is_base64(text) {
        return Some(match (expected, text.len()) {
            (Form::Hex { .. }, 88) => Mistake::EncodedTwice,
            (Form::Hex { .. }, _) => Mistake::OtherEncoding,
            (_, _) => Mistake::SignatureLength,
        });
    }
    None
}

fn length(digits: usize) -> Mistake {
    match digits {
        32 | 40 | 56 | 64 | 96 | 128 => Mistake::OtherAlgorithm,
        _ => Mistake::SignatureLength,
    }
}

fn is_base64(text: &[u8]) -> bool {
    let digit =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    let (digits, padding) = text.split_at(end);
    digits.len() >= 16 && padding.len() <= 2 && digits.iter().all(digit)
}

/// A timestamp in seconds that does not look like one.
fn timestamp(text: &[u8]) -> Option<Mistake> {
    let stripped = text.trim_ascii();
    if stripped.len() != text.len() || text.starts_with(b"\"") {
        return Some(Mistake::Quoted);
    }
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    match text.len() {
        13 | 16 | 19 if digits == text.len() => Some(Mistake::Milliseconds),
        _ if digits >= 10 && text.contains(&b'.') && digits + 1 == text.len() => {
            Some(Mistake::Milliseconds)
        }
        8.. if digits >= 4 && text.iter().any(|byte| matches!(byte, b'-' | b':' | b'T' | b',')) => {
            Some(Mistake::DateForm)
        }
        _ => None,
    }
}

/// How near to whole hours (or the half ones that some countries have) a clock must be off to be
/// taken for local time.
const NEAR: u64 = 120;
const HALF_HOUR: u64 = 1800;
/// The time zones reach from -12 to +14 hours.
const FARTHEST: u64 = 14 * 3600;

/// A timestamp that is off by so much.
pub(crate) fn staleness(off: Duration) -> Option<Mistake> {
    let seconds = off.as_secs();
    let from_half = (seconds + NEAR) % HALF_HOUR;
    let zone = (HALF_HOUR - NEAR..=FARTHEST + NEAR).contains(&seconds) && from_half <= 2 * NEAR;
    zone.then_some(Mistake::TimeZone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_tell_what_was_meant() {
        let hex = Form::Hex { digits: 64, lower: true };
        for (text, expected) in [
            ("AB".repeat(32), Some(Mistake::SignatureCase)),
            ("ab".repeat(20), Some(Mistake::OtherAlgorithm)),
            ("ab".repeat(31), Some(Mistake::SignatureLength)),
            (format!("sha256={}", "ab".repeat(32)), Some(Mistake::SignaturePrefix)),
            (format!("\"{}\"", "ab".repeat(32)), Some(Mistake::Quoted)),
            (
                "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=".to_owned(),
                Some(Mistake::OtherEncoding),
            ),
            (
                "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k%3D".to_owned(),
                Some(Mistake::PercentEncoded),
            ),
            ("!".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(signature(text.as_bytes(), hex), expected, "{text}");
        }
        assert_eq!(
            signature("ab".repeat(32).as_bytes(), Form::Base64),
            Some(Mistake::OtherEncoding)
        );
    }

    #[test]
    fn times_tell_what_was_meant() {
        for (text, expected) in [
            ("1764000000000", Some(Mistake::Milliseconds)),
            ("1764000000.123", Some(Mistake::Milliseconds)),
            ("2025-11-24T16:00:00Z", Some(Mistake::DateForm)),
            ("Mon, 24 Nov 2025 16:00:00 GMT", Some(Mistake::DateForm)),
            ("\"1764000000\"", Some(Mistake::Quoted)),
            ("176400000", None),
            ("soon", None),
        ] {
            assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(staleness(Duration::from_secs(7200 + 40)), Some(Mistake::TimeZone));
        assert_eq!(staleness(Duration::from_secs(19800 - 60)), Some(Mistake::TimeZone));
        for seconds in [0, 60, 600, 4000, 90_000, 60 * 3600] {
            assert_eq!(staleness(Duration::from_secs(seconds)), None, "{seconds}");
        }
    }
}
