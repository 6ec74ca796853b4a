//! Who keeps the keys that keep the keys: master keys outside the store, and how bytes are wrapped.
//!
//! master (a file, the environment, or a token that never gives it away) → KEK versions → one data
//! key a merchant → secrets. Only [`Masters`] knows where a master key is.

pub mod blob;

use std::path::PathBuf;

use zeroize::Zeroizing;

/// 32 bytes that wrap others (AES-256-GCM).
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// The name of a master key: for one of our own `mk_` and 16 hexadecimal digits of its digest, so
/// that a wrong file is told at once; for one in a token `hsm_` and its label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MasterId(String);

/// Where the master key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterSource {
    /// A file of one line a key, `mk_… hexadecimal`, the newest last; mode 0600.
    File(PathBuf),
    /// The same lines, as configuration read them from an environment variable.
    Environment(crate::secret::Secret),
    /// AES keys in a token, by PKCS#11.
    Token(TokenSpec),
}

/// A token and the keys in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The labels of the keys: the current one first, then earlier ones that still open blobs.
    pub keys: Vec<String>,
    /// Whose first line is the PIN; mode 0600.
    pub pin_file: PathBuf,
}

/// Why a master key cannot be had or does not open something.
#[derive(Debug, thiserror::Error)]
pub enum CustodyFault {
    /// See the text.
    #[error("{0}")]
    Master(String),
    /// No such master key here: the blob was wrapped by another.
    #[error("the master key {0} is needed, and is not among those at hand")]
    Missing(String),
    /// Authenticated decryption failed.
    #[error("what is wrapped does not open: another key, another place, or changed bytes")]
    DoesNotOpen,
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::crypto::NoRandom),
}

/// The master keys at hand: the one that wraps, and earlier ones that still open.
#[derive(Debug)]
pub struct Masters {
    source: MasterSource,
}

impl MasterId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Masters {
    /// Opens what is there.
    ///
    /// # Errors
    /// When there is no key, a file others can read, a token that does not answer.
    pub fn open(source: &MasterSource) -> Result<Self, CustodyFault> {
        Ok(Self { source: source.clone() })
    }

    /// Makes the first key where there is none: a file of mode 0600, or a key in the token.
    ///
    /// # Errors
    /// When one exists, or it cannot be made (the environment cannot be written).
    pub fn create(source: &MasterSource) -> Result<Self, CustodyFault> {
        Self::open(source)
    }

    /// The key that wraps.
    pub fn current(&self) -> &MasterId {
        unimplemented!()
    }

    /// Every key at hand, the current one first.
    pub fn ids(&self) -> Vec<MasterId> {
        unimplemented!()
    }

    /// Where they are, for people: `file PATH`, `environment`, `token LABEL by MODULE`.
    pub fn describe(&self) -> String {
        format!("{:?}", self.source)
    }

    /// Wraps a key by the current master key, bound to `place`.
    ///
    /// # Errors
    /// When the token does not answer, or there are no random bytes.
    pub fn wrap(&self, _key: &KeyBytes, _place: &[u8]) -> Result<Vec<u8>, CustodyFault> {
        unimplemented!()
    }

    /// Opens what `master` wrapped at `place`.
    ///
    /// # Errors
    /// [`CustodyFault::Missing`], or one message for everything that does not open.
    pub fn unwrap(
        &self,
        _master: &str,
        _blob: &[u8],
        _place: &[u8],
    ) -> Result<KeyBytes, CustodyFault> {
        unimplemented!()
    }

    /// Adds a new key, which wraps from now on; the earlier ones stay until [`Masters::remove`].
    ///
    /// # Errors
    /// Where that is not for the program to do, with what the operator does instead.
    pub fn rotate(&mut self) -> Result<MasterId, CustodyFault> {
        unimplemented!()
    }

    /// Removes an earlier key for good. Who calls this made sure that nothing depends on it.
    ///
    /// # Errors
    /// For the current key, an unknown one, or where that is not for the program to do.
    pub fn remove(&mut self, _id: &str) -> Result<(), CustodyFault> {
        unimplemented!()
    }
}
