//! X-Forwarded-For and Forwarded: row 18, and 19 where a proxy is in front.

use crate::dial::{LISTED, LISTED_TEXT, client, http2};
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::signer::Signer;
use crate::support::upstream::{Step, ok};
use crate::support::{wait_until, write_private};

const OTHER: [u8; 4] = [127, 0, 0, 2];

/// The proxy next to the gate, and one before that.
fn setup() -> Setup {
    let proxies = format!("[{LISTED_TEXT}, \"10.0.0.0/8\", \"fd00::/8\"]");
    Setup::new().with("listener.trusted_proxies", &proxies)
}

fn there() -> Signer {
    Signer::v1("pk_there", "there-live-7e9a1b3d5f0c2846")
}

fn with_partner(setup: Setup) -> Setup {
    setup.partner("there", &there(), r#"addresses = ["203.0.113.7", "2001:db8::7"]"#)
}

/// The client of a proxy is the right-most that is not a proxy, for rules, log and service alike.
#[test]
fn the_client_that_a_proxy_names_is_who_it_is() {
    let gateway = Gateway::with(with_partner(setup()));
    let request = || there().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    let (mut h1, h2) = (client(LISTED, &gateway, b""), http2(LISTED, &gateway, b""));
    let mut lines = 0;
    for (ip, name, value) in [
        ("203.0.113.7", "X-Forwarded-For", "203.0.113.7"),
        ("203.0.113.7", "X-Forwarded-For", "198.51.100.1, 203.0.113.7, 10.1.2.3"),
        ("203.0.113.7", "X-Forwarded-For", "unknown, ::ffff:203.0.113.7"),
        ("2001:db8::7", "X-Forwarded-For", "203.0.113.7, 2001:db8::7, fd00::1"),
        ("203.0.113.7", "Forwarded", "for=198.51.100.1, for=203.0.113.7;proto=https"),
        ("2001:db8::7", "Forwarded", "for=\"[2001:db8::7]:4711\", for=10.0.0.1;by=_x"),
    ] {
        let request = || request().header(name, value);
        for answer in [h1.ask(&request()), h2.ask(&request())] {
            assert_eq!(answer.status, 200, "{value}: {}", answer.text());
            let seen = gateway.upstream.last();
            assert_eq!(seen.value("x-forwarded-for"), ip, "{value}");
            assert!(!seen.has("forwarded"));
        }
        lines += 2;
        wait_until("the lines", || gateway.request_lines().len() >= lines);
        let line = gateway.request_lines().last().unwrap().clone();
        assert_eq!((&line["peer"], &line["via"]), (&ip.into(), &"127.0.0.9".into()));
    }
    // Another client on the same connection, and the proxy itself.
    let forbidden = request().header("X-Forwarded-For", "203.0.113.7, 203.0.113.8");
    for request in [forbidden, request()] {
        assert_eq!(h1.ask(&request).refusal().code, "address_not_allowed");
        assert_eq!(h2.ask(&request).refusal().code, "address_not_allowed");
    }
}

/// Row 18: nobody else is believed, whatever he writes.
#[test]
fn only_trusted_proxies_are_believed() {
    let gateway = Gateway::with(with_partner(setup()));
    let spoofed = || {
        let request = there().sign(Request::post("/v2/orders", b"{}"), gateway.now());
        request
            .header("X-Forwarded-For", "203.0.113.7")
            .header("Forwarded", "for=203.0.113.7")
            .header("X-Real-IP", "203.0.113.7")
    };
    let mut stranger = client(OTHER, &gateway, b"");
    assert_eq!(stranger.ask(&spoofed()).refusal().code, "address_not_allowed");
    let stranger = http2(OTHER, &gateway, b"");
    assert_eq!(stranger.ask(&spoofed()).refusal().code, "address_not_allowed");
    // Nor is a client believed that a proxy lets write on the left, or in another header.
    let mut proxy = client(LISTED, &gateway, b"");
    let request = || there().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    let left = request().header("X-Forwarded-For", "203.0.113.7, 198.51.100.1");
    assert_eq!(proxy.ask(&left).refusal().code, "address_not_allowed");
    let other = request().header("X-Real-IP", "203.0.113.7");
    assert_eq!(proxy.ask(&other).refusal().code, "address_not_allowed");
    // Of strangers the headers are not even read.
    let mut stranger = client(OTHER, &gateway, b"");
    let own = v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    let answer = stranger.ask(&own.header("X-Forwarded-For", "nonsense").header("Forwarded", "="));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.upstream.last().value("x-forwarded-for"), "127.0.0.2");
}

/// What proxies say must have one reading.
#[test]
fn a_client_that_is_not_clear_is_refused() {
    let gateway = Gateway::with(setup());
    let hops = vec!["10.0.0.1"; 33].join(", ");
    for headers in [
        vec![("X-Forwarded-For", "nonsense")],
        vec![("X-Forwarded-For", "203.0.113.7, unknown, 10.0.0.1")],
        vec![("X-Forwarded-For", "203.0.113.7,")],
        vec![("X-Forwarded-For", &hops)],
        vec![("Forwarded", "for=unknown")],
        vec![("Forwarded", "for=\"203.0.113.7")],
        vec![("Forwarded", "proto=https")],
        vec![("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.8")],
        vec![("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "")],
    ] {
        let request = v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value.as_bytes()));
        let answers = [
            client(LISTED, &gateway, b"").ask(&request),
            http2(LISTED, &gateway, b"").ask(&request),
        ];
        for answer in answers {
            assert_eq!(answer.refusal().code, "bad_request", "{headers:?}");
            assert!(answer.text().contains("X-Forwarded-For"), "{}", answer.text());
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
}

/// Failures count under the client; what is not clear counts under the proxy, which slows only
/// what is not clear either.
#[test]
fn failures_count_under_the_client() {
    let setup = setup().with("listener.failures", "{ per_second = 1, burst = 5 }");
    let gateway = Gateway::with(setup);
    let proxy = http2(LISTED, &gateway, b"");
    let from = |client: &str| {
        let request = v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
        request.header("X-Forwarded-For", client)
    };
    wait_until("one client is slowed", || {
        proxy.ask(&from("203.0.113.7").set("X-SIGNATURE", "0".repeat(64))).status == 429
    });
    assert_eq!(proxy.ask(&from("203.0.113.8")).status, 200);
    wait_until("the proxy is slowed", || proxy.ask(&from("nonsense")).status == 429);
    assert_eq!(proxy.ask(&from("203.0.113.8")).status, 200);
    assert_eq!(proxy.ask(&from("203.0.113.7")).refusal().code, "rate_limited");
}

/// A balancer that hides a proxy: first whose the connection is, then whose the request is.
#[test]
fn a_balancer_may_bring_connections_of_a_proxy() {
    let setup = Setup::new()
        .with("listener.proxy_protocol", &format!("{{ from = [{LISTED_TEXT}] }}"))
        .with("listener.trusted_proxies", "[\"10.0.0.0/8\"]");
    let gateway = Gateway::with(with_partner(setup));
    let ask = |header: &[u8]| {
        let request = there().sign(Request::post("/v2/orders", b"{}"), gateway.now());
        client(LISTED, &gateway, header).ask(&request.header("X-Forwarded-For", "203.0.113.7"))
    };
    assert_eq!(ask(b"PROXY TCP4 10.0.0.5 10.0.0.1 50000 443\r\n").status, 200);
    // A client of the balancer is no proxy, and neither is the balancer.
    for header in ["PROXY TCP4 198.51.100.1 10.0.0.1 50000 443\r\n", "PROXY UNKNOWN\r\n"] {
        assert_eq!(ask(header.as_bytes()).refusal().code, "address_not_allowed");
    }
}

/// Many clients over the connections of one proxy, at once: nobody gets another's address.
#[test]
fn clients_of_one_connection_never_mix() {
    let gateway = Gateway::with(setup());
    gateway
        .upstream
        .answer_with(|seen| vec![Step::Send(ok(seen.value("x-forwarded-for").as_bytes()))]);
    let proxy = http2(LISTED, &gateway, b"");
    let requests: Vec<Request> = (0..100)
        .map(|n| {
            let request = v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
            request.header("X-Forwarded-For", format!("203.0.113.1, 198.51.100.{n}, 10.0.0.1"))
        })
        .collect();
    for (n, answer) in proxy.ask_all(&requests).into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("198.51.100.{n}"));
    }
    assert_eq!(gateway.upstream.count(), 100);
}

/// Webhooks go by the same address: in their lines, and in what slows those that keep failing.
#[test]
fn webhooks_are_of_the_client_that_a_proxy_names() {
    let mut gateway =
        Gateway::with_state(setup().with("listener.failures", "{ per_second = 1, burst = 5 }"));
    let port = gateway.upstream.address.port();
    write_private(
        &gateway.folder.path().join("shop.whsec"),
        b"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    );
    gateway
        .change(|setup| {
            setup.named_secret("github", "the-secret-of-the-provider");
            setup.upstreams = vec![format!(
                "[destinations.shop]\nurl = \"http://localhost:{port}/\"\n\
                 networks = [\"127.0.0.0/8\"]\nsecrets = [{{ file = \"shop.whsec\" }}]\n\
                 [sources.github]\nscheme = \"github\"\npath = \"/webhooks/github\"\n\
                 destination = \"shop\"\n\
                 secrets = [{{ list = \"secrets.txt\", id = \"github\" }}]\n"
            )];
        })
        .unwrap();
    let proxy = http2(LISTED, &gateway, b"");
    let from = |client: &str| {
        let request = Request::post("/webhooks/github", b"{}").header("X-Forwarded-For", client);
        proxy.ask(&request.header("X-Hub-Signature-256", "sha256=00")).status
    };
    assert_eq!(from("203.0.113.7, 10.0.0.1"), 401);
    wait_until("its line", || gateway.log().contains("\"webhook\""));
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("\"webhook\"")).unwrap();
    assert!(line.contains("\"peer\":\"203.0.113.7\""), "{line}");
    assert!(line.contains("\"via\":\"127.0.0.9\""), "{line}");
    wait_until("the client is slowed", || from("203.0.113.7") == 429);
    assert_eq!(from("203.0.113.8"), 401);
    assert_eq!(from("nonsense"), 400);
}
