//! Services that speak HTTP/2: few connections, many requests, none that holds up another.

use std::time::{Duration, Instant};

use http::Version;

use crate::kit::{BODY, get, load, post, services, sorted};
use crate::proxy::{Fault, Proxy};
use crate::service::Service;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, route, v1};
use crate::support::wait_until;

const CLEAR: &str = "http2 = true\nhttp2_in_clear = true";

/// A gate of one worker whose `/v2/many/*` goes to a URL.
fn gate(url: &str, more: &str) -> Gateway {
    let mut setup = Setup::new().with("workers", "1");
    setup.upstreams.push(format!("[upstreams.many]\nurl = \"{url}\"\n{more}\n"));
    let to = "upstream = \"many\"";
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
    Gateway::with(setup)
}

fn clear(service: &Service, more: &str) -> Gateway {
    gate(&format!("http://{}", service.address), &format!("{CLEAR}\n{more}"))
}

fn to(gateway: &Gateway, path: &str) -> Request {
    v1().sign(Request::post(&format!("/v2/many/{path}"), BODY), gateway.now())
}

/// Over TLS by ALPN: the request is the same as over HTTP/1.1, whatever its client speaks.
#[test]
fn requests_arrive_over_http2_as_they_do_over_http1() {
    let service = Service::start(Some(&["h2", "http/1.1"]), 100);
    let url = format!("https://localhost:{}", service.address.port());
    let gateway = gate(&url, "ca = \"ca.pem\"\nhttp2 = true");
    let request = Request::post("/v2/many/a%20b?x=%7e&&y", BODY)
        .header("Cookie", "a=1; b=2")
        .header("X-Countersign-Merchant", "spoofed")
        .header("TE", "trailers");
    for h2 in [false, true] {
        let request = v1().sign(request.clone(), gateway.now());
        let answer = if h2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!((answer.status, answer.text().as_str()), (200, "/v2/many/a%20b"));
        let seen = service.seen().pop().unwrap();
        assert_eq!(seen.version, Version::HTTP_2);
        assert_eq!(seen.uri, "https://api.example.com/v2/many/a%20b?x=%7e&&y");
        assert_eq!(seen.body, BODY);
        let value = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(value("x-countersign-merchant"), Some("globex"));
        assert_eq!(value("content-length"), Some("14"));
        assert_eq!(value("cookie"), Some("a=1; b=2"));
        for name in ["host", "te", "x-signature", "connection", "transfer-encoding"] {
            assert_eq!(value(name), None, "{name}");
        }
    }
    assert_eq!(gateway.ask(&get(&gateway, 7)).text(), "/v2/many/7");
    assert_eq!(service.connections(), 1);
}

/// Whoever does not agree on HTTP/2 gets nothing.
#[test]
fn a_service_that_does_not_agree_on_http2_is_unreachable() {
    let service = Service::start(Some(&["http/1.1"]), 100);
    let mute = Service::start(Some(&[]), 100);
    for service in [&service, &mute] {
        let url = format!("https://localhost:{}", service.address.port());
        let gateway = gate(&url, "ca = \"ca.pem\"\nhttp2 = true");
        let refusal = gateway.ask(&post(&gateway, 1)).refusal();
        assert_eq!((&*refusal.code, &*refusal.forwarded), ("upstream_unreachable", "no"));
        assert!(service.seen().is_empty());
    }
    let [old] = services::<1>();
    let gateway = gate(&format!("http://{}", old.address), CLEAR);
    let code = gateway.ask(&post(&gateway, 1)).refusal().code;
    assert!(["upstream_unreachable", "upstream_broke"].contains(&code.as_str()), "{code}");
    // What opens HTTP/2 looks like a request to it (RFC 9113, section 3.4): never guess.
    assert_eq!(old.count_of(|request| request.target.contains("many")), 0);
}

/// Requests at a time share connections, up to the cap of streams.
#[test]
fn connections_are_shared_up_to_the_cap_of_streams() {
    for (streams, connections) in [(64, 1), (10, 4)] {
        let service = Service::start(None, 100);
        let gateway = clear(&service, &format!("http2_streams = {streams}"));
        let requests: Vec<Request> = (0..40).map(|_| to(&gateway, "slow")).collect();
        let started = Instant::now();
        for answer in gateway.http2().ask_all(&requests) {
            assert_eq!(answer.unwrap().status, 200);
        }
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert_eq!(service.connections(), connections, "{streams}");
        assert!(service.most() > 10, "{}", service.most());
        assert_eq!(sorted(&load(&gateway, 4, 20, post)), (80, Vec::new()));
        assert_eq!(service.connections(), connections, "{streams}");
    }
}

/// A service that takes fewer streams than the gate would send is not sent more.
#[test]
fn the_cap_of_the_service_holds() {
    let service = Service::start(None, 5);
    let gateway = clear(&service, "http2_streams = 20");
    let requests: Vec<Request> = (0..40).map(|_| to(&gateway, "slow")).collect();
    for answer in gateway.http2().ask_all(&requests) {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert!(service.most() <= 10, "{}", service.most());
}

/// Row 88: requests that hang, and answers that nobody takes, hold up no other on their connection.
#[test]
fn what_hangs_on_a_connection_holds_up_no_other() {
    let service = Service::start(None, 100);
    let gateway = clear(&service, "deadlines.response = \"1500ms\"");
    let mut lazy: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut lazy {
        client.send(to(&gateway, "long").h1());
    }
    let mut hanging: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut hanging {
        client.send(to(&gateway, "hang").h1());
    }
    wait_until("them to hang", || service.seen().len() >= 16);
    let started = Instant::now();
    assert_eq!(sorted(&load(&gateway, 2, 50, post)), (100, Vec::new()));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    for client in &mut hanging {
        assert_eq!(client.answer().refusal().code, "upstream_timed_out");
    }
    wait_until("streams of those to be reset", || service.at_a_time() == 0);
    for client in &mut lazy {
        assert_eq!(client.answer().body.len(), 3_000_000);
    }
}

/// A client that goes away resets its stream, and no other.
#[test]
fn a_client_that_goes_away_resets_its_stream() {
    let service = Service::start(None, 100);
    let gateway = clear(&service, "");
    let mut client = gateway.client();
    client.send(to(&gateway, "hang").h1());
    wait_until("the request", || service.at_a_time() == 1);
    drop(client);
    wait_until("the reset", || service.at_a_time() == 0);
    assert_eq!(gateway.ask(&post(&gateway, 1)).status, 200);
    assert_eq!(service.connections(), 1);
}

/// Row 87: a service that ends its connections in order loses nobody's request.
#[test]
fn a_connection_that_ends_in_order_loses_no_request() {
    let mut service = Service::start(None, 100);
    let gateway = clear(&service, "");
    assert_eq!(sorted(&load(&gateway, 2, 10, post)).0, 20);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.ask(&to(&gateway, "slow")).status);
        wait_until("it to be under way", || service.at_a_time() == 1);
        service.go_away();
        assert_eq!(slow.join().unwrap(), 200);
    });
    // Every new connection ends in order after one request or none.
    let (good, bad) = sorted(&load(&gateway, 1, 10, get));
    assert!(good + bad.len() == 10 && service.connections() > 1);
    let known = |(_, forwarded): &(String, String)| ["no", "maybe"].contains(&forwarded.as_str());
    assert!(bad.iter().all(known), "{bad:?}");
}

/// Rows 83 and 87: a connection with many requests that breaks costs changes an answer, and is
/// told as such; reads come again, and a connection that does not answer is not used any more.
#[test]
fn a_connection_that_breaks_is_told_to_all_that_are_on_it() {
    let service = Service::start(None, 100);
    let proxy = Proxy::before(service.address);
    let more = format!("{CLEAR}\ndeadlines.response = \"300ms\"");
    let gateway = gate(&format!("http://{}", proxy.address), &more);
    assert_eq!(sorted(&load(&gateway, 2, 10, post)).0, 20);
    for (fault, code) in
        [(Fault::Reset, "upstream_broke"), (Fault::Blackhole, "upstream_timed_out")]
    {
        proxy.fail(fault);
        let before = service.seen().len();
        let refusal = gateway.ask(&post(&gateway, 1)).refusal();
        assert_eq!((&*refusal.code, &*refusal.forwarded), (code, "maybe"));
        proxy.fail(Fault::None);
        assert_eq!(service.seen().len(), before, "and it is not sent again");
        assert_eq!(sorted(&load(&gateway, 2, 10, post)), (20, Vec::new()), "{fault:?}");
    }
}

/// Checks of health speak the protocol of the service.
#[test]
fn checks_speak_http2_too() {
    let service = Service::start(None, 100);
    let more = "health = { path = \"/well\", every = \"50ms\", unhealthy = 1 }";
    let gateway = clear(&service, more);
    wait_until("checks", || service.seen().len() >= 4);
    let seen = service.seen().pop().unwrap();
    assert_eq!(seen.uri, format!("http://{}/well", service.address));
    assert_eq!(gateway.metric("countersign_upstream_healthy", &["many"]), 1.0);
    assert_eq!(gateway.ask(&post(&gateway, 1)).status, 200);
}
