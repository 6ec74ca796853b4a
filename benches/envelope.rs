//! What opening a body costs, and whether the time of a refusal tells what was wrong.
//!
//! `cargo bench --bench envelope` opens a PayKun body of 4 KiB, in the form that it travels in,
//! without that, and without escapes in its JSON, and compares it with the AES and HMAC that it
//! holds, each by the median of many; over 1.5 times with the form is too much. Then it refuses
//! bodies that are altered in different places, in random order, and compares their times by
//! Welch's t as the bench `timing` does. Over a limit the exit status is 1.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

mod statistics;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::crypto::mac;
use countersign::envelope::cipher::{Cipher, Feed};
use countersign::envelope::padding::Padding;
use countersign::envelope::{Definition, Envelope, Fixed, Literal, Prepared};
use countersign::recipe::Subject;
use countersign::secret::NamedSecrets;
use http::HeaderMap;

use crate::statistics::{Coin, cut, mean, median_ns, welch};

/// The program's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SECRET: &[u8] = b"6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";
const BODY_BYTES: usize = 4096;
const RATIO_MAX: f64 = 1.5;
const ROUNDS: usize = 20_000;
const SAMPLES: usize = 30_000;
const RSA_SAMPLES: usize = 1_500;
const RUNS: usize = 3;
const T_MAX: f64 = 4.5;
/// Steps of the clock and of the cache that no network lets through, in nanoseconds.
const DIFFERENCE_NS_MIN: f64 = 50.0;

struct Kit {
    envelope: Arc<Envelope>,
    prepared: Prepared,
}

impl Kit {
    fn open(&self, body: &[Bytes]) -> bool {
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let subject = Subject {
            method: "POST",
            scheme: "https",
            authority: "gate.example",
            target: "/v1/orders",
            headers: &headers,
            body,
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        self.envelope.open(&self.prepared, &subject).is_ok()
    }

    fn seal(&self, text: &[u8]) -> Vec<u8> {
        let sealed = self.envelope.seal(&self.prepared, text, &Fixed::default(), None);
        sealed.expect("a sealed body").body.to_vec()
    }
}

fn paykun() -> Kit {
    let envelope = builtin("paykun").expect("paykun");
    let prepared = envelope.prepare(Some(SECRET), &NamedSecrets::default());
    Kit { envelope, prepared: prepared.expect("a key") }
}

/// PayKun's envelope for a body that is the text of the form's field and nothing else.
fn bare() -> Kit {
    let mut definition = Definition::default();
    for (key, value) in [
        ("box", "{body | base64_decode | json}"),
        ("before.0.mac", "hmac-sha256"),
        ("before.0.key", "{secret}"),
        ("before.0.over", "{box.iv}{box.value}"),
        ("before.0.equals", "{box.mac | unhex}"),
        ("cipher", "aes-256-cbc"),
        ("key", "{secret}"),
        ("iv", "{box.iv | base64_decode}"),
        ("data", "{box.value | base64_decode}"),
        ("inside", "php-or-raw"),
    ] {
        definition.push(key, Literal::Text(value.to_owned()));
    }
    let envelope = Envelope::compile("bare", &definition).expect("an envelope");
    let prepared = envelope.prepare(Some(SECRET), &NamedSecrets::default()).expect("a key");
    Kit { envelope: Arc::new(envelope), prepared }
}

fn median(mut work: impl FnMut()) -> f64 {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        work();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    median_ns(&times)
}

/// The text of the field of a PayKun body.
fn field(body: &[u8]) -> String {
    let text = String::from_utf8(body.to_vec()).expect("text");
    let text = text.trim_start_matches("encrypted_request=");
    text.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")
}

/// The inner JSON of a PayKun body.
fn inner(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&BASE64_STANDARD.decode(field(body)).expect("base64")).expect("JSON")
}

fn outer(json: &serde_json::Value) -> Vec<Bytes> {
    let text = BASE64_STANDARD.encode(json.to_string().replace('/', "\\/"));
    let text = text.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    vec![Bytes::from(format!("encrypted_request={text}"))]
}

/// Opening against the AES and the HMAC that are in it.
fn cost(kit: &Kit) -> bool {
    let text = vec![b'x'; BODY_BYTES];
    let sealed = kit.seal(&text);
    let json = inner(&sealed);
    let text_of =
        |name: &str| json.get(name).and_then(|one| one.as_str()).expect("text").to_owned();
    let (iv, value) = (text_of("iv"), text_of("value"));
    let bytes = |text: &str| BASE64_STANDARD.decode(text).expect("base64");
    let (iv_bytes, data) = (bytes(&iv), bytes(&value));
    let key = mac::Algorithm::find("hmac-sha256").expect("HMAC").key(SECRET);
    let cipher = Cipher::named("aes-256-cbc").expect("AES");
    let feed = Feed { key: SECRET, iv: &iv_bytes, aad: &[], padding: Padding::Pkcs7(16) };
    let mut room = data.clone();
    let floor = median(|| {
        let mut mac = key.begin();
        mac.update(iv.as_bytes());
        mac.update(value.as_bytes());
        black_box(mac.finish());
        room.clear();
        room.extend_from_slice(&data);
        cipher.open(&feed, &mut room).expect("opens");
        black_box(&room);
    });
    let (bare, text) = (bare(), [Bytes::from(field(&sealed))]);
    let without = median(|| assert!(bare.open(black_box(&text))));
    let text = [Bytes::from(BASE64_STANDARD.encode(json.to_string()))];
    let unescaped = median(|| assert!(bare.open(black_box(&text))));
    let body = [Bytes::from(sealed)];
    let whole = median(|| assert!(kit.open(black_box(&body))));
    println!("AES and HMAC of 4 KiB: {floor:.0} ns");
    let rows = [
        ("in its form", whole),
        ("without the form", without),
        ("without the form and escaped slashes", unescaped),
    ];
    for (what, time) in rows {
        println!("open 4 KiB of PayKun {what}: {time:.0} ns, {:.2} times", time / floor);
    }
    whole / floor <= RATIO_MAX
}

/// Whether the times of two kinds of bodies can be told apart.
fn differ(kit: &Kit, what: &str, samples: usize, one: &[Bytes], other: &[Bytes]) -> bool {
    let mut coin = Coin(0x9e37_79b9_7f4a_7c15);
    let mut shown = 0;
    for run in 1..=RUNS {
        let (mut first, mut second): (Vec<Duration>, Vec<Duration>) = Default::default();
        for _ in 0..samples {
            let turn = coin.toss();
            for swapped in [turn, !turn] {
                let body = if swapped { other } else { one };
                let started = Instant::now();
                assert!(!kit.open(black_box(body)));
                let times = if swapped { &mut second } else { &mut first };
                times.push(started.elapsed());
            }
        }
        cut(&mut first, &mut second);
        let t = welch(&first, &second);
        let difference = mean(&first).0 - mean(&second).0;
        let (a, b) = (median_ns(&first), median_ns(&second));
        println!("{run}  {what:44}  {a:9.0} ns  {b:9.0} ns  {difference:8.1} ns  t {t:7.2}");
        shown += usize::from(t.abs() >= T_MAX && difference.abs() >= DIFFERENCE_NS_MIN);
    }
    shown == RUNS
}

fn paykun_classes(kit: &Kit) -> bool {
    let json = inner(&kit.seal(&[b'x'; 1024]));
    let flipped = |name: &str, last: bool| {
        let mut json = json.clone();
        let text = json.get(name).and_then(|one| one.as_str()).expect("text").to_owned();
        let mut text = text.into_bytes();
        let at = if last { text.len().saturating_sub(5) } else { 0 };
        if let Some(byte) = text.get_mut(at) {
            *byte = if *byte == b'0' { b'1' } else { b'0' };
        }
        if let Some(place) = json.get_mut(name) {
            *place = String::from_utf8(text).expect("text").into();
        }
        outer(&json)
    };
    let (mac, mac_end) = (flipped("mac", false), flipped("mac", true));
    let (value, value_end) = (flipped("value", false), flipped("value", true));
    let iv = flipped("iv", false);
    let mut bad = differ(kit, "control: the same body twice", SAMPLES, &mac, &mac);
    bad |= differ(kit, "PayKun: MAC, first and last digit", SAMPLES, &mac, &mac_end);
    bad |= differ(kit, "PayKun: MAC and value", SAMPLES, &mac, &value);
    bad |= differ(kit, "PayKun: value, begin and end", SAMPLES, &value, &value_end);
    bad | differ(kit, "PayKun: value and iv", SAMPLES, &value, &iv)
}

/// A token whose key does not unwrap, against one whose text was altered.
fn token_classes() -> bool {
    let mut definition = Definition::default();
    for (key, value) in [
        ("cipher", "jwe"),
        ("alg", "RSA-OAEP-256"),
        ("enc", "A256GCM"),
        ("key", "{cred:key}"),
        ("data", "{body}"),
        ("seal.header", "{{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}}"),
        ("seal.body", "{data}"),
    ] {
        definition.push(key, Literal::Text(value.to_owned()));
    }
    let envelope = Envelope::compile("token", &definition).expect("an envelope");
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(&key).expect("DER");
    let lines = BASE64_STANDARD.encode(der.as_ref());
    let kind = "PRIVATE KEY";
    let pem = format!("-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n");
    let mut values = NamedSecrets::default();
    values.insert("key", pem.into_bytes());
    let prepared = envelope.prepare(None, &values).expect("a key");
    let kit = Kit { envelope: Arc::new(envelope), prepared };
    let token = String::from_utf8(kit.seal(&[b'x'; 1024])).expect("text");
    let altered = |part: usize| {
        let parts = token.split('.').enumerate().map(|(at, text)| {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64");
            if at == part
                && let Some(byte) = bytes.get_mut(20)
            {
                *byte ^= 1;
            }
            BASE64_URL_SAFE_NO_PAD.encode(bytes)
        });
        vec![Bytes::from(parts.collect::<Vec<_>>().join("."))]
    };
    differ(&kit, "JWE: wrapped key and text", RSA_SAMPLES, &altered(1), &altered(3))
}

fn main() -> ExitCode {
    let kit = paykun();
    let cheap = cost(&kit);
    println!(
        "run  what                                          medians                  difference"
    );
    let shows = paykun_classes(&kit) | token_classes();
    println!("cost within {RATIO_MAX} times: {cheap}; differences that show: {shows}");
    if cheap && !shows { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
