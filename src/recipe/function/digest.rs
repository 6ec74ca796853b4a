//! Digests, MACs, and keys that are made of them.

use zeroize::Zeroizing;

use super::input::{bytes, fixed, given, size, value, value_bytes};
use super::{Absorb, Argument, Function, Kind, Parameter, Takes};
use crate::crypto::derivation::{self, DERIVED_BYTES_MAX, DerivationFault, ROUNDS_MAX};
use crate::crypto::digest::{Algorithm, Crc32, Hasher};
use crate::crypto::mac;
use crate::recipe::fault::Fault;
use crate::recipe::value::Value;

const NAMES: &[&str] = &[
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha512-256",
    "sha3-256",
    "sha3-512",
    "keccak256",
    "blake2b",
];
/// Those that keys are derived with.
const DERIVING: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
const DIGEST: Parameter = Parameter::required("digest", Kind::Choice(NAMES));
const DERIVING_DIGEST: Parameter = Parameter::required("digest", Kind::Choice(DERIVING));
const SALT: Parameter = Parameter::required("salt", Kind::Value);
const LENGTH: Parameter = Parameter::required("bytes", Kind::Number);

/// One function for each digest.
macro_rules! digests {
    ($($name:literal $variant:ident $about:literal,)*) => {
        [$(
            Function::bytes($name, Takes::Bytes, $about, |input, _| {
                taken(Hashing(Algorithm::$variant.begin()), input)
            })
            .streams(|_| Ok(Box::new(Hashing(Algorithm::$variant.begin())))),
        )*]
    };
}

pub(super) static DIGESTS: &[Function] = &digests![
    "md5" Md5 "The 16 bytes of MD5 (RFC 1321).",
    "sha1" Sha1 "The 20 bytes of SHA-1 (FIPS 180-4).",
    "sha224" Sha224 "The 28 bytes of SHA-224 (FIPS 180-4).",
    "sha256" Sha256 "The 32 bytes of SHA-256 (FIPS 180-4).",
    "sha384" Sha384 "The 48 bytes of SHA-384 (FIPS 180-4).",
    "sha512" Sha512 "The 64 bytes of SHA-512 (FIPS 180-4).",
    "sha512_256" Sha512Of256 "The 32 bytes of SHA-512/256 (FIPS 180-4).",
    "sha3_256" Sha3Of256 "The 32 bytes of SHA3-256 (FIPS 202).",
    "sha3_512" Sha3Of512 "The 64 bytes of SHA3-512 (FIPS 202).",
    "keccak256" Keccak256 "The 32 bytes of Keccak-256, as Ethereum uses it.",
    "blake2b" Blake2b "The 64 bytes of BLAKE2b (RFC 7693).",
];

pub(super) static TABLE: &[Function] = &[
    Function::bytes(
        "crc32",
        Takes::Bytes,
        "The 4 bytes of CRC-32, highest first; `crc32 | decimal` is what PayPal signs.",
        |input, _| taken(Checking(Crc32::default()), input),
    )
    .streams(|_| Ok(Box::new(Checking(Crc32::default())))),
    Function::bytes(
        "hmac",
        Takes::Bytes,
        "The HMAC (RFC 2104) with a digest and a key.",
        |input, arguments| taken(authenticating(arguments)?, input),
    )
    .with(&[DIGEST, Parameter::required("key", Kind::Value)])
    .streams(|arguments| Ok(Box::new(authenticating(arguments)?))),
    Function::bytes(
        "fold_hmac",
        Takes::Bytes,
        "A chain of HMACs that begins with this as the key: each part, or item of a list, is \
         authenticated with what the one before it gave.",
        |input, arguments| {
            let digest = digest(arguments)?;
            let mut key = Zeroizing::new(bytes(input)?.into_owned());
            let mut next = |part: &[u8]| {
                let tag = mac::Algorithm::Hmac(digest).of(&key, part);
                key = Zeroizing::new(tag.as_bytes().to_vec());
            };
            for at in 1..arguments.len() {
                match value(arguments, at)? {
                    Value::List(items) => items.iter().for_each(|item| next(item.as_bytes())),
                    one => next(&bytes(Some(one))?),
                }
            }
            Ok(Value::from(key.to_vec()))
        },
    )
    .with(&[DIGEST, Parameter::repeated("part", Kind::Any)]),
    Function::bytes(
        "pbkdf2",
        Takes::Bytes,
        "A key made of a password by PBKDF2 (RFC 8018): digest, salt, rounds, bytes.",
        |input, arguments| {
            let rounds = size(arguments, 2, usize::try_from(ROUNDS_MAX).unwrap_or_default())?;
            let rounds = u32::try_from(rounds).map_err(|_| Fault::too_long())?;
            let length = size(arguments, 3, DERIVED_BYTES_MAX)?;
            let (digest, salt) = (digest(arguments)?, value_bytes(arguments, 1)?);
            derived(derivation::pbkdf2(digest, &bytes(input)?, &salt, rounds, length))
        },
    )
    .with(&[DERIVING_DIGEST, SALT, Parameter::required("rounds", Kind::Number), LENGTH]),
    Function::bytes(
        "hkdf",
        Takes::Bytes,
        "A key made of another by HKDF (RFC 5869): digest, salt, info, bytes.",
        |input, arguments| {
            let (salt, info) = (value_bytes(arguments, 1)?, value_bytes(arguments, 2)?);
            let length = size(arguments, 3, DERIVED_BYTES_MAX)?;
            derived(derivation::hkdf(digest(arguments)?, &bytes(input)?, &salt, &info, length))
        },
    )
    .with(&[DERIVING_DIGEST, SALT, Parameter::required("info", Kind::Value), LENGTH]),
    Function::bytes(
        "evp_bytes_to_key",
        Takes::Bytes,
        "Key and iv in a row, made of a password as OpenSSL and CryptoJS do: digest, salt of 8 or \
         no bytes, bytes.",
        |input, arguments| {
            let (salt, length) =
                (value_bytes(arguments, 1)?, size(arguments, 2, DERIVED_BYTES_MAX)?);
            let digest = digest(arguments)?;
            derived(derivation::evp_bytes_to_key(digest, &bytes(input)?, &salt, 1, length))
        },
    )
    .with(&[DERIVING_DIGEST, SALT, LENGTH]),
    Function::bytes(
        "xor",
        Takes::Bytes,
        "Every byte combined by exclusive or with one of another value, which is as long.",
        |input, arguments| {
            let (ours, theirs) = (bytes(input)?, value_bytes(arguments, 0)?);
            if ours.len() != theirs.len() {
                return Err(Fault::malformed());
            }
            Ok(Value::from(ours.iter().zip(theirs.iter()).map(|(a, b)| a ^ b).collect::<Vec<_>>()))
        },
    )
    .with(&[Parameter::required("other", Kind::Value)]),
];

fn digest(arguments: &[Argument<'_>]) -> Result<Algorithm, Fault> {
    Algorithm::find(fixed(arguments, 0)?).ok_or_else(Fault::malformed)
}

fn derived<'a>(key: Result<Zeroizing<Vec<u8>>, DerivationFault>) -> Result<Value<'a>, Fault> {
    key.map(|key| Value::from(key.to_vec())).map_err(|_| Fault::malformed())
}

/// Takes a whole value in.
fn taken<'a>(into: impl Absorb, input: Option<&Value<'a>>) -> Result<Value<'a>, Fault> {
    let mut into = Box::new(into);
    given(input)?.feed(&mut |bytes| into.update(bytes))?;
    Ok(Value::from(into.finish()))
}

struct Hashing(Hasher);

impl Absorb for Hashing {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_bytes().to_vec()
    }
}

struct Authenticating(mac::InProgress);

fn authenticating(arguments: &[Argument<'_>]) -> Result<Authenticating, Fault> {
    let key = value_bytes(arguments, 1)?;
    Ok(Authenticating(mac::Algorithm::Hmac(digest(arguments)?).key(&key).begin()))
}

impl Absorb for Authenticating {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_bytes().to_vec()
    }
}

struct Checking(Crc32);

impl Absorb for Checking {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finish().to_be_bytes().to_vec()
    }
}
