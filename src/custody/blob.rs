//! Wrapped bytes: `"CSE1" | algorithm u8 | wrapping key's id, 16 bytes | its version u32 BE |
//! nonce 12 | ciphertext | tag 16`, AES-256-GCM (NIST SP 800-38D), bound to the place where they
//! are kept.

use zeroize::Zeroizing;

use super::{CustodyFault, KeyBytes};

/// Which key wrapped something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapId {
    /// The first 16 bytes of the SHA-256 of its name.
    pub id: [u8; 16],
    /// Its version.
    pub version: u32,
}

/// Wraps bytes at `place` (which may not be empty): table, row, kind, version.
///
/// # Errors
/// When there are no random bytes.
pub fn seal(
    _key: &KeyBytes,
    _by: WrapId,
    _place: &[u8],
    _clear: &[u8],
) -> Result<Vec<u8>, CustodyFault> {
    unimplemented!()
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`CustodyFault::DoesNotOpen`], whatever is wrong.
pub fn open(_key: &KeyBytes, _place: &[u8], _blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyFault> {
    unimplemented!()
}

/// Which key wrapped a blob, as it says itself: nothing is proved.
pub fn wrapped_by(_blob: &[u8]) -> Option<WrapId> {
    unimplemented!()
}
