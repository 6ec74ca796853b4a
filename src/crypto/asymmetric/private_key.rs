//! The private half of a key pair, for what the gate signs itself.

use std::fmt;

use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use aws_lc_rs::signature::{EcdsaSigningAlgorithm, RsaEncoding};

use super::{Algorithm, KeyFault, MessageInProgress, PublicKey, Taken, encoding, fits};

/// A private key, ready to sign with its one algorithm. Never shown.
pub struct PrivateKey {
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// The library could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message could not be signed")]
pub struct NotSigned;

impl PrivateKey {
    /// Reads a private key for an algorithm. It may be PEM (`PRIVATE KEY`, `RSA PRIVATE KEY` or
    /// `EC PRIVATE KEY`; the first of them counts), the DER of these or its base64, or for Ed25519
    /// the 32 bytes of the seed, alone or with the 32 of the public key after them, or these in
    /// base64. It must not be encrypted.
    ///
    /// # Errors
    /// When it is none of these, or not a key for this algorithm.
    pub fn read(text: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        let bytes = encoding::private(text)?;
        let pair = match algorithm {
            Algorithm::Ed25519 => ed25519(&bytes).map(Pair::Ed25519),
            Algorithm::EcdsaP256 => ecdsa(&bytes, &aws::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::EcdsaP256Der => ecdsa(&bytes, &aws::ECDSA_P256_SHA256_ASN1_SIGNING),
            Algorithm::EcdsaP384 => ecdsa(&bytes, &aws::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EcdsaP384Der => ecdsa(&bytes, &aws::ECDSA_P384_SHA384_ASN1_SIGNING),
            Algorithm::RsaPkcs1Sha256 => rsa(&bytes, &aws::RSA_PKCS1_SHA256),
            Algorithm::RsaPkcs1Sha384 => rsa(&bytes, &aws::RSA_PKCS1_SHA384),
            Algorithm::RsaPkcs1Sha512 => rsa(&bytes, &aws::RSA_PKCS1_SHA512),
            Algorithm::RsaPssSha256 => rsa(&bytes, &aws::RSA_PSS_SHA256),
            Algorithm::RsaPssSha384 => rsa(&bytes, &aws::RSA_PSS_SHA384),
            Algorithm::RsaPssSha512 => rsa(&bytes, &aws::RSA_PSS_SHA512),
        };
        let pair = pair.ok_or(KeyFault::Kind { needed: algorithm.key_kind() })?;
        if let Pair::Rsa(pair, _) = &pair {
            fits(pair.public_modulus_len() * 8)?;
        }
        Ok(Self { algorithm, pair })
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half.
    ///
    /// # Errors
    /// When the library does not take its own key.
    pub fn public_key(&self) -> Result<PublicKey, KeyFault> {
        let bytes = match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
        };
        PublicKey::of_bytes(bytes, self.algorithm)
    }

    /// Signs a message that was begun with this key's algorithm.
    ///
    /// # Errors
    /// When it was begun with another one, or the library fails.
    pub fn sign(&self, message: MessageInProgress) -> Result<Vec<u8>, NotSigned> {
        let signature = match (&self.pair, message.0) {
            (Pair::Ed25519(pair), Taken::Whole(message)) => pair.try_sign(&message),
            (Pair::Ecdsa(pair), Taken::Digest(digest)) => pair.sign_digest(&digest.finish()),
            (Pair::Rsa(pair, encoding), Taken::Digest(digest)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(*encoding, &digest.finish(), &mut signature)
                    .map_err(|_| NotSigned)?;
                return Ok(signature);
            }
            _ => return Err(NotSigned),
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| NotSigned)
    }
}

fn ed25519(bytes: &[u8]) -> Option<Ed25519KeyPair> {
    match bytes.split_at_checked(32) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
        Some((seed, public)) if public.len() == 32 => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        }
        _ => Ed25519KeyPair::from_pkcs8(bytes),
    }
    .ok()
}

fn ecdsa(bytes: &[u8], algorithm: &'static EcdsaSigningAlgorithm) -> Option<Pair> {
    EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok().map(Pair::Ecdsa)
}

fn rsa(bytes: &[u8], encoding: &'static dyn RsaEncoding) -> Option<Pair> {
    let pair = RsaKeyPair::from_pkcs8(bytes).or_else(|_| RsaKeyPair::from_der(bytes));
    // A key that is marked as one for PSS only (RFC 4055 section 1.2) is an RSA key inside.
    let pair = pair.ok().or_else(|| {
        encoding::rsa_in_pkcs8(bytes).and_then(|inner| RsaKeyPair::from_der(&inner).ok())
    });
    pair.map(|pair| Pair::Rsa(pair, encoding))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ‹secret›)", self.algorithm)
    }
}
