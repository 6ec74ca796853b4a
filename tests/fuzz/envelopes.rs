//! Every built-in envelope with its message altered: nothing panics, and one that notices altered
//! messages never opens to another text.

use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::envelope::{Envelope, Prepared};
use countersign::recipe::Subject;
use countersign::secret::NamedSecrets;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::corpus;
use crate::mutation::Source;
use crate::rounds;

const WORDS: [&str; 20] = [
    ".",
    "=",
    "==",
    "&",
    "%3D",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "\\/",
    "eyJhbGciOiJub25lIn0",
    "..",
    "\u{0}",
    "iv",
    "<Encrypt>",
    "AAAA",
];

/// Looks at a body as it is posted, without headers.
pub(crate) fn with_body<T>(body: &[Bytes], look: impl FnOnce(Subject<'_>) -> T) -> T {
    let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
    look(subject(&headers, "/", body, &values))
}

fn subject<'a>(
    headers: &'a HeaderMap,
    target: &'a str,
    body: &'a [Bytes],
    values: &'a NamedSecrets,
) -> Subject<'a> {
    Subject {
        method: "POST",
        scheme: "https",
        authority: "gate.example",
        target,
        headers,
        body,
        status: None,
        public_url: None,
        secret: None,
        values,
    }
}

struct Kit {
    envelope: std::sync::Arc<Envelope>,
    prepared: Prepared,
    headers: Vec<(HeaderName, String)>,
    target: String,
    body: String,
    plain: Vec<u8>,
}

fn kits() -> Vec<Kit> {
    let mut kits = Vec::new();
    for text in corpus::texts("tests/vectors/envelopes") {
        let text = text.replace("SAMPLE KEY---", "PRIVATE KEY---");
        let file: Value = serde_json::from_str(&text).unwrap();
        let envelope = builtin(file["id"].as_str().unwrap()).unwrap();
        let vector = &file["vector"];
        let Some(body) = vector["body"].as_str() else { continue };
        let secrets = vector["secrets"].as_object().unwrap();
        let mut values = NamedSecrets::default();
        for (name, value) in secrets {
            values.insert(name, value.as_str().unwrap().as_bytes().to_vec());
        }
        // One secret is the secret itself; of several, none is read by that name.
        let only = secrets.values().next().filter(|_| secrets.len() == 1);
        let secret = only.map(|value| value.as_str().unwrap().as_bytes());
        let headers = vector["headers"].as_object().into_iter().flatten();
        let header = |(name, value): (&String, &Value)| {
            (name.parse().unwrap(), value.as_str().unwrap().to_owned())
        };
        kits.push(Kit {
            prepared: envelope.prepare(secret, &values).unwrap(),
            envelope,
            headers: headers.map(header).collect(),
            target: format!("/?{}", vector["query"].as_str().unwrap_or_default()),
            body: body.to_owned(),
            plain: vector["plaintext"].as_str().unwrap().as_bytes().to_vec(),
        });
    }
    assert!(kits.len() >= 20, "{}", kits.len());
    kits
}

#[test]
fn no_altered_message_opens_to_another_text() {
    let kits = kits();
    rounds::run("envelopes", |random| {
        let kit = random.pick(&kits);
        let (mut headers, mut target, mut body) =
            (kit.headers.clone(), kit.target.clone(), kit.body.clone().into_bytes());
        match random.below(8) {
            0 => target = random.text(&target, &WORDS),
            1 if !headers.is_empty() => {
                let at = random.below(headers.len());
                headers[at].1 = random.text(&headers[at].1, &WORDS);
            }
            2 => body = within(random, &kit.body),
            _ => body = random.bytes(&body, &WORDS),
        }
        let headers: HeaderMap = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
            .collect();
        let (body, values) = ([Bytes::from(body)], NamedSecrets::default());
        let subject = subject(&headers, &target, &body, &values);
        let name = kit.envelope.name();
        kit.envelope.is_absent(&kit.prepared, &subject);
        if let Ok(opened) = kit.envelope.open(&kit.prepared, &subject)
            && kit.envelope.authenticates()
        {
            let text = &*opened.text;
            assert!(*text == *kit.plain, "{name} opens {body:?} to {text:?}");
        }
    });
}

/// A body with one of its words altered, so that what stands around them stays whole.
fn within(random: &mut Source, body: &str) -> Vec<u8> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let mut words: Vec<String> = body.split_inclusive(|c| !word(c)).map(str::to_owned).collect();
    let at = random.below(words.len());
    words[at] = random.text(&words[at], &WORDS);
    words.concat().into_bytes()
}
