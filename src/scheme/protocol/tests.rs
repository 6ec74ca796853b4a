//! HTTP Message Signatures behind the face of a scheme.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method as HttpMethod};

use super::*;
use crate::clock::Timestamp;
use crate::scheme::Scheme;
use crate::scheme::http_signatures::Response;
use crate::secret::{NamedSecrets, Secret};

fn definition(mac: &str) -> Definition {
    Definition {
        protocol: Some("rfc9421".to_owned()),
        mac: Some(mac.to_owned()),
        ..Definition::default()
    }
}

/// A key pair or shared secret: for signing, for verifying.
fn secrets(mac: &str) -> (Secret, Secret) {
    let keys = include_str!("../../../tests/vectors/rfc9421/keys.json");
    let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
    let name = match mac {
        "ed25519" => "test-key-ed25519",
        "ecdsa-p256-sha256" => "test-key-ecc-p256",
        "rsa-pss-sha512" => "test-key-rsa-pss",
        _ => {
            let secret = Secret::new(b"0123456789abcdef0123".to_vec()).unwrap();
            return (secret.clone(), secret);
        }
    };
    let half = |half: &str| {
        let text = keys[name][half]["der"].as_str().unwrap();
        Secret::new(text.as_bytes().to_vec()).unwrap()
    };
    (half("private"), half("public"))
}

struct Sent {
    headers: HeaderMap,
    body: Vec<Bytes>,
}

fn signed(scheme: &Scheme, body: &'static [u8]) -> Sent {
    let (private, _) = secrets(scheme.definition().mac.as_deref().unwrap());
    let key = scheme.signing_key(&private, NamedSecrets::default()).unwrap();
    let outgoing = Outgoing {
        key_id: "pk_test_1",
        timestamp: Timestamp::from_secs(1_700_000_000),
        method: &HttpMethod::POST,
        authority: "API.example.com",
        target: "/v1/orders?a=1",
        content_type: "application/json",
        headers: &HeaderMap::new(),
        body,
    };
    let mut headers: HeaderMap = scheme.sign(&key, &outgoing).unwrap().into_iter().collect();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let (head, tail) = body.split_at(body.len() / 2);
    Sent { headers, body: vec![Bytes::from_static(head), Bytes::from_static(tail)] }
}

fn verdict(scheme: &Scheme, sent: &Sent, target: &str) -> Result<Verdict, ClaimFault> {
    let (_, public) = secrets(scheme.definition().mac.as_deref().unwrap());
    let values = NamedSecrets::default();
    let key = scheme.key(&public, values.clone()).unwrap();
    let decoy = scheme.decoy().unwrap();
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "api.example.com:443",
        target,
        headers: &sent.headers,
        body: &sent.body,
        status: None,
        public_url: None,
        secret: None,
        values: &values,
    };
    let claims = scheme.claims(&subject)?;
    assert_eq!(claims.key_id(), Some("pk_test_1"));
    assert_eq!(claims.timestamp(), Some(Timestamp::from_secs(1_700_000_000)));
    assert_eq!(claims.nonce().map(<[u8]>::len), Some(32));
    Ok(scheme.verify(&[&decoy, &key], &claims, subject).finish())
}

#[test]
fn what_is_signed_verifies_as_it_does_under_other_schemes() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let scheme = Scheme::compile("own", &definition(name)).unwrap();
        let sent = signed(&scheme, b"{\"a\":1}");
        let good = verdict(&scheme, &sent, "/v1/orders?a=1").unwrap();
        assert_eq!(good.matched, Some(1), "{name}");
        assert_eq!(good.proof.as_bytes().len(), 32, "{name}");
        assert_eq!(verdict(&scheme, &sent, "/v1/orders?a=2").unwrap().matched, None, "{name}");
        let other = Sent { body: vec![Bytes::from_static(b"{}")], ..sent };
        assert_eq!(verdict(&scheme, &other, "/v1/orders?a=1").unwrap().matched, None, "{name}");
        let empty = signed(&scheme, b"");
        assert_eq!(verdict(&scheme, &empty, "/v1/orders?a=1").unwrap().matched, Some(1), "{name}");
        let filled = Sent { body: vec![Bytes::from_static(b"{}")], ..empty };
        assert_eq!(verdict(&scheme, &filled, "/v1/orders?a=1").unwrap().matched, None, "{name}");
    }
}

#[test]
fn what_must_be_covered_is_what_it_binds() {
    let scheme = Scheme::compile("own", &definition("ed25519")).unwrap();
    assert_eq!(scheme.coverage().open_parts(), ["nonce"]);
    assert_eq!(scheme.strength(), Strength::Full);
    assert_eq!(scheme.unfit_for_routes(), []);
    let covers = Some(["method", "nonce", "date"].map(str::to_owned).to_vec());
    let little = Definition { covers, ..definition("hmac-sha256") };
    let little = Scheme::compile("own", &little).unwrap();
    assert_eq!(little.coverage().open_parts(), ["target", "body"]);
    assert_eq!(little.strength(), Strength::Partial);
    assert_eq!(little.left_open().len(), 2);
    let sent = signed(&Scheme::compile("own", &definition("hmac-sha256")).unwrap(), b"");
    let fault = verdict(&little, &sent, "/v1/orders?a=1").unwrap_err();
    assert_eq!(fault, ClaimFault::Malformed("Signature-Input"));
    let fault = verdict(&little, &Sent { headers: HeaderMap::new(), body: Vec::new() }, "/");
    assert_eq!(fault.unwrap_err(), ClaimFault::Missing("Signature-Input"));
}

#[test]
fn a_private_key_is_taken_for_signing_only() {
    for name in ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"] {
        let scheme = Scheme::compile("own", &definition(name)).unwrap();
        let (private, public) = secrets(name);
        assert!(scheme.key(&private, NamedSecrets::default()).is_err(), "{name}");
        assert!(scheme.signing_key(&public, NamedSecrets::default()).is_err(), "{name}");
    }
}

#[test]
fn answers_are_signed_with_the_secret_that_verified_their_request() {
    let scheme = Scheme::compile("own", &definition("hmac-sha256")).unwrap();
    let key = scheme.key(&secrets("hmac-sha256").1, NamedSecrets::default()).unwrap();
    let signer = key.signer.as_deref().unwrap();
    let protocol = scheme.http_signatures().unwrap();
    let sent = signed(&scheme, b"{}");
    let request = Request {
        method: "POST",
        scheme: "https",
        authority: "api.example.com",
        target: "/v1/orders?a=1",
        headers: &sent.headers,
    };
    let created = Timestamp::from_secs(1_700_000_001);
    let statement = Statement { key_id: "pk_test_1", created, expires: None, nonce: None };
    let (empty, body) = (HeaderMap::new(), [Bytes::from_static(b"{\"ok\":1}")]);
    let answer = |headers| Response { status: 200, headers };
    let message = Message::Response(answer(&empty), request);
    let headers: HeaderMap =
        protocol.sign(signer, &statement, &message, &body).unwrap().into_iter().collect();
    let message = Message::Response(answer(&headers), request);
    let claims = protocol.claims(&headers).unwrap();
    assert_eq!(protocol.check(&claims, &message, true), Ok(()));
    let mut state = key.ready[0].begin();
    claims.feed(&message, &mut |bytes| state.update(bytes)).unwrap();
    assert!(state.finish().is(claims.signature()));
    let public = Scheme::compile("own", &definition("ed25519")).unwrap();
    let key = public.key(&secrets("ed25519").1, NamedSecrets::default()).unwrap();
    assert!(key.signer.is_none());
}

#[test]
fn people_see_what_is_signed() {
    let scheme = Scheme::compile("own", &definition("hmac-sha256")).unwrap();
    let sent = signed(&scheme, b"");
    let values = NamedSecrets::default();
    let key = scheme.key(&secrets("hmac-sha256").1, values.clone()).unwrap();
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "api.example.com",
        target: "/v1/orders?a=1",
        headers: &sent.headers,
        body: &[],
        status: None,
        public_url: None,
        secret: None,
        values: &values,
    };
    let parts = scheme.parts(&subject, &key).unwrap();
    let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone().unwrap()).collect();
    assert_eq!(joined, *scheme.signed_text(&subject, &key).unwrap());
    let text = String::from_utf8(joined).unwrap();
    let start = "\"@method\": POST\n\"@target-uri\": https://api.example.com/v1/orders?a=1\n\
                 \"content-type\": application/json\n\"@signature-params\": (\"@method\" ";
    assert!(text.starts_with(start), "{text}");
    let signature = scheme.signature_of(&subject, &key).unwrap().unwrap();
    let claims = scheme.http_signatures().unwrap().claims(&sent.headers).unwrap();
    assert_eq!(signature, claims.signature());
    assert_eq!(scheme.pieces().len(), 1);
}

#[test]
fn mistakes_are_told_with_their_keys() {
    let keys = |definition: &Definition| {
        let mistakes = Scheme::compile("own", definition).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.key).collect::<Vec<_>>()
    };
    let good = definition("hmac-sha256");
    assert!(keys(&good).is_empty());
    let encode = Some("hex".to_owned());
    assert_eq!(keys(&Definition { encode, ..good.clone() }), ["encode"]);
    assert_eq!(keys(&Definition { mac: None, ..good.clone() }), ["mac"]);
    assert_eq!(keys(&definition("md5")), ["mac"]);
    let protocol = Some("cavage".to_owned());
    assert_eq!(keys(&Definition { protocol, ..good.clone() }), ["protocol"]);
    let covers = Some(vec!["metod x".to_owned()]);
    assert_eq!(keys(&Definition { covers, ..good.clone() }), ["covers"]);
    let both = || Some("a".to_owned());
    assert_eq!(keys(&Definition { label: both(), tag: both(), ..good }), ["tag"]);
    assert_eq!(keys(&Definition { tag: both(), ..Definition::default() }), ["tag"]);
}
