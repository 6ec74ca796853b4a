//! Row 88: a service that hangs has its cap and a short line, and costs nobody else anything.

use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{BODY, gate, get, load, post, services, setup, sorted};
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::v1;
use crate::support::upstream::{Step, own_target};
use crate::support::wait_until;

fn elsewhere(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

/// A hundred requests to a service that hangs: some hang with it, a few wait, the rest is told at
/// once, and to other services it is as if nothing was.
#[test]
fn a_hanging_service_fills_its_line_and_no_other() {
    let [service] = services::<1>();
    service.answer_with(|_| vec![Step::Hold]);
    let more = "connections = 8\nqueue = 4\nqueue_for = \"400ms\"";
    let gateway = gate(&[service.address], more);
    let quick = |gateway: &Gateway| {
        let mut client = gateway.client();
        let mut times: Vec<Duration> = (0..60)
            .map(|_| {
                let started = Instant::now();
                assert_eq!(client.ask(&elsewhere(gateway)).status, 200);
                started.elapsed()
            })
            .collect();
        times.sort();
        times[30]
    };
    let alone = quick(&gateway);
    thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            let requests: Vec<Request> = (0..100).map(|n| post(&gateway, n)).collect();
            let started = Instant::now();
            let answers = gateway.http2().ask_all(&requests);
            (answers, started.elapsed())
        });
        service.wait_for(8);
        let beside = quick(&gateway);
        assert!(beside < 5 * alone + Duration::from_millis(20), "{alone:?}, then {beside:?}");
        // At least until the last that waits was told.
        thread::sleep(Duration::from_millis(500));
        assert_eq!(service.count(), 8, "nothing beyond the cap has left");
        service.answer_with(own_target);
        service.release();
        service.close_all();
        let (answers, _) = hanging.join().unwrap();
        let busy = answers.iter().flatten().filter(|answer| answer.status == 503);
        let busy: Vec<_> = busy.map(|answer| answer.refusal()).collect();
        assert_eq!(busy.len(), 92, "a hundred less those that hung");
        assert!(busy.iter().all(|one| (&*one.code, &*one.forwarded) == ("busy", "no")));
    });
    assert_eq!(sorted(&load(&gateway, 2, 10, get)), (20, Vec::new()), "and it goes on");
}

/// Whoever stands in line is served in turn, as soon as there is room.
#[test]
fn the_line_is_served_in_turn() {
    let [service] = services::<1>();
    service.answer_with(|request| {
        [vec![Step::Pause(Duration::from_millis(20))], own_target(request)].concat()
    });
    let more = "connections = 1\nqueue = 20\nqueue_for = \"5s\"";
    let gateway = gate(&[service.address], more);
    let requests: Vec<Request> = (0..20).map(|n| get(&gateway, n)).collect();
    for (n, answer) in gateway.http2().ask_all(&requests).into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("/v2/many/{n}"));
    }
    assert_eq!(service.connections(), 1);
}

/// A client that goes away leaves the line, and its place is free.
#[test]
fn a_client_that_goes_away_leaves_the_line() {
    let [service] = services::<1>();
    service.answer_with(|_| vec![Step::Hold]);
    let more = "connections = 1\nqueue = 1\nqueue_for = \"20s\"";
    let gateway = gate(&[service.address], more);
    let mut held = gateway.client();
    held.send(post(&gateway, 0).h1());
    service.wait_for(1);
    // Whether somebody who comes now is told at once; else he stands in line and goes away.
    let is_full = || {
        let mut probe = gateway.client();
        probe.patience(Duration::from_millis(200));
        probe.send(get(&gateway, 9).h1());
        probe.try_answer("GET").is_ok_and(|answer| answer.refusal().code == "busy")
    };
    for n in 1..4 {
        let mut waits = gateway.client();
        waits.send(post(&gateway, n).h1());
        wait_until("the line to be full", is_full);
        drop(waits);
        wait_until("the line to be free", || !is_full());
    }
    drop(held);
    service.answer_with(own_target);
    service.release();
}

/// An order that was told to be busy has not been noted: it may come again.
#[test]
fn an_order_that_did_not_leave_may_come_again() {
    let [service] = services::<1>();
    service.answer_with(|_| vec![Step::Hold]);
    let more = "connections = 1\nqueue = 1\nqueue_for = \"50ms\"";
    let mut setup = setup(&[service.address], more);
    setup.routes[2].push_str("unique_order = { field = \"/order_id\" }\n");
    let gateway = Gateway::with_state(setup);
    let order = |number: &str| {
        let body = format!("{{\"order_id\":\"{number}\"}}");
        v1().sign(Request::post("/v2/many/x", body.as_bytes()), gateway.now())
    };
    let mut held = gateway.client();
    held.send(order("held").h1());
    service.wait_for(1);
    let refusal = gateway.ask(&order("second")).refusal();
    assert_eq!((&*refusal.code, &*refusal.forwarded), ("busy", "no"));
    service.answer_with(own_target);
    service.release();
    service.close_all();
    assert_eq!(gateway.ask(&order("second")).status, 200);
    assert_eq!(gateway.ask(&order("second")).refusal().code, "duplicate_order");
}
