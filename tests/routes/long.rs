//! Long bodies: whole, byte for byte and in memory that is counted, for known addresses; and as
//! long as their route lets them take.

use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::wait_until;

const LONG: usize = 64 << 20;

fn held(gateway: &Gateway) -> f64 {
    gateway.metric("countersign_body_bytes", &[])
}

#[test]
fn the_longest_body_of_a_known_address_arrives_whole_and_its_memory_is_given_back() {
    let setup = Setup::new().route("long", "/long/*", "countersign-v1", "body = \"64MiB\"");
    let gateway = Gateway::with(setup);
    let mut body = vec![0; LONG];
    for (n, block) in body.chunks_mut(8).enumerate() {
        block.copy_from_slice(&n.to_le_bytes());
    }
    let long = || v1().sign(Request::post("/long/a", &body), gateway.now());
    // Of a stranger as little is held as ever: 2 MiB here.
    let refused = |request: &Request, sent: usize| {
        let mut client = gateway.client();
        client.send(&request.h1()[..request.head().len() + sent]);
        client.answer().refusal().code
    };
    assert_eq!(refused(&long(), 3 << 20), "busy");
    gateway.accepts(&v1().sign(Request::post("/v2/a", b"{}"), gateway.now()));
    for over_http2 in [false, true] {
        let request = long();
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = gateway.upstream.last();
        assert_eq!(seen.body.len(), LONG);
        assert_eq!(digest(&SHA256, &seen.body).as_ref(), digest(&SHA256, &body).as_ref());
        wait_until("its memory given back", || held(&gateway) == 0.0);
    }
    let mut longer = body.clone();
    longer.push(0);
    let longer = v1().sign(Request::post("/long/a", &longer), gateway.now());
    assert_eq!(refused(&longer, 0), "body_too_large");
}

/// One route may take longer than the listener lets others.
#[test]
fn a_route_can_give_its_bodies_more_time() {
    let setup = Setup::new().deadline("body", 300).route(
        "long",
        "/long/*",
        "countersign-v1",
        "body_deadline = \"20s\"",
    );
    let gateway = Gateway::with(setup);
    let in_halves = |target: &str| {
        let request = v1().sign(Request::post(target, &[b'x'; 1000]), gateway.now());
        let bytes = request.h1();
        let (first, last) = bytes.split_at(bytes.len() - 500);
        let mut client = gateway.client();
        client.send(first);
        // Longer than the listener's deadline; a body that comes sooner would prove nothing.
        thread::sleep(Duration::from_millis(700));
        client.send(last);
        client.answer()
    };
    assert_eq!(in_halves("/v2/a").refusal().code, "body_too_slow");
    assert_eq!(in_halves("/long/a").status, 200);
    assert_eq!(gateway.upstream.last().body.len(), 1000);
}
