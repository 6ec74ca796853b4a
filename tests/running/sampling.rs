//! `log.sample`: a share of the lines of good requests, and all others.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::{Step, answer, ok};
use crate::support::wait_until;

fn post(gateway: &Gateway, target: &str) -> Request {
    v1().sign(Request::post(target, b"{}"), gateway.now())
}

/// Ids and paths of the lines so far.
fn lines(gateway: &Gateway) -> BTreeSet<(String, String)> {
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap().to_owned();
    let lines = gateway.request_lines();
    lines.iter().map(|line| (text(line, "request_id"), text(line, "path"))).collect()
}

fn count(gateway: &Gateway, part: &str) -> usize {
    lines(gateway).iter().filter(|(_, path)| path.contains(part)).count()
}

#[test]
fn a_share_of_good_requests_has_lines_and_all_others_do() {
    let setup = Setup::new().with("log.sample", "0.25").with("log.slow", "\"300ms\"");
    let gateway = Gateway::with(setup);
    gateway.upstream.answer_with(|request| match request.target.as_str() {
        "/v2/slow" => vec![Step::Pause(Duration::from_millis(400)), Step::Send(ok(b"{}"))],
        "/v2/missing" => vec![Step::Send(answer("404 Not Found", &[], b"{}"))],
        "/v2/broken" => vec![Step::Send(answer("500 Internal Server Error", &[], b"{}"))],
        _ => vec![Step::Send(ok(b"{}"))],
    });
    let mut client = gateway.client();
    for _ in 0..200 {
        assert_eq!(client.ask(&post(&gateway, "/v2/good")).status, 200);
    }
    for n in 0..20 {
        let forged = post(&gateway, "/v2/forged").set("X-SIGNATURE", "0".repeat(64));
        assert_eq!(gateway.ask(&forged).status, 401, "{n}");
        assert_eq!(gateway.ask(&post(&gateway, "/v2/missing")).status, 404);
        assert_eq!(gateway.ask(&post(&gateway, "/v2/broken")).status, 500);
    }
    for _ in 0..4 {
        assert_eq!(gateway.ask(&post(&gateway, "/v2/slow")).status, 200);
    }
    // In the order of their ends on each core: what was good is written by now as well.
    wait_until("the lines", || {
        let all = ["forged", "missing", "broken", "slow"].map(|part| count(&gateway, part));
        all == [20, 20, 20, 4]
    });
    let good = count(&gateway, "good");
    assert!((20..=85).contains(&good), "{good} of 200 at a quarter");
    // Nothing is left out of the counts.
    let forwarded = gateway.metric("countersign_requests_total", &["code=\"forwarded\""]);
    assert_eq!(forwarded, 244.0);
}
