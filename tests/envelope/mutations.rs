//! Every envelope that says that it notices altered messages, with every byte of a message altered:
//! it is refused, or opens to what was sealed because the byte meant nothing.

use std::fs;

use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::secret::NamedSecrets;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::support::subject;

#[test]
fn no_altered_byte_changes_what_opens() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/envelopes");
    let (mut envelopes, mut refused) = (0, 0_usize);
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let file: Value =
            serde_json::from_str(&text.replace("SAMPLE KEY---", "PRIVATE KEY---")).unwrap();
        let envelope = builtin(file["id"].as_str().unwrap()).unwrap();
        let vector = &file["vector"];
        if !envelope.authenticates() || vector["body"].is_null() {
            continue;
        }
        envelopes += 1;
        let mut values = NamedSecrets::default();
        for (name, value) in vector["secrets"].as_object().unwrap() {
            values.insert(name, value.as_str().unwrap().as_bytes().to_vec());
        }
        // One secret is the secret itself; of several, none is read by that name.
        let secrets = vector["secrets"].as_object().unwrap();
        let only = secrets.values().next().filter(|_| secrets.len() == 1);
        let secret = only.map(|value| value.as_str().unwrap().as_bytes());
        let prepared = envelope.prepare(secret, &values).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in vector["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(name.parse::<HeaderName>().unwrap(), value);
        }
        let target = format!("/?{}", vector["query"].as_str().unwrap_or_default());
        let body = vector["body"].as_str().unwrap().as_bytes();
        let plain = vector["plaintext"].as_str().unwrap().as_bytes();
        let none = NamedSecrets::default();
        let open = |body: Vec<u8>| {
            let body = [Bytes::from(body)];
            let mut subject = subject(&headers, &body, &none);
            subject.target = &target;
            envelope.open(&prepared, &subject)
        };
        assert_eq!(*open(body.to_vec()).unwrap().text, *plain, "{}", envelope.name());
        for at in 0..body.len() {
            for flip in [0x01, 0x20] {
                let mut altered = body.to_vec();
                altered[at] ^= flip;
                match open(altered) {
                    Ok(opened) => assert_eq!(*opened.text, *plain, "{} at {at}", envelope.name()),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(envelopes >= 10, "{envelopes}");
    assert!(refused > 5_000, "{refused}");
}
