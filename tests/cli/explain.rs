//! `countersign explain`: what is signed, whether it matches, and the mistake, offline.

use std::process::Output;

use crate::support::*;

const SECRET: &str = "0123456789abcdef0123";

/// Explains a request whose signature OpenSSL makes of another text.
fn explain(signed: &str, body: &str, more: &[&str]) -> Output {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = place.path().join(name);
        std::fs::write(&file, text).unwrap();
        path(&file).to_owned()
    };
    let message = file("message", signed);
    let script = format!("openssl dgst -sha256 -r -hmac {SECRET} {message} | cut -d' ' -f1");
    let signature = shell(&script);
    let request = file(
        "request.http",
        &format!(
            "POST /v1/orders HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {}\r\n\
             X-API-KEY: pk_test_acme\r\nX-TIMESTAMP: 1700000000\r\nX-SIGNATURE: {}\r\n\r\n{body}\n",
            body.len(),
            good(&signature).trim(),
        ),
    );
    let secret = file("secret", SECRET);
    let mut arguments = vec!["explain", "--request", &request, "--secret-file", &secret];
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn a_good_signature_is_good_and_every_piece_is_shown() {
    let output = explain("{\"a\":1}1700000000", "{\"a\":1}", &[]);
    let text = good(&output);
    for part in ["body", "{\"a\":1}", "header:x-timestamp", "1700000000", "signature is good"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("cut to its Content-Length of 7 bytes"), "{text}");
}

#[test]
fn a_mistake_is_named_and_nothing_secret_is_shown() {
    for (signed, mistake) in [
        ("{\"a\":1}1700000000\n", "message_newline"),
        ("{\"a\": 1}1700000000", "json_spaced"),
        ("1700000000{\"a\":1}", "parts_order"),
    ] {
        for more in [&[][..], &["--json"]] {
            let output = explain(signed, "{\"a\":1}", more);
            assert_eq!(output.status.code(), Some(1));
            let text = text(&output.stdout);
            assert!(text.contains(mistake), "{mistake} in {text}");
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_explained_is_said() {
    let output = explain("something else", "{\"a\":1}", &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["matches"], false);
    assert_eq!(json["mistake"], serde_json::Value::Null);
    assert_eq!(json["parts"][0]["text"], "{\"a\":1}");
    assert_eq!(json["parts"][1]["what"], "header:x-timestamp");
}

#[test]
fn a_secret_in_the_signed_text_is_hidden() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = place.path().join(name);
        std::fs::write(&file, text).unwrap();
        path(&file).to_owned()
    };
    let body =
        "merchant_id=1&order_id=2&payhere_amount=3&payhere_currency=LKR&status_code=2&md5sig=00";
    let request = file(
        "request.http",
        &format!(
            "POST /hook HTTP/1.1\nHost: shop.example\n\
             Content-Type: application/x-www-form-urlencoded\n\n{}{}",
            body,
            "0".repeat(30)
        ),
    );
    let secret = file("secret", SECRET);
    let output = run(&[
        "explain",
        "--request",
        &request,
        "--secret-file",
        &secret,
        "--scheme=payhere-notify",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("‹secret›") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn files_that_are_no_requests_are_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("request.http");
    std::fs::write(&file, "POST\n").unwrap();
    let output = run(&["explain", "--request", path(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("line 1: expected `METHOD /path HTTP/1.1`"));
}
