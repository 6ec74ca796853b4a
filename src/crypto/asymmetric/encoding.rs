//! What a key is written in: PEM, DER, JWK, or bare bytes in base64 or hexadecimal.
//!
//! Finds the bytes of the key; whether they are a key that fits is for the library to say.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{PublicKey, PublicKeyComponents};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use x509_parser::asn1_rs::{FromDer as _, Integer, OctetString, Sequence};
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::AlgorithmIdentifier;
use zeroize::Zeroizing;

use crate::crypto::{HexCase, unhex};

use super::KeyFault;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Text of a key that is longer than this is none, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

const INDIFFERENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, INDIFFERENT);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, INDIFFERENT);

/// The members of a JWK (RFC 7518 section 6, RFC 8037 section 2) that make a public key, and the
/// one that only a private key has.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// A section of PEM (RFC 7468).
struct Section<'a> {
    label: &'a str,
    der: Zeroizing<Vec<u8>>,
}

/// The bytes of a public key: a SubjectPublicKeyInfo, an RSAPublicKey, or those of the bare key.
pub(super) fn public(text: &[u8]) -> Result<Vec<u8>, KeyFault> {
    if let Some(sections) = sections(text)? {
        let mut fault = KeyFault::Unreadable;
        for Section { label, der } in sections {
            match label {
                "PUBLIC KEY" | "RSA PUBLIC KEY" => return Ok(der.to_vec()),
                "CERTIFICATE" => return of_certificate(&der),
                _ if is_private(label) => fault = KeyFault::Private,
                _ => {}
            }
        }
        return Err(fault);
    }
    if text.trim_ascii_start().first() == Some(&b'{') {
        return of_jwk(text);
    }
    Ok(bare(text)?.to_vec())
}

/// The bytes of a private key: a PKCS #8 document, an RSAPrivateKey, an ECPrivateKey, or those of
/// the bare key.
pub(super) fn private(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let Some(sections) = sections(text)? else { return bare(text) };
    let mut fault = KeyFault::Unreadable;
    for Section { label, der } in sections {
        match label {
            _ if is_private(label) => return Ok(der),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => fault = KeyFault::Public,
            _ => {}
        }
    }
    Err(fault)
}

fn is_private(label: &str) -> bool {
    matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
}

/// The sections of PEM; `None` when it is something else. Encrypted ones are not understood.
fn sections(text: &[u8]) -> Result<Option<Vec<Section<'_>>>, KeyFault> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(KeyFault::Unreadable);
    }
    let Some(mut rest) = std::str::from_utf8(text).ok().filter(|text| text.contains(BEGIN)) else {
        return Ok(None);
    };
    let mut sections = Vec::new();
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let (label, body) = begun.split_once(DASHES).ok_or(KeyFault::Unreadable)?;
        let (body, end) = body.split_once("-----END ").ok_or(KeyFault::Unreadable)?;
        let end = end.strip_prefix(label).and_then(|end| end.strip_prefix(DASHES));
        rest = end.ok_or(KeyFault::Unreadable)?;
        let der = STANDARD.decode(&*packed(body.as_bytes())).map_err(|_| KeyFault::Unreadable)?;
        sections.push(Section { label, der: Zeroizing::new(der) });
    }
    Ok(Some(sections))
}

/// Text without white space.
fn packed(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    packed
}

/// Bytes in hexadecimal or base64 of either alphabet, and otherwise as they are.
fn bare(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let packed = packed(text);
    // As base64, 64 digits would be 48 bytes, which no key has.
    if let Some(bytes) = unhex(&packed, HexCase::Any) {
        return Ok(Zeroizing::new(bytes.to_vec()));
    }
    let decoded = STANDARD.decode(&*packed).or_else(|_| URL_SAFE.decode(&*packed));
    let bytes = Zeroizing::new(decoded.unwrap_or_else(|_| text.to_vec()));
    if bytes.is_empty() { Err(KeyFault::Unreadable) } else { Ok(bytes) }
}

fn of_certificate(der: &[u8]) -> Result<Vec<u8>, KeyFault> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| KeyFault::Unreadable)?;
    Ok(certificate.public_key().raw.to_vec())
}

fn of_jwk(text: &[u8]) -> Result<Vec<u8>, KeyFault> {
    let jwk: Jwk = serde_json::from_slice(text).map_err(|_| KeyFault::Unreadable)?;
    if jwk.d.is_some() {
        return Err(KeyFault::Private);
    }
    let member = |text: Option<String>| {
        text.and_then(|text| URL_SAFE.decode(text).ok()).ok_or(KeyFault::Unreadable)
    };
    match jwk.kty.as_str() {
        "OKP" => member(jwk.x),
        // A point that is not compressed, as SEC 1 section 2.3.3 writes it.
        "EC" => Ok([&[4][..], &member(jwk.x)?, &member(jwk.y)?].concat()),
        "RSA" => {
            let numbers = PublicKeyComponents { n: member(jwk.n)?, e: member(jwk.e)? };
            let der: PublicKeyX509Der<'_> = numbers.as_der().map_err(|_| KeyFault::Unreadable)?;
            Ok(der.as_ref().to_vec())
        }
        _ => Err(KeyFault::Unreadable),
    }
}

/// The bits of an RSA public key's modulus.
pub(super) fn rsa_bits(der: &[u8]) -> Option<usize> {
    let key = PublicKey::from_der(der).ok()?;
    let (_, key) = RSAPublicKey::from_der(key.as_ref()).ok()?;
    let zeros = key.modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = key.modulus.get(zeros..)?;
    let unused = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    Some(modulus.len() * 8 - unused)
}

/// The RSAPrivateKey inside of a PKCS #8 document (RFC 5958 section 2), whichever of the object
/// identifiers for RSA it has.
pub(super) fn rsa_in_pkcs8(der: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, document) = Sequence::from_der(der).ok()?;
    let (rest, _version) = Integer::from_der(&document.content).ok()?;
    let (rest, _algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    Some(Zeroizing::new(key.as_ref().to_vec()))
}
