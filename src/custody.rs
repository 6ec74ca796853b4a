//! Who keeps the keys that keep the keys: master keys outside the store, and how bytes are wrapped.
//!
//! master (a file, the environment, or a token that never gives it away) → KEK versions → one data
//! key a merchant → secrets. Only [`Masters`] knows where a master key is.

pub mod blob;
mod key_file;
mod key_list;
mod token;

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use blob::WrapId;
use key_list::HeldKey;
pub use key_list::{KEY_LINE_BYTES, KEY_LINE_PREFIX, is_key_line};
use token::Token;

/// 32 bytes that wrap others (AES-256-GCM).
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// The name of a master key: for one of our own `mk_` and 16 hexadecimal digits of its digest, so
/// that a wrong file is told at once; for one in a token `hsm_` and its label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MasterId(String);

/// Where the master key is.
#[derive(Clone, Debug)]
pub enum MasterSource {
    /// A file of one line a key, `mk_… hexadecimal`, the newest last; mode 0600.
    File(PathBuf),
    /// The same lines, as configuration read them from an environment variable.
    Environment(crate::secret::Secret),
    /// AES keys in a token, by PKCS#11.
    Token(TokenSpec),
}

impl PartialEq for MasterSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(own), Self::File(other)) => own == other,
            (Self::Environment(own), Self::Environment(other)) => own.equals(other),
            (Self::Token(own), Self::Token(other)) => own == other,
            _ => false,
        }
    }
}

impl Eq for MasterSource {}

/// A token and the keys in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The labels of the keys: the current one first, then earlier ones that still open blobs. A
    /// label stands for the keys as well that rotation makes of it: `LABEL-2`, `LABEL-3` and so
    /// on, of which the last is the current one.
    pub keys: Vec<String>,
    /// Whose first line is the PIN; mode 0600.
    pub pin_file: PathBuf,
}

impl TokenSpec {
    fn described(&self) -> String {
        format!("token {} by {}", self.token, self.module.display())
    }
}

/// Why a master key cannot be had or does not open something.
#[derive(Debug, thiserror::Error)]
pub enum CustodyFault {
    /// There is none yet, or it is lost.
    #[error("{0}: there is no master key; if there was one, bring it back from its backup")]
    Absent(String),
    /// See the text.
    #[error("{0}")]
    Master(String),
    /// No such master key here: the blob was wrapped by another.
    #[error("the master key {0} is needed, and is not among those at hand")]
    Missing(String),
    /// Authenticated decryption failed.
    #[error("what is wrapped does not open: another key, another place, or changed bytes")]
    DoesNotOpen,
    /// A mistake of the program: bytes without a place could be moved to any.
    #[error("nothing is wrapped without the place where it is kept")]
    NoPlace,
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::crypto::NoRandom),
}

/// The master keys at hand: the one that wraps, and earlier ones that still open.
pub struct Masters {
    source: MasterSource,
    current: MasterId,
    earlier: Vec<MasterId>,
    keys: Keys,
}

enum Keys {
    /// In memory, the newest last.
    Held(Vec<HeldKey>),
    InToken(Token),
}

impl MasterId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the blobs that it wrapped are marked with: its name says which it is, so there is but
    /// one version.
    fn mark(&self) -> WrapId {
        WrapId::of(&self.0, 1)
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masters").field("source", &self.source).field("ids", &self.ids()).finish()
    }
}

impl Masters {
    /// Opens what is there.
    ///
    /// # Errors
    /// [`CustodyFault::Absent`] when there is no key; a file others can read, a key that is not
    /// what its name says, a token that does not answer.
    pub fn open(source: &MasterSource) -> Result<Self, CustodyFault> {
        let keys = match source {
            MasterSource::File(path) => Keys::Held(key_file::read(path)?),
            MasterSource::Environment(text) => {
                Keys::Held(key_list::parse(text.expose(), ENVIRONMENT)?)
            }
            MasterSource::Token(spec) => Keys::InToken(Token::open(spec)?),
        };
        Self::of(source, keys)
    }

    /// Makes the first key where there is none: a file of mode 0600, or a key in the token.
    ///
    /// # Errors
    /// When one exists, or it cannot be made (the environment cannot be written).
    pub fn create(source: &MasterSource) -> Result<Self, CustodyFault> {
        let keys = match source {
            MasterSource::File(path) => Keys::Held(key_file::create(path)?),
            MasterSource::Environment(_) => return Err(not_writable()),
            MasterSource::Token(spec) => Keys::InToken(Token::create(spec)?),
        };
        Self::of(source, keys)
    }

    fn of(source: &MasterSource, keys: Keys) -> Result<Self, CustodyFault> {
        let mut ids = match &keys {
            Keys::Held(keys) => keys.iter().rev().map(|key| key.id.clone()).collect(),
            Keys::InToken(token) => token.ids().to_vec(),
        }
        .into_iter();
        let current = ids.next().ok_or_else(|| CustodyFault::Absent(described(source)))?;
        Ok(Self { source: source.clone(), current, earlier: ids.collect(), keys })
    }

    /// The key that wraps.
    pub fn current(&self) -> &MasterId {
        &self.current
    }

    /// Every key at hand, the current one first.
    pub fn ids(&self) -> Vec<MasterId> {
        std::iter::once(&self.current).chain(&self.earlier).cloned().collect()
    }

    /// Where they are, for people: `file PATH`, `environment`, `token LABEL by MODULE`.
    pub fn describe(&self) -> String {
        described(&self.source)
    }

    /// Reads anew what is there: another process may have added a key.
    ///
    /// # Errors
    /// As [`Masters::open`]; what was at hand then stays.
    pub fn refresh(&mut self) -> Result<(), CustodyFault> {
        *self = Self::open(&self.source)?;
        Ok(())
    }

    /// Wraps a key by the current master key, bound to `place`.
    ///
    /// # Errors
    /// When the token does not answer, or there are no random bytes.
    pub fn wrap(&self, key: &KeyBytes, place: &[u8]) -> Result<Vec<u8>, CustodyFault> {
        match &self.keys {
            Keys::Held(keys) => {
                let master = held(keys, &self.current)?;
                blob::seal(master, self.current.mark(), place, &**key)
            }
            Keys::InToken(token) => token.wrap(&self.current, key, place),
        }
    }

    /// Opens what `master` wrapped at `place`.
    ///
    /// # Errors
    /// [`CustodyFault::Missing`], or one message for everything that does not open.
    pub fn unwrap(
        &self,
        master: &str,
        blob: &[u8],
        place: &[u8],
    ) -> Result<KeyBytes, CustodyFault> {
        let mut ids = std::iter::once(&self.current).chain(&self.earlier);
        let id = ids.find(|id| id.0 == master);
        let id = id.ok_or_else(|| CustodyFault::Missing(master.to_owned()))?;
        if blob::wrapped_by(blob) != Some(id.mark()) {
            return Err(CustodyFault::DoesNotOpen);
        }
        match &self.keys {
            Keys::Held(keys) => {
                let clear = blob::open(held(keys, id)?, place, blob)?;
                let key = clear.as_array().ok_or(CustodyFault::DoesNotOpen)?;
                Ok(Zeroizing::new(*key))
            }
            Keys::InToken(token) => token.unwrap(id, blob, place),
        }
    }

    /// Adds a new key, which wraps from now on; the earlier ones stay until [`Masters::remove`].
    ///
    /// # Errors
    /// Where that is not for the program to do, with what the operator does instead.
    pub fn rotate(&mut self) -> Result<MasterId, CustodyFault> {
        let keys = match (&self.source, &self.keys) {
            (MasterSource::File(path), _) => {
                let new = HeldKey::random()?;
                Keys::Held(key_file::change(path, |keys| {
                    // Else it is another file than the one that was opened.
                    held(keys, &self.current)?;
                    keys.push(new);
                    Ok(())
                })?)
            }
            (_, Keys::InToken(token)) => Keys::InToken(token.rotate()?),
            (_, Keys::Held(_)) => return Err(not_writable()),
        };
        *self = Self::of(&self.source, keys)?;
        Ok(self.current.clone())
    }

    /// Removes an earlier key for good. Who calls this made sure that nothing depends on it.
    ///
    /// # Errors
    /// For the current key, an unknown one, or where that is not for the program to do.
    pub fn remove(&mut self, id: &str) -> Result<(), CustodyFault> {
        let keys = match (&self.source, &self.keys) {
            (MasterSource::File(path), _) => Keys::Held(key_file::change(path, |keys| {
                let at = keys.iter().position(|key| key.id.0 == id);
                let at = at.ok_or_else(|| CustodyFault::Missing(id.to_owned()))?;
                if at + 1 == keys.len() {
                    return Err(in_use(id));
                }
                keys.remove(at);
                Ok(())
            })?),
            (_, Keys::InToken(token)) => Keys::InToken(token.remove(id)?),
            (_, Keys::Held(_)) => return Err(not_writable()),
        };
        *self = Self::of(&self.source, keys)?;
        Ok(())
    }
}

fn held<'k>(keys: &'k [HeldKey], id: &MasterId) -> Result<&'k KeyBytes, CustodyFault> {
    let found = keys.iter().find(|key| key.id == *id).map(|key| &key.bytes);
    found.ok_or_else(|| CustodyFault::Missing(id.0.clone()))
}

/// Where keys of the environment come from, in messages.
const ENVIRONMENT: &str = "environment";

fn described(source: &MasterSource) -> String {
    match source {
        MasterSource::File(path) => format!("file {}", path.display()),
        MasterSource::Environment(_) => ENVIRONMENT.to_owned(),
        MasterSource::Token(spec) => spec.described(),
    }
}

fn in_use(id: &str) -> CustodyFault {
    CustodyFault::Master(format!("{id} is the current master key: rotate and rewrap first"))
}

fn not_writable() -> CustodyFault {
    CustodyFault::Master(
        "the program cannot change its environment: make, rotate or remove master keys in a file \
         (`master = { file = … }`), then set the variable to the text of that file"
            .into(),
    )
}

#[cfg(test)]
mod tests;
