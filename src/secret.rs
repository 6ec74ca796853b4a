//! Secret bytes: wiped when dropped, never shown, compared in constant time.
//!
//! Must never be done here: `Display`, a telling `Debug`, `Serialize`, or a plain `==`.

pub mod text;

use std::fmt;
use std::ops::Deref;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// The shortest secret that may sign, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

/// Bytes that nobody may see.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Why bytes cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Fewer than [`SECRET_BYTES_MIN`] bytes.
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes; this one is shorter")]
    TooShort,
    /// White space only.
    #[error("a secret is more than white space")]
    Blank,
}

impl Secret {
    /// Takes bytes as a secret.
    ///
    /// # Errors
    /// When they are fewer than [`SECRET_BYTES_MIN`] or nothing but white space.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretFault> {
        let bytes = Self::of_any_length(bytes).0;
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretFault::TooShort);
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(SecretFault::Blank);
        }
        Ok(Self(bytes))
    }

    /// Takes bytes as they are: what partners hand out may be short, and so are published examples.
    pub fn of_any_length(bytes: Vec<u8>) -> Self {
        // Without room to spare, which would be left unwiped when it is given back.
        let bytes = Zeroizing::new(bytes);
        Self(Zeroizing::new(bytes.as_slice().into()))
    }

    /// The bytes, for the cryptography that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether two secrets are the same, in constant time for equal lengths.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

/// What was sealed, in clear: wiped when dropped, with whatever room its buffer has to spare.
#[derive(Default)]
pub struct Plaintext {
    buffer: Vec<u8>,
    /// Where the text begins in it.
    begin: usize,
}

impl From<Vec<u8>> for Plaintext {
    fn from(buffer: Vec<u8>) -> Self {
        Self { buffer, begin: 0 }
    }
}

impl From<Zeroizing<Vec<u8>>> for Plaintext {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::from(std::mem::take(&mut *bytes))
    }
}

impl Plaintext {
    /// Its buffer, where what was sealed is opened in place.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Skips bytes at its beginning and cuts it to a length, without moving what stays.
    pub fn keep(&mut self, skipped: usize, length: usize) {
        self.begin = self.begin.saturating_add(skipped).min(self.buffer.len());
        self.buffer.truncate(self.begin.saturating_add(length));
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Plaintext {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        wipe(&mut self.buffer);
    }
}

impl ZeroizeOnDrop for Plaintext {}

/// Empties a vector and overwrites its whole buffer. It is emptied first, since bytes in use are
/// wiped one by one, and room to spare at once: that counts for a body.
pub fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.zeroize();
}

/// Values of a credential by name, beside its secret: a passphrase, a second key, a partner's
/// number. They may be short, and are kept as closely as secrets.
#[derive(Clone, Default)]
pub struct NamedSecrets(Box<[Named]>);

/// A name and its value.
type Named = (Box<str>, Zeroizing<Vec<u8>>);

impl NamedSecrets {
    /// Adds a value; one of the same name is replaced.
    pub fn insert(&mut self, name: &str, bytes: Vec<u8>) {
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.retain(|(own, _)| **own != *name);
        all.push((name.into(), Zeroizing::new(bytes)));
        self.0 = all.into();
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, bytes)| &***bytes)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

impl fmt::Debug for NamedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_or_blank_secrets_are_refused() {
        assert_eq!(Secret::new(Vec::new()).unwrap_err(), SecretFault::TooShort);
        assert_eq!(Secret::new(vec![b'x'; 15]).unwrap_err(), SecretFault::TooShort);
        assert_eq!(Secret::new(vec![b' '; 40]).unwrap_err(), SecretFault::Blank);
        assert!(Secret::new(vec![b'x'; 16]).is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new(b"a-very-secret-value".to_vec()).unwrap();
        assert_eq!(format!("{secret:?}"), "‹secret›");
    }
}
