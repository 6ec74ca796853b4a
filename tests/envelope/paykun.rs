//! PayKun's envelope against PHP itself, in both directions.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Kit, run_json};

const SECRET: &str = "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";

/// Text of every kind and length that matters: around blocks, with quotes, with bytes of PHP's own
/// syntax, and large.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "a",
        "amount::10.00;currency::INR;customer_name::Zoë Ñúñez;order_no::ORD1001",
        "s:3:\"abc\";",
        "\";s:1:\"",
        "日本語 😀 \u{10ffff}",
        "line\r\nline\0zero",
        "////\\/+=",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend((14..=34).map(|length| "x".repeat(length)));
    texts.push("0123456789abcde\u{e9}".repeat(64 * 1024));
    texts
}

fn php(mode: &str, input: Value) -> Vec<Value> {
    let output = run_json("php", &["-d", "memory_limit=512M", "paykun.php", mode], &input);
    output.as_array().unwrap().clone()
}

#[test]
fn what_php_seals_opens() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let texts = texts();
    assert!(texts.last().unwrap().len() > 1024 * 1024);
    let encoded: Vec<String> = texts.iter().map(|text| BASE64_STANDARD.encode(text)).collect();
    let bodies = php("seal", json!({ "secret": SECRET, "texts": encoded }));
    assert_eq!(bodies.len(), texts.len());
    for (body, text) in bodies.iter().zip(&texts) {
        let opened = kit.open(body.as_str().unwrap().as_bytes()).unwrap();
        assert!(*opened.text == *text.as_bytes(), "{} bytes", text.len());
        assert_eq!(opened.content_type, "text/plain; charset=utf-8");
    }
}

#[test]
fn php_opens_what_is_sealed() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let texts = texts();
    let bodies: Vec<String> =
        texts.iter().map(|text| String::from_utf8(kit.seal(text.as_bytes())).unwrap()).collect();
    let opened = php("open", json!({ "secret": SECRET, "bodies": bodies }));
    for (opened, text) in opened.iter().zip(&texts) {
        assert!(BASE64_STANDARD.decode(opened.as_str().unwrap()).unwrap() == text.as_bytes());
    }
}

#[test]
fn scalars_and_arrays_of_php_come_out_as_its_json() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let values = php("values", json!({ "secret": SECRET }));
    assert!(values.len() > 20);
    for value in values {
        let opened = kit.open(value["body"].as_str().unwrap().as_bytes()).unwrap();
        let expected: Value = serde_json::from_str(value["json"].as_str().unwrap()).unwrap();
        let found: Value = serde_json::from_slice(&opened.text).unwrap();
        assert_eq!(found, expected);
        assert_eq!(opened.content_type, "application/json");
    }
}

#[test]
fn objects_references_and_numbers_that_json_has_not_are_refused() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let bodies = php("objects", json!({ "secret": SECRET }));
    assert_eq!(bodies.len(), 8);
    for (at, body) in bodies.iter().enumerate() {
        assert!(kit.open(body.as_str().unwrap().as_bytes()).is_err(), "value {at}");
    }
}

#[test]
fn keys_of_other_lengths_are_what_php_makes_of_them() {
    for secret in ["a key of 18 bytes.", "a key that has rather more than 32 bytes, all in all"] {
        let kit = Kit::builtin("paykun", secret.as_bytes());
        assert!(kit.prepared.was_fitted());
        let text = BASE64_STANDARD.encode("amount::1.00");
        let bodies = php("seal", json!({ "secret": secret, "texts": [text] }));
        let opened = kit.open(bodies[0].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(*opened.text, *b"amount::1.00");
        let body = String::from_utf8(kit.seal(b"amount::2.00")).unwrap();
        let opened = php("open", json!({ "secret": secret, "bodies": [body] }));
        assert_eq!(BASE64_STANDARD.decode(opened[0].as_str().unwrap()).unwrap(), b"amount::2.00");
    }
    assert!(!Kit::builtin("paykun", SECRET.as_bytes()).prepared.was_fitted());
}

/// The form field of a body, with one character of its inner JSON altered.
fn altered(body: &[u8], alter: impl Fn(&mut Value)) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap().strip_prefix("encrypted_request=").unwrap();
    let text = text.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/");
    let mut json: Value = serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
    alter(&mut json);
    let text = BASE64_STANDARD.encode(json.to_string()).replace('=', "%3D").replace('+', "%2B");
    format!("encrypted_request={text}").into_bytes()
}

/// Newer kits write an empty `tag` beside a cipher that has none. One with something in it was made
/// for another cipher.
#[test]
fn a_tag_beside_a_mac_is_empty() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let body = kit.seal(b"amount::10.00");
    let open = |tag: Value| kit.open(&altered(&body, |json| json["tag"] = tag.clone()));
    assert_eq!(*open("".into()).unwrap().text, *b"amount::10.00");
    let tag = BASE64_STANDARD.encode([7; 16]);
    for full in [json!(tag), json!(" "), json!("0"), json!(0), json!([]), json!({}), json!(true)] {
        assert!(open(full.clone()).is_err(), "{full}");
    }
}

#[test]
fn whatever_is_altered_is_refused_alike() {
    let kit = Kit::builtin("paykun", SECRET.as_bytes());
    let body = kit.seal(b"amount::10.00");
    assert!(kit.open(&altered(&body, |_| ())).is_ok(), "plain slashes open as well");
    let alterations: [fn(&mut Value); 11] = [
        |json| json["mac"] = "0".repeat(64).into(),
        |json| json["mac"] = "".into(),
        |json| json["mac"] = "zz".into(),
        |json| json["iv"] = BASE64_STANDARD.encode([0; 16]).into(),
        |json| json["iv"] = BASE64_STANDARD.encode([0; 15]).into(),
        |json| json["iv"] = 7.into(),
        |json| json["value"] = "".into(),
        |json| json["value"] = BASE64_STANDARD.encode([0; 16]).into(),
        |json| json["value"] = "not base64".into(),
        |json| drop(json.as_object_mut().unwrap().remove("value")),
        |json| *json = Value::Null,
    ];
    for (at, alter) in alterations.into_iter().enumerate() {
        assert!(kit.open(&altered(&body, alter)).is_err(), "alteration {at}");
    }
    for body in [&b""[..], b"encrypted_request=", b"encrypted_request=%%%", b"{}", b"a=b"] {
        assert!(kit.open(body).is_err());
    }
}
