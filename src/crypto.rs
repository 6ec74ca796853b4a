//! The typed face of the cryptographic libraries: keyed MACs, digests, random bytes, hexadecimal.
//!
//! No HTTP and no input or output. A key is set up once and its state cloned for every message.
//! Digests and MACs end in place, since moving one would leave a copy of its last block behind.

pub mod asymmetric;

use sha2::digest::block_api::{Buffer, CoreProxy, FixedOutputCore as _, UpdateCore as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

pub mod derivation;
pub mod digest;
pub mod mac;

/// A SHA-256 digest or HMAC-SHA-256 value.
pub type Bytes32 = [u8; 32];

/// A key that is ready to authenticate messages with HMAC-SHA-256 (RFC 2104, FIPS 180-4): the two
/// states that it begins from, without the buffer that only a message needs.
#[derive(Clone)]
pub struct MacKey {
    inner: Sha256Core,
    outer: Sha256Core,
}

/// An HMAC-SHA-256 in the making.
#[derive(Clone)]
pub struct MacInProgress {
    key: MacKey,
    buffer: Buffer<Sha256Core>,
}

/// SHA-256 over whole blocks.
type Sha256Core = <Sha256 as CoreProxy>::Core;

/// A SHA-256 digest in the making.
#[derive(Clone, Default)]
pub struct DigestInProgress(Sha256);

impl MacKey {
    /// Sets the key up from a secret, which may have any length.
    pub fn new(secret: &Secret) -> Self {
        Self::from_bytes(secret.expose())
    }

    /// A key that no one knows: what unknown key ids are checked with.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn decoy() -> Result<Self, NoRandom> {
        Ok(Self::from_bytes(&random::<32>()?))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        // A block that is whole is taken in from where it stands.
        let [inner, outer] = mac::states::<Sha256, _>(bytes, |block| {
            let mut core = Sha256Core::default();
            Buffer::<Sha256Core>::default().digest_blocks(block, |block| core.update_blocks(block));
            core
        });
        Self { inner, outer }
    }

    /// Begins a message.
    pub fn begin(&self) -> MacInProgress {
        MacInProgress { key: self.clone(), buffer: Default::default() }
    }
}

impl MacInProgress {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let Self { key, buffer } = self;
        buffer.digest_blocks(bytes, |blocks| key.inner.update_blocks(blocks));
    }

    /// Ends the message, and is of no use afterwards.
    pub fn finish(&mut self) -> Bytes32 {
        let Self { key: MacKey { inner, outer }, buffer } = self;
        let (mut digest, mut mac) = Default::default();
        inner.finalize_fixed_core(buffer, &mut digest);
        buffer.digest_blocks(&digest, |blocks| outer.update_blocks(blocks));
        outer.finalize_fixed_core(buffer, &mut mac);
        mac.into()
    }
}

impl DigestInProgress {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends the message, and begins anew.
    pub fn finish(&mut self) -> Bytes32 {
        self.0.finalize_reset().into()
    }
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Bytes32 {
    let mut digest = DigestInProgress::default();
    digest.update(bytes);
    digest.finish()
}

/// Whether two values are equal, in constant time: all of both is looked at, whatever differs.
pub fn equal(a: &Bytes32, b: &Bytes32) -> bool {
    let ((a, _), (b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a.iter().zip(b).map(|(a, b)| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b));
    words.fold(0, |differing, word| differing | word).ct_eq(&0).into()
}

/// Whether two values of any length are equal, in constant time for equal lengths.
pub fn equal_bytes(a: &[u8], b: &[u8]) -> bool {
    match (a.try_into(), b.try_into()) {
        // Most are of this length, and its loop is known to the compiler.
        (Ok(a), Ok(b)) => equal(a, b),
        _ => a.ct_eq(b).into(),
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandom;

/// Random bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// As many random bytes as asked for, from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random_bytes(length: usize) -> Result<Vec<u8>, NoRandom> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal text of 32 bytes.
pub fn hex(bytes: &Bytes32) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        let digit = |nibble: u8| HEX_DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        if let [high, low] = pair {
            *high = digit(byte >> 4);
            *low = digit(byte & 15);
        }
    }
    text
}

/// Which letters hexadecimal text may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexCase {
    /// `0-9a-f`.
    Lower,
    /// `0-9a-fA-F`.
    Any,
}

/// 32 bytes from exactly 64 hexadecimal digits. Worked out without a branch: digits are random, and
/// a wrong guess of the processor costs more; and the compiler takes sixteen at a time.
pub fn unhex(text: &[u8], case: HexCase) -> Option<Bytes32> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut good = true;
    let values = text.map(|digit| {
        let (value, is_digit) = digit_value(digit, case);
        good &= is_digit;
        value
    });
    let mut bytes = [0; 32];
    let (pairs, _) = values.as_chunks::<2>();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (high << 4) | low;
    }
    good.then_some(bytes)
}

/// The value of a hexadecimal digit, and whether it is one. Without a branch, as [`unhex`].
pub(crate) fn digit_value(digit: u8, case: HexCase) -> (u8, bool) {
    let to_lower = if case == HexCase::Any { b'a' - b'A' } else { 0 };
    let number = digit.wrapping_sub(b'0');
    let letter = (digit | to_lower).wrapping_sub(b'a');
    let value = if number < 10 { number } else { letter.wrapping_add(10) };
    (value, (number < 10) | (letter < 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_makes_values_differ() {
        let value: Bytes32 = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        assert!(equal(&value, &value) && equal_bytes(&value, &value));
        for bit in 0..256 {
            let mut other = value;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal(&value, &other) && !equal_bytes(&value, &other), "{bit}");
        }
        assert!(!equal_bytes(&value, &value[..31]) && !equal_bytes(&[], &value));
    }

    fn mac(key: &[u8], message: &[u8]) -> String {
        let mut mac = MacKey::from_bytes(key).begin();
        mac.update(message);
        String::from_utf8(hex(&mac.finish()).to_vec()).unwrap()
    }

    #[test]
    fn rfc_4231_cases() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(mac(b"Jefe", b"what do ya want for nothing?"), expected);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(mac(&[0xaa; 131], message), expected);
    }

    #[test]
    fn hex_goes_both_ways_and_is_strict() {
        let bytes = sha256(b"abc");
        let text = hex(&bytes);
        assert_eq!(unhex(&text, HexCase::Lower), Some(bytes));
        let upper = text.to_ascii_uppercase();
        assert_eq!(unhex(&upper, HexCase::Lower), None);
        assert_eq!(unhex(&upper, HexCase::Any), Some(bytes));
        assert_eq!(unhex(&text[1..], HexCase::Any), None);
        assert_eq!(unhex(&[b'g'; 64], HexCase::Any), None);
    }

    #[test]
    fn every_byte_at_every_place_is_a_digit_or_none() {
        for (at, byte) in (0..64).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut text = [b'0'; 64];
            text[at] = byte;
            let value = char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let expected = |value: u8| {
                let mut bytes = [0; 32];
                bytes[at / 2] = if at % 2 == 0 { value << 4 } else { value };
                bytes
            };
            assert_eq!(unhex(&text, HexCase::Any), value.map(expected), "{byte} at {at}");
            let lower = value.filter(|_| !byte.is_ascii_uppercase());
            assert_eq!(unhex(&text, HexCase::Lower), lower.map(expected), "{byte} at {at}");
        }
    }
}
