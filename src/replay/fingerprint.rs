//! Fingerprints: 128 bits of a keyed hash, so that nobody outside can make two messages share one.
//!
//! Must never be done here: hashing header text. One signature has many spellings, and only its
//! decoded bytes are it.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::io;

use siphasher::sip128::SipHasher24;
use smallvec::SmallVec;

use super::claim::Stamped;

/// Bytes of a fingerprint and of its key.
pub(super) const BYTES: usize = 16;

/// Tables in a bucket: enough that cores seldom meet, and that one table grows in microseconds.
pub(super) const TABLES: u32 = 32;
/// Where the map takes the number of the table from: below the seven bits that its tables keep.
const TABLE_AT_BIT: u32 = u64::BITS - 7 - TABLES.ilog2();

/// The key of the hash. Whoever knows it can make collisions, so it is written only to the saved
/// memory, which its owner alone can read.
#[derive(Clone)]
pub(super) struct FingerprintKey {
    hasher: SipHasher24,
    bytes: [u8; BYTES],
}

/// One entry of the memory: 16 bytes without alignment, so that a table holds it in 17.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; BYTES]);

/// The fingerprint of a claim as a whole, of which its entries are made.
#[derive(Clone, Copy)]
pub(super) struct Whole([u8; BYTES]);

impl FingerprintKey {
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|fault| io::Error::other(fault.to_string()))?;
        Ok(Self::from_bytes(bytes))
    }

    pub(super) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self { hasher: SipHasher24::new_with_key(&bytes), bytes }
    }

    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.bytes
    }

    /// The fingerprint of credential, stamp and proof.
    pub(super) fn whole(&self, stamped: &Stamped<'_>) -> Whole {
        let stamp = stamped.stamp.secs().to_le_bytes();
        Whole(self.hash(b'w', &[&stamp, stamped.credential.as_bytes(), stamped.proof]))
    }

    /// The fingerprint of one target read under a claim.
    pub(super) fn read(&self, whole: Whole, method: &str, target: &[u8]) -> Fingerprint {
        Fingerprint(self.hash(b'r', &[&whole.0, method.as_bytes(), target]))
    }

    /// Each part goes in with its length, so that no two lists of parts are the same bytes.
    fn hash(&self, label: u8, parts: &[&[u8]]) -> [u8; BYTES] {
        let mut text = SmallVec::<[u8; 256]>::new();
        text.push(label);
        for part in parts {
            text.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            text.extend_from_slice(part);
        }
        self.hasher.hash(&text).as_bytes()
    }
}

impl Whole {
    /// The entry of a message that passes once.
    pub(super) fn once(self) -> Fingerprint {
        self.with_last_bit(0)
    }

    /// The entry that says: something was read under this claim.
    pub(super) fn reads(self) -> Fingerprint {
        self.with_last_bit(1)
    }

    /// Both entries differ in one bit only, so that one hash serves both; 127 are left.
    fn with_last_bit(self, bit: u8) -> Fingerprint {
        let [start @ .., last] = self.0;
        let mut bytes = [0; BYTES];
        for (to, from) in bytes.iter_mut().zip(start.into_iter().chain([(last & !1) | bit])) {
            *to = from;
        }
        Fingerprint(bytes)
    }
}

impl Fingerprint {
    pub(super) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl Hash for Fingerprint {
    /// The first half as it is, but for the bits by which the map chooses a table. These come from
    /// the second half, such that tables are filled unequally, the last twice as much as the first
    /// (the inverse of a distribution that rises linearly). Tables double when they are full; were
    /// all equally full, all would be half empty at the same time, and one entry would take more
    /// than 40 bytes then.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, v, w, ..] = self.0;
        let even = u32::from(u16::from_le_bytes([v, w]));
        let table = (TABLES * TABLES + even * 3 / 64).isqrt() - TABLES;
        let start = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let others = !(u64::from(TABLES - 1) << TABLE_AT_BIT);
        state.write_u64((start & others) | (u64::from(table) << TABLE_AT_BIT));
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// Takes a fingerprint as its own hash: it is one already, with a key.
#[derive(Default)]
pub(super) struct Identity(u64);

/// Builds [`Identity`].
pub(super) type BuildIdentity = BuildHasherDefault<Identity>;

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Fingerprints come through `write_u64`; anything else still gets a usable hash.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::replay::Kind;

    fn stamped<'a>(credential: &'a str, stamp: u64, proof: &'a [u8]) -> Stamped<'a> {
        let stamp = Timestamp::from_secs(stamp);
        Stamped { credential, stamp, proof, kind: Kind::Once }
    }

    #[test]
    fn every_part_counts_and_parts_do_not_run_together() {
        let key = FingerprintKey::random().unwrap();
        let first = key.whole(&stamped("ab", 1, b"cd"));
        for other in [
            stamped("abc", 1, b"d"),
            stamped("a", 1, b"bcd"),
            stamped("ab", 2, b"cd"),
            stamped("ab", 1, b"ce"),
        ] {
            assert!(first.0 != key.whole(&other).0);
        }
        assert_eq!(first.0, key.whole(&stamped("ab", 1, b"cd")).0);
        assert!(key.read(first, "GET", b"/a") != key.read(first, "HEAD", b"/a"));
        assert!(key.read(first, "GET", b"/a") != key.read(first, "GET", b"/b"));
        assert!(first.once() != first.reads());
        assert!(first.0 != FingerprintKey::random().unwrap().whole(&stamped("ab", 1, b"cd")).0);
    }

    #[test]
    fn an_entry_is_sixteen_bytes_without_alignment() {
        assert_eq!(size_of::<(Fingerprint, ())>(), 16);
        assert_eq!(align_of::<(Fingerprint, ())>(), 1);
    }
}
