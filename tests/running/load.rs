//! `countersign send -n`: many requests, on real connections to a real gate.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::{Process, Site, countersign};
use crate::support::request::HOST;
use crate::support::setup::Setup;

/// Runs the command, and gives its status and what it printed.
fn send(site: &Site, gate: &Process, more: &[&str]) -> (Option<i32>, String) {
    let connect = gate.address.to_string();
    let own = ["send", "--key-id=pk_live_globex", "--scheme=countersign-v1"];
    let to = ["--secret-list=secrets.txt", "--ca=ca.pem", "--connect", &connect];
    let (status, said) = countersign(site.folder.path(), &[&own[..], &to[..], more].concat());
    (status.code(), said)
}

fn url(target: &str) -> String {
    format!("--url=https://{HOST}{target}")
}

#[test]
fn every_request_is_signed_anew_and_all_are_counted() {
    // Connections end under it, as they do everywhere.
    let site = Site::new(Setup::new().with("listener.connections.requests", "25"));
    let gate = site.serve();
    for protocol in ["--http1", "--http2"] {
        let before = site.upstream.count();
        let target = url("/v2/{n}");
        let data = "--data={\"order\":\"{n}\"}";
        let how = ["-n", "300", "-c", "4", "--json", protocol, target.as_str(), data];
        let (status, said) = send(&site, &gate, &how);
        assert_eq!(status, Some(0), "{said}");
        let all: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        assert_eq!((&all["requests"], &all["statuses"]), (&json!(300), &json!({ "200": 300 })));
        assert_eq!((&all["codes"], &all["no_answer"]), (&json!({}), &json!({})));
        let ms = |name: &str| all["latency_ms"][name].as_f64().unwrap();
        assert!(0.0 < ms("p50") && ms("p50") <= ms("p90") && ms("p90") <= ms("p99"), "{said}");
        assert!(ms("p99") <= ms("max"), "{said}");
        assert_eq!(site.upstream.count() - before, 300);
    }
    let seen = std::cell::RefCell::new(BTreeSet::new());
    site.upstream.count_of(|request| {
        let number = request.target.strip_prefix("/v2/").unwrap().to_owned();
        assert_eq!(request.body, format!("{{\"order\":\"{number}\"}}").into_bytes());
        seen.borrow_mut().insert(number)
    });
    assert_eq!(seen.borrow().len(), 300);
}

#[test]
fn a_rate_is_kept() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    let begun = Instant::now();
    let target = url("/v2/orders");
    let (status, said) = send(&site, &gate, &["-n", "21", "--rate", "40", &target]);
    assert_eq!(status, Some(0), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{said}");
    assert!(said.starts_with("21 requests in ") && said.contains("on 1 connection\n"), "{said}");
    assert!(said.contains("p99") && said.contains("        21  200\n"), "{said}");
}

#[test]
fn refusals_and_faults_are_told_and_are_no_success() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    let target = url("/nowhere/{n}");
    let (status, said) = send(&site, &gate, &["-n", "5", "-c", "2", "--json", &target]);
    assert_eq!(status, Some(1), "{said}");
    let all: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(all["codes"], json!({ "no_route": 5 }));
    assert_eq!(all["statuses"], json!({ "404": 5 }));
    let address = gate.address.to_string();
    gate.kill();
    let own = ["send", "--key-id=pk_live_globex", "--scheme=countersign-v1", "-n", "3"];
    let to = ["--secret-list=secrets.txt", "--ca=ca.pem", "--connect", &address, &target];
    let (status, said) = countersign(site.folder.path(), &[&own[..], &to[..]].concat());
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("         3  no answer: cannot connect"), "{said}");
}

#[test]
fn what_makes_no_sense_with_many_is_a_mistake() {
    let site = Site::new(Setup::new());
    for more in [&["-c", "2"][..], &["--rate", "5"], &["-n", "0"], &["-n", "2", "-c", "0"]] {
        let url = url("/v2/orders");
        let own = ["send", "--key-id=pk_live_globex", "--secret-list=secrets.txt", &url];
        let (status, said) = countersign(site.folder.path(), &[&own[..], more].concat());
        assert_eq!(status.code(), Some(2), "{more:?}: {said}");
    }
}
