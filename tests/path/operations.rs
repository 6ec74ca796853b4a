//! What operators see: health, readiness, metrics with closed labels, and one log line a request.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::process::{Site, countersign, wall_now};
use crate::support::request::Request;
use crate::support::setup::{Setup, kwik_test, v1};
use crate::support::upstream::Step;
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

#[test]
fn health_readiness_and_metrics_answer_on_their_own_listener_only() {
    let gateway = Gateway::start();
    assert_eq!(gateway.operation("/healthz").status, 200);
    assert_eq!(gateway.operation("/readyz").status, 200);
    let metrics = gateway.operation("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.value("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!(gateway.operation("/").status, 404);
    assert_eq!(gateway.operation("/admin").status, 404);
    let mut client = Client::dial(gateway.operations, "api.example.com", &["http/1.1"]).unwrap();
    assert_eq!(client.ask(&Request::post("/readyz", b"")).status, 405);
    for path in ["/metrics", "/healthz", "/readyz"] {
        gateway.refuses(&Request::get(path), "no_route");
    }
    let (_, _, came) = crate::support::client::tcp_ends_after(
        gateway.operations,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert!(came.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&came));
}

/// Each outcome is counted by route and code, each stage has its times.
#[test]
fn outcomes_and_stages_are_counted() {
    let gateway = Gateway::start();
    let request = post(&gateway);
    gateway.accepts(&request);
    gateway.refuses_h1(&request, "replayed");
    gateway.refuses_h1(&post(&gateway).set("X-SIGNATURE", "0".repeat(64)), "invalid_signature");
    gateway.refuses_h1(&Request::get("/nowhere"), "no_route");
    let count =
        |code: &str| gateway.metric("countersign_requests_total", &[&format!("code=\"{code}\"")]);
    wait_until("the counters", || count("no_route") >= 1.0);
    assert_eq!(count("replayed"), 1.0);
    assert_eq!(count("invalid_signature"), 1.0);
    assert_eq!(count("forwarded"), 1.0);
    for name in [
        "countersign_replay_entries",
        "countersign_replay_entries_max",
        "countersign_clock_offset_milliseconds",
        "countersign_credentials",
        "countersign_upstream_connections",
        "countersign_reloads_total",
        "countersign_panics_total",
        "countersign_log_lines_dropped_total",
    ] {
        let text = gateway.operation("/metrics").text();
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in\n{text}");
    }
    wait_until("stage times", || {
        let text = gateway.operation("/metrics").text();
        let stage = |name: &str| {
            let line = format!("countersign_request_stage_seconds_count{{stage=\"{name}\"}}");
            text.lines().any(|own| own.starts_with(&line) && !own.ends_with(" 0"))
        };
        ["head", "body", "verify", "decide", "upstream"].into_iter().all(stage)
    });
    let text = gateway.operation("/metrics").text();
    let expiry = text.lines().find(|line| line.contains("certificate") && line.contains("api"));
    let expiry: f64 = expiry.and_then(|line| line.rsplit_once(' ')).unwrap().1.parse().unwrap();
    let days = (expiry - wall_now() as f64) / 86_400.0;
    assert!((29.0..=30.1).contains(&days), "{days} days");
}

/// No label is made of anything that a client sends.
#[test]
fn label_sets_are_closed() {
    let gateway = Gateway::start();
    gateway.accepts(&post(&gateway));
    gateway.refuses(&Request::get("/nowhere"), "no_route");
    let series = || -> BTreeSet<String> {
        let text = gateway.operation("/metrics").text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    std::thread::sleep(Duration::from_millis(100));
    let before = series();
    for n in 0..20 {
        let odd = Request::new(&format!("M{n}"), &format!("/v2/unique-{n}"))
            .header("User-Agent", format!("agent-{n}"));
        gateway.refuses(&odd.clone(), "missing_header");
        let claims = v1().sign(odd, gateway.now()).set("X-API-KEY", format!("unique-key-{n}"));
        gateway.refuses(&claims, "invalid_signature");
        gateway.refuses(&Request::get("/x").authority(&format!("h{n}.example.com")), "misdirected");
    }
    std::thread::sleep(Duration::from_millis(100));
    let new: Vec<_> = series().difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
}

/// One line a request with its id, its outcome and its times, without query and without body.
#[test]
fn every_request_has_one_line() {
    let gateway = Gateway::start();
    let secretive =
        v1().sign(Request::post("/v2/orders?card=4111111111111111", BODY), gateway.now());
    gateway.accepts(&secretive);
    gateway.refuses_h1(&secretive, "replayed");
    gateway.accepts_h2(&kwik_test().sign(Request::post("/v1/orders", BODY), gateway.now()));
    gateway.refuses_h1(&Request::get("/nowhere"), "no_route");
    wait_until("four lines", || gateway.request_lines().len() >= 4);
    let lines = gateway.request_lines();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let find = |code: &str| lines.iter().find(|line| line["code"] == code).unwrap();
    let line = find("forwarded");
    assert_eq!(line["status"], 200);
    assert!(line["time"].is_string() && line["request_id"].is_string());
    for stage in ["head_us", "body_us", "verify_us", "decide_us", "upstream_us", "total_us"] {
        assert!(line[stage].as_u64().is_some(), "{stage} in {line}");
    }
    assert!(lines.iter().any(|line| line["merchant"] == "acme" && line["environment"] == "test"));
    assert!(lines.iter().any(|line| line["protocol"] == "h2"));
    assert_eq!(find("replayed")["credential"], "pk_live_globex");
    assert_eq!(find("no_route")["peer"], "127.0.0.1");
    assert!(!gateway.log().contains("4111111111111111") && !gateway.log().contains("amount"));
}

/// Row 103.
#[test]
fn nothing_that_a_client_sends_can_begin_a_line() {
    for format in ["json", "text"] {
        let gateway = Gateway::with(Setup::new().with("log.format", &format!("\"{format}\"")));
        let before = gateway.log().lines().count();
        let odd = "\"}\\n{\"event\":\"started\",\"x\":\"\t\\u001b[31m";
        let mut sent = 0;
        for request in [
            post(&gateway).header("User-Agent", odd),
            post(&gateway).set("X-API-KEY", "k\"e=y\\n\\r,{}"),
            v1().sign(Request::get("/v2/%22%5B31m%20event=started;x='\"<>`"), gateway.now()),
            Request::new("A!#$%&'*+-.^_`|", "/v2/x"),
            Request::get("/v2/x").authority("api.example.com").header("Referer", odd),
        ] {
            gateway.ask(&request);
            sent += 1;
        }
        wait_until("the lines", || gateway.log().lines().count() >= before + sent);
        std::thread::sleep(Duration::from_millis(120));
        let log = gateway.log();
        assert_eq!(log.lines().count(), before + sent, "{log}");
        assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
        if format == "json" {
            let lines = log.lines().map(|line| serde_json::from_str(line).expect(line));
            let started = lines.filter(|line: &Value| line["event"] == "started").count();
            assert_eq!(started, 1, "{log}");
        } else {
            assert_eq!(
                log.lines().filter(|line| line.contains("event=started ")).count(),
                1,
                "{log}"
            );
        }
    }
}

/// The access log can be turned off; events stay.
#[test]
fn without_access_log_only_events_are_written() {
    let gateway = Gateway::with(Setup::new().with("log.access", "false"));
    gateway.accepts(&post(&gateway));
    std::thread::sleep(Duration::from_millis(150));
    assert!(gateway.request_lines().is_empty());
    assert!(gateway.log().contains("started"));
}

/// Row 95: no file descriptor left is a bad minute, not the end.
#[test]
fn used_up_file_descriptors_end_nothing() {
    let site = Site::new(Setup::new().with("workers", "1").deadline("handshake", 2000));
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_countersign");
    command.args(["-c", "ulimit -n 48 && exec \"$0\" serve --config countersign.toml", program]);
    let gate = site.run(command);
    gate.wait_ready();
    let sign = || v1().sign(Request::post("/v2/orders", BODY), wall_now());
    assert_eq!(gate.ask(&sign()).status, 200);
    let errors = || {
        let text = gate.operation("/metrics").text();
        let own = |line: &&str| line.starts_with("countersign_accept_errors_total ");
        text.lines().find(own).unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    wait_until("the alarm", || {
        let held: Vec<_> =
            (0..80).filter_map(|_| std::net::TcpStream::connect(gate.address).ok()).collect();
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
        wait_until("service again", || {
            Client::dial(gate.address, "api.example.com", &["http/1.1"])
                .is_ok_and(|mut client| client.ask(&sign()).status == 200)
        });
        errors() > 0
    });
    assert!(site.upstream.count() >= 2);
}

/// A port in use is told, and ends the program with a status of its own.
#[test]
fn a_port_in_use_is_an_error() {
    let gateway = Gateway::start();
    let site = Site::new(Setup::new());
    for (key, address) in
        [("listener.address", gateway.address), ("operations.address", gateway.operations)]
    {
        let mut setup = Setup::new();
        setup.set(key, &format!("\"{address}\""));
        let url = format!("http://localhost:{}", site.upstream.address.port());
        setup.write(site.folder.path(), &url);
        let arguments = ["serve", "--config", "countersign.toml"];
        let (status, said) = countersign(site.folder.path(), &arguments);
        assert!(!status.success(), "{said}");
        assert!(said.contains(&address.to_string()), "{said}");
    }
    assert_eq!(gateway.ask(&post(&gateway)).status, 200);
}

/// A slow service is no reason not to be ready; a drain is.
#[test]
fn readiness_ends_with_the_drain() {
    let gateway = Gateway::with(Setup::new().deadline("drain", 3000));
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut client = gateway.client();
    client.send(post(&gateway).h1());
    gateway.upstream.wait_for(1);
    assert_eq!(gateway.operation("/readyz").status, 200);
    let operations = gateway.operations;
    let released = std::thread::scope(|scope| {
        let upstream = &gateway.upstream;
        let watcher = scope.spawn(move || {
            let ask = || {
                let mut client = Client::dial(operations, "api.example.com", &["http/1.1"]).ok()?;
                client.send(Request::get("/readyz").h1());
                client.try_answer("GET").ok()
            };
            wait_until("not ready", || ask().is_some_and(|answer| answer.status == 503));
            upstream.answer_with(crate::support::upstream::own_target);
            upstream.release();
            upstream.close_all();
            true
        });
        // The gate is stopped on this thread; the watcher lets the request end.
        let gate = gateway.take();
        gate.stop();
        watcher.join().unwrap()
    });
    assert!(released);
}
