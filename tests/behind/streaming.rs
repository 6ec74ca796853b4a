//! Answers that come bit by bit: every piece goes on as it comes, however long the next one takes.

use std::time::{Duration, Instant};

use crate::kit::{get, post, services};
use crate::support::gateway::Gateway;
use crate::support::setup::{Setup, route};
use crate::support::upstream::{Step, Upstream, own_target};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn event(n: usize) -> Vec<u8> {
    let text = format!("data: {n}\n\n");
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn gate(service: &Upstream, idle: &str) -> Gateway {
    let mut setup = Setup::new().with("workers", "1").deadline("idle", 300);
    let more = "deadlines.response = \"300ms\"";
    setup.upstreams.push(crate::kit::many("many", &[service.address], more));
    let more = format!("upstream = \"many\"\n{idle}");
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", &more));
    Gateway::with(setup)
}

/// Events with a pause before each.
fn events(count: usize, pause: Duration) -> Vec<Step> {
    let steps = (0..count).flat_map(|n| [Step::Send(event(n)), Step::Pause(pause)]);
    let end = Step::Send(b"0\r\n\r\n".to_vec());
    [Step::Send(HEAD.to_vec())].into_iter().chain(steps).chain([end]).collect()
}

/// Each event is there long before the next one has left the service, over HTTP/1.1.
#[test]
fn every_piece_goes_on_as_it_comes() {
    let [service] = services::<1>();
    service.answer_with(|_| events(4, Duration::from_millis(600)));
    let gateway = gate(&service, "answer_idle = \"5s\"");
    let mut client = gateway.client();
    let started = Instant::now();
    client.send(get(&gateway, 1).h1());
    for n in 0..4_u32 {
        let wanted = event(usize::try_from(n).unwrap());
        let holds = |bytes: &[u8]| bytes.windows(wanted.len()).any(|part| part == wanted);
        while !holds(client.left_over()) {
            client.more().unwrap();
        }
        let due = Duration::from_millis(600) * n;
        assert!(started.elapsed() < due + Duration::from_millis(450), "event {n} came late");
        assert!(started.elapsed() + Duration::from_millis(50) >= due, "event {n} came early");
    }
    let answer = client.answer();
    assert_eq!(answer.text(), (0..4).map(|n| format!("data: {n}\n\n")).collect::<String>());
    assert_eq!(answer.value("content-type"), Some("text/event-stream"));
}

/// Over HTTP/2, beside other requests of the same client.
#[test]
fn a_stream_of_events_holds_up_no_other_request_of_its_client() {
    let [service] = services::<1>();
    service.answer_with(|request| match request.target.ends_with("/0") {
        true => events(3, Duration::from_millis(400)),
        false => own_target(request),
    });
    let gateway = gate(&service, "answer_idle = \"5s\"");
    let requests: Vec<_> = (0..20).map(|n| get(&gateway, n)).collect();
    let answers = gateway.http2().ask_all(&requests);
    for (n, answer) in answers.into_iter().enumerate() {
        let text = answer.unwrap().text();
        match n {
            0 => assert_eq!(text, "data: 0\n\ndata: 1\n\ndata: 2\n\n"),
            _ => assert_eq!(text, format!("/v2/many/{n}")),
        }
    }
}

/// Row 84: where no more is allowed, silence ends an answer after the time of a response; where
/// more is, after that. Before the head it is always the time of a response.
#[test]
fn silence_ends_an_answer_after_its_time() {
    let [service] = services::<1>();
    for (idle, low, high) in [("", 250, 900), ("answer_idle = \"1s\"", 950, 2500)] {
        service.answer_with(|_| vec![Step::Send(HEAD.to_vec()), Step::Send(event(0)), Step::Hold]);
        let gateway = gate(&service, idle);
        let mut client = gateway.client();
        let started = Instant::now();
        client.send(get(&gateway, 1).h1());
        client.try_answer("GET").expect_err("a whole answer");
        let took = started.elapsed();
        assert!((low..high).contains(&took.as_millis()), "{idle}: {took:?}");
        service.answer_with(|_| vec![Step::Hold]);
        let started = Instant::now();
        assert_eq!(gateway.ask(&post(&gateway, 1)).refusal().code, "upstream_timed_out");
        assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
        service.close_all();
    }
}

/// A client that goes away ends its stream of events at the service.
#[test]
fn a_client_that_goes_away_ends_its_stream() {
    let [service] = services::<1>();
    service.answer_with(|_| vec![Step::Send(HEAD.to_vec()), Step::Send(event(0)), Step::Hold]);
    let gateway = gate(&service, "answer_idle = \"1h\"");
    let mut client = gateway.client();
    client.send(get(&gateway, 1).h1());
    while !client.left_over().windows(event(0).len()).any(|part| part == event(0)) {
        client.more().unwrap();
    }
    drop(client);
    service.answer_with(own_target);
    service.release();
    service.wait_open(0);
}

/// Answers that are sealed or signed are awaited whole: no time between pieces goes with them.
#[test]
fn an_answer_that_is_signed_has_no_time_between_pieces() {
    let more = "sign_answers = true\nanswer_idle = \"1m\"";
    let mut gateway = Gateway::start();
    let other = route("signed", "/v2/signed/*", "countersign-v1", more);
    let refused = gateway.change(|setup| setup.routes.push(other)).unwrap_err();
    assert!(refused.contains("answer_idle") && refused.contains("awaited whole"), "{refused}");
    let kept = Setup::new().routes;
    gateway.change(|setup| setup.routes = kept).unwrap();
}
