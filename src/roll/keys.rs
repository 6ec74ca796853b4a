//! Keys of a credential: its root and anchors, and the sets that are derived from the root.

use std::fmt;
use std::num::NonZeroU32;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::secret::Secret;

use super::kid::{KID_BYTES, Kid};
use super::sealing::lp;

/// Bytes of a key set, and of an anchor: two keys of 64 bytes, then two masks of 16.
pub const KEY_SET_BYTES: usize = 160;
/// Bytes of a root, and of an epoch's secret.
pub const ROOT_BYTES: usize = 32;
const INFO: &[u8] = b"countersign roll.v1\0";

/// What a chain of key sets is derived from. It never leaves the gate.
#[derive(Clone)]
pub struct Root {
    /// 32 random bytes.
    pub secret: Secret,
    /// When it took the place of the one before. Key sets made up to then are dead.
    pub since: Timestamp,
}

/// One version of a credential's anchor, the long-lived key set that opens a session.
#[derive(Clone)]
pub struct AnchorSpec {
    /// Which one: `ak_<version>`.
    pub version: NonZeroU32,
    /// Its keys.
    pub keys: KeySet,
    /// The last second in which it is good; none: no end.
    pub until: Option<Timestamp>,
}

/// What a credential has for rolling keys.
#[derive(Clone)]
pub struct Material {
    /// What its key sets are derived from.
    pub root: Root,
    /// The versions of its anchor that are good.
    pub anchors: Vec<AnchorSpec>,
}

impl Material {
    /// The keys of a version of the anchor, while it is good.
    pub(super) fn anchor(&self, version: u32, now: Timestamp) -> Option<&KeySet> {
        let good = |own: &&AnchorSpec| {
            own.version.get() == version && own.until.is_none_or(|until| now <= until)
        };
        self.anchors.iter().find(good).map(|own| &own.keys)
    }
}

/// Keys for both ways, and what the IVs are masked with.
#[derive(Clone)]
pub struct KeySet(Box<Zeroizing<[u8; KEY_SET_BYTES]>>);

/// Keys for one way.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub(super) key: &'a [u8; 64],
    pub(super) mask: &'a [u8; 16],
}

impl Side<'_> {
    pub(super) fn mac_key(&self) -> &[u8] {
        let (first, _) = halves(self.key);
        first
    }

    pub(super) fn encryption_key(&self) -> &[u8; 32] {
        let (_, second) = halves(self.key);
        second
    }

    /// The key: 32 bytes that authenticate, then 32 that encrypt.
    pub fn key(&self) -> &[u8; 64] {
        self.key
    }

    /// What IVs are masked with.
    pub fn mask(&self) -> &[u8; 16] {
        self.mask
    }
}

fn halves(key: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    static NONE: [u8; 32] = [0; 32];
    let (first, rest) = key.split_first_chunk().unwrap_or((&NONE, &[]));
    (first, rest.first_chunk().unwrap_or(&NONE))
}

impl KeySet {
    /// Takes 160 bytes as a key set.
    pub fn from_bytes(bytes: &[u8; KEY_SET_BYTES]) -> Self {
        let mut own = Box::new(Zeroizing::new([0; KEY_SET_BYTES]));
        own.copy_from_slice(bytes);
        Self(own)
    }

    /// Takes a secret of 160 bytes as a key set; nothing where it has another length.
    pub fn of(secret: &Secret) -> Option<Self> {
        secret.expose().try_into().ok().map(Self::from_bytes)
    }

    /// Keys from the client to the gate.
    pub fn to_gate(&self) -> Side<'_> {
        let ([key, _], [mask, _]) = self.parts();
        Side { key, mask }
    }

    /// Keys from the gate to the client.
    pub fn to_client(&self) -> Side<'_> {
        let ([_, key], [_, mask]) = self.parts();
        Side { key, mask }
    }

    fn parts(&self) -> ([&[u8; 64]; 2], [&[u8; 16]; 2]) {
        static NONE: ([u8; 64], [u8; 16]) = ([0; 64], [0; 16]);
        let bytes: &[u8; KEY_SET_BYTES] = &self.0;
        // The lengths add up to that of the whole, so none of the rests is ever too short.
        let (first, rest) = bytes.split_first_chunk().unwrap_or((&NONE.0, &[]));
        let (second, rest) = rest.split_first_chunk().unwrap_or((&NONE.0, &[]));
        let (third, rest) = rest.split_first_chunk().unwrap_or((&NONE.1, &[]));
        ([first, second], [third, rest.first_chunk().unwrap_or(&NONE.1)])
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹key set›")
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("anchors", &self.anchors.len()).finish_non_exhaustive()
    }
}

/// What the key sets of one credential in one epoch are expanded from. Wiped by its library.
#[derive(Clone)]
pub struct Source(Hkdf<Sha256>);

impl Source {
    /// Extracts it (RFC 5869, section 2.2): the epoch's secret is the salt.
    pub fn extract(epoch: &Secret, root: &Secret) -> Self {
        Self(Hkdf::new(Some(epoch.expose()), root.expose()))
    }

    /// The key set of a name.
    pub fn key_set(&self, merchant: &str, credential: &str, kid: Kid) -> KeySet {
        let mut info = Vec::with_capacity(INFO.len() + 128 + KID_BYTES);
        info.extend_from_slice(INFO);
        lp(&mut info, merchant.as_bytes());
        lp(&mut info, credential.as_bytes());
        info.extend_from_slice(&kid.to_bytes());
        let mut keys = Box::new(Zeroizing::new([0; KEY_SET_BYTES]));
        // Five blocks of 255 that there may be: this cannot fail.
        let _ = self.0.expand(&info, keys.as_mut_slice());
        KeySet(keys)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹source of key sets›")
    }
}
