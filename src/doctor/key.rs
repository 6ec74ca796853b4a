//! Other keys that somebody may have made of the same secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::crypto::{hex, sha256};
use crate::secret::Secret;

use super::mistake::Mistake;

/// The keys, the likely ones first.
pub(super) fn variants(secret: &Secret, key_id: &str) -> Vec<(Mistake, Secret)> {
    let bytes = secret.expose();
    let digest = sha256(bytes);
    let text = std::str::from_utf8(bytes).ok();
    let prefix = |text: &str| {
        // `sk_test_…`, `whsec_…`: what stands behind the last underscore of the first part.
        let at = text.get(..16.min(text.len()))?.rfind('_')?;
        text.get(at + 1..).map(|rest| rest.as_bytes().to_vec())
    };
    let all = [
        (Mistake::SecretNewline, Some([bytes, b"\n"].concat())),
        (Mistake::SecretNewline, Some([bytes, b"\r\n"].concat())),
        (Mistake::SecretNewline, Some([bytes, b" "].concat())),
        (Mistake::SecretNewline, Some(bytes.trim_ascii().to_vec())),
        (Mistake::SecretDecoded, STANDARD.decode(bytes).ok()),
        (Mistake::SecretDecoded, URL_SAFE_NO_PAD.decode(bytes).ok()),
        (Mistake::SecretDecoded, unhex(bytes)),
        (Mistake::SecretDecoded, Some(STANDARD.encode(bytes).into_bytes())),
        (Mistake::SecretDecoded, Some(lower_hex(bytes))),
        (Mistake::SecretPrefix, text.and_then(prefix)),
        (Mistake::SecretPrefix, text.and_then(|text| STANDARD.decode(prefix(text)?).ok())),
        (Mistake::KeyIdAsSecret, Some(key_id.as_bytes().to_vec())),
        (Mistake::SecretCase, Some(bytes.to_ascii_lowercase())),
        (Mistake::SecretCase, Some(bytes.to_ascii_uppercase())),
        (Mistake::SecretDigested, Some(digest.to_vec())),
        (Mistake::SecretDigested, Some(hex(&digest).to_vec())),
    ];
    let different = all.into_iter().filter_map(|(mistake, other)| {
        let other = other.filter(|other| other != bytes && !other.is_empty())?;
        Some((mistake, Secret::of_any_length(other)))
    });
    different.collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    });
    pairs.collect()
}

fn lower_hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_keys_are_tried() {
        let of = |secret: &[u8]| {
            let all = variants(&Secret::of_any_length(secret.to_vec()), "pk_1");
            all.into_iter()
                .map(|(mistake, key)| (mistake, key.expose().to_vec()))
                .collect::<Vec<_>>()
        };
        let all = of(b"whsec_c2VjcmV0");
        for expected in [
            (Mistake::SecretNewline, &b"whsec_c2VjcmV0\n"[..]),
            (Mistake::SecretPrefix, b"c2VjcmV0"),
            (Mistake::SecretPrefix, b"secret"),
            (Mistake::KeyIdAsSecret, b"pk_1"),
        ] {
            assert!(all.contains(&(expected.0, expected.1.to_vec())), "{expected:?}");
        }
        assert!(of(b"00ff").contains(&(Mistake::SecretDecoded, vec![0, 255])));
        assert!(of(b"\xff\xfe ").contains(&(Mistake::SecretNewline, vec![0xff, 0xfe])));
    }
}
