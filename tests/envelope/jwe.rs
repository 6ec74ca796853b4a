//! JWE against jwcrypto, in both directions, and against the example of RFC 7516 that fits.

use std::sync::Arc;

use bytes::Bytes;
use countersign::envelope::{Definition, Envelope, Fixed, Literal};
use countersign::secret::NamedSecrets;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Kit, run, run_json, subject};

const PYTHON: &str = "/usr/bin/python3";
const CONTENTS: [(&str, usize); 6] = [
    ("A256CBC-HS512", 64),
    ("A256GCM", 32),
    ("A192CBC-HS384", 48),
    ("A192GCM", 24),
    ("A128CBC-HS256", 32),
    ("A128GCM", 16),
];

fn envelope(alg: &str, enc: &str, more: &[(&str, &str)]) -> Envelope {
    let header = format!("{{{{\"alg\":\"{alg}\",\"enc\":\"{enc}\",\"kid\":\"k1\"}}}}");
    let key = if alg == "dir" { "{cred:key | unhex}" } else { "{cred:key}" };
    let mut definition = Definition::default();
    let settings = [
        ("cipher", "jwe"),
        ("alg", alg),
        ("enc", enc),
        ("data", "{body}"),
        ("seal.header", &header),
        ("seal.body", "{data}"),
    ];
    for (name, text) in settings.iter().chain(more) {
        definition.push(*name, Literal::Text((*text).to_owned()));
    }
    if more.iter().all(|(name, _)| !name.starts_with("keys.")) {
        definition.push("key", Literal::Text(key.to_owned()));
    }
    Envelope::compile("token", &definition).unwrap()
}

fn kit(envelope: Envelope, key: &str) -> Kit {
    let mut values = NamedSecrets::default();
    values.insert("key", key.as_bytes().to_vec());
    let prepared = envelope.prepare(None, &values).unwrap();
    Kit { envelope: Arc::new(envelope), prepared }
}

/// A key of its own for this run.
fn fresh_pem() -> (String, String) {
    let keys = run_json(PYTHON, &["jwe.py", "key"], &Value::Null);
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    (text("private"), text("public"))
}

fn texts() -> Vec<String> {
    vec![String::new(), "{\"amount\":1}".into(), "Zoë 日本".into(), "x".repeat(100_000)]
}

fn both_ways(alg: &str, enc: &str, own: &str, theirs: &str, private: &str) {
    let kit = kit(envelope(alg, enc, &[]), own);
    let ask = json!({ "alg": alg, "enc": enc, "key": theirs, "kid": "k1", "texts": texts() });
    let tokens = run_json(PYTHON, &["jwe.py", "seal"], &ask);
    for (token, text) in tokens.as_array().unwrap().iter().zip(texts()) {
        let opened = kit.open(token.as_str().unwrap().as_bytes()).unwrap();
        assert!(*opened.text == *text.as_bytes(), "{alg} {enc}");
    }
    // This version of jwcrypto takes an empty text for a failure.
    let texts: Vec<String> = texts().into_iter().filter(|text| !text.is_empty()).collect();
    let tokens: Vec<String> =
        texts.iter().map(|text| String::from_utf8(kit.seal(text.as_bytes())).unwrap()).collect();
    let ask = json!({ "alg": alg, "enc": enc, "key": private, "tokens": tokens });
    let opened = run_json(PYTHON, &["jwe.py", "open"], &ask);
    assert_eq!(opened, json!(texts), "{alg} {enc}");
}

#[test]
fn shared_keys_go_both_ways() {
    for (enc, bytes) in CONTENTS {
        let key = "7a".repeat(bytes);
        both_ways("dir", enc, &key, &key, &key);
    }
}

#[test]
fn wrapped_keys_go_both_ways() {
    let (private, public) = fresh_pem();
    for alg in ["RSA-OAEP-256", "RSA-OAEP"] {
        for (enc, _) in CONTENTS {
            both_ways(alg, enc, &private, &public, &private);
        }
    }
}

#[test]
fn the_example_of_rfc_7516_opens() {
    let example: Value = serde_json::from_slice(&run(PYTHON, &["jwe.py", "rfc"], b"")).unwrap();
    let text = |name: &str| example[name].as_str().unwrap().to_owned();
    let kit = kit(envelope("RSA-OAEP", "A256GCM", &[]), &text("private"));
    let opened = kit.open(text("token").as_bytes()).unwrap();
    assert_eq!(*opened.text, *text("text").as_bytes());
    assert!(opened.text.starts_with(b"The true sign of intelligence"));
}

#[test]
fn a_public_key_seals_but_does_not_open() {
    let (private, public) = fresh_pem();
    let sealing = kit(envelope("RSA-OAEP-256", "A256GCM", &[]), &public);
    let token = sealing.seal(b"for you alone");
    assert!(sealing.open(&token).is_err());
    let opening = kit(envelope("RSA-OAEP-256", "A256GCM", &[]), &private);
    assert_eq!(*opening.open(&token).unwrap().text, *b"for you alone");
    let (other, _) = fresh_pem();
    assert!(kit(envelope("RSA-OAEP-256", "A256GCM", &[]), &other).open(&token).is_err());
}

#[test]
fn the_key_id_of_the_header_picks_the_key() {
    let more = [("keys.k1", "{cred:one | unhex}"), ("keys.k2", "{cred:two | unhex}")];
    let envelope = envelope("dir", "A256GCM", &more);
    let mut values = NamedSecrets::default();
    values.insert("one", "01".repeat(32).into_bytes());
    values.insert("two", "02".repeat(32).into_bytes());
    let prepared = envelope.prepare(None, &values).unwrap();
    let tried = |kid: &str, key: &str| {
        let ask = json!({
            "alg": "dir", "enc": "A256GCM", "key": key.repeat(32), "kid": kid, "texts": ["ok"],
        });
        let tokens = run_json(PYTHON, &["jwe.py", "seal"], &ask);
        let body = [Bytes::from(tokens[0].as_str().unwrap().to_owned())];
        let (headers, none) = (HeaderMap::new(), NamedSecrets::default());
        envelope.open(&prepared, &subject(&headers, &body, &none)).is_ok()
    };
    assert!(tried("k1", "01") && tried("k2", "02"));
    assert!(!tried("k1", "02") && !tried("k3", "01"));
}

#[test]
fn tokens_that_name_other_algorithms_or_hide_something_are_refused() {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let kit = kit(envelope("dir", "A256GCM", &[]), &"7a".repeat(32));
    let sealed = |header: &str| {
        let fixed = Fixed {
            values: vec![("header".into(), header.as_bytes().to_vec().into())],
            ..Fixed::default()
        };
        kit.envelope.seal(&kit.prepared, b"text", &fixed, None).map(|m| m.body.to_vec())
    };
    let good = sealed("{\"alg\":\"dir\",\"enc\":\"A256GCM\"}").unwrap();
    assert!(kit.open(&good).is_ok());
    for header in [
        "{\"alg\":\"dir\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}",
        "{\"alg\":\"none\",\"enc\":\"A256GCM\"}",
        "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"zip\":\"DEF\"}",
        "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"crit\":[\"exp\"],\"exp\":1}",
        "{\"alg\":\"dir\",\"alg\":\"dir\",\"enc\":\"A256GCM\"}",
        "{\"enc\":\"A256GCM\"}",
        "[]",
        "",
    ] {
        assert!(sealed(header).is_err(), "{header}");
        let text = String::from_utf8(good.clone()).unwrap();
        let (_, rest) = text.split_once('.').unwrap();
        let token = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header));
        assert!(kit.open(token.as_bytes()).is_err(), "{header}");
    }
    let text = String::from_utf8(good).unwrap();
    for bad in [
        format!("{text}."),
        format!("{text}="),
        format!("{text} "),
        text.replacen("..", ".AA.", 1),
        text.rsplit_once('.').unwrap().0.to_owned(),
        "....".to_owned(),
        String::new(),
    ] {
        assert!(kit.open(bad.as_bytes()).is_err(), "{bad}");
    }
    // The last character of 16 bytes has four bits that mean nothing, and must be zero.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.bytes().last().unwrap();
    let at = alphabet.iter().position(|c| *c == last).unwrap();
    let twin = [&text.as_bytes()[..text.len() - 1], &[alphabet[at + 1]]].concat();
    assert!(kit.open(&twin).is_err());
}
