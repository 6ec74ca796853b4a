//! The ciphers that bodies are sealed with. Which one is used is configured, never read from a
//! message.

use std::fmt;

use aes::cipher::consts::{U12, U16};
use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt as _, BlockModeEncrypt as _,
    KeyInit, KeyIvInit as _,
};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::{AeadInOut, Nonce, Tag};
use des::TdesEde3;

use super::padding::Padding;
use crate::envelope::CannotOpen;

/// Bytes of an authentication tag of AES-GCM: all of it, never cut.
pub(super) const TAG_BYTES: usize = 16;

/// How a block cipher is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Cipher block chaining (NIST SP 800-38A, section 6.2).
    Cbc,
    /// Each block by itself (section 6.1): equal blocks show.
    Ecb,
    /// Galois counter mode (NIST SP 800-38D), with a tag of 16 bytes.
    Gcm,
}

/// A block cipher with the length of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Aes128,
    Aes192,
    Aes256,
    /// DES three times with three keys (NIST SP 800-67).
    TripleDes,
}

/// A cipher as configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    kernel: Kernel,
    mode: Mode,
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|name| Self::named(name) == Some(*self));
        f.write_str(named.unwrap_or(&""))
    }
}

/// What a cipher is fed beside the text.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    /// The key, of the cipher's length.
    pub key: &'a [u8],
    /// The initialisation vector; empty where the mode has none.
    pub iv: &'a [u8],
    /// What is authenticated beside the text (GCM).
    pub aad: &'a [u8],
    /// How the last block is filled; GCM fills none.
    pub padding: Padding,
}

impl Cipher {
    /// Every name, as configuration writes it.
    pub const NAMES: [&'static str; 11] = [
        "aes-128-cbc",
        "aes-192-cbc",
        "aes-256-cbc",
        "aes-128-gcm",
        "aes-192-gcm",
        "aes-256-gcm",
        "aes-128-ecb",
        "aes-192-ecb",
        "aes-256-ecb",
        "3des-cbc",
        "3des-ecb",
    ];

    /// The cipher of a name.
    pub fn named(name: &str) -> Option<Self> {
        let (kernel, mode) = name.rsplit_once('-')?;
        let mode = match mode {
            "cbc" => Mode::Cbc,
            "ecb" => Mode::Ecb,
            "gcm" => Mode::Gcm,
            _ => return None,
        };
        let kernel = match kernel {
            "aes-128" => Kernel::Aes128,
            "aes-192" => Kernel::Aes192,
            "aes-256" => Kernel::Aes256,
            "3des" if mode != Mode::Gcm => Kernel::TripleDes,
            _ => return None,
        };
        Some(Self { kernel, mode })
    }

    /// How blocks are chained.
    pub fn mode(self) -> Mode {
        self.mode
    }

    /// Length of the key, in bytes.
    pub fn key_bytes(self) -> usize {
        match self.kernel {
            Kernel::Aes128 => 16,
            Kernel::Aes192 | Kernel::TripleDes => 24,
            Kernel::Aes256 => 32,
        }
    }

    /// Length of a block, in bytes.
    pub fn block_bytes(self) -> u8 {
        if self.kernel == Kernel::TripleDes { 8 } else { 16 }
    }

    /// Lengths that an initialisation vector may have, in bytes. GCM takes 12, and 16 for those
    /// who chose it like that of CBC.
    pub fn iv_bytes(self) -> &'static [usize] {
        match (self.mode, self.kernel) {
            (Mode::Ecb, _) => &[0],
            (Mode::Gcm, _) => &[12, 16],
            (Mode::Cbc, Kernel::TripleDes) => &[8],
            (Mode::Cbc, _) => &[16],
        }
    }

    /// Lengths that ciphertext may have beside being whole blocks.
    fn accepts(self, length: usize) -> bool {
        let block = usize::from(self.block_bytes());
        self.mode == Mode::Gcm || (length > 0 && length.is_multiple_of(block))
    }

    /// Opens `data` in place; in GCM the tag stands at its end.
    ///
    /// # Errors
    /// When a length, the tag or the padding is wrong: which, nobody learns.
    pub fn open(self, feed: &Feed<'_>, data: &mut Vec<u8>) -> Result<(), CannotOpen> {
        let fits = feed.key.len() == self.key_bytes() && self.iv_bytes().contains(&feed.iv.len());
        if self.mode == Mode::Gcm {
            let cut = data.len().checked_sub(TAG_BYTES).filter(|_| fits).ok_or(CannotOpen)?;
            let (text, tag) = data.split_at_mut_checked(cut).ok_or(CannotOpen)?;
            gcm(self.kernel, feed, text, tag, Way::Open)?;
            data.truncate(cut);
            return Ok(());
        }
        if !fits || !self.accepts(data.len()) {
            return Err(CannotOpen);
        }
        self.blocks(feed, data, Way::Open)?;
        feed.padding.remove(data, self.block_bytes())
    }

    /// Seals `text` in place; in GCM the tag is put behind it.
    ///
    /// # Errors
    /// When the key or the initialisation vector has a wrong length, or the text is no multiple of
    /// the block and is not to be padded.
    pub fn seal(self, feed: &Feed<'_>, text: &mut Vec<u8>) -> Result<(), CannotOpen> {
        if feed.key.len() != self.key_bytes() || !self.iv_bytes().contains(&feed.iv.len()) {
            return Err(CannotOpen);
        }
        if self.mode == Mode::Gcm {
            let mut tag = [0; TAG_BYTES];
            gcm(self.kernel, feed, text, &mut tag, Way::Seal)?;
            text.extend_from_slice(&tag);
            return Ok(());
        }
        let block = self.block_bytes();
        if feed.padding == Padding::None && !self.accepts(text.len()) {
            return Err(CannotOpen);
        }
        feed.padding.add(text, block);
        self.blocks(feed, text, Way::Seal)
    }

    fn blocks(self, feed: &Feed<'_>, data: &mut [u8], way: Way) -> Result<(), CannotOpen> {
        match (self.kernel, self.mode) {
            (Kernel::Aes128, Mode::Ecb) => ecb::<Aes128>(feed, data, way),
            (Kernel::Aes192, Mode::Ecb) => ecb::<Aes192>(feed, data, way),
            (Kernel::Aes256, Mode::Ecb) => ecb::<Aes256>(feed, data, way),
            (Kernel::TripleDes, Mode::Ecb) => ecb::<TdesEde3>(feed, data, way),
            (Kernel::Aes128, _) => cbc::<Aes128>(feed, data, way),
            (Kernel::Aes192, _) => cbc::<Aes192>(feed, data, way),
            (Kernel::Aes256, _) => cbc::<Aes256>(feed, data, way),
            (Kernel::TripleDes, _) => cbc::<TdesEde3>(feed, data, way),
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Open,
    Seal,
}

fn ecb<C>(feed: &Feed<'_>, data: &mut [u8], way: Way) -> Result<(), CannotOpen>
where
    C: KeyInit + BlockCipherDecrypt + BlockCipherEncrypt,
{
    let cipher = C::new_from_slice(feed.key).map_err(|_| CannotOpen)?;
    let (blocks, _) = Block::<C>::slice_as_chunks_mut(data);
    match way {
        Way::Open => cipher.decrypt_blocks(blocks),
        Way::Seal => cipher.encrypt_blocks(blocks),
    }
    Ok(())
}

fn cbc<C>(feed: &Feed<'_>, data: &mut [u8], way: Way) -> Result<(), CannotOpen>
where
    C: KeyInit + BlockCipherDecrypt + BlockCipherEncrypt,
{
    let (blocks, _) = Block::<C>::slice_as_chunks_mut(data);
    match way {
        Way::Open => cbc::Decryptor::<C>::new_from_slices(feed.key, feed.iv)
            .map_err(|_| CannotOpen)?
            .decrypt_blocks(blocks),
        Way::Seal => cbc::Encryptor::<C>::new_from_slices(feed.key, feed.iv)
            .map_err(|_| CannotOpen)?
            .encrypt_blocks(blocks),
    }
    Ok(())
}

fn gcm(
    kernel: Kernel,
    feed: &Feed<'_>,
    text: &mut [u8],
    tag: &mut [u8],
    way: Way,
) -> Result<(), CannotOpen> {
    match (kernel, feed.iv.len()) {
        (Kernel::Aes128, 12) => aead::<AesGcm<Aes128, U12>>(feed, text, tag, way),
        (Kernel::Aes128, _) => aead::<AesGcm<Aes128, U16>>(feed, text, tag, way),
        (Kernel::Aes192, 12) => aead::<AesGcm<Aes192, U12>>(feed, text, tag, way),
        (Kernel::Aes192, _) => aead::<AesGcm<Aes192, U16>>(feed, text, tag, way),
        (Kernel::Aes256, 12) => aead::<AesGcm<Aes256, U12>>(feed, text, tag, way),
        (Kernel::Aes256, _) => aead::<AesGcm<Aes256, U16>>(feed, text, tag, way),
        (Kernel::TripleDes, _) => Err(CannotOpen),
    }
}

/// The tag is compared in constant time, and before a byte is opened.
fn aead<A: KeyInit + AeadInOut>(
    feed: &Feed<'_>,
    text: &mut [u8],
    tag: &mut [u8],
    way: Way,
) -> Result<(), CannotOpen> {
    let cipher = A::new_from_slice(feed.key).map_err(|_| CannotOpen)?;
    let nonce = Nonce::<A>::try_from(feed.iv).map_err(|_| CannotOpen)?;
    match way {
        Way::Open => {
            let tag = Tag::<A>::try_from(&*tag).map_err(|_| CannotOpen)?;
            cipher.decrypt_inout_detached(&nonce, feed.aad, text.into(), &tag)
        }
        Way::Seal => cipher
            .encrypt_inout_detached(&nonce, feed.aad, text.into())
            .map(|made| tag.copy_from_slice(&made)),
    }
    .map_err(|_| CannotOpen)
}
