//! The target that was signed, matched and sent is one and the same string of bytes, or refused.

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, kwik, v1};

/// Row 45: forms that two programs might read as different paths.
#[test]
fn paths_with_two_readings_are_refused() {
    let gateway = Gateway::start();
    for target in [
        "/v2/../v1/orders",
        "/v2/./orders",
        "/v2/orders/..",
        "/v2/%2e%2e/orders",
        "/v2/%2E/orders",
        "/v2/.%2e/orders",
        "/v2/a%2fb",
        "/v2/a%2Fb",
        "/v2/a%5cb",
        "/v2\\orders",
        "/v2//orders",
        "//v2/orders",
        "//evil.example.com/v2/orders",
        "/v2/..;x/orders",
        "/v2/;/orders",
        "/v2/%00",
        "/v2/%0d%0aX-Evil:1",
        "/v2/%",
        "/v2/%zz",
        "/v2/%7f",
    ] {
        gateway.refuses(&v1().sign(Request::get(target), gateway.now()), "bad_request");
    }
    for target in [&b"/v2/caf\xc3\xa9"[..], b"/v2/caf\xe9", b"/v2/a\x7fb", b"/v2/a?b=\xc3\xa9"] {
        let request = v1().sign(Request::get("/v2/RAW"), gateway.now());
        gateway.drops_quietly(&request.edited("/v2/RAW", target), &[400]);
    }
}

/// Row 45: everything else goes through byte for byte.
#[test]
fn good_targets_are_forwarded_byte_for_byte() {
    let gateway = Gateway::start();
    for target in [
        "/v2/orders",
        "/v2/orders/",
        "/v2/a%20b",
        "/v2/%41%62",
        "/v2/%252e%252e/x",
        "/v2/a;v=1/b",
        "/v2/a:b@c!$&'()*+,=",
        "/v2/caf%C3%A9",
        "/v2/orders?",
        "/v2/orders?a=1&a=2&b",
        "/v2/orders?b=2&a=1",
        "/v2/orders?a=x+y&b=x%20y",
        "/v2/orders?a=1;b=2",
        "/v2/orders?path=/../../etc/passwd&u=http://x//y",
        "/v2/orders?%zz%",
        "/v2/orders?a?b?c",
    ] {
        gateway.accepts(&v1().sign(Request::get(target), gateway.now()));
        assert_eq!(gateway.upstream.last().target, target);
        gateway.accepts_h2(&v1().sign(Request::get(target), gateway.now()));
        assert_eq!(gateway.upstream.last().target, target);
    }
}

/// Row 45: a fragment has no place in a target. The HTTP library cuts it off before the gate sees
/// it, so that it cannot be part of what was signed, and never reaches the service.
#[test]
fn a_fragment_never_reaches_the_service() {
    let gateway = Gateway::start();
    for target in ["/v2/orders#x", "/v2/orders?a=1#x", "/v2/#"] {
        let request = v1().sign(Request::get(target), gateway.now());
        gateway.refuses_h1(&request, "invalid_signature");
    }
    gateway.accepts(&kwik().sign(Request::get("/v1/orders#x"), gateway.now()));
    assert_eq!(gateway.upstream.last().target, "/v1/orders");
}

/// Row 46.
#[test]
fn a_route_matches_its_own_spelling_only() {
    let setup = Setup::new().route(
        "exact",
        "/v2/refunds",
        "countersign-v1",
        "methods = [\"POST\"]\nbody = \"1KiB\"",
    );
    let gateway = Gateway::with(setup);
    for target in ["/V2/orders", "/v2", "/v3/orders", "/", "/v2x/orders", "/v%32/orders"] {
        gateway.refuses(&v1().sign(Request::get(target), gateway.now()), "no_route");
    }
    // The exact route's limit holds for its path, the other's for everything beside it.
    let large = |target: &str| Request::post(target, &[b'x'; 2048]);
    gateway.refuses(&v1().sign(large("/v2/refunds"), gateway.now()), "body_too_large");
    gateway.accepts(&v1().sign(large("/v2/refunds/"), gateway.now()));
}

/// Row 46: scopes are matched on the same bytes as routes.
#[test]
fn a_target_outside_the_scopes_is_refused_after_the_signature() {
    let gateway = Gateway::with(Setup::new().route("admin", "/admin/*", "kwikpaisa", ""));
    let request = kwik().sign(Request::get("/admin/users"), gateway.now());
    gateway.refuses(&request, "not_in_scope");
    let wrong = request.set("X-SIGNATURE", "0".repeat(64));
    gateway.refuses(&wrong, "invalid_signature");
}

/// Row 47.
#[test]
fn another_order_or_spelling_of_the_query_breaks_the_signature() {
    let gateway = Gateway::start();
    let signed = v1().sign(Request::get("/v2/orders?a=1&b=x%20y"), gateway.now());
    for target in [
        "/v2/orders?b=x%20y&a=1",
        "/v2/orders?a=1&b=x+y",
        "/v2/orders?a=1&b=x%20y&",
        "/v2/orders?a=1;b=x%20y",
        "/v2/orders?A=1&b=x%20y",
        "/v2/orders?a=1&a=1&b=x%20y",
        "/v2/orders/?a=1&b=x%20y",
        "/v2/orders",
        "/v2/%6frders?a=1&b=x%20y",
    ] {
        gateway.refuses(&signed.clone().target(target), "invalid_signature");
    }
    let bare = v1().sign(Request::get("/v2/orders"), gateway.now());
    gateway.refuses(&bare.target("/v2/orders?"), "invalid_signature");
    gateway.accepts(&signed);
}
