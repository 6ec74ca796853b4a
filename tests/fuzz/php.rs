//! What PHP's `serialize()` writes, altered and sealed by somebody who has the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::crypto::mac;
use countersign::envelope::cipher::{Cipher, Feed};
use countersign::envelope::padding::Padding;
use countersign::envelope::{Envelope, Fixed, Prepared};
use countersign::secret::NamedSecrets;

use crate::envelopes::with_body;
use crate::rounds;

const KEY: &[u8] = b"6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";
const IV: [u8; 16] = [7; 16];
const VALUES: [&str; 10] = [
    "s:5:\"a\u{e9}\"b\";",
    "i:-17;",
    "d:1.0E+25;",
    "b:1;",
    "N;",
    "a:2:{i:0;s:1:\"a\";i:1;N;}",
    "a:2:{s:1:\"k\";a:1:{i:0;d:2.5;}i:-3;b:0;}",
    "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}",
    "a:1:{i:0;R:1;}",
    "a:3:{i:2;i:0;i:0;i:1;s:0:\"\";i:5;}",
];
const WORDS: [&str; 14] = [
    "a:1:{i:0;",
    "}",
    "N;",
    "i:0;",
    "s:1:\"",
    "\";",
    "d:",
    "-",
    "E+5",
    "9223372036854775807",
    "O:1:",
    "b:",
    "{",
    "s:0:\"\";",
];

fn sealed(text: &[u8]) -> Vec<u8> {
    let mut data = text.to_vec();
    let cipher = Cipher::named("aes-256-cbc").unwrap();
    let padding = Padding::named("pkcs7", 16).unwrap();
    cipher.seal(&Feed { key: KEY, iv: &IV, aad: &[], padding }, &mut data).unwrap();
    let (iv, value) = (STANDARD.encode(IV), STANDARD.encode(data));
    let mac =
        mac::Algorithm::find("hmac-sha256").unwrap().of(KEY, format!("{iv}{value}").as_bytes());
    let mac: String = mac.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{{\"iv\":\"{iv}\",\"value\":\"{value}\",\"mac\":\"{mac}\"}}");
    format!("encrypted_request={}", STANDARD.encode(text).replace('+', "%2B")).into_bytes()
}

fn paykun() -> (std::sync::Arc<Envelope>, Prepared) {
    let envelope = builtin("paykun").unwrap();
    let prepared = envelope.prepare(Some(KEY), &NamedSecrets::default()).unwrap();
    (envelope, prepared)
}

#[test]
fn no_php_value_breaks_its_reader_and_what_is_made_of_it_is_json() {
    let (envelope, prepared) = paykun();
    let mut read = 0_usize;
    rounds::run("php", |random| {
        let start = random.pick(&VALUES);
        let text = match random.one_in(20) {
            true => start.as_bytes().to_vec(),
            false => random.bytes(start.as_bytes(), &WORDS),
        };
        let body = [Bytes::from(sealed(&text))];
        let Ok(opened) = with_body(&body, |subject| envelope.open(&prepared, &subject)) else {
            return;
        };
        if opened.content_type == "application/json" {
            read += 1;
            let good = serde_json::from_slice::<serde::de::IgnoredAny>(&opened.text);
            assert!(good.is_ok(), "{:?}", String::from_utf8_lossy(&text));
        } else if text.starts_with(b"s:") && text.ends_with(b"\";") && *opened.text != text {
            let whole =
                [format!("s:{}:\"", opened.text.len()).as_bytes(), &opened.text, b"\";"].concat();
            assert!(whole == text, "{:?}", String::from_utf8_lossy(&text));
        } else {
            assert!(*opened.text == text, "{:?}", String::from_utf8_lossy(&text));
        }
    });
    println!("php: {read} became JSON");
}

#[test]
fn what_is_sealed_for_php_opens_to_the_same() {
    let (envelope, prepared) = paykun();
    rounds::run("php both ways", |random| {
        let start = random.pick(&VALUES);
        let text = random.text(start, &WORDS);
        let sealed = envelope.seal(&prepared, text.as_bytes(), &Fixed::default(), None).unwrap();
        let body = [Bytes::from(sealed.body.to_vec())];
        let opened = with_body(&body, |subject| envelope.open(&prepared, &subject));
        let opened = opened.unwrap_or_else(|_| panic!("{text:?}"));
        assert!(*opened.text == *text.as_bytes(), "{text:?}");
    });
}
