//! Wrapped bytes: `"CSE1" | algorithm u8 | wrapping key's id, 16 bytes | its version u32 BE |
//! nonce 12 | ciphertext | tag 16`, AES-256-GCM (NIST SP 800-38D), bound to the place where they
//! are kept.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit as _, Nonce, Tag};
use zeroize::Zeroizing;

use super::{CustodyFault, KeyBytes};
use crate::crypto;

const FORMAT: &[u8; 4] = b"CSE1";
/// AES-256-GCM, nonce of 12 bytes, tag of 16: the one algorithm so far.
const AES_256_GCM: u8 = 1;
pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;
/// Format, algorithm, id and version: what is authenticated together with the place.
const HEAD_BYTES: usize = 4 + 1 + 16 + 4;

/// Which key wrapped something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapId {
    /// The first 16 bytes of the SHA-256 of its name.
    pub id: [u8; 16],
    /// Its version.
    pub version: u32,
}

impl WrapId {
    /// The key of a name, in a version.
    pub fn of(name: &str, version: u32) -> Self {
        let digest = crypto::sha256(name.as_bytes());
        Self { id: digest.first_chunk().copied().unwrap_or_default(), version }
    }
}

/// Wraps bytes at `place` (which may not be empty): table, row, kind, version.
///
/// # Errors
/// When there is no place, or there are no random bytes.
pub fn seal(
    key: &KeyBytes,
    by: WrapId,
    place: &[u8],
    clear: &[u8],
) -> Result<Vec<u8>, CustodyFault> {
    let nonce: [u8; NONCE_BYTES] = crypto::random()?;
    // Encrypted where it stands, in room for all of it: no copy is left behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(clear.len() + TAG_BYTES));
    sealed.extend_from_slice(clear);
    let cipher = Aes256Gcm::new((&**key).into());
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &bound_to(by, place)?, sealed.as_mut_slice().into())
        .map_err(|_| CustodyFault::DoesNotOpen)?;
    sealed.extend_from_slice(&tag);
    Ok(joined(by, &nonce, &sealed))
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`CustodyFault::DoesNotOpen`], whatever is wrong.
pub fn open(key: &KeyBytes, place: &[u8], blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyFault> {
    let parts = parts(blob).ok_or(CustodyFault::DoesNotOpen)?;
    let (text, tag) = parts.sealed.split_last_chunk().ok_or(CustodyFault::DoesNotOpen)?;
    let (nonce, tag): (Nonce<Aes256Gcm>, Tag<Aes256Gcm>) = (parts.nonce.into(), (*tag).into());
    let mut clear = Zeroizing::new(text.to_vec());
    let bound = bound_to(parts.by, place)?;
    Aes256Gcm::new((&**key).into())
        .decrypt_inout_detached(&nonce, &bound, clear.as_mut_slice().into(), &tag)
        .map_err(|_| CustodyFault::DoesNotOpen)?;
    Ok(clear)
}

/// Which key wrapped a blob, as it says itself: nothing is proved.
pub fn wrapped_by(blob: &[u8]) -> Option<WrapId> {
    parts(blob).map(|parts| parts.by)
}

/// What a blob consists of.
pub(super) struct Parts<'a> {
    pub(super) by: WrapId,
    pub(super) nonce: [u8; NONCE_BYTES],
    /// Ciphertext and tag.
    pub(super) sealed: &'a [u8],
}

/// Takes a blob apart; nothing for what is none.
pub(super) fn parts(blob: &[u8]) -> Option<Parts<'_>> {
    let rest = blob.strip_prefix(FORMAT)?.strip_prefix(&[AES_256_GCM])?;
    let (id, rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    let by = WrapId { id: *id, version: u32::from_be_bytes(*version) };
    (sealed.len() >= TAG_BYTES).then_some(Parts { by, nonce: *nonce, sealed })
}

/// Puts a blob together.
pub(super) fn joined(by: WrapId, nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> Vec<u8> {
    [&head(by)[..], nonce, sealed].concat()
}

/// What is authenticated beside the text: the head, whose length is fixed, and the place.
pub(super) fn bound_to(by: WrapId, place: &[u8]) -> Result<Vec<u8>, CustodyFault> {
    if place.is_empty() {
        return Err(CustodyFault::NoPlace);
    }
    Ok([&head(by)[..], place].concat())
}

fn head(by: WrapId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let bytes = FORMAT.iter().chain(&[AES_256_GCM]).chain(&by.id);
    let version = by.version.to_be_bytes();
    for (to, from) in head.iter_mut().zip(bytes.chain(&version)) {
        *to = *from;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: WrapId = WrapId { id: [7; 16], version: 3 };

    fn key(byte: u8) -> KeyBytes {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn what_is_wrapped_opens_at_its_place_only() {
        for clear in [&b""[..], b"x", &[9; 160]] {
            let blob = seal(&key(1), BY, b"versions pk_1 signing 1", clear).unwrap();
            assert_eq!(blob.len(), 37 + clear.len() + 16);
            assert_eq!(wrapped_by(&blob), Some(BY));
            assert_eq!(*open(&key(1), b"versions pk_1 signing 1", &blob).unwrap(), clear);
            for place in [&b"versions pk_1 signing 2"[..], b"versions pk_1 signing", b""] {
                assert!(open(&key(1), place, &blob).is_err(), "{place:?}");
            }
            assert!(open(&key(2), b"versions pk_1 signing 1", &blob).is_err());
        }
        assert!(matches!(seal(&key(1), BY, b"", b"x"), Err(CustodyFault::NoPlace)));
    }

    #[test]
    fn no_bit_can_be_changed_and_no_byte_cut() {
        let blob = seal(&key(1), BY, b"place", b"thirty-two bytes of a secret key").unwrap();
        for bit in 0..blob.len() * 8 {
            let mut other = blob.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let opened = open(&key(1), b"place", &other);
            assert!(matches!(opened, Err(CustodyFault::DoesNotOpen)), "bit {bit}");
        }
        for length in 0..blob.len() {
            assert!(open(&key(1), b"place", &blob[..length]).is_err(), "{length} bytes");
        }
        assert!(open(&key(1), b"place", &[&blob[..], b"x"].concat()).is_err());
        assert_eq!(
            wrapped_by(b"CSE2 and something that is long enough to be a blob, at first"),
            None
        );
    }

    #[test]
    fn equal_bytes_are_never_wrapped_alike() {
        let wrap = || seal(&key(1), BY, b"place", b"same").unwrap();
        assert_ne!(wrap(), wrap());
    }

    /// Another implementation opens it by what the head of this file says.
    #[test]
    fn the_format_is_as_described() {
        use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let blob = seal(&key(1), BY, b"place", b"in clear").unwrap();
        let (head, rest) = blob.split_at(25);
        assert_eq!(*head, *[&b"CSE1\x01"[..], &[7; 16], &[0, 0, 0, 3]].concat());
        let (nonce, sealed) = rest.split_at(12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut sealed = sealed.to_vec();
        let bound = Aad::from([head, b"place"].concat());
        assert_eq!(key.open_in_place(nonce, bound, &mut sealed).unwrap(), b"in clear");
    }
}
