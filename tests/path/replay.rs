//! Once and never again: at once, after a restart, over the edge of a window, by another way in.

use std::thread;
use std::time::Duration;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::process::{Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, kwik, kwik_test, merchant, route, v1};
use crate::support::signer::{Signer, fresh_nonce};
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", BODY), gateway.now())
}

fn codes(answers: &[Answer]) -> (usize, usize) {
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let replays = answers.iter().filter(|answer| answer.status == 409).count();
    (good, replays)
}

/// Row 71.
#[test]
fn the_same_request_a_hundred_times_at_once_is_forwarded_once() {
    let gateway = Gateway::start();
    for signer in [kwik(), v1()] {
        gateway.advance(1);
        let target = if signer == kwik() { "/v1/orders" } else { "/v2/orders" };
        let before = gateway.upstream.count();
        let request = signer.sign(Request::post(target, BODY), gateway.now());
        let answers = thread::scope(|scope| {
            let h1 = (0..50).map(|_| scope.spawn(|| vec![gateway.ask(&request)]));
            let h2 = (0..5).map(|_| {
                scope.spawn(|| {
                    let many = vec![request.clone(); 10];
                    gateway.http2().ask_all(&many).into_iter().map(Result::unwrap).collect()
                })
            });
            let threads: Vec<_> = h1.chain(h2).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(codes(&answers), (1, 99));
        assert_eq!(gateway.upstream.count(), before + 1);
        let replay = answers.iter().find(|answer| answer.status == 409).unwrap().refusal();
        assert_eq!((replay.code.as_str(), replay.forwarded.as_str()), ("replayed", "earlier"));
    }
}

/// Row 77: a replay at the last second of the window, and after it.
#[test]
fn a_replay_is_refused_to_the_last_second_and_beyond() {
    let gateway = Gateway::start();
    let (now, ahead) = (post(&gateway), v1().sign(Request::get("/v2/x"), gateway.now() + 30));
    gateway.accepts(&now);
    gateway.accepts(&ahead);
    for (advance, code_now, code_ahead) in [
        (1, "replayed", "replayed"),
        (298, "replayed", "replayed"),
        (1, "replayed", "replayed"),
        (1, "stale_timestamp", "replayed"),
        (29, "stale_timestamp", "replayed"),
        (1, "stale_timestamp", "stale_timestamp"),
    ] {
        gateway.advance(advance);
        // Give the sweep of the memory its chance to forget too early.
        thread::sleep(Duration::from_millis(if advance > 20 { 1200 } else { 0 }));
        gateway.refuses(&now, code_now);
        gateway.refuses(&ahead, code_ahead);
    }
}

/// A body held back over the edge of the window: the claim is made when the body is whole.
#[test]
fn a_replay_that_holds_its_body_over_the_edge_is_refused() {
    let gateway = Gateway::start();
    let request = post(&gateway);
    gateway.accepts(&request);
    gateway.advance(300);
    let whole = request.h1();
    let mut client = gateway.client();
    client.send(&whole[..whole.len() - 1]);
    // The head has been judged fresh; now time passes and the memory forgets.
    thread::sleep(Duration::from_millis(300));
    gateway.advance(60);
    wait_until("the memory to forget", || gateway.metric("countersign_replay_entries", &[]) == 0.0);
    client.send(&whole[whole.len() - 1..]);
    let refusal = client.answer().refusal();
    assert!(["replayed", "stale_timestamp"].contains(&refusal.code.as_str()), "{refusal:?}");
    assert_eq!(gateway.upstream.count(), 1);
}

/// A request for which one route is long over and the other is not.
#[test]
fn a_replay_by_a_route_with_a_longer_window_is_refused() {
    let longer = "window = \"20m\"";
    let gateway = Gateway::with(Setup::new().route("longer", "/v1/longer/*", "kwikpaisa", longer));
    // The target is not signed, so that one signature fits both routes.
    let request = kwik().sign(Request::post("/v1/orders", BODY), gateway.now());
    let other_way = request.clone().target("/v1/longer/orders");
    gateway.accepts(&request);
    gateway.refuses(&other_way, "replayed");
    for seconds in [301, 600, 299] {
        gateway.advance(seconds);
        thread::sleep(Duration::from_millis(1100));
        gateway.refuses(&request, "stale_timestamp");
        gateway.refuses(&other_way, "replayed");
    }
    gateway.advance(1);
    gateway.refuses(&other_way, "stale_timestamp");
}

/// What was forgotten under a short window stays out when a reload makes the window long.
#[test]
fn a_replay_after_a_reload_that_widened_the_window_is_refused() {
    let mut gateway = Gateway::start();
    let request = post(&gateway);
    gateway.accepts(&request);
    gateway.advance(400);
    wait_until("the memory to forget", || gateway.metric("countersign_replay_entries", &[]) == 0.0);
    gateway.refuses(&request, "stale_timestamp");
    let wide = route("v1", "/v2/*", "countersign-v1", "window = \"30m\"");
    gateway.change(|setup| setup.routes[1] = wide).unwrap();
    gateway.refuses(&request, "stale_timestamp");
    // The wide window is in force for what was never forgotten.
    let fresh = post(&gateway);
    gateway.accepts(&fresh);
    gateway.advance(1000);
    thread::sleep(Duration::from_millis(1100));
    gateway.refuses(&fresh, "replayed");
    let old_but_unseen = v1().sign(Request::post("/v2/orders", BODY), gateway.now() - 900);
    gateway.accepts(&old_but_unseen);
}

/// Row 76: a wall clock that runs back makes nothing good again; one that jumps ahead does not
/// count until it has stood.
#[test]
fn a_clock_that_steps_makes_no_replay_good() {
    let gateway = Gateway::start();
    let request = post(&gateway);
    gateway.accepts(&request);
    gateway.advance(301);
    gateway.refuses(&request, "stale_timestamp");
    gateway.hand.step_wall(-600);
    gateway.refuses(&request, "stale_timestamp");
    wait_until("not ready", || gateway.operation("/readyz").status == 503);
    gateway.hand.step_wall(600);
    wait_until("ready", || gateway.operation("/readyz").status == 200);

    let fresh = post(&gateway);
    gateway.hand.step_wall(3600);
    wait_until("not ready", || gateway.operation("/readyz").status == 503);
    gateway.accepts(&fresh);
    gateway.hand.step_wall(-3600);
    wait_until("ready", || gateway.operation("/readyz").status == 200);
    gateway.refuses(&fresh, "replayed");

    // A jump that stands counts, and what lies before it is over.
    gateway.hand.step_wall(3600);
    wait_until("the jump to be seen", || gateway.operation("/readyz").status == 503);
    for _ in 0..62 {
        gateway.advance(1);
    }
    wait_until("ready", || gateway.operation("/readyz").status == 200);
    gateway.refuses(&fresh, "stale_timestamp");
    gateway.accepts(&post(&gateway));
}

/// Row 79.
#[test]
fn one_nonce_of_two_credentials_is_two_requests() {
    let other = Signer::v1("pk_live_other", "other-live-73c0d1be94a2f586");
    let gateway = Gateway::with(Setup::new().partner("other", &other, ""));
    let (nonce, now) = (fresh_nonce(), gateway.now().to_string());
    let request = Request::post("/v2/orders", BODY);
    for signer in [v1(), other] {
        gateway.accepts(&signer.sign_as(request.clone(), &now, &nonce));
        gateway.refuses(&signer.sign_as(request.clone(), &now, &nonce), "replayed");
        // The nonce is what counts, whatever else is signed beside it.
        let different = Request::post("/v2/refunds", b"{\"other\":true}");
        gateway.refuses(&signer.sign_as(different.clone(), &now, &nonce), "replayed");
        gateway.accepts(&signer.sign_as(different, &now, &nonce.to_uppercase()));
    }
    let same = Request::post("/v1/orders", BODY);
    gateway.accepts(&kwik().sign(same.clone(), gateway.now()));
    gateway.accepts(&kwik_test().sign(same, gateway.now()));
}

/// A bad signature claims nothing; the good request with the same nonce still passes.
#[test]
fn a_refused_request_leaves_no_entry() {
    let gateway = Gateway::start();
    let request = post(&gateway);
    gateway.refuses(&request.clone().set("X-SIGNATURE", "0".repeat(64)), "invalid_signature");
    gateway.refuses(&request.clone().body(b"{}"), "invalid_signature");
    let scoped = kwik().sign(Request::post("/v1/orders", BODY), gateway.now());
    gateway.refuses(&scoped.clone().target("/v3/orders"), "no_route");
    assert!(gateway.metric("countersign_replay_entries", &[]) < 1.0);
    gateway.accepts(&request);
    gateway.accepts(&scoped);
}

/// Row 60: under a scheme that signs neither method nor target, one MAC is good for one change, or
/// for reads that each are new, and never for both kinds.
#[test]
fn reads_and_changes_of_one_mac_exclude_each_other() {
    let gateway = Gateway::start();
    let empty = kwik().sign(Request::get("/v1/orders/1"), gateway.now());
    gateway.accepts(&empty);
    gateway.refuses(&empty, "replayed");
    gateway.accepts(&empty.clone().target("/v1/orders/2"));
    gateway.accepts(&empty.clone().target("/v1/orders/2?a=1"));
    gateway.accepts_head(&empty.clone().method("HEAD"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        gateway.refuses(&empty.clone().method(method), "replayed");
    }
    gateway.advance(1);
    let change = kwik().sign(Request::new("DELETE", "/v1/orders/1"), gateway.now());
    gateway.accepts(&change);
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
        for target in ["/v1/orders/1", "/v1/orders/9"] {
            let swapped = change.clone().method(method).target(target);
            let answer = gateway.ask(&swapped);
            assert_eq!(answer.status, 409, "{method} {target}");
        }
    }
    gateway.advance(1);
    // A read with a body is a change as far as anybody can tell.
    let body = kwik().sign(Request::get("/v1/orders/1").body(b"{}").chunks(2), gateway.now());
    gateway.accepts(&body);
    gateway.refuses_h1(&body.target("/v1/orders/2"), "replayed");
}

/// The strict setting: one signature, one request.
#[test]
fn without_repeatable_reads_one_mac_is_one_request() {
    let strict = Signer::kwikpaisa("pk_strict", "strict-live-0c9e7a51d3f8b264");
    let more = "scopes = [\"* /v1/*\"]\nrepeatable_reads = false";
    let table = merchant("strict", GENEROUS, &[credential("strict", &strict, "live", more)]);
    let gateway = Gateway::with(Setup::new().merchant(table, &[&strict]));
    let read = strict.sign(Request::get("/v1/orders/1"), gateway.now());
    gateway.accepts(&read);
    gateway.refuses(&read.target("/v1/orders/2"), "replayed");
}

/// Threads that try to get a GET and a POST of one MAC through together.
#[test]
fn a_get_and_a_post_of_one_mac_never_both_pass() {
    let gateway = Gateway::start();
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    let mut passed_at_all = 0;
    for round in 0..60_u64 {
        gateway.advance(1);
        let before = gateway.upstream.count();
        let request = kwik().sign(Request::get("/v1/orders"), gateway.now());
        let answers: Vec<(usize, u16)> = thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .enumerate()
                .map(|(n, client)| {
                    let request = match n % 3 {
                        0 => request.clone(),
                        1 => request.clone().method("POST"),
                        _ => request.clone().method("DELETE"),
                    };
                    scope.spawn(move || (n, client.ask(&request).status))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let passed: Vec<usize> =
            answers.iter().filter(|(_, status)| *status == 200).map(|(n, _)| n % 3).collect();
        assert!(answers.iter().all(|(_, status)| [200, 409].contains(status)), "{answers:?}");
        assert!(passed.len() <= 1, "round {round}: {passed:?}");
        assert_eq!(gateway.upstream.count() - before, passed.len());
        passed_at_all += passed.len();
    }
    assert!(passed_at_all > 0, "the exclusion must not refuse everything");
}

/// Row 72, a stop in order: what was accepted stays refused, what was not is still good.
#[test]
fn a_replay_after_a_restart_is_refused() {
    let mut gateway = Gateway::with_state(Setup::new());
    let (seen, ahead) = (post(&gateway), v1().sign(Request::get("/v2/x"), gateway.now() + 20));
    let unseen = post(&gateway);
    gateway.accepts(&seen);
    gateway.accepts(&ahead);
    gateway.restart();
    gateway.refuses(&seen, "replayed");
    gateway.refuses(&ahead, "replayed");
    gateway.accepts(&unseen);
    gateway.advance(5);
    gateway.restart();
    gateway.refuses(&unseen, "replayed");
    gateway.refuses(&seen, "replayed");
}

/// Row 72, SIGKILL: no claim that was answered passes again, not even one stamped ahead.
#[test]
fn a_replay_after_sigkill_is_refused() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let sign = |stamp| v1().sign(Request::post("/v2/orders", BODY), stamp);
    let now = wall_now();
    let accepted: Vec<Request> = [now, now - 100, now + 1, now + 20].map(sign).to_vec();
    for request in &accepted {
        assert_eq!(gate.ask(request).status, 200);
    }
    assert_eq!(site.upstream.count(), 4);
    gate.kill();
    let gate = site.serve();
    for _ in 0..3 {
        for request in &accepted {
            let refusal = gate.ask(request).refusal();
            let code = refusal.code.as_str();
            assert!(["stale_timestamp", "replayed", "busy"].contains(&code), "{refusal:?}");
        }
        thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(site.upstream.count(), 4);
    // Above every mark the gate is open again, without waiting for the twenty seconds.
    wait_until("a request above the mark", || gate.ask(&sign(wall_now() + 28)).status == 200);
    // And so it is for ordinary requests once the mark is past.
    drop(gate);
}

/// Row 72, without a stamp ahead: an unclean stop costs about two seconds.
#[test]
fn after_sigkill_ordinary_requests_pass_within_seconds() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let sign = || v1().sign(Request::post("/v2/orders", BODY), wall_now());
    assert_eq!(gate.ask(&sign()).status, 200);
    gate.kill();
    let gate = site.serve();
    let started = std::time::Instant::now();
    wait_until("an ordinary request", || gate.ask(&sign()).status == 200);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

/// A folder that was never made, and one that lost its files, vouch for nothing.
#[test]
fn without_a_known_past_the_gate_is_not_ready() {
    let site = Site::new(Setup::new());
    let state = site.folder.path().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let gate = site.serve();
    assert_eq!(gate.operation("/readyz").status, 503);
    let request = v1().sign(Request::post("/v2/orders", BODY), wall_now());
    let refusal = gate.ask(&request).refusal();
    assert!(["stale_timestamp", "busy"].contains(&refusal.code.as_str()), "{refusal:?}");
    assert_eq!(site.upstream.count(), 0);
}

/// Row 92 as far as one node goes: a mark that cannot be written makes the gate busy, not blind.
#[test]
fn a_state_folder_that_cannot_be_written_makes_the_gate_busy() {
    let gateway = Gateway::with_state(Setup::new());
    let early = post(&gateway);
    gateway.accepts(&early);
    let (state, aside) = (gateway.folder.path().join("state"), gateway.folder.path().join("aside"));
    std::fs::rename(&state, &aside).unwrap();
    std::fs::write(&state, "in the way").unwrap();
    wait_until("not ready", || {
        gateway.advance(1);
        thread::sleep(Duration::from_millis(300));
        gateway.operation("/readyz").status == 503
    });
    gateway.refuses(&post(&gateway), "busy");
    gateway.refuses(&v1().sign(Request::get("/v2/x"), gateway.now() + 25), "busy");
    gateway.refuses(&early, "busy");
    std::fs::remove_file(&state).unwrap();
    std::fs::rename(&aside, &state).unwrap();
    wait_until("ready again", || gateway.operation("/readyz").status == 200);
    gateway.refuses(&early, "replayed");
    gateway.accepts(&post(&gateway));
}

/// Row 105 as far as one node goes: one gate per state folder.
#[test]
fn a_second_gate_on_one_state_folder_does_not_start() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    let arguments = ["serve", "--config", "countersign.toml"];
    let (status, said) = crate::support::process::countersign(site.folder.path(), &arguments);
    assert!(!status.success(), "{said}");
    assert!(said.contains("state"), "{said}");
    gate.wait_ready();
}

/// The same request by different connections of one HTTP/2 client and after withdrawal.
#[test]
fn a_replay_on_the_same_connection_is_refused_too() {
    let gateway = Gateway::start();
    let request = post(&gateway);
    let client = Http2::connect(gateway.address);
    assert_eq!(client.ask(&request).status, 200);
    assert_eq!(client.ask(&request).refusal().code, "replayed");
    let mut client = gateway.client();
    assert_eq!(client.ask(&request).refusal().code, "replayed");
    assert_eq!(client.ask(&post(&gateway)).status, 200);
}
