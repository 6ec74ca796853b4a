//! `Signature-Input`, `Signature` and the digest fields (RFC 9421, RFC 9530), altered.

use bytes::Bytes;
use countersign::scheme::http_signatures::{Algorithm, HttpSignatures, Message, Request};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::corpus;
use crate::rounds;

const WORDS: [&str; 25] = [
    "(",
    ")",
    ";",
    "=",
    "\"",
    ",",
    ":",
    "\"@method\"",
    "\"@target-uri\"",
    "\"@query-param\"",
    ";name=\"a\"",
    "\"content-digest\"",
    ";sf",
    ";bs",
    ";key=\"a\"",
    ";req",
    ";tr",
    "created=1",
    "keyid=\"a\"",
    "sig2=",
    "sha-256=:",
    "?1",
    "1.5",
    "@1",
    "%\"f%c3\"",
];

#[test]
fn no_altered_field_breaks_the_signature_base() {
    let text = &corpus::texts("tests/vectors/rfc9421");
    let file = text.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    let file = file.into_iter().find(|file| file["signatures"].is_array()).unwrap();
    let signatures = file["signatures"].as_array().unwrap();
    let fields = file["request"]["headers"].as_array().unwrap();
    rounds::run("signature fields", |random| {
        let one = random.pick(signatures);
        let mut sent: Vec<(&str, &str)> = fields
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        for name in ["signature-input", "signature"] {
            sent.push((name, one[name].as_str().unwrap()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name: HeaderName = name.parse().unwrap();
            let times = if random.one_in(16) { 2 } else { 1 };
            for _ in 0..times {
                let fixed = random.one_in(2);
                let value = match fixed {
                    true => value.as_bytes().to_vec(),
                    false => random.bytes(value.as_bytes(), &WORDS),
                };
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(name.clone(), value);
                }
            }
        }
        let message = Message::Request(Request {
            method: "POST",
            scheme: "https",
            authority: "example.com",
            target: "/foo?param=Value&Pet=dog&%zz",
            headers: &headers,
        });
        for algorithm in Algorithm::ALL {
            let signatures = HttpSignatures::new(algorithm);
            let Ok(claims) = signatures.claims(&headers) else { continue };
            let checked = signatures.check(&claims, &message, true);
            let mut base = Vec::new();
            let fed = claims.feed(&message, &mut |bytes| base.extend_from_slice(bytes));
            let lines = claims.lines(&message);
            assert_eq!(fed.is_ok(), lines.is_ok());
            if let Ok(lines) = lines {
                let lines: Vec<Vec<u8>> = lines
                    .into_iter()
                    .map(|(name, value)| [name.as_bytes(), b": ", &value].concat())
                    .collect();
                assert_eq!(base, lines.join(&b'\n'));
                assert_eq!(base.split(|byte| *byte == b'\n').count(), lines.len());
                let mut names: Vec<String> =
                    claims.components().iter().map(ToString::to_string).collect();
                names.sort();
                let count = names.len();
                names.dedup();
                assert_eq!(names.len(), count, "covered twice: {names:?}");
            }
            if let (Ok(()), Ok(mut digests)) = (checked, claims.body_digests(&message)) {
                Bytes::from_static(b"not the body").chunks(5).for_each(|some| digests.update(some));
                assert!(!digests.finish(), "another body has the digest");
            }
        }
    });
}
