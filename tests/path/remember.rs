//! Routes that remember: what signs no time passes once, for the life of its secret.

use std::net::TcpListener;
use std::thread;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::process::Site;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, merchant, route, upstream, version};
use crate::support::signer::hmac_hex;
use crate::support::wait_until;

const SECRET: &str = "hook-live-1d7e5a93c0b2f486";
const ROUTE: &str = "credential = \"pk_live_hook\"\nremember = true";

/// A partner who signs the body and nothing else.
fn setup(more: &str, rate: &str) -> Setup {
    let secret = version("pk_live_hook", "active", "");
    let table = format!(
        "[merchants.hook.credentials.pk_live_hook]\nenvironment = \"live\"\nscheme = \"github\"\n\
         scopes = [\"* /hook/*\"]\nsecrets = [{secret}]\n"
    );
    let mut setup = Setup::new()
        .route("hook", "/hook/*", "github", &format!("{ROUTE}\n{more}"))
        .merchant(merchant("hook", rate, &[table]), &[]);
    setup.named_secret("pk_live_hook", SECRET);
    setup
}

fn signed(body: &[u8]) -> Request {
    let signature = format!("sha256={}", hmac_hex(SECRET.as_bytes(), body));
    Request::post("/hook/in", body).set("X-Hub-Signature-256", signature)
}

#[test]
fn the_same_signature_is_refused_at_once_and_months_later() {
    let gateway = Gateway::with(setup("", GENEROUS));
    gateway.accepts(&signed(b"1"));
    gateway.refuses(&signed(b"1"), "replayed");
    // One signature is one request, whatever it comes with.
    gateway.refuses(&signed(b"1").target("/hook/other"), "replayed");
    gateway.refuses(&signed(b"1").method("PUT"), "replayed");
    let capitals = signed(b"1").value("X-Hub-Signature-256").to_uppercase();
    let capitals = capitals.replace("SHA256=", "sha256=");
    let refusal = gateway.ask(&signed(b"1").set("X-Hub-Signature-256", capitals)).refusal();
    assert!(["replayed", "malformed_header"].contains(&refusal.code.as_str()), "{refusal:?}");
    for _ in 0..6 {
        gateway.advance(30 * 24 * 3600);
        gateway.refuses(&signed(b"1"), "replayed");
    }
    gateway.accepts(&signed(b"2"));
    gateway.refuses(&signed(b"1").body(b"3"), "invalid_signature");
    assert_eq!(gateway.upstream.count(), 2);
    wait_until("the rows", || gateway.metric("countersign_ledger_messages", &[]) == 2.0);
}

#[test]
fn a_hundred_at_once_are_one() {
    let gateway = Gateway::with(setup("", GENEROUS));
    let answers: Vec<Answer> = thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(|| gateway.ask(&signed(b"1")))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let replays = answers.iter().filter(|answer| answer.status == 409);
    assert!(replays.clone().all(|answer| answer.refusal().code == "replayed"));
    assert_eq!((replays.count(), gateway.upstream.count()), (99, 1));
}

#[test]
fn it_is_refused_after_a_restart_and_after_a_reload() {
    let mut gateway = Gateway::with_state(setup("", GENEROUS));
    gateway.accepts(&signed(b"1"));
    gateway.reload().unwrap();
    gateway.refuses(&signed(b"1"), "replayed");
    gateway.restart();
    gateway.refuses(&signed(b"1"), "replayed");
    gateway.advance(90 * 24 * 3600);
    gateway.restart();
    gateway.refuses(&signed(b"1"), "replayed");
    gateway.accepts(&signed(b"2"));
}

/// Row 72: no moment is refused for what was before the kill, and nothing of it passes again.
#[test]
fn it_is_refused_after_sigkill() {
    let site = Site::new(setup("", GENEROUS));
    for round in 0..5_u8 {
        let gate = site.serve();
        for earlier in 0..round {
            let refusal = gate.ask(&signed(&[earlier])).refusal();
            assert_eq!(
                (refusal.code.as_str(), refusal.forwarded.as_str()),
                ("replayed", "earlier")
            );
        }
        assert_eq!(gate.ask(&signed(&[round])).status, 200);
        gate.kill();
    }
    assert_eq!(site.upstream.count(), 5);
}

/// What never left may come again: it cannot be signed otherwise.
#[test]
fn what_was_not_sent_is_not_remembered() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut setup = setup("upstream = \"gone\"", "rate = { per_second = 1, burst = 3 }");
    setup.upstreams.push(upstream("gone", &format!("http://127.0.0.1:{closed}"), ""));
    let mut gateway = Gateway::with(setup);
    let codes: Vec<String> = (0..4).map(|_| gateway.ask(&signed(b"1")).refusal().code).collect();
    assert_eq!(codes, [["upstream_unreachable"; 3].as_slice(), &["rate_limited"]].concat());
    gateway.change(|setup| setup.routes[2] = route("hook", "/hook/*", "github", ROUTE)).unwrap();
    wait_until("the limit", || gateway.ask(&signed(b"1")).status == 200);
    // A replay spends nothing of the limit.
    for _ in 0..20 {
        gateway.refuses_h1(&signed(b"1"), "replayed");
    }
}

#[test]
fn an_answer_that_releases_an_order_does_not_release_a_signature() {
    let unique = "methods = [\"POST\"]\nunique_order = { field = \"/id\" }";
    let gateway = Gateway::with(setup(unique, GENEROUS));
    let text = crate::support::upstream::answer("422 No", &[], b"{}");
    gateway.upstream.answer(&text);
    assert_eq!(gateway.ask(&signed(b"{\"id\":1}")).status, 422);
    gateway.refuses_h1(&signed(b"{\"id\":1}"), "replayed");
    gateway.upstream.answer(&crate::support::upstream::ok(b"{}"));
    gateway.accepts(&signed(b"{\"id\":1,\"again\":true}"));
    gateway.refuses_h1(&signed(b"{\"id\":1,\"again\":2}"), "duplicate_order");
    // Refused for its order, it never left.
    gateway.advance(24 * 3600);
    gateway.accepts(&signed(b"{\"id\":1,\"again\":2}"));
}

#[test]
fn beyond_what_a_credential_may_fill_it_is_busy() {
    let gateway = Gateway::with(setup("", GENEROUS).with("ledger.remembered", "3"));
    for number in [b"1", b"2", b"3"] {
        gateway.accepts(&signed(number));
    }
    gateway.refuses_h1(&signed(b"4"), "busy");
    gateway.refuses_h1(&signed(b"1"), "replayed");
    assert_eq!(gateway.metric("countersign_ledger_messages_of_fullest", &[]), 3.0);
}
