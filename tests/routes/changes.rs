//! What a route changes on the way: the beginning of the path, after the signature over what came,
//! and header fields both ways.

use aws_lc_rs::digest;

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::signer::{hex, hmac_hex};
use crate::support::upstream::{answer, ok};
use crate::support::wait_until;

fn signed(gateway: &Gateway, target: &str) -> Request {
    v1().sign(Request::post(target, b"{}"), gateway.now())
}

fn at_service(gateway: &Gateway, target: &str) -> String {
    let request = signed(gateway, target);
    assert_eq!(gateway.ask(&request).status, 200, "{target}");
    let over_http1 = gateway.upstream.last().target;
    assert_eq!(gateway.ask_h2(&signed(gateway, target)).status, 200, "{target}");
    assert_eq!(gateway.upstream.last().target, over_http1, "alike over HTTP/2");
    over_http1
}

#[test]
fn the_service_gets_another_beginning_and_the_rest_byte_for_byte() {
    let setup = Setup::new()
        .route("cut", "/api/*", "countersign-v1", "strip = \"/api\"")
        .route("one", "/pay", "countersign-v1", "strip = \"/pay\"")
        .route(
            "new",
            "/old/v1/*",
            "countersign-v1",
            "replace = { from = \"/old\", to = \"/new/x\" }",
        );
    let gateway = Gateway::with(setup);
    for (target, expected) in [
        ("/api/orders", "/orders"),
        ("/api/", "/"),
        ("/api/a%20b;v=1/%7e?x=%2F&&y=/api//../", "/a%20b;v=1/%7e?x=%2F&&y=/api//../"),
        ("/api/api/orders?", "/api/orders?"),
        ("/pay", "/"),
        ("/pay?id=1", "/?id=1"),
        ("/old/v1/orders?a=b", "/new/x/v1/orders?a=b"),
        ("/v2/old/v1", "/v2/old/v1"),
    ] {
        assert_eq!(at_service(&gateway, target), expected);
    }
    // What was signed is what came: a signature over the service's target is none.
    let request = signed(&gateway, "/orders").target("/api/orders");
    gateway.refuses(&request, "invalid_signature");
    for target in ["/api//orders", "/api/../orders", "/api/%2e%2e/x", "/api/%2forders"] {
        gateway.refuses(&signed(&gateway, target), "bad_request");
    }
    gateway.ask(&signed(&gateway, "/api/logged"));
    wait_until("its line", || {
        gateway.request_lines().iter().any(|line| line["path"] == "/api/logged")
    });
}

/// A read that is sent again goes to the same place.
#[test]
fn a_read_that_is_sent_again_is_changed_once() {
    let gateway =
        Gateway::with(Setup::new().route("cut", "/api/*", "countersign-v1", "strip = \"/api\""));
    let get = || v1().sign(Request::get("/api/api/a"), gateway.now());
    assert_eq!(gateway.ask(&get()).status, 200);
    gateway.upstream.close_all();
    assert_eq!(gateway.ask(&get()).status, 200);
    assert_eq!(gateway.upstream.last().target, "/api/a");
}

const RULES: &str = r#"
[routes.request_headers]
set = { X-Zone = "blue", accept-language = "en" }
remove = ["X-Debug", "user-agent"]
[routes.response_headers]
set = { Strict-Transport-Security = "max-age=31536000" }
remove = ["Server", "x-powered-by"]
"#;

#[test]
fn header_fields_are_set_and_removed_both_ways() {
    let gateway = Gateway::with(Setup::new().route("ruled", "/ruled/*", "countersign-v1", RULES));
    let fields = [("Server", "secret/1.0"), ("X-Powered-By", "a"), ("X-Kept", "yes")];
    gateway.upstream.answer(&answer("200 OK", &fields, b"body"));
    for over_http2 in [false, true] {
        let request = signed(&gateway, "/ruled/a")
            .header("X-Zone", "red")
            .header("x-zone", "green")
            .header("X-Debug", "1")
            .header("User-Agent", "curl")
            .header("X-Other", "stays");
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
        let seen = gateway.upstream.last();
        assert_eq!(seen.values("x-zone"), ["blue"]);
        assert_eq!(seen.value("accept-language"), "en");
        assert_eq!(seen.value("x-other"), "stays");
        assert_eq!(seen.value("x-countersign-merchant"), "globex");
        assert!(!seen.has("x-debug") && !seen.has("user-agent"));
        assert_eq!(answer.value("strict-transport-security"), Some("max-age=31536000"));
        assert_eq!(answer.value("x-kept"), Some("yes"));
        assert!(answer.value("server").is_none() && answer.value("x-powered-by").is_none());
    }
    // The gate's own refusals are as everywhere, and other routes change nothing.
    let refusal = gateway.ask(&Request::post("/ruled/a", b"{}"));
    assert_eq!(refusal.refusal().code, "missing_header");
    let answer = gateway.ask(&signed(&gateway, "/v2/a").header("X-Debug", "1"));
    assert_eq!(answer.value("server"), Some("secret/1.0"));
    assert!(gateway.upstream.last().has("x-debug"));
}

/// What is changed of an answer is changed before it is signed.
#[test]
fn a_signed_answer_is_signed_as_it_is_sent() {
    let more = "sign_answers = true\nresponse_headers.set = { Content-Type = \"text/plain\" }";
    let gateway = Gateway::with(Setup::new().route("signed", "/s/*", "countersign-v1", more));
    gateway.upstream.answer(&ok(b"{}"));
    let request = signed(&gateway, "/s/a");
    let answer = gateway.ask(&request);
    assert_eq!(answer.value("content-type"), Some("text/plain"));
    let time = answer.value("x-timestamp").expect("a time");
    let digest = hex(digest::digest(&digest::SHA256, &answer.body).as_ref());
    let lines = [
        "countersign-v1-response",
        "pk_live_globex",
        time,
        &request.value("X-NONCE"),
        "200",
        "api.example.com",
        "/s/a",
        "text/plain",
        &digest,
    ];
    let expected = hmac_hex(&v1().secret, lines.join("\n").as_bytes());
    assert_eq!(answer.value("x-signature"), Some(expected.as_str()));
}
