//! Claims, time, keys and MACs: what is signed, when, by whom, and that nobody learns why it
//! failed.

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{
    GENEROUS, Setup, credential, credential_with, kwik, kwik_test, merchant, rfc3339, v1, version,
};
use crate::support::signer::{
    Signer, fresh_nonce, hex, hmac_hex, nine_lines, openssl_hmac_hex, python_hmac_hex,
};

const BODY: &[u8] = b"{\"amount\":100}";

fn order(gateway: &Gateway) -> Request {
    kwik().sign(Request::post("/v1/orders", BODY), gateway.now())
}

fn order_v1(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

/// The issue's own demand: a signer of another implementation, here two.
#[test]
fn python_and_openssl_sign_what_the_gate_accepts() {
    let gateway = Gateway::start();
    let (signer, now) = (kwik(), gateway.now().to_string());
    let message = [BODY, now.as_bytes()].concat();
    let signature = python_hmac_hex("kwik-live-2f6c9b1e40d75a83", &message);
    let request = Request::post("/v1/orders", BODY);
    gateway.accepts(&signer.claims(request.clone(), &now, "", &signature));
    gateway.advance(1);
    let now = gateway.now().to_string();
    let message = [BODY, now.as_bytes()].concat();
    let signature = openssl_hmac_hex("kwik-live-2f6c9b1e40d75a83", &message);
    gateway.accepts_h2(&signer.claims(request, &now, "", &signature));

    let request = Request::post("/v2/orders?a=1", BODY);
    for sign in [python_hmac_hex, openssl_hmac_hex] {
        let nonce = fresh_nonce();
        let text = nine_lines("pk_live_globex", &now, &nonce, &request);
        let signature = sign("globex-live-5be1f7d2093c6a84", &text);
        gateway.accepts(&v1().claims(request.clone(), &now, &nonce, &signature));
    }
}

/// Row 48: one signature, one entry, whatever its spelling.
#[test]
fn a_signature_in_capitals_is_the_same_request() {
    let gateway = Gateway::start();
    let request = order(&gateway);
    let signature = request.value("X-SIGNATURE");
    let mut mixed = signature.clone();
    mixed.replace_range(..32, &signature[..32].to_uppercase());
    gateway.accepts(&request.clone().set("X-SIGNATURE", signature.to_uppercase()));
    gateway.refuses(&request.clone().set("X-SIGNATURE", mixed), "replayed");
    gateway.refuses(&request, "replayed");
    // Our own scheme has one spelling.
    let request = order_v1(&gateway);
    let upper = request.value("X-SIGNATURE").to_uppercase();
    gateway.refuses(&request.clone().set("X-SIGNATURE", upper), "malformed_header");
    gateway.accepts(&request);
}

/// Rows 49, 50 and 51.
#[test]
fn a_signature_of_any_other_form_is_refused() {
    let gateway = Gateway::start();
    let request = order(&gateway);
    let good = request.value("X-SIGNATURE");
    let first_half = format!("{}{}", &good[..32], "0".repeat(32));
    let mac: Vec<u8> =
        (0..32).map(|n| u8::from_str_radix(&good[2 * n..2 * n + 2], 16).unwrap()).collect();
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(&mac);
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&mac);
    for (text, code) in [
        (base64.clone(), "malformed_header"),
        (base64.trim_end_matches('=').to_owned(), "malformed_header"),
        (url, "malformed_header"),
        (String::new(), "malformed_header"),
        (good[..63].to_owned(), "malformed_header"),
        (format!("{good}0"), "malformed_header"),
        (format!("{}g", &good[..63]), "malformed_header"),
        (format!("{} {}", &good[..32], &good[33..]), "malformed_header"),
        (format!("sha256={good}"), "malformed_header"),
        (format!("sha256=sha256={good}"), "malformed_header"),
        (format!("0x{}", &good[2..]), "malformed_header"),
        (good[..16].to_owned(), "malformed_header"),
        ("é".repeat(32), "malformed_header"),
        (good.repeat(100), "malformed_header"),
        (first_half, "invalid_signature"),
        ("0".repeat(64), "invalid_signature"),
        (hex(&[0xff; 32]), "invalid_signature"),
    ] {
        gateway.refuses(&request.clone().set("X-SIGNATURE", &text), code);
    }
    let long = request.clone().set("X-SIGNATURE", "a".repeat(10_000));
    gateway.refuses(&long, "headers_too_large");
    gateway.accepts(&request);
}

/// Row 52: the algorithm is the key's; what a client says of it changes nothing.
#[test]
fn the_client_cannot_choose_the_algorithm() {
    let gateway = Gateway::start();
    let now = gateway.now().to_string();
    let message = [BODY, now.as_bytes()].concat();
    let key =
        aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &kwik().secret);
    let sha1 = hex(aws_lc_rs::hmac::sign(&key, &message).as_ref());
    let request = kwik().claims(Request::post("/v1/orders", BODY), &now, "", &sha1);
    let named = request.header("X-SIGNATURE-ALGORITHM", "HMAC-SHA1").header("Algorithm", "none");
    gateway.refuses(&named, "malformed_header");
    // A key of one scheme does not sign on a route of the other.
    let crossed = Signer::v1("pk_live_acme", "kwik-live-2f6c9b1e40d75a83");
    let request = crossed.sign(Request::post("/v2/orders", BODY), gateway.now());
    gateway.refuses(&request, "invalid_signature");
    let crossed = Signer::kwikpaisa("pk_live_globex", "globex-live-5be1f7d2093c6a84");
    let request = crossed.sign(Request::post("/v1/orders", BODY), gateway.now());
    gateway.refuses(&request, "invalid_signature");
}

/// Row 53.
#[test]
fn a_timestamp_is_ten_plain_digits() {
    let gateway = Gateway::start();
    let now = gateway.now();
    for text in [
        format!("{}", now * 1000),
        format!("-{now}"),
        format!("+{now}"),
        format!("0{now}"),
        format!("{now}.0"),
        format!("{now}."),
        format!("0x{now:x}"),
        "1.764e9".into(),
        "17e8".into(),
        format!("{} {}", now / 1000, now % 1000),
        "١٧٦٤٠٠٠٠٠٠".into(),
        "１７６４００００００".into(),
        "17640000000000000000".into(),
        "99999999999999999999999999".into(),
        String::new(),
        "NaN".into(),
        "0000000000".into(),
        "now".into(),
    ] {
        let request = kwik().sign_as(Request::post("/v1/orders", BODY), &text, "");
        gateway.refuses(&request, "malformed_header");
        let request = v1().sign_as(Request::post("/v2/orders", BODY), &text, &fresh_nonce());
        gateway.refuses(&request, "malformed_header");
    }
    for text in ["9999999999", "1000000000", "1264000000"] {
        let request = kwik().sign_as(Request::post("/v1/orders", BODY), text, "");
        gateway.refuses(&request, "stale_timestamp");
    }
    // Only the signed header counts.
    let request = kwik().sign(Request::post("/v1/orders", BODY), now - 400);
    gateway.refuses(&request.header("Date", rfc3339(now)), "stale_timestamp");
}

/// Row 54: both ends are inclusive, exactly.
#[test]
fn the_window_is_exact_to_the_second_at_both_ends() {
    let gateway = Gateway::with(Setup::new().route(
        "narrow",
        "/v2/narrow/*",
        "countersign-v1",
        "window = \"10s\"\nahead = \"2s\"",
    ));
    for (target, past, ahead) in [("/v2/orders", 300, 30), ("/v2/narrow/x", 10, 2)] {
        let now = gateway.now();
        let at = |stamp| v1().sign(Request::post(target, BODY), stamp);
        gateway.refuses(&at(now - past - 1), "stale_timestamp");
        gateway.accepts(&at(now - past));
        gateway.accepts_h2(&at(now - past + 1));
        gateway.accepts(&at(now + ahead - 1));
        gateway.accepts_h2(&at(now + ahead));
        gateway.refuses(&at(now + ahead + 1), "stale_timestamp");
        gateway.advance(7);
    }
    let answer =
        gateway.ask(&order(&gateway).set("X-TIMESTAMP", (gateway.now() - 301).to_string()));
    let json = answer.json();
    let text = json.to_string();
    assert!(text.contains(&gateway.now().to_string()), "the server's time helps: {text}");
    assert!(text.contains("300"), "and the window: {text}");
}

/// An answer as anybody sees it, without what is its own each time.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut json = answer.json();
    json["request_id"] = "".into();
    let own = ["date", "x-countersign-request-id"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    (answer.status, headers.cloned().collect(), json.to_string())
}

/// Rows 55 and 56: an unknown key, a wrong, pending, suspended, revoked or expired secret and that
/// of another look alike.
#[test]
fn nobody_learns_why_a_signature_is_wrong() {
    let states = Signer::v1("pk_states", "states-active-4dd3bb0c2a71");
    let expired = Signer::v1("pk_expired", "expired-0d8a5b13c7e64f29");
    let suspended = Signer::v1("pk_suspended", "suspended-61b2e07f94ac3d58");
    let end = |secs| format!("environment = \"live\"\nexpires = \"{}\"", rfc3339(secs));
    let start = crate::support::gateway::START;
    let credentials = [
        credential_with(
            "initech",
            &states,
            "environment = \"live\"",
            &[
                version("pk_states", "active", ""),
                version("pending", "pending", ""),
                version("suspended", "suspended", ""),
                version("revoked", "revoked", ""),
            ],
        ),
        credential_with(
            "initech",
            &expired,
            &end(start - 1),
            &[version("pk_expired", "active", "")],
        ),
        credential("initech", &suspended, "live", "suspended = true"),
    ];
    let mut setup = Setup::new()
        .merchant(merchant("initech", GENEROUS, &credentials), &[&states, &expired, &suspended]);
    for (id, secret) in [
        ("pending", "pending-9c71e0d4582ab36f"),
        ("suspended", "suspended-version-58d1c6b0"),
        ("revoked", "revoked-3e92f5a1c8d0476b"),
    ] {
        setup.named_secret(id, secret);
    }
    let gateway = Gateway::with(setup);
    let of = |key_id: &str, secret: &str| {
        Signer::v1(key_id, secret).sign(Request::post("/v2/orders", BODY), gateway.now())
    };
    gateway.accepts(&of("pk_states", "states-active-4dd3bb0c2a71"));
    let mut all = Vec::new();
    for request in [
        of("pk_nobody", "some-secret-of-no-meaning"),
        of("pk_states", "some-secret-of-no-meaning"),
        of("pk_states", "pending-9c71e0d4582ab36f"),
        of("pk_states", "suspended-version-58d1c6b0"),
        of("pk_states", "revoked-3e92f5a1c8d0476b"),
        of("pk_expired", "expired-0d8a5b13c7e64f29"),
        of("pk_suspended", "suspended-61b2e07f94ac3d58"),
        of("pk_states", "globex-live-5be1f7d2093c6a84"),
        of("pk_live_acme", "kwik-live-2f6c9b1e40d75a83"),
        of("PK_STATES", "states-active-4dd3bb0c2a71"),
        of(&"k".repeat(128), "some-secret-of-no-meaning"),
    ] {
        gateway.refuses(&request, "invalid_signature");
        all.push((seen(&gateway.ask(&request)), seen(&gateway.ask_h2(&request))));
    }
    for one in &all {
        assert_eq!(one.0, all[0].0);
        assert_eq!(one.1, all[0].1);
    }
    gateway.refuses(&of(&"k".repeat(129), "some-secret-of-no-meaning"), "malformed_header");
}

/// Row 56: a rotated secret is good to the last second of its time, and not one second more.
#[test]
fn a_retiring_secret_and_a_credential_end_exactly_on_time() {
    let start = crate::support::gateway::START;
    let rotated = Signer::v1("pk_rotated", "rotated-new-7b1f04c9d2e8");
    let ending = Signer::v1("pk_ending", "ending-86f0b2d9c314ae75");
    let last = rfc3339(start + 10);
    let expires = format!("environment = \"live\"\nexpires = \"{last}\"");
    let credentials = [
        credential_with(
            "initech",
            &rotated,
            "environment = \"live\"",
            &[version("pk_rotated", "active", ""), version("rotated-old", "retiring", &last)],
        ),
        credential_with("initech", &ending, &expires, &[version("pk_ending", "active", "")]),
    ];
    let mut setup =
        Setup::new().merchant(merchant("initech", GENEROUS, &credentials), &[&rotated, &ending]);
    setup.named_secret("rotated-old", "rotated-old-2c58e6a0f1b3");
    let gateway = Gateway::with(setup);
    let old = Signer::v1("pk_rotated", "rotated-old-2c58e6a0f1b3");
    let by = |signer: &Signer| signer.sign(Request::post("/v2/orders", BODY), gateway.now());
    gateway.accepts(&by(&old));
    gateway.advance(10);
    gateway.accepts(&by(&old));
    gateway.accepts_h2(&by(&ending));
    gateway.accepts(&by(&rotated));
    gateway.advance(1);
    gateway.refuses(&by(&old), "invalid_signature");
    gateway.refuses(&by(&ending), "invalid_signature");
    gateway.accepts(&by(&rotated));
    // Signed while it was good, presented when it is not.
    let late = old.sign(Request::post("/v2/orders", BODY), gateway.now() - 5);
    gateway.refuses(&late, "invalid_signature");
}

/// Rows 58 and 61: the same result as the reference signer, for any bytes, which are never read
/// as anything else.
#[test]
fn any_body_and_any_secret_verify() {
    let long = Signer::v1("pk_long", &"0123456789abcdef".repeat(9));
    let exact = Signer::v1("pk_exact", &"fedcba9876543210".repeat(4));
    let gateway =
        Gateway::with(Setup::new().partner("long", &long, "").partner("exact", &exact, ""));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let bodies: [&[u8]; 10] = [
        &deep,
        b"{\"n\":1e999999999,\"s\":\"\\ud800\",\"x\":123456789012345678901234567890}",
        b"",
        b"\0\0\0",
        b"\xef\xbb\xbf{\"a\":1}",
        b"{\r\n\"a\":1\r\n}",
        b"\xff\xfe\xfd\x80",
        b"{\"a\":1,\"a\":2}",
        b"1700000000",
        &[0xa5; 64 * 1024 + 1],
    ];
    for (n, body) in bodies.iter().enumerate() {
        gateway.advance(1);
        for signer in [&long, &exact, &v1()] {
            gateway.accepts(&signer.sign(Request::post("/v2/any", body), gateway.now()));
            assert_eq!(gateway.upstream.last().body, *body, "body {n}");
        }
        gateway.accepts(&kwik().sign(Request::post("/v1/any", body), gateway.now()));
        gateway.advance(1);
        let pieces = kwik().sign(Request::post("/v1/any", body), gateway.now()).chunks(7);
        if body.len() < 1000 {
            gateway.accepts(&pieces);
        }
        gateway.advance(1);
        gateway.accepts_h2(&kwik().sign(Request::post("/v1/any", body), gateway.now()));
        assert_eq!(gateway.upstream.last().body, *body, "body {n}");
    }
}

/// Row 59.
#[test]
fn a_body_that_was_changed_after_signing_is_refused() {
    let gateway = Gateway::start();
    for request in [order(&gateway), order_v1(&gateway)] {
        for at in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[at] ^= 1;
            gateway.refuses_h1(&request.clone().body(&body), "invalid_signature");
        }
        for body in [
            &b"{\"amount\":100}\n"[..],
            b"{\"amount\": 100}",
            b"{\"amount\":100.0}",
            b"",
            b"\xef\xbb\xbf{\"amount\":100}",
        ] {
            gateway.refuses(&request.clone().body(body), "invalid_signature");
        }
        gateway.accepts(&request);
    }
}

/// Every line that our own scheme signs is bound: any other value breaks the signature.
#[test]
fn every_part_that_is_signed_is_bound() {
    let gateway = Gateway::start();
    let request = order_v1(&gateway);
    for changed in [
        request.clone().method("PUT"),
        request.clone().target("/v2/refunds"),
        request.clone().set("Content-Type", "text/plain"),
        request.clone().without("Content-Type"),
        request.clone().set("X-TIMESTAMP", (gateway.now() + 1).to_string()),
        request.clone().set("X-NONCE", fresh_nonce()),
        request.clone().set("X-API-KEY", "pk_nobody"),
        request.clone().authority("api.example.com:443"),
    ] {
        gateway.refuses(&changed, "invalid_signature");
    }
    gateway.refuses(&request.clone().header("Content-Type", "a/b"), "bad_request");
    // The authority is signed in lower case, so that its case may change on the way.
    gateway.accepts(&request.authority("API.Example.COM"));
    for nonce in [
        "",
        "short",
        &"n".repeat(65),
        "sixteen bytes ok",
        "0123456789abcde\u{e9}",
        "0123456789abcde/",
    ] {
        let request = v1().sign_as(Request::get("/v2/x"), &gateway.now().to_string(), nonce);
        gateway.refuses(&request, "malformed_header");
    }
    for nonce in ["0123456789abcdef", "-_-_-_-_-_-_-_-_", &"n".repeat(64)] {
        let request = v1().sign_as(Request::get("/v2/x"), &gateway.now().to_string(), nonce);
        gateway.accepts(&request);
    }
}

/// A byte that moves between the body and the timestamp behind it does not make another request.
#[test]
fn no_byte_moves_between_body_and_timestamp() {
    let gateway = Gateway::start();
    let now = gateway.now().to_string();
    let signature = hmac_hex(&kwik().secret, &[b"{}", now.as_bytes()].concat());
    let moved = Request::post("/v1/orders", b"{}1");
    gateway.refuses(&kwik().claims(moved, &now[1..], "", &signature), "malformed_header");
    let moved = Request::post("/v1/orders", b"{");
    gateway.refuses(&kwik().claims(moved, &format!("}}{now}"), "", &signature), "malformed_header");
}

/// Test and live credentials are what they are on every route; each signs with its own secret only.
#[test]
fn test_and_live_never_mix() {
    let gateway = Gateway::start();
    let crossed = Signer::kwikpaisa("pk_live_acme", "kwik-test-81d0c7a95e3b426f");
    let request = crossed.sign(Request::post("/v1/orders", BODY), gateway.now());
    gateway.refuses(&request, "invalid_signature");
    gateway.accepts(&kwik_test().sign(Request::post("/v1/orders", BODY), gateway.now()));
    assert_eq!(gateway.upstream.last().value("x-countersign-credential"), "pk_test_acme");
    assert_eq!(gateway.upstream.last().value("x-countersign-environment"), "test");
}

/// A route for one environment takes no credential of the other.
#[test]
fn a_route_for_test_takes_no_live_credential() {
    let setup =
        Setup::new().route("sandbox", "/v1/sandbox/*", "kwikpaisa", "environment = \"test\"");
    let gateway = Gateway::with(setup);
    let request = Request::post("/v1/sandbox/orders", BODY);
    gateway.refuses(&kwik().sign(request.clone(), gateway.now()), "not_in_scope");
    gateway.accepts(&kwik_test().sign(request, gateway.now()));
}
