//! What the doctor recognises: each mistake made as a merchant's program would make it, with HMACs
//! of the libraries themselves, and none recognised where none was made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign::config::scheme::builtin;
use countersign::doctor::{Case, Mistake, Work, diagnose};
use countersign::recipe::Subject;
use countersign::secret::{NamedSecrets, Secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

const SECRET: &str = "sk_test_MDEyMzQ1Njc4OWFiY2RlZg==";
const TIME: &str = "1764000000";
const NONCE: &str = "0123456789abcdef";

fn hmac(key: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).unwrap();
    mac.update(message.as_ref());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request as it is sent.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    authority: &'static str,
    target: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const ORDER: Sent = Sent {
    method: "POST",
    authority: "api.example.com",
    target: "/v1/orders?b=2&a=x%2fy",
    content_type: "application/json",
    body: "{\"amount\":\"1.00\",\"url\":\"https://x/é\", \"a\":[1,2]}".as_bytes(),
};

fn with_body(body: &'static [u8]) -> Sent {
    Sent { body, ..ORDER }
}

impl Sent {
    /// The nine lines of countersign-v1 with other parts.
    fn lines(&self, parts: &[(&str, &str)]) -> String {
        let digest = hex(&Sha256::digest(self.body));
        let part = |name: &str, own: &str| {
            let other = parts.iter().find(|(other, _)| *other == name);
            other.map_or(own, |(_, other)| other).to_owned()
        };
        [
            "countersign-v1".to_owned(),
            part("key", "pk_test_1"),
            part("time", TIME),
            part("nonce", NONCE),
            part("method", self.method),
            part("authority", self.authority),
            part("target", self.target),
            part("type", self.content_type),
            part("digest", &digest),
        ]
        .join("\n")
    }

    /// What the doctor says when it was sent with a signature.
    fn diagnose(&self, scheme: &str, signature: &str) -> Option<Mistake> {
        self.diagnose_within(scheme, signature, Work::OFFLINE)
    }

    fn diagnose_within(&self, scheme: &str, signature: &str, work: Work) -> Option<Mistake> {
        let scheme = builtin(scheme).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-api-key", "pk_test_1"),
            ("x-timestamp", TIME),
            ("x-nonce", NONCE),
            ("x-signature", signature),
            ("content-type", self.content_type),
        ] {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let values = NamedSecrets::default();
        let pieces = [Bytes::from_static(self.body)];
        let subject = Subject {
            method: self.method,
            scheme: "https",
            authority: self.authority,
            target: self.target,
            headers: &headers,
            body: if self.body.is_empty() { &[] } else { &pieces },
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        let claims = scheme.claims(&subject).unwrap();
        let key = |secret: &str| {
            scheme.key(&Secret::of_any_length(secret.into()), NamedSecrets::default()).unwrap()
        };
        let (key, other) = (key(SECRET), key("a secret that is pending"));
        let case =
            Case { scheme: &scheme, subject, claims: &claims, keys: &[&key], others: &[&other] };
        diagnose(case, work)
    }
}

/// KwikPaisa's signature over another body.
fn body(body: impl AsRef<[u8]>) -> String {
    hmac(SECRET, [body.as_ref(), TIME.as_bytes()].concat())
}

fn cases() -> Vec<(Mistake, &'static str, Sent, String)> {
    let v1 = |mistake, parts: &[(&str, &str)]| {
        (mistake, "countersign-v1", ORDER, hmac(SECRET, ORDER.lines(parts)))
    };
    let kp = |mistake, signature: String| (mistake, "kwikpaisa", ORDER, signature);
    let right = [ORDER.body, TIME.as_bytes()].concat();
    let json = std::str::from_utf8(ORDER.body).unwrap();
    let form = with_body(b"a=x+y&b=%C3%A9");
    let latin: Vec<u8> = json.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    vec![
        kp(Mistake::BodyLeftOut, body("")),
        kp(Mistake::FinalNewline, body(format!("{json}\n"))),
        (Mistake::FinalNewline, "kwikpaisa", with_body(b"a\n"), body("a")),
        (Mistake::BodyTrimmed, "kwikpaisa", with_body(b" a "), body("a")),
        (Mistake::LineEndings, "kwikpaisa", with_body(b"a\r\nb"), body("a\nb")),
        (Mistake::LineEndings, "kwikpaisa", with_body(b"a\nb"), body("a\r\nb")),
        (Mistake::ByteOrderMark, "kwikpaisa", with_body(b"\xEF\xBB\xBFa"), body("a")),
        kp(Mistake::JsonCompacted, body(json.replace(", ", ","))),
        kp(
            Mistake::JsonSpaced,
            body("{\"amount\": \"1.00\", \"url\": \"https://x/é\", \"a\": [1, 2]}"),
        ),
        kp(
            Mistake::JsonIndented,
            body(
                "{\n  \"amount\": \"1.00\",\n  \"url\": \"https://x/é\",\n  \
                 \"a\": [\n    1,\n    2\n  ]\n}",
            ),
        ),
        kp(Mistake::JsonSorted, body("{\"a\":[1,2],\"amount\":\"1.00\",\"url\":\"https://x/é\"}")),
        kp(Mistake::JsonSlashes, body(json.replace('/', "\\/"))),
        (
            Mistake::JsonSlashes,
            "kwikpaisa",
            with_body("{\"u\": \"https://x/é\"}".as_bytes()),
            body("{\"u\":\"https:\\/\\/x\\/\\u00e9\"}"),
        ),
        kp(Mistake::JsonUnicode, body(json.replace('é', "\\u00e9"))),
        kp(Mistake::JsonTwice, body(format!("\"{}\"", json.replace('"', "\\\"")))),
        (Mistake::EmptyAsJson, "kwikpaisa", with_body(b""), body("{}")),
        kp(Mistake::BodyDigested, body(hex(&Sha256::digest(json)))),
        kp(Mistake::BodyBase64, body(STANDARD.encode(json))),
        (Mistake::FormEncoding, "kwikpaisa", form.clone(), body("a=x%20y&b=%C3%A9")),
        (Mistake::FormEncoding, "kwikpaisa", form, body("a=x y&b=é")),
        kp(Mistake::CharacterSet, body(latin)),
        v1(Mistake::MethodCase, &[("method", "post")]),
        v1(Mistake::QueryLeftOut, &[("target", "/v1/orders")]),
        v1(Mistake::QuerySorted, &[("target", "/v1/orders?a=x%2fy&b=2")]),
        v1(Mistake::TargetEncoding, &[("target", "/v1/orders?b=2&a=x/y")]),
        v1(Mistake::TargetEncoding, &[("target", "/v1/orders?b=2&a=x%2Fy")]),
        v1(Mistake::TrailingSlash, &[("target", "/v1/orders/?b=2&a=x%2fy")]),
        v1(Mistake::TargetForm, &[("target", "https://api.example.com/v1/orders?b=2&a=x%2fy")]),
        v1(Mistake::TargetForm, &[("target", "/orders?b=2&a=x%2fy")]),
        v1(Mistake::HostPort, &[("authority", "api.example.com:443")]),
        v1(Mistake::ContentType, &[("type", "application/json; charset=utf-8")]),
        v1(Mistake::ContentType, &[("type", "")]),
        kp(Mistake::Milliseconds, hmac(SECRET, format!("{json}{TIME}000"))),
        v1(Mistake::Milliseconds, &[("time", "1764000000000")]),
        v1(Mistake::DateForm, &[("time", "2025-11-24T16:00:00Z")]),
        kp(Mistake::PartsOrder, hmac(SECRET, format!("{TIME}{json}"))),
        kp(Mistake::PartLeftOut, hmac(SECRET, json)),
        kp(Mistake::Delimiter, hmac(SECRET, format!("{json}.{TIME}"))),
        (
            Mistake::Delimiter,
            "countersign-v1",
            ORDER,
            hmac(SECRET, ORDER.lines(&[]).replacen("countersign-v1\n", "", 1).replace('\n', "|")),
        ),
        kp(Mistake::MessageNewline, hmac(SECRET, [&right[..], b"\n"].concat())),
        kp(Mistake::SecretNewline, hmac(format!("{SECRET}\n"), &right)),
        kp(Mistake::SecretDecoded, hmac(STANDARD.encode(SECRET), &right)),
        kp(Mistake::SecretPrefix, hmac(SECRET.replace("sk_test_", ""), &right)),
        kp(Mistake::SecretPrefix, hmac("0123456789abcdef", &right)),
        kp(Mistake::SecretCase, hmac(SECRET.to_uppercase(), &right)),
        kp(Mistake::SecretDigested, hmac(Sha256::digest(SECRET), &right)),
        kp(Mistake::KeyIdAsSecret, hmac("pk_test_1", &right)),
        kp(Mistake::OtherVersion, hmac("a secret that is pending", &right)),
        kp(Mistake::Swapped, hmac(&right, SECRET)),
        kp(Mistake::PlainDigest, hex(&Sha256::digest([&right[..], SECRET.as_bytes()].concat()))),
        kp(Mistake::PlainDigest, hex(&Sha256::digest(&right))),
        kp(Mistake::OtherAlgorithm, {
            let mut mac = Hmac::<sha2::Sha512_256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(&right);
            hex(&mac.finalize().into_bytes())
        }),
    ]
}

#[test]
fn every_mistake_is_recognised() {
    let mut seen = BTreeSet::new();
    for (mistake, scheme, sent, signature) in cases() {
        let found = sent.diagnose(scheme, &signature);
        assert_eq!(found, Some(mistake), "{scheme} {:?}", String::from_utf8_lossy(sent.body));
        seen.insert(mistake);
    }
    assert!(seen.len() >= 35, "{} mistakes", seen.len());
}

#[test]
fn the_work_of_one_request_is_enough_for_an_ordinary_body() {
    for (mistake, scheme, sent, signature) in cases() {
        let found = sent.diagnose_within(scheme, &signature, Work::ONE_REQUEST);
        assert_eq!(found, Some(mistake), "{scheme}");
    }
}

#[test]
fn what_nobody_can_explain_is_not_explained() {
    for scheme in ["kwikpaisa", "countersign-v1"] {
        let found = ORDER.diagnose(scheme, &hmac("somebody else's secret", ORDER.body));
        assert_eq!(found, None, "{scheme}");
    }
}

#[test]
fn long_bodies_are_not_looked_into() {
    static LONG: [u8; 70_000] = [b'a'; 70_000];
    assert_eq!(with_body(&LONG).diagnose("kwikpaisa", &body("")), None);
}
