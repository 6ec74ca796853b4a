//! Clients that go away before they are answered: each has a line and a count, and pays at its
//! address for what it began without a signature.

use std::time::Duration;

use crate::support::frames::{DATA, RST_STREAM};
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::Step;
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

fn gone(gateway: &Gateway) -> f64 {
    gateway.metric("countersign_requests_total", &["code=\"client_gone\"", "route=\"v1\""])
}

/// A body that is begun and reset is a failed admission like any other.
#[test]
fn a_body_begun_and_reset_counts_against_the_address() {
    let setup = Setup::new().with("listener.failures", "{ per_second = 1, burst = 3 }");
    let gateway = Gateway::with(setup);
    let mut frames = gateway.frames();
    for n in 0..3 {
        frames.open(2 * n + 1, &post(&gateway).h2(), false);
        frames.send(DATA, 0, 2 * n + 1, &BODY[..4]);
        std::thread::sleep(Duration::from_millis(50));
        frames.send(RST_STREAM, 0, 2 * n + 1, &CANCEL);
    }
    wait_until("the lines", || gateway.request_lines().len() == 3);
    assert!(gateway.request_lines().iter().all(|line| line["code"] == "bad_request"));
    gateway.refuses_h1(&post(&gateway), "rate_limited");
}

/// One whose signature was good costs its address nothing, and is known by its line.
#[test]
fn a_client_that_leaves_the_service_waiting_has_a_line_and_no_debt() {
    let setup = Setup::new().with("listener.failures", "{ per_second = 1, burst = 2 }");
    let gateway = Gateway::with(setup);
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut frames = gateway.frames();
    for n in 0..3 {
        frames.request(2 * n + 1, &post(&gateway));
        gateway.upstream.wait_for(n as usize + 1);
        frames.send(RST_STREAM, 0, 2 * n + 1, &CANCEL);
    }
    wait_until("the counts", || gone(&gateway) == 3.0);
    let mut client = gateway.client();
    client.send(post(&gateway).h1());
    gateway.upstream.wait_for(4);
    drop(client);
    wait_until("the fourth", || gone(&gateway) == 4.0);
    gateway.upstream.answer_with(crate::support::upstream::own_target);
    assert_eq!(gateway.ask(&post(&gateway)).status, 200);
    wait_until("the lines", || gateway.request_lines().len() == 5);
    // Each core has lines of its own: those of two cores come in any order.
    let lines = gateway.request_lines();
    let mut gone = lines.iter().filter(|line| line["code"] == "client_gone");
    let line = gone.next().unwrap();
    assert_eq!((gone.count(), &line["status"]), (3, &499.into()));
    assert_eq!((&line["route"], &line["merchant"]), (&"v1".into(), &"globex".into()));
}

/// Over HTTP/1.1 a body that breaks off ends in one line, counted against its address.
#[test]
fn a_body_that_breaks_off_has_one_line() {
    let setup = Setup::new().with("listener.failures", "{ per_second = 1, burst = 3 }");
    let gateway = Gateway::with(setup);
    let request = post(&gateway).h1();
    for n in 1..=3 {
        let mut client = gateway.client();
        client.send(&request[..request.len() - 4]);
        std::thread::sleep(Duration::from_millis(50));
        drop(client);
        wait_until("its line", || gateway.request_lines().len() == n);
    }
    assert!(gateway.request_lines().iter().all(|line| line["code"] == "bad_request"));
    gateway.refuses_h1(&post(&gateway), "rate_limited");
}
