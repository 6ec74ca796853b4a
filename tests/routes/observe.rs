//! Report-only: what a route that only watches lets through, as what, and for how long; and what it
//! never lets through.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign::clock::Timestamp;

use crate::support::gateway::{Gateway, START};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, kwik, rfc3339, v1};
use crate::support::signer::Signer;
use crate::support::upstream::{Recorded, Upstream};
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";
/// What only the gate may say of a request.
const IDENTITY: [&str; 4] = [
    "x-countersign-merchant",
    "x-countersign-credential",
    "x-countersign-environment",
    "x-countersign-verified-at",
];

/// A key `observe` whose end is some days off.
fn observe(more: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let until = rfc3339((now + Duration::from_secs(30 * 24 * 3600)).as_secs());
    format!("observe = {{ until = \"{}\"{more} }}", &until[..10])
}

fn watching(more: &str) -> Setup {
    Setup::new().route("watched", "/watched/*", "countersign-v1", &observe(more))
}

fn post() -> Request {
    Request::post("/watched/orders?a=1", BODY)
}

fn good(gateway: &Gateway) -> Request {
    v1().sign(post(), gateway.now())
}

/// The request must go on, refused for this reason and as nobody's, and be answered as every other.
fn goes_on(gateway: &Gateway, request: &Request, code: &str) -> Recorded {
    let request = request
        .clone()
        .header("X-Countersign-Merchant", "globex")
        .header("X-Countersign-Verdict", "admitted");
    for over_http2 in [false, true] {
        let before = gateway.upstream.count();
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!(answer.status, 200, "{code}: {}", answer.text());
        assert!(answer.headers.iter().all(|(name, _)| !name.contains("verdict")), "{answer:?}");
        assert_eq!(gateway.upstream.count(), before + 1, "{code}");
        let seen = gateway.upstream.last();
        assert_eq!(seen.value("x-countersign-verdict"), format!("refused; {code}"));
        for name in IDENTITY {
            assert!(!seen.has(name), "{name} with {code}");
        }
        assert_eq!((seen.target.as_str(), &seen.body), (&*request.target, &request.body));
        let id = answer.value("x-countersign-request-id").expect("an id");
        assert_eq!(seen.value("x-countersign-request-id"), id);
        assert_eq!(seen.value("x-forwarded-for"), "127.0.0.1");
        assert!(!seen.has("x-signature") && !seen.has("x-api-key"), "credentials end at the gate");
    }
    gateway.upstream.last()
}

#[test]
fn what_is_refused_goes_on_as_nobodys() {
    let gateway = Gateway::with(watching(""));
    goes_on(&gateway, &post(), "missing_header");
    goes_on(&gateway, &good(&gateway).set("X-TIMESTAMP", "soon"), "malformed_header");
    goes_on(&gateway, &v1().sign(post(), gateway.now() - 301), "stale_timestamp");
    goes_on(&gateway, &good(&gateway).body(b"{\"amount\":999}"), "invalid_signature");
    goes_on(&gateway, &good(&gateway).set("X-API-KEY", "pk_live_nobody"), "invalid_signature");
    let get = Request::get("/watched/orders");
    let seen = goes_on(&gateway, &get, "missing_header");
    assert!(!seen.has("content-length"), "no body is made up");
    // A body that nobody had read when it was refused comes whole, in pieces or not.
    let long = vec![b'x'; 300_000];
    goes_on(&gateway, &Request::post("/watched/long", &long), "missing_header");
    goes_on(&gateway, &Request::post("/watched/long", &long).chunks(1000), "missing_header");
}

#[test]
fn good_ones_go_as_always_and_a_replay_does_not_pass_for_one() {
    let gateway = Gateway::with(watching(""));
    let request = good(&gateway);
    for _ in 0..2 {
        assert_eq!(gateway.ask(&good(&gateway)).status, 200);
    }
    assert_eq!(gateway.ask(&request).status, 200);
    let seen = gateway.upstream.last();
    assert_eq!(seen.value("x-countersign-verdict"), "admitted");
    assert_eq!(seen.value("x-countersign-merchant"), "globex");
    goes_on(&gateway, &request, "replayed");
    // Elsewhere nobody speaks of a verdict.
    gateway.accepts(&v1().sign(Request::post("/v2/orders", BODY), gateway.now()));
    assert!(!gateway.upstream.last().has("x-countersign-verdict"));
    gateway.refuses(&Request::post("/v2/orders", BODY), "missing_header");
}

#[test]
fn what_a_credential_may_not_is_watched_as_well() {
    let away = Signer::v1("pk_away", "away-live-4c1d7b9e2a6f8035");
    let narrow = Signer::v1("pk_narrow", "narrow-live-7d2e8c0f3b7a9146");
    let few = Signer::v1("pk_few", "few-live-94e0b7c2d85a1f63");
    let setup = watching("")
        .partner("away", &away, "addresses = [\"203.0.113.0/24\"]")
        .partner("few", &few, "rate = { per_second = 1, burst = 1 }")
        .merchant(
            crate::support::setup::merchant(
                "narrow",
                GENEROUS,
                &[crate::support::setup::credential(
                    "narrow",
                    &narrow,
                    "live",
                    "scopes = [\"GET /watched/*\"]",
                )],
            ),
            &[&narrow],
        );
    let gateway = Gateway::with(setup);
    let by = |signer: &Signer| signer.sign(post(), gateway.now());
    goes_on(&gateway, &by(&away), "address_not_allowed");
    goes_on(&gateway, &by(&narrow), "not_in_scope");
    let verdicts: Vec<String> = (0..20)
        .map(|_| {
            assert_eq!(gateway.ask(&by(&few)).status, 200);
            gateway.upstream.last().value("x-countersign-verdict")
        })
        .collect();
    assert_eq!(verdicts[0], "admitted");
    assert!(verdicts.iter().any(|verdict| verdict == "refused; rate_limited"), "{verdicts:?}");
}

/// What guards the gate, the service's framing and memory is never only watched.
#[test]
fn framing_routing_and_budgets_are_enforced() {
    let setup = watching("")
        .route("small", "/small/*", "countersign-v1", &format!("body = \"1KiB\"\n{}", observe("")))
        .deadline("body", 400);
    let gateway = Gateway::with(setup);
    gateway.refuses(&Request::post("/nowhere", BODY), "no_route");
    gateway.refuses(&post().header("Content-Encoding", "gzip"), "unsupported_encoding");
    gateway.refuses(&post().header("X_Underscore", "1"), "bad_request");
    gateway.refuses(&post().target("/watched/../v2/orders"), "bad_request");
    gateway.refuses(&Request::post("/small/a", &[b'x'; 1025]), "body_too_large");
    goes_on(&gateway, &Request::post("/small/a", &[b'x'; 1024]), "missing_header");
    gateway.refuses_bytes(&post().with_lines("Host: api.example.com\r\n"), "bad_request");
    let slow = [post().head(), b"{\"am".to_vec()].concat();
    gateway.refuses_bytes(&slow, "body_too_slow");
}

#[test]
fn only_those_who_are_named_are_let_through() {
    let gateway = Gateway::with(watching(", merchants = [\"globex\"]"));
    let other = Signer::v1("pk_live_other", "no-secret-of-anybody-here");
    let forged = Signer::v1("pk_live_globex", "a-wrong-secret-of-globex");
    goes_on(&gateway, &forged.sign(post(), gateway.now()), "invalid_signature");
    goes_on(&gateway, &v1().sign(post(), gateway.now() - 301), "stale_timestamp");
    gateway.refuses(&other.sign(post(), gateway.now()), "invalid_signature");
    gateway.refuses(&other.sign(post(), gateway.now() - 301), "stale_timestamp");
    // A credential of another scheme is nobody's here.
    let signer = Signer::v1(&kwik().key_id, "a-wrong-secret-of-acme-01");
    gateway.refuses(&signer.sign(post(), gateway.now()), "invalid_signature");
    // Of these nobody can say whose they are.
    gateway.refuses(&post(), "missing_header");
}

#[test]
fn the_route_enforces_by_itself_when_its_time_is_over() {
    let gateway = Gateway::altered(watching(""), Upstream::start(), |config| {
        let route = config.routes.iter_mut().find(|route| &*route.name == "watched");
        route.unwrap().observe.as_mut().unwrap().until = Timestamp::from_secs(START + 100);
    });
    let left = || gateway.metric("countersign_observe_days_left", &["route=\"watched\""]);
    goes_on(&gateway, &post(), "missing_header");
    assert_eq!(left(), 1.0);
    gateway.advance(100);
    goes_on(&gateway, &post(), "missing_header");
    gateway.advance(1);
    gateway.refuses(&post(), "missing_header");
    gateway.refuses(&good(&gateway).body(b"{}"), "invalid_signature");
    assert_eq!(left(), 0.0);
    gateway.accepts(&good(&gateway));
}

#[test]
fn it_is_said_loudly_and_counted() {
    let gateway = Gateway::with(watching(""));
    wait_until("the warning", || gateway.log().contains("refusals_only_observed"));
    let warning = gateway.log();
    let warning = warning.lines().find(|line| line.contains("refusals_only_observed")).unwrap();
    assert!(warning.contains("\"level\":\"warn\"") && warning.contains("\"watched\""), "{warning}");
    let refused = gateway.ask(&good(&gateway).body(b"{}"));
    gateway.ask(&good(&gateway));
    gateway.ask(&post());
    let of = |name: &str, code: &str| {
        gateway.metric(name, &["route=\"watched\"", &format!("code=\"{code}\"")])
    };
    assert_eq!(of("countersign_observed_total", "invalid_signature"), 1.0);
    assert_eq!(of("countersign_observed_total", "missing_header"), 1.0);
    assert_eq!(of("countersign_requests_total", "observed"), 2.0);
    assert_eq!(of("countersign_requests_total", "invalid_signature"), 0.0);
    assert_eq!(of("countersign_requests_total", "forwarded"), 1.0);
    let id = refused.value("x-countersign-request-id").unwrap().to_owned();
    wait_until("its line", || gateway.log().contains(&id));
    let lines = gateway.request_lines();
    let line = lines.iter().find(|line| line["request_id"] == *id).unwrap();
    assert_eq!(
        (&line["code"], &line["refused"]),
        (&"observed".into(), &"invalid_signature".into())
    );
    assert!(line.get("merchant").is_none(), "nobody proved who he is: {line}");
    let good = lines.iter().find(|line| line["code"] == "forwarded").unwrap();
    assert!(good.get("refused").is_none(), "{good}");
}

/// An observed refusal slows nobody down; one that is enforced still does.
#[test]
fn what_is_watched_is_not_held_against_its_address() {
    let setup = watching("").with("listener.failures", "{ per_second = 1, burst = 3 }");
    let gateway = Gateway::with(setup);
    for _ in 0..20 {
        goes_on(&gateway, &post(), "missing_header");
    }
    let slowed = (0..20).any(|_| gateway.ask(&Request::post("/v2/orders", BODY)).status == 429);
    assert!(slowed, "failures elsewhere count");
    assert_eq!(gateway.ask(&post()).refusal().code, "rate_limited", "the door is never watched");
}

/// The service fails: told as of every other request.
#[test]
fn a_service_that_fails_is_told() {
    let gateway = Gateway::with(watching(""));
    gateway.upstream.answer_with(|_| vec![crate::support::upstream::Step::Close]);
    let refusal = gateway.ask(&post()).refusal();
    assert_eq!((refusal.code.as_str(), refusal.forwarded.as_str()), ("upstream_broke", "maybe"));
    let counted = gateway.metric("countersign_observed_total", &["code=\"missing_header\""]);
    assert_eq!(counted, 1.0);
}
