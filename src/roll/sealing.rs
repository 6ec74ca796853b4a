//! A256CBC-HS512 (RFC 7518, section 5.2) with a masked IV: `p || ciphertext || tag`.
//!
//! `p` is fresh for every message and the real IV is `mask XOR p`: nobody without the mask can
//! choose or foresee it. The tag is checked before anything is decrypted.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};

use crate::clock::Timestamp;
use crate::crypto::digest::Algorithm as Digest;
use crate::crypto::mac::Algorithm;
use crate::crypto::{equal_bytes, random};
use crate::secret::Plaintext;

use super::keys::Side;
use super::kid::Label;

pub use crate::crypto::NoRandom;

/// Bytes of `p`, of a block, and of the mask.
pub const P_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
const BLOCK: usize = 16;

/// The 16 fresh bytes in front of a sealed message, by which it passes once.
pub type P = [u8; P_BYTES];

/// What is sealed does not open. Why, is told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be opened")]
pub struct CannotOpen;

/// Adds a text with its length in front, in two bytes. What is longer is not reached: a target has
/// at most 32 KiB.
pub(super) fn lp(to: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(text);
}

/// What a request's seal binds beside its text.
pub fn aad_request(time: Timestamp, method: &str, target: &str, label: Label) -> Vec<u8> {
    let mut aad = Vec::with_capacity(64 + method.len() + target.len());
    aad.extend_from_slice(b"countersign roll.v1 req\0");
    aad.extend_from_slice(&time.secs().to_be_bytes());
    lp(&mut aad, method.as_bytes());
    lp(&mut aad, target.as_bytes());
    label.bind(&mut aad);
    aad
}

/// What an answer's seal binds: its status, and the request that it answers.
pub fn aad_response(status: u16, label: Label, p_request: &P) -> Vec<u8> {
    let mut aad = Vec::with_capacity(72);
    aad.extend_from_slice(b"countersign roll.v1 res\0");
    aad.extend_from_slice(&status.to_be_bytes());
    label.bind(&mut aad);
    aad.extend_from_slice(p_request);
    aad
}

/// What the seal of the next key set binds: the request whose answer brings it.
pub fn aad_next(label: Label, p_request: &P) -> Vec<u8> {
    let mut aad = Vec::with_capacity(72);
    aad.extend_from_slice(b"countersign roll.v1 next\0");
    label.bind(&mut aad);
    aad.extend_from_slice(p_request);
    aad
}

impl Side<'_> {
    /// Seals a text under fresh random bytes.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn seal(self, aad: &[u8], text: &[u8]) -> Result<Vec<u8>, NoRandom> {
        Ok(self.seal_with(aad, text, &random()?))
    }

    /// Seals a text under bytes that must never be used again with this key.
    pub fn seal_with(self, aad: &[u8], text: &[u8], p: &P) -> Vec<u8> {
        let iv = self.iv(p);
        let blocks = text.len() / BLOCK + 1;
        let mut sealed = Vec::with_capacity(P_BYTES + blocks * BLOCK + TAG_BYTES);
        sealed.extend_from_slice(p);
        sealed.extend_from_slice(text);
        sealed.resize(P_BYTES + blocks * BLOCK, 0);
        let cipher = cbc::Encryptor::<Aes256>::new(self.encryption_key().into(), &iv.into());
        if let Some(room) = sealed.get_mut(P_BYTES..) {
            // There is room for the padding, so this cannot fail.
            let _ = cipher.encrypt_padded::<Pkcs7>(room, text.len());
        }
        let tag = self.tag(aad, &iv, sealed.get(P_BYTES..).unwrap_or_default());
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open(self, aad: &[u8], sealed: &[u8]) -> Result<Plaintext, CannotOpen> {
        let (p, rest) = sealed.split_first_chunk::<P_BYTES>().ok_or(CannotOpen)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(CannotOpen)?;
        let iv = self.iv(p);
        if !equal_bytes(&self.tag(aad, &iv, ciphertext), tag) {
            return Err(CannotOpen);
        }
        let mut text = Plaintext::from(ciphertext.to_vec());
        let cipher = cbc::Decryptor::<Aes256>::new(self.encryption_key().into(), &iv.into());
        let length = cipher.decrypt_padded::<Pkcs7>(text.buffer()).map_err(|_| CannotOpen)?.len();
        text.keep(0, length);
        Ok(text)
    }

    fn iv(self, p: &P) -> [u8; BLOCK] {
        let mut iv = *p;
        iv.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
        iv
    }

    fn tag(self, aad: &[u8], iv: &[u8; BLOCK], ciphertext: &[u8]) -> [u8; TAG_BYTES] {
        let bits = u64::try_from(aad.len()).unwrap_or(u64::MAX).saturating_mul(8);
        let mut mac = Algorithm::Hmac(Digest::Sha512).key(self.mac_key()).begin();
        mac.update(aad);
        mac.update(iv);
        mac.update(ciphertext);
        mac.update(&bits.to_be_bytes());
        // Half of the 64 bytes of the digest.
        mac.finish().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}
