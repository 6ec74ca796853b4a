//! Runs every vector of `tests/vectors` through a real gate. The format is told in `make.py` there.

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use countersign::clock::Timestamp;
use countersign::roll::keys::Root;
use countersign::roll::{AnchorSpec, EpochSpec, KEY_SET_BYTES, KeySet, Material};
use countersign::secret::Secret;

use crate::support::gateway::{Gateway, START};
use crate::support::setup::{GENEROUS, Setup, merchant, route};
use crate::support::upstream::Upstream;

/// One case.
struct Vector {
    name: String,
    expect: String,
    scheme: String,
    secret: String,
    now: u64,
    route: String,
    bound: String,
    raw: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "http") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            all.push(parse(name, &fs::read(path).unwrap()));
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn parse(name: String, bytes: &[u8]) -> Vector {
    let end = bytes.windows(5).position(|part| part == b"\n---\n").expect("a line of dashes");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut vector = Vector {
        name,
        expect: String::new(),
        scheme: String::new(),
        secret: String::new(),
        now: 0,
        route: String::new(),
        bound: String::new(),
        raw: bytes[end + 5..].to_vec(),
    };
    for line in head.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once(": ").expect("key: value");
        match key {
            "expect" => vector.expect = value.into(),
            "scheme" => vector.scheme = value.into(),
            "secret" => vector.secret = value.into(),
            "now" => vector.now = value.parse().expect("seconds"),
            "route" => vector.route = value.into(),
            "bound" => vector.bound = value.into(),
            other => panic!("{}: unknown key {other}", vector.name),
        }
    }
    vector
}

/// A gate with the keys that the vectors name.
fn gateway(vector: &Vector) -> Gateway {
    let mut setup = Setup::new().deadline("body", 300);
    setup.routes = vec![
        route("v1", "/v1/*", "kwikpaisa", &vector.route),
        route("v2", "/v2/*", "countersign-v1", ""),
        route("v3", "/v3/*", "rfc9421", ""),
    ];
    let scopes = match vector.scheme.as_str() {
        "kwikpaisa" => "scopes = [\"POST /v1/orders\", \"GET /v1/orders/*\"]",
        _ => "",
    };
    let key_id = match vector.scheme.as_str() {
        "kwikpaisa" => "pk_live_vector",
        "countersign-v1" => "pk_live_vector_v1",
        _ => "pk_live_vector_rfc",
    };
    let credential = format!(
        "[merchants.vector.credentials.{key_id}]\nenvironment = \"live\"\nscheme = \"{}\"\n\
         {scopes}\nsecrets = [{{ list = \"secrets.txt\" }}]\n",
        vector.scheme
    );
    setup.merchants.push(merchant("vector", GENEROUS, &[credential]));
    setup.named_secret(key_id, &vector.secret);
    if !vector.bound.is_empty() {
        let bound = format!("credentials = {{ {key_id} = [\"{}\"] }}", vector.bound);
        let table = format!("{{ ca = \"ca.pem\", mode = \"optional\", {bound} }}");
        setup.set("listener.client_certificates", &table);
    }
    let epochs = vec![EpochSpec {
        number: 2,
        not_before: Timestamp::from_secs(START - 4000),
        not_after: Timestamp::from_secs(START + 4000),
        secret: secret(2),
    }];
    let gateway = Gateway::altered(setup, Upstream::start(), |config| {
        for merchant in config.merchants.iter_mut().filter(|one| &*one.id == "vector") {
            merchant.credentials[0].rolling = Some(material());
        }
    });
    gateway.roll().epochs.replace(epochs);
    gateway.hand.advance(Duration::from_secs(vector.now - START));
    gateway
}

fn secret(byte: u8) -> Secret {
    Secret::new(vec![byte; 32]).unwrap()
}

/// A root since ten seconds before the start, and one anchor.
fn material() -> Material {
    let root = Root { secret: secret(1), since: Timestamp::from_secs(START - 10) };
    let anchor = AnchorSpec {
        version: NonZeroU32::MIN,
        keys: KeySet::from_bytes(&[3; KEY_SET_BYTES]),
        until: None,
    };
    Material { root, anchors: vec![anchor] }
}

#[test]
fn every_vector_ends_as_it_says() {
    let all = vectors();
    assert!(all.len() > 40, "{} vectors", all.len());
    for vector in &all {
        let gateway = gateway(vector);
        let mut client = gateway.client();
        client.send(&vector.raw);
        let answer = client.answer();
        if vector.expect == "accepted" {
            assert_eq!(answer.status, 200, "{}: {}", vector.name, answer.text());
            assert_eq!(gateway.upstream.count(), 1, "{}", vector.name);
        } else {
            assert_eq!(answer.refusal().code, vector.expect, "{}: {}", vector.name, answer.text());
            assert_eq!(gateway.upstream.bytes(), 0, "{}", vector.name);
            assert_eq!(gateway.roll().chains.entries(), 0, "{} costs memory", vector.name);
        }
    }
}
