//! Sealed bodies: what was sealed reaches the service, and nothing else does.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use countersign::config::envelope::builtin;
use countersign::envelope::{Envelope, Fixed, Prepared};
use countersign::secret::NamedSecrets;

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant};
use crate::support::signer::Signer;

pub(crate) const SECRET: &str = "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";
const TEXT: &[u8] = "amount::10.00;currency::INR;name::Zoë".as_bytes();

/// A partner who seals as PayKun does, and signs the whole body.
pub(crate) fn partner() -> Signer {
    Signer::kwikpaisa("pk_live_sealed", SECRET)
}

pub(crate) fn setup(sealed: &str) -> Setup {
    let scopes = r#"scopes = ["* /sealed/*", "* /gcm/*"]"#;
    let more = format!("{scopes}\nenvelope = \"paykun\"");
    let table = merchant("sealing", GENEROUS, &[credential("sealing", &partner(), "live", &more)]);
    Setup::new()
        .route("sealed", "/sealed/*", "kwikpaisa", &format!("envelope = \"paykun\"\n{sealed}"))
        .merchant(table, &[&partner()])
}

/// Seals by the library; that PHP seals alike is proved elsewhere.
pub(crate) struct Kit {
    envelope: std::sync::Arc<Envelope>,
    prepared: Prepared,
}

impl Kit {
    pub(crate) fn new(secret: &str) -> Self {
        let envelope = builtin("paykun").unwrap();
        let prepared = envelope.prepare(Some(secret.as_bytes()), &NamedSecrets::default()).unwrap();
        Self { envelope, prepared }
    }

    pub(crate) fn seal(&self, text: &[u8]) -> Vec<u8> {
        self.envelope.seal(&self.prepared, text, &Fixed::default(), None).unwrap().body.to_vec()
    }
}

pub(crate) fn signed(gateway: &Gateway, body: &[u8]) -> Request {
    let request = Request::post("/sealed/orders", body)
        .set("Content-Type", "application/x-www-form-urlencoded")
        .set("Content-Digest", "sha-256=:AAAA:")
        .set("Digest", "SHA-256=AAAA");
    gateway.advance(1);
    partner().sign(request, gateway.now())
}

/// The inner JSON of a body, altered.
fn altered(body: &[u8], alter: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap().strip_prefix("encrypted_request=").unwrap();
    let text = text.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/");
    let mut json = serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
    alter(&mut json);
    let text = BASE64_STANDARD.encode(json.to_string());
    let text = text.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    format!("encrypted_request={text}").into_bytes()
}

#[test]
fn what_was_sealed_is_forwarded_with_headers_that_are_true_of_it() {
    let gateway = Gateway::with(setup(""));
    let sealed = Kit::new(SECRET).seal(TEXT);
    gateway.accepts(&signed(&gateway, &sealed));
    let received = gateway.upstream.last();
    assert_eq!(received.body, TEXT);
    assert_eq!(received.value("content-length"), TEXT.len().to_string());
    assert_eq!(received.value("content-type"), "text/plain; charset=utf-8");
    assert_eq!(received.value("x-countersign-opened"), "paykun");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TEXT);
    let digest = format!("sha-256=:{}:", BASE64_STANDARD.encode(digest));
    assert_eq!(received.value("content-digest"), digest);
    assert!(!received.has("digest"), "a digest of other bytes");
    gateway.accepts_h2(&signed(&gateway, &Kit::new(SECRET).seal(b"more")));
    assert_eq!(gateway.upstream.last().body, b"more");
    assert!(!gateway.log().contains("amount::10.00"), "nothing that was sealed is logged");
}

#[test]
fn a_client_cannot_say_that_its_body_was_opened() {
    let gateway = Gateway::with(setup("sealed = \"optional\""));
    let request = signed(&gateway, b"{\"clear\":1}").set("X-Countersign-Opened", "paykun");
    gateway.accepts(&request);
    assert!(!gateway.upstream.last().has("x-countersign-opened"));
}

/// Row 62.
#[test]
fn whatever_does_not_open_is_refused_alike_and_never_forwarded() {
    let gateway = Gateway::with(setup(""));
    let good = Kit::new(SECRET).seal(TEXT);
    let flip = |member: &'static str| {
        altered(&good, move |json| {
            let text = json[member].as_str().unwrap();
            let (first, rest) = text.split_at(1);
            json[member] = format!("{}{rest}", if first == "0" { "1" } else { "0" }).into();
        })
    };
    let serialized = |text: &str| {
        // What PHP would read as a value, put up by hand: the recipe puts up strings only.
        let mut definition = countersign::envelope::Definition::default();
        let text = text.to_owned();
        for (key, value) in [
            ("cipher", "aes-256-cbc"),
            ("key", "{secret}"),
            ("iv", "{box.iv | base64_decode}"),
            ("data", "{box.value | base64_decode}"),
            ("box", "{form:encrypted_request | base64_decode | json}"),
            ("before.0.mac", "hmac-sha256"),
            ("before.0.key", "{secret}"),
            ("before.0.over", "{box.iv}{box.value}"),
            ("before.0.equals", "{box.mac | unhex}"),
            (
                "seal.parts.box_text",
                "{{\"iv\":\"{iv | base64}\",\"value\":\"{data | base64}\",\
                 \"mac\":\"{mac | hex}\"}}",
            ),
            ("seal.parts.sealed", "{box_text | base64}"),
            ("seal.body", "encrypted_request={sealed | urlencode('form')}"),
        ] {
            let value = countersign::envelope::Literal::Text(value.to_owned());
            definition.push(key, value);
        }
        let raw = Envelope::compile("raw", &definition).unwrap();
        let prepared = raw.prepare(Some(SECRET.as_bytes()), &NamedSecrets::default()).unwrap();
        raw.seal(&prepared, text.as_bytes(), &Fixed::default(), None).unwrap().body.to_vec()
    };
    gateway.accepts(&signed(&gateway, &serialized("a:1:{s:1:\"k\";i:7;}")));
    assert_eq!(gateway.upstream.last().body, b"{\"k\":7}");
    assert_eq!(gateway.upstream.last().value("content-type"), "application/json");
    let bodies = [
        ("another MAC", flip("mac")),
        ("another value", flip("value")),
        ("another vector", flip("iv")),
        ("no MAC", altered(&good, |json| drop(json.as_object_mut().unwrap().remove("mac")))),
        ("another key", Kit::new("6B3C9E0F4D1A7C25E8B90A1F3D5C7E93").seal(TEXT)),
        ("clear", TEXT.to_vec()),
        ("clear JSON", b"{\"amount\":1}".to_vec()),
        ("an empty field", b"encrypted_request=".to_vec()),
        ("an empty body", Vec::new()),
        ("deep arrays", serialized(&format!("{}N;{}", "a:1:{i:0;".repeat(40), "}".repeat(40)))),
        ("an object", serialized("O:8:\"stdClass\":0:{}")),
        ("a wrong length", serialized("s:5:\"abc\";")),
    ];
    let mut answers = Vec::new();
    for (what, body) in bodies {
        gateway.refuses_h1(&signed(&gateway, &body), "cannot_open");
        let mut answer = gateway.ask(&signed(&gateway, &body)).json();
        answer["request_id"] = serde_json::Value::Null;
        answers.push((what, answer));
    }
    for (what, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{what} is answered in its own way");
    }
}

#[test]
fn escapes_cannot_make_a_body_larger_than_its_route_takes() {
    let gateway = Gateway::with(setup("body = \"8KiB\""));
    let kit = Kit::new(SECRET);
    gateway.accepts(&signed(&gateway, &kit.seal(&[b'x'; 2000])));
    gateway.refuses_h1(&signed(&gateway, &kit.seal(&[b'x'; 8000])), "body_too_large");
}

#[test]
fn a_sealed_body_passes_once() {
    let gateway = Gateway::with(setup(""));
    let request = signed(&gateway, &Kit::new(SECRET).seal(TEXT));
    gateway.accepts(&request);
    gateway.refuses(&request, "replayed");
    let request = signed(&gateway, TEXT);
    gateway.refuses_h1(&request, "cannot_open");
    gateway.refuses(&request, "replayed");
}

/// Row 69.
#[test]
fn clear_bodies_pass_where_sealing_is_optional_and_broken_ones_do_not() {
    let gateway = Gateway::with(setup("sealed = \"optional\""));
    let good = Kit::new(SECRET).seal(TEXT);
    gateway.accepts(&signed(&gateway, &good));
    assert_eq!(gateway.upstream.last().body, TEXT);
    gateway.accepts(&signed(&gateway, b"amount=10"));
    let received = gateway.upstream.last();
    assert_eq!(received.body, b"amount=10");
    assert_eq!(received.value("content-type"), "application/x-www-form-urlencoded");
    assert!(!received.has("x-countersign-opened"));
    let broken = altered(&good, |json| json["mac"] = "0".repeat(64).into());
    gateway.refuses_h1(&signed(&gateway, &broken), "cannot_open");
    gateway.refuses_h1(&signed(&gateway, b"encrypted_request=%21"), "cannot_open");
    gateway.refuses_h1(&signed(&gateway, b"encrypted_request="), "cannot_open");
}

#[test]
fn bodies_stay_as_they_are_where_sealing_is_off() {
    let gateway = Gateway::with(setup("sealed = \"off\""));
    let good = Kit::new(SECRET).seal(TEXT);
    gateway.accepts(&signed(&gateway, &good));
    assert_eq!(gateway.upstream.last().body, good);
}

#[test]
fn a_secret_that_was_made_for_no_envelope_opens_nothing() {
    let plain = Signer::kwikpaisa("pk_live_plain", "7B3C9E0F4D1A7C25E8B90A1F3D5C7E92");
    let scopes = r#"scopes = ["* /sealed/*"]"#;
    let table = merchant("plain", GENEROUS, &[credential("plain", &plain, "live", scopes)]);
    let gateway = Gateway::with(setup("").merchant(table, &[&plain]));
    let sealed = Kit::new("7B3C9E0F4D1A7C25E8B90A1F3D5C7E92").seal(TEXT);
    let request = Request::post("/sealed/orders", &sealed);
    gateway.refuses_h1(&plain.sign(request, gateway.now()), "cannot_open");
}

#[test]
fn what_cannot_be_safe_does_not_load() {
    let mut gateway = Gateway::with(setup(""));
    let short = Signer::kwikpaisa("pk_live_short", "a secret of 24 bytes now");
    let table = |more: &str| {
        let more = format!("scopes = [\"* /sealed/*\"]\nenvelope = \"paykun\"\n{more}");
        merchant("short", GENEROUS, &[credential("short", &short, "live", &more)])
    };
    let before = gateway.change(|setup| {
        *setup = setup.clone().merchant(table(""), &[&short]);
    });
    assert!(before.unwrap_err().contains("has not the length of the key of paykun"));
    let misspelt = gateway.change(|setup| {
        let more = "envelope = \"paykum\"";
        *setup = self::setup("").route("other", "/other/*", "kwikpaisa", more);
    });
    assert!(misspelt.unwrap_err().contains("did you mean \"paykun\"?"));
}
