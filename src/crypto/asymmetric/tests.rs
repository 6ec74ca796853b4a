//! Keys of every encoding, and signatures of every algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

/// The keys of RFC 9421 appendix B.1.
static KEYS: &str = include_str!("../../../tests/vectors/rfc9421/keys.json");
/// Made with OpenSSL 3.
static OPENSSL: &str = include_str!("../../../tests/vectors/signatures.json");

fn keys() -> Value {
    serde_json::from_str(KEYS).unwrap()
}

fn pem(half: &Value) -> String {
    let [label, der] = ["label", "der"].map(|name| half[name].as_str().unwrap());
    let lines: Vec<&str> = der.as_bytes().chunks(64).map(|c| str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn message(algorithm: Algorithm, pieces: &[&str]) -> MessageInProgress {
    let mut message = algorithm.begin();
    pieces.iter().for_each(|piece| message.update(piece.as_bytes()));
    message
}

/// A key of appendix B.1 that fits an algorithm, where there is one.
fn name(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm.key_kind() {
        KeyKind::Ed25519 => Some("test-key-ed25519"),
        KeyKind::P256 => Some("test-key-ecc-p256"),
        KeyKind::P384 => None,
        KeyKind::Rsa => Some("test-key-rsa"),
    }
}

#[test]
fn signatures_by_openssl_verify() {
    let vectors: Value = serde_json::from_str(OPENSSL).unwrap();
    let text = vectors["message"].as_str().unwrap();
    for algorithm in Algorithm::ALL {
        let vector = &vectors["signatures"][algorithm.name()];
        let public = vector["public"].as_str().unwrap();
        let key = PublicKey::read(public.as_bytes(), algorithm).unwrap();
        let mut signature = STANDARD.decode(vector["signature"].as_str().unwrap()).unwrap();
        let (head, tail) = text.split_at(7);
        let name = algorithm.name();
        assert!(key.verifies(message(algorithm, &[text]), &signature), "{name}");
        assert!(key.verifies(message(algorithm, &[head, tail]), &signature), "{name}");
        assert!(!key.verifies(message(algorithm, &[head]), &signature), "{name}");
        assert!(!key.verifies(message(algorithm, &[text]), &[]), "{name}");
        assert!(!key.verifies(message(algorithm, &[text]), &signature[1..]), "{name}");
        *signature.last_mut().unwrap() ^= 1;
        assert!(!key.verifies(message(algorithm, &[text]), &signature), "{name}");
    }
}

#[test]
fn an_algorithm_verifies_its_own_signatures_only() {
    let keys = keys();
    for signer in Algorithm::ALL {
        let Some(pair) = name(signer).map(|name| &keys[name]) else { continue };
        let private = PrivateKey::read(pem(&pair["private"]).as_bytes(), signer).unwrap();
        let signature = private.sign(message(signer, &["a message"])).unwrap();
        for verifier in Algorithm::ALL {
            let Some(pair) = name(verifier).map(|name| &keys[name]) else { continue };
            let key = PublicKey::read(pem(&pair["public"]).as_bytes(), verifier).unwrap();
            let verified = key.verifies(message(verifier, &["a message"]), &signature);
            assert_eq!(verified, signer == verifier, "{signer:?} by {verifier:?}");
            // A message that was taken in for another algorithm has no signature here.
            let crossed = key.verifies(message(signer, &["a message"]), &signature);
            assert_eq!(crossed, signer == verifier, "{signer:?} by {verifier:?}");
        }
        let public = private.public_key().unwrap();
        assert!(public.verifies(message(signer, &["a message"]), &signature), "{signer:?}");
    }
}

#[test]
fn public_keys_have_many_encodings() {
    let keys = keys();
    for algorithm in Algorithm::ALL {
        let Some(pair) = name(algorithm).map(|name| &keys[name]) else { continue };
        let private = PrivateKey::read(pem(&pair["private"]).as_bytes(), algorithm).unwrap();
        let signature = private.sign(message(algorithm, &["a message"])).unwrap();
        let der = pair["public"]["der"].as_str().unwrap();
        let bytes = STANDARD.decode(der).unwrap();
        let url_safe = der.replace('+', "-").replace('/', "_");
        let jwk = pair["jwk"].to_string();
        let mut texts: Vec<Vec<u8>> = vec![pem(&pair["public"]).into(), der.into(), bytes.clone()];
        texts.extend([url_safe.trim_end_matches('=').into(), jwk.into()]);
        if algorithm == Algorithm::Ed25519 {
            let bare = &bytes[12..];
            let hexadecimal = crate::crypto::hex(bare.try_into().unwrap()).to_vec();
            texts.extend([bare.to_vec(), STANDARD.encode(bare).into(), hexadecimal]);
        }
        for text in texts {
            let key = PublicKey::read(&text, algorithm).unwrap();
            assert!(key.verifies(message(algorithm, &["a message"]), &signature), "{algorithm:?}");
        }
    }
    let vectors: Value = serde_json::from_str(OPENSSL).unwrap();
    let certificate = vectors["certificate-of-p256"].as_str().unwrap();
    let key = PublicKey::read(certificate.as_bytes(), Algorithm::EcdsaP256).unwrap();
    let private = pem(&keys["test-key-ecc-p256"]["private"]);
    let private = PrivateKey::read(private.as_bytes(), Algorithm::EcdsaP256).unwrap();
    let signature = private.sign(message(Algorithm::EcdsaP256, &["m"])).unwrap();
    assert!(key.verifies(message(Algorithm::EcdsaP256, &["m"]), &signature));
}

#[test]
fn private_keys_have_several_encodings() {
    let keys = keys();
    let read = |text: &[u8], algorithm| PrivateKey::read(text, algorithm).map(|_| ());
    for (name, algorithm) in [
        ("test-key-rsa", Algorithm::RsaPkcs1Sha256),
        ("test-key-rsa-pss", Algorithm::RsaPssSha512),
        ("test-key-ecc-p256", Algorithm::EcdsaP256Der),
        ("test-key-ed25519", Algorithm::Ed25519),
    ] {
        let private = &keys[name]["private"];
        let der = private["der"].as_str().unwrap();
        assert_eq!(read(pem(private).as_bytes(), algorithm), Ok(()), "{name}");
        assert_eq!(read(der.as_bytes(), algorithm), Ok(()), "{name}");
        assert_eq!(read(&STANDARD.decode(der).unwrap(), algorithm), Ok(()), "{name}");
    }
    let der =
        STANDARD.decode(keys["test-key-ed25519"]["private"]["der"].as_str().unwrap()).unwrap();
    let public = STANDARD.decode(keys["test-key-ed25519"]["public"]["der"].as_str().unwrap());
    let (seed, public) = (&der[16..], &public.unwrap()[12..]);
    assert_eq!(read(seed, Algorithm::Ed25519), Ok(()));
    let both = STANDARD.encode([seed, public].concat());
    assert_eq!(read(both.as_bytes(), Algorithm::Ed25519), Ok(()));
    let crossed = [seed, seed].concat();
    let fault = KeyFault::Kind { needed: KeyKind::Ed25519 };
    assert_eq!(read(&crossed, Algorithm::Ed25519), Err(fault));
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let keys = keys();
    let read = |text: &str, algorithm| PublicKey::read(text.as_bytes(), algorithm).map(|_| ());
    let p256 = pem(&keys["test-key-ecc-p256"]["public"]);
    let needed = KeyKind::P384;
    assert_eq!(read(&p256, Algorithm::EcdsaP384), Err(KeyFault::Kind { needed }));
    let needed = KeyKind::Rsa;
    assert_eq!(read(&p256, Algorithm::RsaPssSha256), Err(KeyFault::Kind { needed }));
    let private = pem(&keys["test-key-ed25519"]["private"]);
    assert_eq!(read(&private, Algorithm::Ed25519), Err(KeyFault::Private));
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"JrQL","d":"n4Ni"}"#;
    assert_eq!(read(jwk, Algorithm::Ed25519), Err(KeyFault::Private));
    for text in ["", " \n", "{}", "{", "-----BEGIN PUBLIC KEY-----\nAAAA\n"] {
        assert_eq!(read(text, Algorithm::Ed25519), Err(KeyFault::Unreadable), "{text}");
    }
    let needed = KeyKind::Ed25519;
    assert_eq!(read("a secret of mine", Algorithm::Ed25519), Err(KeyFault::Kind { needed }));
    let vectors: Value = serde_json::from_str(OPENSSL).unwrap();
    let small = vectors["rsa-1024"].as_str().unwrap();
    for algorithm in [Algorithm::RsaPkcs1Sha256, Algorithm::RsaPssSha512] {
        assert_eq!(read(small, algorithm), Err(KeyFault::Size { bits: 1024 }));
    }
    let public = PrivateKey::read(p256.as_bytes(), Algorithm::EcdsaP256).map(|_| ());
    assert_eq!(public, Err(KeyFault::Public));
}

#[test]
fn a_private_key_shows_nothing() {
    let private = pem(&keys()["test-key-ed25519"]["private"]);
    let key = PrivateKey::read(private.as_bytes(), Algorithm::Ed25519).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(Ed25519, ‹secret›)");
}

/// Text that begins as a key does.
const LIKE_A_KEY: &str = "(-----BEGIN (RSA )?(PUBLIC|PRIVATE) KEY-----)?[A-Za-z0-9+/=\n]{0,80}\
                          (-----END PUBLIC KEY-----)?";

proptest::proptest! {
    #[test]
    fn reading_never_panics(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for algorithm in Algorithm::ALL {
            let _ = PublicKey::read(&text, algorithm);
            let _ = PrivateKey::read(&text, algorithm);
        }
    }

    #[test]
    fn reading_text_like_keys_never_panics(text in LIKE_A_KEY) {
        for algorithm in Algorithm::ALL {
            let _ = PublicKey::read(text.as_bytes(), algorithm);
            let _ = PrivateKey::read(text.as_bytes(), algorithm);
        }
    }
}
