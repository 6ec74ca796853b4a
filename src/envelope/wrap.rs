//! Keys that travel with the message, wrapped for an RSA key (RFC 8017).
//!
//! A wrapped key that does not unwrap is replaced by random bytes (RFC 7516, section 11.5), so that
//! what follows fails as it does for an altered message: nobody learns which of the two it was.
//! RSA runs in aws-lc, whose private operations are blinded and take constant time.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey,
    Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use crate::crypto::random_bytes;
use crate::envelope::CannotOpen;

/// The most bytes of an RSA key's modulus: 8192 bits.
const MODULUS_BYTES_MAX: usize = 1024;

/// How a key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// RSAES-OAEP with SHA-1 and MGF1 of SHA-1: `RSA-OAEP` of JWE.
    OaepSha1,
    /// With SHA-256 and MGF1 of SHA-256: `RSA-OAEP-256` of JWE.
    OaepSha256,
    /// With SHA-384 and MGF1 of SHA-384.
    OaepSha384,
    /// With SHA-512 and MGF1 of SHA-512.
    OaepSha512,
    /// RSAES-PKCS1-v1_5: only for those who offer nothing better.
    Pkcs1,
}

impl Wrap {
    /// Every name, as configuration writes it.
    pub const NAMES: [&'static str; 5] =
        ["rsa-oaep-sha1", "rsa-oaep-sha256", "rsa-oaep-sha384", "rsa-oaep-sha512", "rsa-pkcs1"];

    /// The way of a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rsa-oaep-sha1" => Self::OaepSha1,
            "rsa-oaep-sha256" => Self::OaepSha256,
            "rsa-oaep-sha384" => Self::OaepSha384,
            "rsa-oaep-sha512" => Self::OaepSha512,
            "rsa-pkcs1" => Self::Pkcs1,
            _ => return None,
        })
    }

    fn oaep(self) -> Option<&'static OaepAlgorithm> {
        Some(match self {
            Self::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
            Self::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
            Self::OaepSha384 => &OAEP_SHA384_MGF1SHA384,
            Self::OaepSha512 => &OAEP_SHA512_MGF1SHA512,
            Self::Pkcs1 => return None,
        })
    }
}

/// A private key that unwraps keys.
pub struct Unwrapping {
    wrap: Wrap,
    key: Private,
    modulus_bytes: usize,
}

enum Private {
    Oaep(OaepPrivateDecryptingKey),
    Pkcs1(Pkcs1PrivateDecryptingKey),
}

impl Unwrapping {
    /// Takes a private key in PEM (PKCS #8, `BEGIN PRIVATE KEY`), of 2048 to 8192 bits.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(wrap: Wrap, pem: &[u8]) -> Result<Self, CannotOpen> {
        let key = private(pem)?;
        let modulus_bytes = key.key_size_bytes();
        let key = match wrap {
            Wrap::Pkcs1 => Private::Pkcs1(Pkcs1PrivateDecryptingKey::new(key).map_err(lost)?),
            _ => Private::Oaep(OaepPrivateDecryptingKey::new(key).map_err(lost)?),
        };
        Ok(Self { wrap, key, modulus_bytes })
    }

    /// Unwraps a key of `length` bytes. What does not unwrap, or has another length, becomes
    /// random bytes.
    ///
    /// # Errors
    /// When the wrapped key has another length than the modulus, which anybody sees, or when the
    /// operating system gives no random bytes.
    pub fn unwrap(&self, wrapped: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        if wrapped.len() != self.modulus_bytes {
            return Err(CannotOpen);
        }
        let fallback = random_bytes(length).map_err(|_| CannotOpen)?;
        let unwrapped = self.try_unwrap(wrapped);
        Ok(match unwrapped {
            Some(key) if key.len() == length => key,
            _ => Zeroizing::new(fallback),
        })
    }

    /// Unwraps a text of any length.
    ///
    /// # Errors
    /// When it does not unwrap.
    pub fn decrypt(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        self.try_unwrap(wrapped).ok_or(CannotOpen)
    }

    fn try_unwrap(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut room = Zeroizing::new(vec![0; self.modulus_bytes]);
        let found = match &self.key {
            Private::Oaep(key) => key.decrypt(self.wrap.oaep()?, wrapped, &mut room, None),
            Private::Pkcs1(key) => key.decrypt(wrapped, &mut room),
        };
        found.ok().map(|key| Zeroizing::new(key.to_vec()))
    }
}

/// Wraps a key for the holder of a private key. `pem` is a public key (`BEGIN PUBLIC KEY`) or the
/// private key itself.
///
/// # Errors
/// When it is neither, or the key to wrap is too long for it.
pub fn wrap(wrap: Wrap, pem: &[u8], key: &[u8]) -> Result<Vec<u8>, CannotOpen> {
    let public = public(pem)?;
    let mut room = vec![0; MODULUS_BYTES_MAX];
    let wrapped = match wrap.oaep() {
        Some(algorithm) => OaepPublicEncryptingKey::new(public)
            .map_err(lost)?
            .encrypt(algorithm, key, &mut room, None)
            .map_err(lost)?
            .len(),
        None => Pkcs1PublicEncryptingKey::new(public)
            .map_err(lost)?
            .encrypt(key, &mut room)
            .map_err(lost)?
            .len(),
    };
    room.truncate(wrapped);
    Ok(room)
}

fn private(pem: &[u8]) -> Result<PrivateDecryptingKey, CannotOpen> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(lost)?;
    let key = PrivateDecryptingKey::from_pkcs8(der.secret_pkcs8_der()).map_err(lost)?;
    if key.key_size_bytes() > MODULUS_BYTES_MAX { Err(CannotOpen) } else { Ok(key) }
}

fn public(pem: &[u8]) -> Result<PublicEncryptingKey, CannotOpen> {
    if let Ok(key) = private(pem) {
        return Ok(key.public_key());
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(lost)?;
    PublicEncryptingKey::from_der(&der).map_err(lost)
}

fn lost<E>(_: E) -> CannotOpen {
    CannotOpen
}
