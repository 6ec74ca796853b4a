//! Signatures with a key pair: Ed25519, ECDSA and RSA, by AWS-LC.
//!
//! A key belongs to one algorithm from the start, so that no message can choose another for it.
//! Keys of a kind or size that does not fit are refused when they are read, never when they verify.

mod encoding;
mod private_key;

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature as aws;
use aws_lc_rs::signature::{ParsedPublicKey, VerificationAlgorithm};

pub use private_key::{NotSigned, PrivateKey};

/// The smallest RSA modulus that is taken, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// The largest RSA modulus that is taken, in bits.
pub const RSA_BITS_MAX: usize = 8192;

/// A way of signing with a key pair, with everything that a message might want to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032); signatures of 64 bytes.
    Ed25519,
    /// ECDSA on P-256 with SHA-256; a signature is the DER of r and s (RFC 3279 section 2.2.3).
    EcdsaP256Der,
    /// ECDSA on P-256 with SHA-256; a signature is r and s, 32 bytes each (RFC 7518 section 3.4).
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384; a signature is the DER of r and s.
    EcdsaP384Der,
    /// ECDSA on P-384 with SHA-384; a signature is r and s, 48 bytes each.
    EcdsaP384,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes (RFC 8017 section 8.1).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
    RsaPssSha512,
}

/// The kind of key that an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519.
    Ed25519,
    /// The curve P-256, also called prime256v1 and secp256r1.
    P256,
    /// The curve P-384, also called secp384r1.
    P384,
    /// RSA.
    Rsa,
}

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// None of the encodings that are understood.
    #[error(
        "not a key: give PEM, DER in base64, a JWK, or the 32 bytes of an Ed25519 key in base64"
    )]
    Unreadable,
    /// A private key where the public one belongs.
    #[error("a private key; the public key belongs here")]
    Private,
    /// A public key where the private one belongs.
    #[error("a public key; the private key belongs here")]
    Public,
    /// Not the kind of key that the algorithm needs.
    #[error("not a valid {needed} key")]
    Kind {
        /// What the algorithm needs.
        needed: KeyKind,
    },
    /// An RSA modulus outside [`RSA_BITS_MIN`] to [`RSA_BITS_MAX`].
    #[error("an RSA key of {bits} bits; it must have {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    Size {
        /// What it has.
        bits: usize,
    },
}

/// A public key, ready to verify with its one algorithm.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

/// A message that is being taken in, to be verified or signed at its end.
///
/// Ed25519 goes over a message twice (RFC 8032 section 5.1.7) and keeps it; the others digest it.
#[derive(Clone)]
pub struct MessageInProgress(Taken);

#[derive(Clone)]
enum Taken {
    Whole(Vec<u8>),
    Digest(digest::Context),
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 11] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP256Der,
        Self::EcdsaP384,
        Self::EcdsaP384Der,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
    ];

    /// Its name in configuration. Those that RFC 9421 section 3.3 names have its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::EcdsaP256Der => "ecdsa-p256-sha256-der",
            Self::EcdsaP384 => "ecdsa-p384-sha384",
            Self::EcdsaP384Der => "ecdsa-p384-sha384-der",
            Self::RsaPkcs1Sha256 => "rsa-v1_5-sha256",
            Self::RsaPkcs1Sha384 => "rsa-v1_5-sha384",
            Self::RsaPkcs1Sha512 => "rsa-v1_5-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
        }
    }

    /// The algorithm of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The kind of key that it needs.
    pub const fn key_kind(self) -> KeyKind {
        match self {
            Self::Ed25519 => KeyKind::Ed25519,
            Self::EcdsaP256 | Self::EcdsaP256Der => KeyKind::P256,
            Self::EcdsaP384 | Self::EcdsaP384Der => KeyKind::P384,
            Self::RsaPkcs1Sha256
            | Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512 => KeyKind::Rsa,
        }
    }

    /// Begins a message that is to be verified or signed with this algorithm.
    pub fn begin(self) -> MessageInProgress {
        let digest = match self {
            Self::Ed25519 => return MessageInProgress(Taken::Whole(Vec::new())),
            Self::EcdsaP256 | Self::EcdsaP256Der | Self::RsaPkcs1Sha256 | Self::RsaPssSha256 => {
                &digest::SHA256
            }
            Self::EcdsaP384 | Self::EcdsaP384Der | Self::RsaPkcs1Sha384 | Self::RsaPssSha384 => {
                &digest::SHA384
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => &digest::SHA512,
        };
        MessageInProgress(Taken::Digest(digest::Context::new(digest)))
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &aws::ED25519,
            Self::EcdsaP256 => &aws::ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP256Der => &aws::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &aws::ECDSA_P384_SHA384_FIXED,
            Self::EcdsaP384Der => &aws::ECDSA_P384_SHA384_ASN1,
            Self::RsaPkcs1Sha256 => &aws::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &aws::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &aws::RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &aws::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &aws::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &aws::RSA_PSS_2048_8192_SHA512,
        }
    }
}

impl PublicKey {
    /// Reads a public key for an algorithm. It may be PEM (`PUBLIC KEY`, `RSA PUBLIC KEY` or
    /// `CERTIFICATE`; the first of them counts), the DER of these or its base64, a JWK (RFC 7517),
    /// or for Ed25519 the 32 bytes of the key, or these in base64 or hexadecimal.
    ///
    /// # Errors
    /// When it is none of these, or not a key for this algorithm.
    pub fn read(text: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        Self::of_bytes(&encoding::public(text)?, algorithm)
    }

    fn of_bytes(bytes: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        let needed = algorithm.key_kind();
        let key = ParsedPublicKey::new(algorithm.verification(), bytes)
            .map_err(|_| KeyFault::Kind { needed })?;
        if needed == KeyKind::Rsa {
            let bits = encoding::rsa_bits(key.as_ref()).ok_or(KeyFault::Kind { needed })?;
            fits(bits)?;
        }
        Ok(Self { algorithm, key })
    }

    /// The algorithm that it verifies with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is one of the message by this key's owner. The message must have been
    /// begun with this key's algorithm; any other has no valid signature.
    pub fn verifies(&self, message: MessageInProgress, signature: &[u8]) -> bool {
        let verified = match message.0 {
            Taken::Whole(message) if self.algorithm == Algorithm::Ed25519 => {
                self.key.verify_sig(&message, signature)
            }
            Taken::Whole(_) => return false,
            Taken::Digest(digest) => self.key.verify_digest_sig(&digest.finish(), signature),
        };
        verified.is_ok()
    }
}

impl MessageInProgress {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Taken::Whole(message) => message.extend_from_slice(bytes),
            Taken::Digest(digest) => digest.update(bytes),
        }
    }
}

/// Whether the modulus of an RSA key has a size that is taken.
fn fits(bits: usize) -> Result<(), KeyFault> {
    if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        Ok(())
    } else {
        Err(KeyFault::Size { bits })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.algorithm).finish()
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Rsa => "RSA",
        })
    }
}

#[cfg(test)]
mod tests;
