//! JSON Web Encryption in its compact form (RFC 7516, RFC 7518).
//!
//! Which algorithms are used is configured; a token that names others is refused. `zip`, `crit`,
//! members that stand twice and text that is not strictly base64url are refused as well.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::cipher::{Cipher, Feed, TAG_BYTES};
use super::padding::Padding;
use super::wrap::{Unwrapping, Wrap, wrap};
use crate::crypto::{equal_bytes, mac, random_bytes};
use crate::envelope::CannotOpen;
use crate::recipe::json::Json;
use crate::recipe::path::Path;
use crate::secret::Plaintext;

/// The longest header, in characters of base64url.
const HEADER_BYTES_MAX: usize = 4096;

/// How the key of the content comes to the receiver (`alg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    /// `dir`: the two share it.
    Direct,
    /// It is wrapped for the receiver's RSA key: `RSA-OAEP`, `RSA-OAEP-256`.
    Wrapped(Wrap),
}

impl Management {
    /// Every value of `alg` that is known.
    pub const NAMES: [&'static str; 3] = ["dir", "RSA-OAEP-256", "RSA-OAEP"];

    /// The way of a value of `alg`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "dir" => Self::Direct,
            "RSA-OAEP" => Self::Wrapped(Wrap::OaepSha1),
            "RSA-OAEP-256" => Self::Wrapped(Wrap::OaepSha256),
            _ => return None,
        })
    }
}

/// How the content is sealed (`enc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    cipher: Cipher,
    /// The MAC of AES-CBC with HMAC (RFC 7518, section 5.2); none for GCM.
    mac: Option<mac::Algorithm>,
}

impl Content {
    /// Every value of `enc` that is known.
    pub const NAMES: [&'static str; 6] =
        ["A256GCM", "A256CBC-HS512", "A192GCM", "A192CBC-HS384", "A128GCM", "A128CBC-HS256"];

    /// The way of a value of `enc`.
    pub fn named(name: &str) -> Option<Self> {
        let (cipher, mac) = match name {
            "A256GCM" => ("aes-256-gcm", None),
            "A256CBC-HS512" => ("aes-256-cbc", Some("hmac-sha512")),
            "A192GCM" => ("aes-192-gcm", None),
            "A192CBC-HS384" => ("aes-192-cbc", Some("hmac-sha384")),
            "A128GCM" => ("aes-128-gcm", None),
            "A128CBC-HS256" => ("aes-128-cbc", Some("hmac-sha256")),
            _ => return None,
        };
        Some(Self { cipher: Cipher::named(cipher)?, mac: mac.and_then(mac::Algorithm::find) })
    }

    /// Length of the key in bytes: with a MAC, one half is its key.
    pub fn key_bytes(self) -> usize {
        self.cipher.key_bytes() * if self.mac.is_some() { 2 } else { 1 }
    }

    /// Length of the initialisation vector in bytes: GCM's has 12 here.
    pub fn iv_bytes(self) -> usize {
        if self.mac.is_some() { 16 } else { 12 }
    }

    /// Length of the tag in bytes.
    fn tag_bytes(self) -> usize {
        if self.mac.is_some() { self.cipher.key_bytes() } else { TAG_BYTES }
    }

    /// The tag of AES-CBC with HMAC (RFC 7518, section 5.2.2.1): the first half of the MAC over
    /// header, vector, text and the header's length in bits.
    fn tag(self, mac: mac::Algorithm, key: &[u8], feed: &Feed<'_>, data: &[u8]) -> Vec<u8> {
        let bits = u64::try_from(feed.aad.len()).unwrap_or(u64::MAX).saturating_mul(8);
        let mut mac = mac.key(key).begin();
        [feed.aad, feed.iv, data, &bits.to_be_bytes()].iter().for_each(|part| mac.update(part));
        mac.finish().as_bytes().iter().copied().take(self.tag_bytes()).collect()
    }

    fn open(self, key: &[u8], token: &Token<'_>) -> Result<Plaintext, CannotOpen> {
        if key.len() != self.key_bytes() {
            return Err(CannotOpen);
        }
        let (mac_key, key) =
            key.split_at_checked(key.len() - self.cipher.key_bytes()).ok_or(CannotOpen)?;
        let feed = token.feed(key);
        let mut data = Plaintext::from(token.data.clone());
        match self.mac {
            Some(mac) => {
                if !equal_bytes(&self.tag(mac, mac_key, &feed, &data), &token.tag) {
                    return Err(CannotOpen);
                }
            }
            None => data.buffer().extend_from_slice(&token.tag),
        }
        self.cipher.open(&feed, data.buffer())?;
        Ok(data)
    }
}

/// The algorithms of a token, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jwe {
    /// `alg`.
    pub management: Management,
    /// `enc`.
    pub content: Content,
}

impl fmt::Display for Jwe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alg = Management::NAMES.iter().find(|n| Management::named(n) == Some(self.management));
        let enc = Content::NAMES.iter().find(|name| Content::named(name) == Some(self.content));
        write!(f, "JWE {} with {}", alg.unwrap_or(&""), enc.unwrap_or(&""))
    }
}

/// The receiver's key.
pub enum JweKey<'k> {
    /// For `dir`.
    Shared(&'k [u8]),
    /// For wrapped keys.
    Private(&'k Unwrapping),
}

/// A token taken apart; nothing of it is proved yet.
pub struct Token<'t> {
    header_text: &'t str,
    header: Vec<u8>,
    wrapped: Vec<u8>,
    iv: Vec<u8>,
    data: Vec<u8>,
    tag: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it has not five parts of strict base64url.
    pub fn read(text: &'t str) -> Result<Self, CannotOpen> {
        let mut parts = text.split('.');
        let header_text = parts.next().filter(|text| text.len() <= HEADER_BYTES_MAX);
        let header_text = header_text.ok_or(CannotOpen)?;
        let mut next = || {
            let part = parts.next().ok_or(CannotOpen)?;
            BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| CannotOpen)
        };
        let (wrapped, iv, data, tag) = (next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(CannotOpen);
        }
        let header = BASE64_URL_SAFE_NO_PAD.decode(header_text).map_err(|_| CannotOpen)?;
        Ok(Self { header_text, header, wrapped, iv, data, tag })
    }

    fn feed<'f>(&'f self, key: &'f [u8]) -> Feed<'f> {
        let aad = self.header_text.as_bytes();
        Feed { key, iv: &self.iv, aad, padding: Padding::Pkcs7(16) }
    }
}

/// What a header says, as far as it matters.
struct Header {
    alg: String,
    enc: String,
    kid: Option<String>,
}

impl Header {
    fn read(token: &Token<'_>) -> Result<Self, CannotOpen> {
        // The reader refuses members that stand twice.
        let json = Json::parse(&token.header).map_err(|_| CannotOpen)?;
        let member = |name: &str| {
            let path = Path::parse(name).ok()?;
            json.get(&path)?.text().ok().map(std::borrow::Cow::into_owned)
        };
        let has = |name: &str| Path::parse(name).ok().and_then(|path| json.get(&path)).is_some();
        if has("zip") || has("crit") {
            return Err(CannotOpen);
        }
        Ok(Self {
            alg: member("alg").ok_or(CannotOpen)?,
            enc: member("enc").ok_or(CannotOpen)?,
            kid: member("kid"),
        })
    }
}

impl Jwe {
    /// The id of the key that a token says it is sealed for, once its algorithms are those that
    /// are configured.
    ///
    /// # Errors
    /// When they are not, or the header is none.
    pub fn key_id(&self, token: &Token<'_>) -> Result<Option<String>, CannotOpen> {
        let header = Header::read(token)?;
        let fits = Management::named(&header.alg) == Some(self.management)
            && Content::named(&header.enc) == Some(self.content);
        if fits { Ok(header.kid) } else { Err(CannotOpen) }
    }

    /// Opens a token.
    ///
    /// # Errors
    /// When its header, a length, its key or its tag is wrong.
    pub fn open(&self, token: &Token<'_>, key: &JweKey<'_>) -> Result<Plaintext, CannotOpen> {
        self.key_id(token)?;
        let fits = token.iv.len() == self.content.iv_bytes()
            && token.tag.len() == self.content.tag_bytes();
        if !fits {
            return Err(CannotOpen);
        }
        match (self.management, key) {
            (Management::Direct, JweKey::Shared(key)) if token.wrapped.is_empty() => {
                self.content.open(key, token)
            }
            (Management::Wrapped(_), JweKey::Private(private)) => {
                let key = private.unwrap(&token.wrapped, self.content.key_bytes())?;
                self.content.open(&key, token)
            }
            _ => Err(CannotOpen),
        }
    }

    /// Seals a text. `header` is the JSON of the protected header and must name the algorithms;
    /// `wrapped` is the wrapped key, empty for `dir`.
    ///
    /// # Errors
    /// When a length does not fit or the header names other algorithms.
    pub fn seal(
        &self,
        header: &str,
        key: &[u8],
        wrapped: &[u8],
        iv: &[u8],
        text: &[u8],
    ) -> Result<String, CannotOpen> {
        if key.len() != self.content.key_bytes() || iv.len() != self.content.iv_bytes() {
            return Err(CannotOpen);
        }
        let header_text = BASE64_URL_SAFE_NO_PAD.encode(header);
        let token = Token {
            header_text: &header_text,
            header: header.as_bytes().to_vec(),
            wrapped: wrapped.to_vec(),
            iv: iv.to_vec(),
            data: Vec::new(),
            tag: Vec::new(),
        };
        self.key_id(&token)?;
        let cut = key.len() - self.content.cipher.key_bytes();
        let (mac_key, key) = key.split_at_checked(cut).ok_or(CannotOpen)?;
        let feed = token.feed(key);
        let mut data = text.to_vec();
        self.content.cipher.seal(&feed, &mut data)?;
        let tag = match self.content.mac {
            Some(mac) => self.content.tag(mac, mac_key, &feed, &data),
            None => data.split_off(data.len().saturating_sub(TAG_BYTES)),
        };
        let parts = [&token.wrapped, &token.iv, &data, &tag];
        let parts = parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        Ok([std::slice::from_ref(&header_text), &parts].concat().join("."))
    }

    /// A fresh content key, or the one that is handed in, and how it travels: as the shared one
    /// for `dir`, else wrapped.
    ///
    /// # Errors
    /// When the key is none, or the operating system gives no random bytes.
    pub fn fresh_key(
        &self,
        key: &[u8],
        content_key: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CannotOpen> {
        match self.management {
            Management::Direct => Ok((Zeroizing::new(key.to_vec()), Vec::new())),
            Management::Wrapped(way) => {
                let fresh = match content_key {
                    Some(fresh) => fresh,
                    None => {
                        let random = random_bytes(self.content.key_bytes());
                        Zeroizing::new(random.map_err(|_| CannotOpen)?)
                    }
                };
                let wrapped = wrap(way, key, &fresh)?;
                Ok((fresh, wrapped))
            }
        }
    }
}
