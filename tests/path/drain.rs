//! The end: nothing that was accepted is lost, nothing waits for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::{Client, Ended};
use crate::support::frames::{Frames, GOAWAY, Outcome};
use crate::support::gateway::Gateway;
use crate::support::process::{Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::{Step, ok, own_target};

const BODY: &[u8] = b"{\"amount\":100}";

fn post() -> Request {
    v1().sign(Request::post("/v2/orders", BODY), wall_now())
}

/// Row 89: requests in progress are answered, over both protocols, and the program ends with 0.
#[test]
fn sigterm_finishes_what_was_accepted_and_ends_with_0() {
    let site = Site::new(Setup::new().deadline("drain", 10_000));
    let mut gate = site.serve();
    gate.wait_ready();
    site.upstream.answer_with(|request| {
        [vec![Step::Pause(Duration::from_millis(600))], own_target(request)].concat()
    });
    let mut h1 = Client::connect(gate.address);
    let mut h2 = Frames::connect(gate.address);
    let mut idle = Client::connect(gate.address);
    let mut idle_h2 = Frames::connect(gate.address);
    h1.send(post().h1());
    h2.request(1, &post());
    site.upstream.wait_for(2);
    let started = Instant::now();
    gate.signal(Signal::TERM);
    let answer = h1.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "/v2/orders"));
    assert_eq!(answer.value("connection"), Some("close"));
    assert_ne!(h1.end(), Ended::Silent);
    assert_eq!(h2.outcome(1), Outcome::Answer { status: 200, body: "/v2/orders".into() });
    assert!(h2.gone_within(Duration::from_secs(5)));
    assert!(h2.seen.iter().any(|frame| frame.kind == GOAWAY), "told to go");
    // Those without a request are given a moment, in which one may still be on its way.
    assert!(idle.ends_within(Duration::from_secs(3)), "an idle connection");
    assert!(idle_h2.gone_within(Duration::from_secs(3)), "an idle HTTP/2 connection");
    let status = gate.ends_within(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0), "{}", gate.output());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(Client::dial(gate.address, "api.example.com", &[]).is_err());
}

/// Row 89: under load every request that the service got has its answer.
#[test]
fn sigterm_under_load_loses_nothing() {
    let site = Site::new(Setup::new());
    let mut gate = site.serve();
    gate.wait_ready();
    let address = gate.address;
    let (answered, unanswered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let status = thread::scope(|scope| {
        for h2 in [false, false, false, true] {
            let (answered, unanswered) = (&answered, &unanswered);
            scope.spawn(move || load(address, h2, answered, unanswered));
        }
        site.upstream.wait_for(100);
        gate.signal(Signal::TERM);
        gate.ends_within(Duration::from_secs(10))
    });
    assert_eq!(status.code(), Some(0), "{}", gate.output());
    let answered = answered.into_inner();
    assert_eq!(site.upstream.count(), answered, "each that reached the service was answered");
    assert_eq!(unanswered.into_inner(), 0, "no connection ended under a request");
}

/// Asks until the gate is gone. A request counts as unanswered only when bytes of it went out on a
/// connection that was not ended yet.
fn load(address: std::net::SocketAddr, h2: bool, answered: &AtomicUsize, unanswered: &AtomicUsize) {
    loop {
        if h2 {
            let Ok(mut frames) = Frames::try_connect(address) else { return };
            for n in 0..500 {
                frames.request(2 * n + 1, &post());
                match frames.outcome(2 * n + 1) {
                    Outcome::Answer { status: 200, .. } => answered.fetch_add(1, Ordering::Relaxed),
                    Outcome::Answer { status, .. } => panic!("{status}"),
                    _ => break,
                };
            }
        } else {
            let Ok(mut client) = Client::dial(address, "api.example.com", &["http/1.1"]) else {
                return;
            };
            loop {
                if !client.send(post().h1()) {
                    break;
                }
                let Ok(answer) = client.try_answer("POST") else {
                    unanswered.fetch_add(1, Ordering::Relaxed);
                    break;
                };
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, Ordering::Relaxed);
                if answer.value("connection") == Some("close") {
                    break;
                }
            }
        }
    }
}

/// What does not end by itself is cut at the deadline, and counted.
#[test]
fn what_hangs_is_cut_at_the_deadline() {
    let gateway = Gateway::with(Setup::new().deadline("drain", 400));
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut client = gateway.client();
    client.send(v1().sign(Request::post("/v2/orders", BODY), gateway.now()).h1());
    let mut body = gateway.client();
    let request = v1().sign(Request::post("/v2/orders", BODY), gateway.now()).h1();
    body.send(&request[..request.len() - 4]);
    gateway.upstream.wait_for(1);
    let started = Instant::now();
    let cut = gateway.stop();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(started.elapsed() >= Duration::from_millis(350), "{:?}", started.elapsed());
    assert_eq!(cut, 2);
    assert_ne!(client.end(), Ended::Silent);
    assert_ne!(body.end(), Ended::Silent);
}

/// A body that is still coming when the drain begins is taken and forwarded.
#[test]
fn a_body_in_progress_is_taken_to_its_end() {
    let gateway = Gateway::with(Setup::new().deadline("drain", 5000));
    let request = v1().sign(Request::post("/v2/orders", BODY), gateway.now()).h1();
    let mut client = gateway.client();
    client.send(&request[..request.len() - 4]);
    let mut h2 = gateway.frames();
    let other = v1().sign(Request::post("/v2/orders", BODY), gateway.now());
    h2.open(1, &other.h2(), false);
    thread::sleep(Duration::from_millis(200));
    let gate = gateway.take();
    thread::scope(|scope| {
        let stopping = scope.spawn(move || gate.stop());
        thread::sleep(Duration::from_millis(200));
        client.send(&request[request.len() - 4..]);
        h2.send(crate::support::frames::DATA, crate::support::frames::END_STREAM, 1, BODY);
        assert_eq!(client.answer().status, 200);
        assert!(matches!(h2.outcome(1), Outcome::Answer { status: 200, .. }));
        assert_eq!(stopping.join().unwrap().cut, 0);
    });
    assert_eq!(gateway.upstream.count(), 2);
}

/// SIGINT is an end in order as well.
#[test]
fn sigint_ends_in_order() {
    let site = Site::new(Setup::new());
    let mut gate = site.serve();
    gate.wait_ready();
    site.upstream.answer(&ok(b"{}"));
    assert_eq!(gate.ask(&post()).status, 200);
    gate.signal(Signal::INT);
    assert_eq!(gate.ends_within(Duration::from_secs(5)).code(), Some(0), "{}", gate.output());
}

/// After some requests a connection is told to close, so that load spreads over the cores again.
#[test]
fn a_connection_ends_after_its_number_of_requests() {
    let gateway = Gateway::with(Setup::new().with("listener.connections.requests", "3"));
    let sign = || v1().sign(Request::post("/v2/orders", BODY), gateway.now());
    let mut client = gateway.client();
    for last in [false, false, true] {
        let answer = client.ask(&sign());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.value("connection") == Some("close"), last);
    }
    assert_ne!(client.end(), Ended::Silent);
    let mut frames = gateway.frames();
    for n in 0..3 {
        frames.request(2 * n + 1, &sign());
        assert!(matches!(frames.outcome(2 * n + 1), Outcome::Answer { status: 200, .. }));
    }
    assert!(frames.gone_within(Duration::from_secs(5)));
}
