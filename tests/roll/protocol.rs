//! The protocol byte for byte, and what must never open.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::Timestamp;
use countersign::roll::keys::Source;
use countersign::roll::next::{Held, to_json};
use countersign::roll::sealing::{P, aad_next, aad_request, aad_response};
use countersign::roll::{ChainId, KeySet, Kid, Label};
use countersign::secret::Secret;
use proptest::prelude::*;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn vectors() -> Vec<Value> {
    let text = fs::read_to_string(root().join("tests/vectors/roll.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn b64u(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

#[test]
fn every_value_of_the_vectors() {
    let all = vectors();
    assert!(all.len() >= 2);
    for vector in all {
        let (given, expected) = (&vector["in"], &vector["out"]);
        let text = |name: &str| given[name].as_str().unwrap();
        let kid = Kid {
            epoch: number(&given["epoch"]),
            chain: ChainId(array(&given["chain"])),
            generation: number(&given["gen"]),
            issued: number(&given["iat"]),
        };
        assert_eq!(kid.to_string(), expected["kid"]);
        let secret = |name: &str| Secret::new(unhex(&given[name])).unwrap();
        let source = Source::extract(&secret("epoch_secret"), &secret("root"));
        let keys = source.key_set(text("merchant"), text("credential"), kid);
        let (to_gate, to_client) = (keys.to_gate(), keys.to_client());
        assert_eq!(hex(to_gate.key()), expected["c2s_key"]);
        assert_eq!(hex(to_client.key()), expected["s2c_key"]);
        assert_eq!(hex(to_gate.mask()), expected["c2s_iv"]);
        assert_eq!(hex(to_client.mask()), expected["s2c_iv"]);
        let (label, p): (Label, P) = (Label::Rolled(kid), array(&given["p_request"]));
        let time = Timestamp::from_secs(given["time"].as_u64().unwrap());
        let aad = aad_request(time, text("method"), text("target"), label);
        let sealed = to_gate.seal_with(&aad, text("plaintext").as_bytes(), &p);
        assert_eq!(b64u(&sealed), expected["sealed_request"]);
        assert_eq!(*to_gate.open(&aad, &sealed).unwrap(), *text("plaintext").as_bytes());
        let status = given["status"].as_u64().unwrap().try_into().unwrap();
        let aad = aad_response(status, label, &p);
        let sealed =
            to_client.seal_with(&aad, text("answer").as_bytes(), &array(&given["p_response"]));
        assert_eq!(b64u(&sealed), expected["sealed_response"]);
        let next =
            Kid { generation: kid.generation + 1, issued: number(&given["next_iat"]), ..kid };
        assert_eq!(next.to_string(), expected["next_kid"]);
        let next_keys = source.key_set(text("merchant"), text("credential"), next);
        let expiry = Timestamp::from_secs(given["next_exp"].as_u64().unwrap());
        let json = to_json(next, &next_keys, expiry, number(&given["next_max"]));
        assert_eq!(std::str::from_utf8(&json).unwrap(), expected["next_json"].as_str().unwrap());
        let held = Held::from_json(&json).unwrap();
        assert_eq!((held.kid, held.expiry), (next, expiry));
        assert_eq!(*held.to_json(), *json);
        let sealed = to_client.seal_with(&aad_next(label, &p), &json, &array(&given["p_next"]));
        assert_eq!(b64u(&sealed), expected["x_seal_next"]);
    }
}

/// The executable specification, which shares no code with ours, agrees about the same vectors.
#[test]
fn the_reference_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("reference.py");
    fs::copy(root().join("tests/roll/reference.py"), &program).unwrap();
    fs::copy(root().join("tests/vectors/roll.json"), folder.path().join("vectors.json")).unwrap();
    let output = Command::new("/usr/bin/python3").arg(&program).arg("check").output();
    let output = output.expect("python3 must be installed: apt-get install python3");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let installed = !err.contains("No module named 'cryptography'");
    assert!(installed, "install it: apt-get install python3-cryptography");
    assert!(output.status.success(), "{out} {err}");
    assert_eq!(out.trim(), format!("{} passed, 0 failed", vectors().len()));
}

fn keys(byte: u8) -> KeySet {
    KeySet::from_bytes(&std::array::from_fn(|at| byte.wrapping_add(u8::try_from(at).unwrap())))
}

fn kid() -> Kid {
    let chain = ChainId::starting(Timestamp::from_secs(1_700_000_000), [1, 2, 3, 4]);
    Kid { epoch: 7, chain, generation: 3, issued: 1_700_000_100 }
}

/// What a request's seal binds.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    time: u64,
    method: String,
    target: String,
    kid: Kid,
}

impl Bound {
    fn aad(&self) -> Vec<u8> {
        let time = Timestamp::from_secs(self.time);
        aad_request(time, &self.method, &self.target, Label::Rolled(self.kid))
    }
}

proptest! {
    /// I7: no flipped bit of what is sealed or bound opens.
    #[test]
    fn flipped_bits_never_open(
        text in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let bound = Bound {
            time: 1_700_000_101,
            method: "POST".into(),
            target: "/v1/payments?a=b".into(),
            kid: kid(),
        };
        let (keys, aad) = (keys(1), bound.aad());
        let sealed = keys.to_gate().seal(&aad, &text).unwrap();
        prop_assert_eq!(&*keys.to_gate().open(&aad, &sealed).unwrap(), &text);
        let mut other = sealed.clone();
        other[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(keys.to_gate().open(&aad, &other).is_err());
        let mut other = aad.clone();
        other[at.index(aad.len())] ^= 1 << bit;
        prop_assert!(keys.to_gate().open(&other, &sealed).is_err());
        let cut = at.index(sealed.len());
        prop_assert!(keys.to_gate().open(&aad, &sealed[..cut]).is_err());
        prop_assert!(keys.to_client().open(&aad, &sealed).is_err(), "the keys of the other way");
    }

    /// Two requests that differ in anything bind different bytes, so that none opens as the other.
    #[test]
    fn what_is_bound_does_not_run_together(
        first in bound(), second in bound(),
    ) {
        prop_assert_eq!(first == second, first.aad() == second.aad());
    }

    /// I8: sets of two merchants, credentials, roots, epochs or names have nothing in common.
    #[test]
    fn keys_of_one_credential_never_open_anothers(
        merchant in "[a-z]{1,6}", other_merchant in "[a-z]{1,6}",
        key_id in "[a-z]{1,6}", other_key_id in "[a-z]{1,6}",
        root in any::<[u8; 32]>(), other_root in any::<[u8; 32]>(),
        other_generation in 1..5_u32,
    ) {
        let source = |root: [u8; 32]| {
            let secret = |bytes: [u8; 32]| Secret::of_any_length(bytes.to_vec());
            Source::extract(&secret([9; 32]), &secret(root))
        };
        let aad = aad_request(Timestamp::from_secs(1), "GET", "/", Label::Rolled(kid()));
        let own = source(root).key_set(&merchant, &key_id, kid());
        let sealed = own.to_gate().seal(&aad, b"text").unwrap();
        let other_kid = Kid { generation: other_generation, ..kid() };
        for (root_bytes, merchant_id, credential, other) in [
            (other_root, &merchant, &key_id, kid()),
            (root, &other_merchant, &key_id, kid()),
            (root, &merchant, &other_key_id, kid()),
            (root, &merchant, &key_id, other_kid),
        ] {
            let same = root_bytes == root && *merchant_id == merchant && *credential == key_id
                && other == kid();
            let keys = source(root_bytes).key_set(merchant_id, credential, other);
            prop_assert_eq!(keys.to_gate().open(&aad, &sealed).is_ok(), same);
        }
    }
}

fn bound() -> impl Strategy<Value = Bound> {
    let method = prop_oneof![Just("GET".to_owned()), Just("POST".to_owned())];
    let target = prop_oneof![Just("/".to_owned()), "/[a-c]{0,2}"];
    (0..3_u64, method, target, 0..3_u32).prop_map(|(time, method, target, generation)| Bound {
        time,
        method,
        target,
        kid: Kid { generation, ..kid() },
    })
}

/// A merchant's name cannot run into a credential's.
#[test]
fn names_do_not_run_together() {
    let secret = |byte| Secret::new(vec![byte; 32]).unwrap();
    let source = Source::extract(&secret(1), &secret(2));
    let (ab, a) = (source.key_set("ab", "c", kid()), source.key_set("a", "bc", kid()));
    assert_ne!(ab.to_gate().key(), a.to_gate().key());
}

/// An answer is of one request: neither it nor its next set opens for another, nor for another
/// status, nor as the other kind.
#[test]
fn answers_and_next_sets_belong_to_one_request() {
    let (keys, label) = (keys(1), Label::Rolled(kid()));
    let (p, other): (P, P) = ([1; 16], [2; 16]);
    let client = keys.to_client();
    let answer = client.seal(&aad_response(200, label, &p), b"{}").unwrap();
    let next = client.seal(&aad_next(label, &p), b"{}").unwrap();
    assert!(client.open(&aad_response(200, label, &p), &answer).is_ok());
    assert!(client.open(&aad_response(201, label, &p), &answer).is_err());
    assert!(client.open(&aad_response(200, label, &other), &answer).is_err());
    assert!(client.open(&aad_response(200, Label::Anchor(1), &p), &answer).is_err());
    assert!(client.open(&aad_next(label, &p), &next).is_ok());
    assert!(client.open(&aad_next(label, &other), &next).is_err());
    assert!(client.open(&aad_response(200, label, &p), &next).is_err());
    assert!(client.open(&aad_next(label, &p), &answer).is_err());
}

/// I4: in a million seals no IV comes twice under one key.
#[test]
fn no_iv_repeats_in_a_million_seals() {
    let keys = keys(1);
    let mut seen = HashSet::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        let sealed = keys.to_gate().seal(b"", b"").unwrap();
        // The mask is the same for all: IVs differ where these bytes do.
        assert!(seen.insert(u128::from_le_bytes(sealed[..16].try_into().unwrap())));
    }
}
