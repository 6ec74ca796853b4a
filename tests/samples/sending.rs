//! What the samples send: exactly the body that they were given, signed so that the gate takes it,
//! and nothing else under that signature.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::language::Language;
use crate::support::certificates::authority;
use crate::support::client::Client;
use crate::support::process::{Process, Site};
use crate::support::setup::Setup;
use crate::support::signer::Signer;
use crate::support::upstream::{Recorded, Step, Upstream, answer};

/// Path and query with letters that are not ASCII, marks that some libraries escape, an escape, and
/// a value that is empty.
const GIVEN: &str = "/orders/büro/it's(~)!*;,=:@+$?name=Zoë&note=a%20b+c&at=https://x/@&empty=";
const SENT: &str =
    "/orders/b%C3%BCro/it's(~)!*;,=:@+$?name=Zo%C3%AB&note=a%20b+c&at=https://x/@&empty=";

const SCHEMES: [(&str, &str); 2] = [("kwikpaisa", "/v1"), ("countersign-v1", "/v2")];

pub(crate) fn all_of(language: &Language) {
    let place = Place::new();
    for (scheme, prefix) in SCHEMES {
        for (name, body) in bodies() {
            arrives_as_it_is(language, &place, scheme, prefix, name, Some(&body));
        }
        arrives_as_it_is(language, &place, scheme, prefix, "get", None);
        is_refused_when_changed(language, &place, scheme, prefix);
        tells_of_a_refusal(language, &place, scheme, prefix);
    }
    tells_of_a_missing_secret(language, &place);
    knows_where_a_url_ends(language, &place);
}

/// Bodies that a program might change on their way.
pub(crate) fn bodies() -> [(&'static str, Vec<u8>); 4] {
    let every_byte = (0..64 * 1024_u32).map(|at| (at * 7 + at / 256).to_le_bytes()[0]).collect();
    [
        ("empty", Vec::new()),
        ("letters", "{\"name\":\"Zoë Ñúñez 東京 🫖\",\"amount\":500}".into()),
        (
            "quotes",
            b"{\r\n \"a\": \"it's \\\"b\\\" \\/ $HOME `c` %s\",\n\t\"z\" : 1.0 }\n\n".into(),
        ),
        ("large", every_byte),
    ]
}

/// The real program with a credential for each request, so that no two are alike under
/// `kwikpaisa`.
struct Place {
    site: Site,
    gate: Process,
}

impl Place {
    fn new() -> Self {
        let mut setup = Setup::new();
        let names = bodies().map(|(name, _)| name);
        for (scheme, _) in SCHEMES {
            for name in names.into_iter().chain(["get", "changed", "refused", "plain"]) {
                let key = Key::new(scheme, name);
                let signer = match scheme {
                    "kwikpaisa" => Signer::kwikpaisa(&key.id, &key.secret),
                    _ => Signer::v1(&key.id, &key.secret),
                };
                let rate = "rate = { per_second = 5, burst = 10 }";
                setup = setup.partner(&key.id.replace("pk_", ""), &signer, rate);
            }
        }
        let site = Site::new(setup);
        let gate = site.serve();
        Self { site, gate }
    }

    /// The body as a file, for programs to read.
    fn file(&self, name: &str, body: &[u8]) -> PathBuf {
        let file = self.site.folder.path().join(format!("body-{name}"));
        fs::write(&file, body).unwrap();
        file
    }

    fn url(&self, prefix: &str) -> String {
        url(self.gate.address.port(), prefix)
    }
}

fn url(port: u16, prefix: &str) -> String {
    format!("https://localhost:{port}{prefix}{GIVEN}")
}

/// A key id, with a secret that looks like hexadecimal, so that to decode it is a mistake.
struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn new(scheme: &str, name: &str) -> Self {
        let id = format!("pk_{}_{name}", &scheme[..4]);
        let digits: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        Self { secret: format!("{digits:0<32}"), id }
    }
}

fn arrives_as_it_is(
    language: &Language,
    place: &Place,
    scheme: &str,
    prefix: &str,
    name: &str,
    body: Option<&[u8]>,
) {
    let key = Key::new(scheme, name);
    let file = body.map(|body| place.file(name, body));
    let before = place.site.upstream.count();
    let url = place.url(prefix);
    let output = language.sends(&url, &key.id, file.as_deref(), scheme, &key.secret);
    let case = format!("{} {scheme} {name}", language.name);
    is_good(&output, &case);
    assert_eq!(place.site.upstream.count(), before + 1, "{case}");
    let came = place.site.upstream.last();
    let method = if body.is_some() { "POST" } else { "GET" };
    let target = format!("{prefix}{SENT}");
    assert_eq!((came.method.as_str(), came.target.as_str()), (method, &*target), "{case}");
    assert!(came.body == body.unwrap_or_default(), "{case}: another body");
    let expected: &[&str] = if body.is_some() { &["application/json"] } else { &[] };
    assert_eq!(came.values("content-type"), expected, "{case}");
    assert_eq!(came.values("x-countersign-credential"), [key.id], "{case}");
}

/// The answer and its status, each where they belong.
fn is_good(output: &Output, case: &str) {
    let (out, err) = said(output);
    assert!(output.status.success(), "{case}: {out} {err}");
    assert_eq!((out.as_str(), err.lines().last()), ("{\"ok\":true}", Some("200")), "{case}");
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What the program sent is changed, then given to the gate.
fn is_refused_when_changed(language: &Language, place: &Place, scheme: &str, prefix: &str) {
    let key = Key::new(scheme, "changed");
    let file = place.file("changed", b"{\"order_id\":\"A-1\",\"amount\":500}");
    let case = format!("{} {scheme} changed", language.name);
    let send = |port| language.sends(&url(port, prefix), &key.id, Some(&file), scheme, &key.secret);
    let sent = written_down(send, &case);
    let before = place.site.upstream.bytes();
    let mut other_body = sent.clone();
    let digit = other_body.body.iter_mut().find(|byte| **byte == b'5').expect("an amount");
    *digit = b'9';
    assert_eq!(given_to(&place.gate, &other_body), "invalid_signature", "{case}: body");
    if scheme == "countersign-v1" {
        let mut other_target = sent.clone();
        let at = sent.head.windows(3).position(|part| part == b"a%2").expect("a query");
        other_target.head[at] = b'b';
        assert_eq!(given_to(&place.gate, &other_target), "invalid_signature", "{case}: query");
    }
    assert_eq!(place.site.upstream.bytes(), before, "{case}: nothing forwarded");
    assert_eq!(given_to(&place.gate, &sent), "", "{case}: as it was");
    assert_eq!(given_to(&place.gate, &sent), "replayed", "{case}: once more");
}

/// What a program sends to a service on this port that only writes it down.
fn written_down(send: impl FnOnce(u16) -> Output, case: &str) -> Recorded {
    let listener = Upstream::start_tls(&authority().api);
    // It ends each connection, for PHP reads to the end.
    let good = answer("200 OK", &[("Connection", "close")], b"{\"ok\":true}");
    listener.answer_with(move |_| vec![Step::Send(good.clone()), Step::Close]);
    is_good(&send(listener.address.port()), case);
    listener.last()
}

/// The code of the gate's refusal; empty when it let the request through.
fn given_to(gate: &Process, request: &Recorded) -> String {
    assert!(request.has("content-length"), "{}", String::from_utf8_lossy(&request.head));
    let mut client = Client::dial(gate.address, "localhost", &["http/1.1"]).unwrap();
    client.send([request.head.as_slice(), &request.body].concat());
    let answer = client.answer();
    if answer.status == 200 { String::new() } else { answer.refusal().code }
}

fn tells_of_a_refusal(language: &Language, place: &Place, scheme: &str, prefix: &str) {
    let key = Key::new(scheme, "refused");
    let file = place.file("refused", b"{}");
    let before = place.site.upstream.bytes();
    let secret = format!("{}x", key.secret);
    let output = language.sends(&place.url(prefix), &key.id, Some(&file), scheme, &secret);
    let (out, err) = said(&output);
    let case = format!("{} {scheme}: {out} {err}", language.name);
    assert!(!output.status.success(), "{case}");
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|fault| panic!("{fault} {case}"));
    assert_eq!(said["code"], "invalid_signature", "{case}");
    assert!(err.lines().any(|line| line == "401"), "{case}");
    assert!(!out.contains(&key.secret) && !err.contains(&key.secret), "{case}");
    assert_eq!(place.site.upstream.bytes(), before, "{case}");
}

fn tells_of_a_missing_secret(language: &Language, place: &Place) {
    let file = place.file("unsigned", b"{}");
    let output = language.sends(&place.url("/v1"), "pk_kwik_plain", Some(&file), "kwikpaisa", "");
    let (out, err) = said(&output);
    assert!(!output.status.success(), "{} without a secret: {out} {err}", language.name);
    assert!(err.contains("COUNTERSIGN_SECRET"), "{} without a secret: {err}", language.name);
    let other = language.sends(&place.url("/v1"), "pk_kwik_plain", Some(&file), "md5", "x");
    let (out, err) = said(&other);
    assert!(!other.status.success() && out.is_empty(), "{} md5: {out}", language.name);
    assert!(err.contains("no such scheme: md5"), "{} md5: {err}", language.name);
}

/// A host in capitals, a query without a value, and a fragment, which must not be sent.
fn knows_where_a_url_ends(language: &Language, place: &Place) {
    let key = Key::new("countersign-v1", "plain");
    let file = place.file("plain", b"{}");
    let case = format!("{} fragment", language.name);
    let send = |port| {
        let url = format!("https://LOCALHOST:{port}/v2/orders?draft#part");
        language.sends(&url, &key.id, Some(&file), "countersign-v1", &key.secret)
    };
    let sent = written_down(send, &case);
    assert_eq!(sent.target, "/v2/orders?draft", "{case}");
    assert_eq!(given_to(&place.gate, &sent), "", "{case}");
}
