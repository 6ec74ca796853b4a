//! Keys made of passwords and of other keys: PBKDF2, HKDF, and OpenSSL's older derivation.

use hkdf::Hkdf;
use hmac::EagerHash;
use pbkdf2::pbkdf2_hmac;
use zeroize::Zeroizing;

use super::digest::Algorithm;

/// The most rounds that PBKDF2 and `evp` do. More would let a line of configuration stop a core.
pub const ROUNDS_MAX: u32 = 2_000_000;
/// The longest key that is derived, in bytes.
pub const DERIVED_BYTES_MAX: usize = 1024;

/// Why no key can be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerivationFault {
    /// The digest is none that the derivation is defined for here.
    #[error("keys are derived with md5, sha1, sha224, sha256, sha384 or sha512")]
    Digest,
    /// Rounds or length are out of bounds.
    #[error("1 to {ROUNDS_MAX} rounds and 1 to {DERIVED_BYTES_MAX} bytes; HKDF gives 255 digests")]
    Size,
}

/// Calls a generic function with the type of a digest.
macro_rules! call_with {
    ($algorithm:expr, $function:ident($($argument:expr),*)) => {
        match $algorithm {
            Algorithm::Md5 => $function::<md5::Md5>($($argument),*),
            Algorithm::Sha1 => $function::<sha1::Sha1>($($argument),*),
            Algorithm::Sha224 => $function::<sha2::Sha224>($($argument),*),
            Algorithm::Sha256 => $function::<sha2::Sha256>($($argument),*),
            Algorithm::Sha384 => $function::<sha2::Sha384>($($argument),*),
            Algorithm::Sha512 => $function::<sha2::Sha512>($($argument),*),
            _ => return Err(DerivationFault::Digest),
        }
    };
}

fn zeros(length: usize) -> Result<Zeroizing<Vec<u8>>, DerivationFault> {
    let fits = (1..=DERIVED_BYTES_MAX).contains(&length);
    if fits { Ok(Zeroizing::new(vec![0; length])) } else { Err(DerivationFault::Size) }
}

/// PBKDF2 with HMAC (RFC 8018).
///
/// # Errors
/// When the digest is unsuited or a size is out of bounds.
pub fn pbkdf2(
    digest: Algorithm,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, DerivationFault> {
    let mut key = zeros(length)?;
    if !(1..=ROUNDS_MAX).contains(&rounds) {
        return Err(DerivationFault::Size);
    }
    call_with!(digest, pbkdf2_hmac(password, salt, rounds, &mut key));
    Ok(key)
}

/// HKDF, extract and expand (RFC 5869).
///
/// # Errors
/// When the digest is unsuited or the length out of bounds.
pub fn hkdf(
    digest: Algorithm,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, DerivationFault> {
    let mut key = zeros(length)?;
    call_with!(digest, expand(secret, salt, info, &mut key))?;
    Ok(key)
}

fn expand<D: EagerHash>(
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    key: &mut [u8],
) -> Result<(), DerivationFault> {
    Hkdf::<D>::new(Some(salt), secret).expand(info, key).map_err(|_| DerivationFault::Size)
}

/// OpenSSL's `EVP_BytesToKey`: key and iv in a row, as `openssl enc -md` and CryptoJS make them.
/// The salt has 8 bytes, or none.
///
/// # Errors
/// When the salt has another length or a size is out of bounds.
pub fn evp_bytes_to_key(
    digest: Algorithm,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, DerivationFault> {
    let mut key = zeros(length)?;
    if !(1..=ROUNDS_MAX).contains(&rounds) || ![0, 8].contains(&salt.len()) {
        return Err(DerivationFault::Size);
    }
    let mut last = digest.begin();
    for block in key.chunks_mut(digest.bytes()) {
        last.update(password);
        last.update(salt);
        let mut tag = last.finish();
        for _ in 1..rounds {
            tag = digest.of(tag.as_bytes());
        }
        block.iter_mut().zip(tag.as_bytes()).for_each(|(to, from)| *to = *from);
        last = digest.begin();
        last.update(tag.as_bytes());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Python: `hashlib.pbkdf2_hmac('sha512', b'passwordPASSWORDpassword', b'saltSALT…', 4096, 40)`
    /// and with `md5`, `password`, `salt`, 1000, 24; the SHA-1 value is of RFC 6070.
    #[test]
    fn pbkdf2_as_another_implementation() {
        let derive = |digest, password: &str, salt: &str, rounds, length| {
            let (password, salt) = (password.as_bytes(), salt.as_bytes());
            hex(&pbkdf2(digest, password, salt, rounds, length).unwrap())
        };
        let value = derive(Algorithm::Sha1, "password", "salt", 4096, 20);
        assert_eq!(value, "4b007901b765489abead49d926f721d065a429c1");
        let salt = "saltSALTsaltSALTsaltSALTsaltSALTsalt";
        let value = derive(Algorithm::Sha512, "passwordPASSWORDpassword", salt, 4096, 40);
        let expected =
            "8c0511f4c6e597c6ac6315d8f0362e225f3c501495ba23b868c005174dc4ee71115b59f9e60cd953";
        assert_eq!(value, expected);
        let value = derive(Algorithm::Md5, "password", "salt", 1000, 24);
        assert_eq!(value, "8d189946a32d883622a16ae18af0632f5791d5e7b1abb0ab");
    }

    /// RFC 5869, appendix A.1.
    #[test]
    fn hkdf_as_its_rfc() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let key = hkdf(Algorithm::Sha256, &[0x0b; 22], &salt, &info, 42).unwrap();
        let expected =
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(hex(&key), expected);
    }

    /// OpenSSL: `openssl enc -aes-256-cbc -k password -S 0102030405060708 -md md5 -P`, the same
    /// with `sha256`, and without salt.
    #[test]
    fn evp_as_openssl() {
        let salt: Vec<u8> = (1..=8).collect();
        let derive = |digest, salt: &[u8]| {
            hex(&evp_bytes_to_key(digest, b"password", salt, 1, 48).unwrap()).to_uppercase()
        };
        assert_eq!(
            derive(Algorithm::Md5, &salt),
            "E7B0971E52CA5CC8D0539FB3412F6316F7BA2E6EE293D9F3457B99436B51CE02\
             8D450E2ED75A84A923D4EAC9FE49226B"
        );
        assert_eq!(
            derive(Algorithm::Sha256, &salt),
            "2435177F1410536BAAD2ACC155C0F94783D58384573CB0F72157443606285D3F\
             F96EFC044E0F1613BF324245C95E7411"
        );
        assert_eq!(
            derive(Algorithm::Md5, &[]),
            "5F4DCC3B5AA765D61D8327DEB882CF992B95990A9151374ABD8FF8C5A7A0FE08\
             B7B4372CDFBCB3D16A2631B59B509E94"
        );
    }

    #[test]
    fn sizes_are_bounded() {
        let sha256 = Algorithm::Sha256;
        assert_eq!(pbkdf2(sha256, b"p", b"s", 0, 16), Err(DerivationFault::Size));
        assert_eq!(pbkdf2(sha256, b"p", b"s", ROUNDS_MAX + 1, 16), Err(DerivationFault::Size));
        assert_eq!(pbkdf2(sha256, b"p", b"s", 1, 0), Err(DerivationFault::Size));
        assert_eq!(pbkdf2(Algorithm::Blake2b, b"p", b"s", 1, 1), Err(DerivationFault::Digest));
        let longest = DERIVED_BYTES_MAX + 1;
        assert_eq!(hkdf(sha256, b"p", b"s", b"", longest), Err(DerivationFault::Size));
        assert_eq!(evp_bytes_to_key(sha256, b"p", b"short", 1, 16), Err(DerivationFault::Size));
    }
}
