//! Reload: everything or nothing, told and counted, without losing a request.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::gateway::Gateway;
use crate::support::process::{Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{Setup, kwik, route, v1};
use crate::support::signer::Signer;
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("countersign_reloads_total", &[&format!("result=\"{result}\"")])
}

/// Row 94.
#[test]
fn a_bad_file_changes_nothing_and_is_told() {
    let gateway = Gateway::start();
    let file = gateway.file();
    let good = fs::read_to_string(&file).unwrap();
    let merchants = gateway.folder.path().join("merchants.toml");
    let good_merchants = fs::read_to_string(&merchants).unwrap();
    let mut held = gateway.client();
    assert_eq!(held.ask(&post(&gateway)).status, 200);
    let twice = route("kwik", "/v1/*", "kwikpaisa", "");
    for (n, (text, said)) in [
        (good.replace("[[routes]]", "[[routes"), "TOML"),
        (good.replace("workers = 2", "workerz = 2"), "workerz"),
        (good.replace("workers = 2", "workers = 0"), "workers"),
        (format!("{good}\n{twice}"), "kwik"),
        (good.replace("\"api.key\"", "\"missing.key\""), "missing.key"),
        (good.replace("upstream = \"service\"", "upstream = \"servise\""), "servise"),
        (good.replace("merchants.toml", "no-merchants.toml"), "no-merchants.toml"),
        (String::new(), "listener"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&file, &text).unwrap();
        let fault = gateway.reload().expect_err(said);
        assert!(fault.contains(said), "{said} in {fault}");
        assert_eq!(held.ask(&post(&gateway)).status, 200, "after {said}");
        gateway.accepts(&post(&gateway));
        assert!(reloads(&gateway, "refused") >= (n + 1) as f64);
    }
    fs::write(&file, &good).unwrap();
    for (text, said) in [
        (good_merchants.replace("pk_live_acme", "pk_live_globex"), "pk_live_globex"),
        (good_merchants.replace("\"secrets.txt\"", "\"no-secrets.txt\""), "no-secrets.txt"),
        (good_merchants.replace("\"live\"", "\"life\""), "life"),
    ] {
        fs::write(&merchants, &text).unwrap();
        let fault = gateway.reload().expect_err(said);
        assert!(fault.contains(said), "{said} in {fault}");
        gateway.accepts(&post(&gateway));
    }
    fs::write(&merchants, good_merchants).unwrap();
    gateway.reload().unwrap();
    assert!(reloads(&gateway, "applied") >= 1.0);
    wait_until("the log", || gateway.log().contains("reload_refused"));
}

/// What cannot change while the gate runs is refused by name.
#[test]
fn what_needs_a_restart_is_refused_by_name() {
    let mut gateway = Gateway::start();
    for (key, value, named) in [
        ("workers", "3", "workers"),
        ("state", "\"elsewhere\"", "state"),
        ("replay.memory", "\"256MiB\"", "replay"),
        ("listener.address", "\"127.0.0.1:9\"", "listener.address"),
        ("listener.redirect", "\"127.0.0.1:9\"", "listener.redirect"),
        ("operations.address", "\"127.0.0.1:9\"", "operations.address"),
    ] {
        let before = gateway.setup.clone();
        let fault = gateway.change(|setup| setup.set(key, value)).expect_err(key);
        assert!(fault.contains("restart") && fault.contains(named), "{fault}");
        gateway.setup = before;
    }
    gateway.change(|_| {}).unwrap();
}

/// Merchants, secrets, routes and limits change; what was accepted stays accepted once.
#[test]
fn a_good_file_is_in_force_at_once_and_nothing_is_forgotten() {
    let newcomer = Signer::v1("pk_new", "new-live-5d7f9b1c3e0a2846");
    let mut gateway = Gateway::start();
    let seen = post(&gateway);
    gateway.accepts(&seen);
    let by_newcomer =
        |gateway: &Gateway| newcomer.sign(Request::post("/v2/orders", BODY), gateway.now());
    gateway.refuses(&by_newcomer(&gateway), "invalid_signature");
    let setup = gateway.setup.clone().partner("new", &newcomer, "").route(
        "more",
        "/v3/*",
        "countersign-v1",
        "body = \"1KiB\"",
    );
    gateway.change(|own| *own = setup).unwrap();
    gateway.accepts(&by_newcomer(&gateway));
    gateway.refuses(&seen, "replayed");
    gateway.accepts(&v1().sign(Request::post("/v3/x", BODY), gateway.now()));
    let large = v1().sign(Request::post("/v3/x", &[b'x'; 2000]), gateway.now());
    gateway.refuses(&large, "body_too_large");
    // And away again.
    let removed = gateway.setup.merchants.len() - 1;
    gateway.change(|setup| drop(setup.merchants.remove(removed))).unwrap();
    gateway.refuses(&by_newcomer(&gateway), "invalid_signature");
    gateway.refuses(&seen, "replayed");
}

/// Files are looked at from time to time, without a signal.
#[test]
fn a_changed_file_is_noticed() {
    let mut gateway = Gateway::start();
    gateway.setup = gateway.setup.clone().route("more", "/v3/*", "countersign-v1", "");
    gateway.refuses(&v1().sign(Request::get("/v3/x"), gateway.now()), "no_route");
    gateway.write();
    wait_until("the new route", || {
        gateway.ask(&v1().sign(Request::get("/v3/x"), gateway.now())).status == 200
    });
    // A bad file is tried once, not over and over.
    let file = gateway.file();
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, "not = [valid").unwrap();
    wait_until("the refusal", || gateway.log().contains("reload_refused"));
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(gateway.log().matches("reload_refused").count(), 1);
    fs::write(&file, good).unwrap();
}

/// Reloads under load lose nothing: every request is answered as if there had been none.
#[test]
fn reloads_under_load_lose_nothing() {
    // A connection is told to close after 10,000 requests, which is another matter.
    let setup = Setup::new().with("listener.connections.requests", "1000000");
    let mut gateway = Gateway::with(setup);
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (address, now) = (gateway.address, gateway.now());
    thread::scope(|scope| {
        let (stop, asked) = (&stop, &asked);
        for h2 in [false, false, true, true] {
            scope.spawn(move || {
                let sign = |n: usize| v1().sign(Request::post(&format!("/v2/{n}"), BODY), now);
                if h2 {
                    let client = crate::support::http2::Http2::connect(address);
                    while !stop.load(Ordering::Relaxed) {
                        let batch: Vec<Request> = (0..8).map(sign).collect();
                        for answer in client.ask_all(&batch) {
                            assert_eq!(answer.expect("an answer").status, 200);
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                } else {
                    let mut client = crate::support::client::Client::connect(address);
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(client.ask(&sign(0)).status, 200);
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for n in 0..15 {
            let limit = if n % 2 == 0 { "900KiB" } else { "1MiB" };
            gateway
                .change(|setup| setup.set("listener.limits.body", &format!("\"{limit}\"")))
                .unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let asked = asked.into_inner();
    assert!(asked > 100, "{asked}");
    assert_eq!(gateway.upstream.count(), asked, "each forwarded once");
}

/// SIGHUP, with a bad file and a good one.
#[test]
fn sighup_reloads_everything_or_nothing() {
    let mut site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let order = || kwik().sign(Request::post("/v1/orders", BODY), wall_now());
    assert_eq!(gate.ask(&order()).status, 200);
    let file = site.folder.path().join("countersign.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("workers = 2", "wrkers = 2")).unwrap();
    gate.signal(Signal::HUP);
    wait_until("the refusal", || gate.output().contains("reload_refused"));
    assert!(gate.output().contains("wrkers"), "{}", gate.output());
    site.setup = site.setup.clone().route("more", "/v3/*", "countersign-v1", "");
    site.write();
    gate.signal(Signal::HUP);
    wait_until("the new route", || {
        gate.ask(&v1().sign(Request::get("/v3/x"), wall_now())).status == 200
    });
    wait_until("the log", || gate.output().contains("reload_applied"));
}
