//! Both sides of a signed answer, and what cannot be a scheme of answers.

use http::header::CONTENT_TYPE;

use super::*;
use crate::config::scheme::builtin;
use crate::scheme::{AnswerTable, Definition, Formula, SchemeMistake};
use crate::secret::Secret;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_001);

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec()).unwrap()
}

/// An answer with its signature, to be altered.
#[derive(Clone)]
struct Sent {
    key_id: &'static str,
    nonce: &'static str,
    method: &'static str,
    authority: &'static str,
    target: &'static str,
    status: u16,
    asked: HeaderMap,
    headers: HeaderMap,
    body: Vec<Bytes>,
}

impl Sent {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut asked = HeaderMap::new();
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        asked.insert("content-digest", HeaderValue::from_static(digest));
        Self {
            key_id: "pk_test_1",
            nonce: "0123456789abcdef",
            method: "POST",
            authority: "API.example.com",
            target: "/v1/orders?a=1",
            status: 200,
            asked,
            headers,
            body: vec![Bytes::from_static(b"{\"ok\":"), Bytes::from_static(b"1}")],
        }
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            key_id: self.key_id,
            nonce: self.nonce,
            method: self.method,
            authority: self.authority,
            target: self.target,
            request_headers: &self.asked,
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }

    fn signed(mut self, scheme: &Scheme, key: &VerifyingKey) -> Self {
        let signed = scheme.sign_answer(key, &self.answer(), NOW).unwrap();
        for (name, value) in signed {
            self.headers.insert(name, value);
        }
        self
    }
}

/// Makes an answer another one.
type Alteration = (&'static str, fn(&mut Sent));

const WHOLE: [Alteration; 3] = [
    ("body", |sent| sent.body = vec![Bytes::from_static(b"{\"ok\":2}")]),
    ("no body", |sent| sent.body.clear()),
    ("another time", |sent| {
        sent.headers.insert("x-timestamp", HeaderValue::from_static("1700000002"));
        let input = sent.headers.get("signature-input").and_then(|value| value.to_str().ok());
        let input = input.map(|text| text.replace("1700000001", "1700000002"));
        sent.headers.extend(input.map(|text| {
            (HeaderName::from_static("signature-input"), HeaderValue::from_str(&text).unwrap())
        }));
    }),
];

const BOUND: [Alteration; 4] = [
    ("status", |sent| sent.status = 201),
    ("target", |sent| sent.target = "/v1/orders?a=2"),
    ("authority", |sent| sent.authority = "shop.example.com"),
    ("content type", |sent| {
        sent.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    }),
];

#[test]
fn a_signed_answer_is_good_and_an_altered_one_is_not() {
    let nonce: Alteration = ("nonce", |sent| sent.nonce = "fedcba9876543210");
    let key_id: Alteration = ("key id", |sent| sent.key_id = "pk_test_2");
    let asked: Alteration = ("digest of the request", |sent| sent.asked.clear());
    let method: Alteration = ("method", |sent| sent.method = "PUT");
    for (name, more) in [
        ("kwikpaisa", vec![]),
        ("countersign-v1", [&BOUND[..], &[nonce, key_id]].concat()),
        ("rfc9421", [&BOUND[..], &[key_id, asked, method]].concat()),
    ] {
        let scheme = builtin(name).unwrap();
        let key = scheme.key(&secret("0123456789abcdef0123"), NamedSecrets::default()).unwrap();
        let sent = Sent::new().signed(&scheme, &key);
        assert_eq!(scheme.verify_answer(&key, &sent.answer()), AnswerVerdict::Good, "{name}");
        for (what, alter) in WHOLE.iter().chain(&more) {
            let mut altered = sent.clone();
            alter(&mut altered);
            let verdict = scheme.verify_answer(&key, &altered.answer());
            assert_eq!(verdict, AnswerVerdict::Bad, "{name}: {what}");
        }
        let other = scheme.key(&secret("another-0123456789abc"), NamedSecrets::default()).unwrap();
        assert_eq!(scheme.verify_answer(&other, &sent.answer()), AnswerVerdict::Bad);
        let bare = Sent::new();
        assert_eq!(scheme.verify_answer(&key, &bare.answer()), AnswerVerdict::Absent);
    }
}

#[test]
fn the_gate_signs_with_a_private_key_of_its_own() {
    let keys = include_str!("../../../tests/vectors/rfc9421/keys.json");
    let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
    let half = |half: &str| secret(keys["test-key-ed25519"][half]["der"].as_str().unwrap());
    let scheme = builtin("rfc9421-ed25519").unwrap();
    assert_eq!(scheme.answer_secret(), Some(AnswerSecret::Own));
    let private = scheme.signing_key(&half("private"), NamedSecrets::default()).unwrap();
    let public = scheme.key(&half("public"), NamedSecrets::default()).unwrap();
    let sent = Sent::new().signed(&scheme, &private);
    assert_eq!(scheme.verify_answer(&public, &sent.answer()), AnswerVerdict::Good);
    assert!(scheme.sign_answer(&public, &sent.answer(), NOW).is_err());
}

#[test]
fn repeated_or_malformed_headers_are_no_signature() {
    let scheme = builtin("countersign-v1").unwrap();
    let key = scheme.key(&secret("0123456789abcdef0123"), NamedSecrets::default()).unwrap();
    let sent = Sent::new().signed(&scheme, &key);
    for name in ["x-signature", "x-timestamp"] {
        let mut twice = sent.clone();
        let value = twice.headers.get(name).unwrap().clone();
        twice.headers.append(HeaderName::from_static(name), value);
        assert_eq!(scheme.verify_answer(&key, &twice.answer()), AnswerVerdict::Bad);
        let mut other = sent.clone();
        other.headers.insert(name, HeaderValue::from_static("17000000010"));
        assert_eq!(scheme.verify_answer(&key, &other.answer()), AnswerVerdict::Bad);
    }
}

fn definition(message: &str, table: AnswerTable) -> Definition {
    let always = |text: &str| Some(Formula::Always(text.to_owned()));
    Definition {
        key_id: always("{header:X-API-KEY}"),
        time: always("{header:X-TIMESTAMP}"),
        message: always(message),
        mac: Some("hmac-sha256".to_owned()),
        signature: always("{header:X-SIGNATURE}"),
        answer: Some(table),
        ..Definition::default()
    }
}

fn table(message: &str, headers: &[(&str, &str)]) -> AnswerTable {
    AnswerTable {
        secret: None,
        message: Some(message.to_owned()),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    }
}

const HEADERS: [(&str, &str); 2] = [("X-TIMESTAMP", "{time}"), ("X-SIGNATURE", "v1={signature}")];

fn mistakes(definition: &Definition) -> Vec<SchemeMistake> {
    Scheme::compile("own", definition).err().unwrap_or_default()
}

#[test]
fn one_secret_signs_both_only_behind_texts_that_tell_them_apart() {
    for (request, answer, good) in [
        ("request {body}", "answer {body}{time}", true),
        ("{body}", "answer {body}{time}", false),
        ("request {body}", "{body}{time}", false),
        ("same {body}", "same {body}{time}", false),
        ("same {body}", "same and more {body}{time}", false),
        ("same and more {body}", "same {body}{time}", false),
        ("", "answer {body}{time}", false),
    ] {
        let definition = definition(request, table(answer, &HEADERS));
        let found = mistakes(&definition);
        assert_eq!(found.is_empty(), good, "{request} {answer}: {found:?}");
        if !good {
            assert!(found[0].problem.contains("could pass for a request"), "{found:?}");
            assert_eq!(found[0].key, "answer.message");
        }
        let mut own = definition.clone();
        own.answer.as_mut().unwrap().secret = Some("own".to_owned());
        assert!(mistakes(&own).is_empty(), "{request} {answer}");
    }
}

#[test]
fn what_nobody_could_verify_does_not_compile() {
    let signed = ("X-SIGNATURE", "{signature}");
    for (message, headers, key, problem) in [
        ("answer {secret}", &HEADERS[..], "answer.message", "is not signed itself"),
        ("answer {cred:other}", &HEADERS[..], "answer.message", "is not signed itself"),
        ("answer {time}", &[signed], "answer.message", "no header of the answer carries {time}"),
        ("answer {nonce}", &[signed], "answer.message", "there is no nonce"),
        ("answer {header:Date}", &[signed], "answer.message", "is not known yet"),
        ("answer {header:X-Signature}", &[signed], "answer.message", "say what it carries"),
        ("answer {signature}", &[signed], "answer.message", "signature"),
        ("answer {url(public)}", &[signed], "answer.message", "without the public address"),
        ("answer {params.headers | join('&')}", &[signed], "answer.message", ""),
        ("answer {bdy}", &[signed], "answer.message", "bdy"),
        ("answer", &[], "answer.headers", "no header carries the signature"),
        ("answer", &[("X-S", "{signature}{time}")], "answer.headers.X-S", "one value"),
        ("answer", &[("X-S", "{signature | upper}")], "answer.headers.X-S", "one value"),
        ("answer", &[("Content-Length", "{signature}")], "answer.headers.Content-Length", "name"),
        ("answer", &[("bad name", "{signature}")], "answer.headers.bad name", "name"),
    ] {
        let found = mistakes(&definition("request {body}", table(message, headers)));
        let told = found.iter().any(|one| one.key == key && one.problem.contains(problem));
        assert!(told, "{message} {headers:?}: {found:?}");
    }
    let mut public = definition("request {body}", table("answer", &[signed]));
    public.mac = Some("ed25519".to_owned());
    assert!(mistakes(&public).iter().any(|one| one.problem.contains("one HMAC")));
    let mut wrong = definition("request {body}", table("answer", &[signed]));
    wrong.answer.as_mut().unwrap().secret = Some("other".to_owned());
    assert!(mistakes(&wrong).iter().any(|one| one.key == "answer.secret"));
    wrong.answer.as_mut().unwrap().message = None;
    assert!(mistakes(&wrong).iter().any(|one| one.problem.contains("`message` is missing")));
}
