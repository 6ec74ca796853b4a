//! What the samples believe of answers: what the gate signed, and nothing that was changed on its
//! way.

use std::fs;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::language::Language;
use crate::support::answer::Answer;
use crate::support::certificates::authority;
use crate::support::client::Client;
use crate::support::process::{Process, Site};
use crate::support::setup::{GENEROUS, Setup, credential, merchant};
use crate::support::signer::{Signer, fresh_nonce, hmac_hex};
use crate::support::upstream::{Step, Upstream, answer};

/// The type of the service's answers: without a space behind the semicolon, where a library that
/// writes it anew would put one.
pub(crate) const TYPE: &str = "text/plain;charset=utf-8";

/// The same, as Mono's library shows it whatever came.
pub(crate) const TYPE_OF_MONO: &str = "text/plain; charset=utf-8";

const SAID: &str = "Zoë:\r\npaid 500";

const V1: Way = Way {
    scheme: "countersign-v1",
    prefix: "/v2",
    secret: "answered-v1-5be1f7d2093c6a84",
    answers: "answered-v1-5be1f7d2093c6a84",
};
const KWIK: Way = Way {
    scheme: "kwikpaisa",
    prefix: "/v1",
    secret: "answered-kwik-5be1f7d2093c6a84",
    answers: "answers-3f1c7d90b2586ea4",
};

/// What a network does with an answer.
type Alter = fn(&mut Answer);

const TO_BOTH: [(&str, Alter); 4] = [
    ("another body", |answer| answer.body[0] = b'z'),
    ("no body", |answer| answer.body.clear()),
    ("no signature", |answer| answer.headers.retain(|(name, _)| name != "x-signature")),
    ("another time", |answer| set(answer, "x-timestamp", "1764000000")),
];

const TO_V1: [(&str, Alter); 3] = [
    ("another status", |answer| answer.status = 201),
    ("another type", |answer| set(answer, "content-type", "text/html;charset=utf-8")),
    ("no type", |answer| answer.headers.retain(|(name, _)| name != "content-type")),
];

const TO_KWIK: [(&str, Alter); 4] = [
    ("a digit moved to the time", |answer| {
        let digit = char::from(answer.body.pop().unwrap());
        let time = format!("{digit}{}", answer.value("x-timestamp").unwrap());
        set(answer, "x-timestamp", &time);
    }),
    ("a digit moved to the body", |answer| {
        let time = answer.value("x-timestamp").unwrap().to_owned();
        answer.body.push(time.as_bytes()[0]);
        set(answer, "x-timestamp", &time[1..]);
    }),
    ("an old one", |answer| sign(answer, KWIK.answers, 400)),
    ("signed as requests are", |answer| sign(answer, KWIK.secret, 0)),
];

pub(crate) fn all_of(language: &Language, content_type: &str) {
    let place = Place::new(content_type);
    for (way, own) in [(V1, TO_V1.as_slice()), (KWIK, &TO_KWIK)] {
        let name = format!("{} {}", language.name, way.scheme);
        believes(&way.sends(language, place.gate.address), &format!("{name}, directly"));
        let middle = place.middle(|_| ());
        believes(&way.sends(language, middle.address), &format!("{name}, handed on"));
        for (what, alter) in TO_BOTH.iter().chain(own) {
            let middle = place.middle(alter);
            does_not(&way.sends(language, middle.address), &format!("{name}, {what}"));
        }
        // A refusal is the gate's own, and never signed: it is shown, and not believed.
        let other = Way { secret: "another-5be1f7d2093c6a84", ..way };
        let output = other.sends(language, place.gate.address);
        does_not(&output, &format!("{name}, a refusal"));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains("invalid_signature"), "{name}: {err}");
    }
    // Whole and true, but the answer to the request before.
    let kept = Mutex::new(None);
    let middle = place.middle(move |answer| {
        let first = kept.lock().unwrap().get_or_insert_with(|| answer.clone()).clone();
        *answer = first;
    });
    let name = format!("{}, the answer before", language.name);
    believes(&V1.sends(language, middle.address), &name);
    does_not(&V1.sends(language, middle.address), &name);
}

fn set(answer: &mut Answer, name: &str, value: &str) {
    answer.headers.retain(|(own, _)| own != name);
    answer.headers.push((name.into(), value.into()));
}

/// Signs an answer as `kwikpaisa` does, with a time so many seconds ago.
fn sign(answer: &mut Answer, secret: &str, ago: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let time = (now - ago).to_string();
    let signature = hmac_hex(secret.as_bytes(), &[&answer.body, time.as_bytes()].concat());
    set(answer, "x-timestamp", &time);
    set(answer, "x-signature", &signature);
}

/// How a merchant signs, and by what answers to it are signed.
#[derive(Clone, Copy)]
struct Way {
    scheme: &'static str,
    prefix: &'static str,
    secret: &'static str,
    answers: &'static str,
}

impl Way {
    fn key_id(self) -> String {
        format!("pk_{}", self.scheme)
    }

    /// Sends a body that no request had before, to be verified with its answer.
    fn sends(self, language: &Language, to: SocketAddr) -> Output {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        fs::write(&file, fresh_nonce()).unwrap();
        let url = format!("https://localhost:{}{}/orders?a=1", to.port(), self.prefix);
        let secrets = [self.secret, self.answers];
        language.verifies(&url, &self.key_id(), &file, self.scheme, secrets)
    }
}

/// The real program, signing answers by both schemes, before a service that says the same to all.
struct Place {
    gate: Process,
    _site: Site,
}

impl Place {
    fn new(content_type: &str) -> Self {
        let mut setup = Setup::new();
        setup.routes.clear();
        setup.merchants.clear();
        for way in [V1, KWIK] {
            let key_id = way.key_id();
            let (signer, more) = if way.scheme == KWIK.scheme {
                let scopes = "scopes = [\"* /v1/*\"]";
                let answers = "answer_secret = { list = \"secrets.txt\", id = \"answers\" }";
                (Signer::kwikpaisa(&key_id, way.secret), format!("{scopes}\n{answers}"))
            } else {
                (Signer::v1(&key_id, way.secret), String::new())
            };
            let table = credential(way.scheme, &signer, "live", &more);
            setup = setup
                .route(way.scheme, &format!("{}/*", way.prefix), way.scheme, "sign_answers = true")
                .merchant(merchant(way.scheme, GENEROUS, &[table]), &[&signer]);
        }
        setup.named_secret("answers", KWIK.answers);
        let site = Site::new(setup);
        site.upstream.answer(&answer("200 OK", &[("Content-Type", content_type)], SAID.as_bytes()));
        Self { gate: site.serve(), _site: site }
    }

    /// Somebody between the client and the gate, with a certificate that the client believes.
    fn middle(&self, alter: impl Fn(&mut Answer) + Send + Sync + 'static) -> Upstream {
        let middle = Upstream::start_tls(&authority().api);
        let gate = self.gate.address;
        middle.answer_with(move |request| {
            let mut client = Client::dial(gate, "localhost", &["http/1.1"]).unwrap();
            client.send([request.head.as_slice(), &request.body].concat());
            let mut answer = client.answer();
            alter(&mut answer);
            vec![Step::Send(written(&answer)), Step::Close]
        });
        middle
    }
}

/// An answer as bytes, the last of its connection: PHP reads to the end.
fn written(whole: &Answer) -> Vec<u8> {
    let framing = ["connection", "content-length", "transfer-encoding"];
    let mut headers = vec![("Connection", "close")];
    headers.extend(
        whole
            .headers
            .iter()
            .filter(|(name, _)| !framing.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    answer(&format!("{} Said", whole.status), &headers, &whole.body)
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn believes(output: &Output, case: &str) {
    let (out, err) = said(output);
    assert!(output.status.success(), "{case}: {out} {err}");
    assert_eq!((out.as_str(), err.lines().last()), (SAID, Some("200")), "{case}");
}

fn does_not(output: &Output, case: &str) {
    let (out, err) = said(output);
    assert!(!output.status.success() && out.is_empty(), "{case}: {out} {err}");
    assert!(err.contains("not signed by the gate"), "{case}: {err}");
}
