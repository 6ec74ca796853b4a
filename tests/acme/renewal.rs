//! What comes after the first certificate: renewal, restarts, reloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::authority::{Acme, Mischief, certificate_id};
use crate::kit::{leads_to, next_order, ready, served, start, usual, usual_served, wait_failed};
use crate::kit::{wait_logged, wait_ready, wait_renewed};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, START};
use crate::support::process::countersign;
use crate::support::request::{HOST, Request};
use crate::support::setup::{rfc3339, v1};
use crate::support::wait_until;

const BOTH: &str = r#"["api.example.com", "new.example.com"]"#;
const ONE: &str = r#"["api.example.com"]"#;
/// A little longer than the gate rests between a certificate and an order for the next.
const REST: u64 = 3700;
const DAY: u64 = 24 * 3600;

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", b"{}"), gateway.now())
}

/// The authority wants certificates renewed then.
fn wants_renewal(acme: &Acme, start: u64, end: u64) {
    acme.with(|state| state.window = Some((rfc3339(start), rfc3339(end))));
}

/// The authority changes its mind; connections stay, and every request under load is answered.
#[test]
fn a_certificate_is_renewed_when_the_authority_says() {
    let acme = Acme::start();
    wants_renewal(&acme, START + 100 * DAY, START + 101 * DAY);
    let gateway = Arc::new(start(&acme, usual(&acme)));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    let window = START + 100 * DAY..=START + 101 * DAY;
    wait_until("the gate to be told", || window.contains(&next_order(&gateway)));
    let name = certificate_id(&before);
    assert_eq!(acme.with(|state| state.renewals_asked[0].clone()), name);
    let mut open = Client::connect(gateway.address);
    let open_h2 = gateway.http2();
    wants_renewal(&acme, START - 2 * DAY, START - DAY);
    acme.with(|state| state.held = true);
    gateway.advance(REST);
    let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..3).map(|n| under_load(n, &gateway, &done, &sent)).collect();
    acme.with(|state| state.held = false);
    let after = wait_renewed(&gateway, &before);
    let count = sent.load(Ordering::Relaxed);
    wait_until("some more requests", || sent.load(Ordering::Relaxed) > count + 20);
    done.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|one| one.join().expect("every request answered"));
    assert_eq!(open.ask(&post(&gateway)).status, 200, "a connection that was open all the time");
    assert_eq!(open_h2.ask(&post(&gateway)).status, 200, "over HTTP/2 as well");
    acme.with(|state| {
        assert_eq!(state.orders.len(), 2);
        assert_eq!(state.orders[1].replaces.as_deref(), Some(name.as_str()));
        assert_eq!(state.accounts.len(), 1, "one account for all");
    });
    assert_ne!(certificate_id(&after), name);
}

/// Requests without an end, on connections that stay and on new ones.
fn under_load(
    n: usize,
    gateway: &Arc<Gateway>,
    done: &Arc<AtomicBool>,
    sent: &Arc<AtomicUsize>,
) -> thread::JoinHandle<()> {
    let (gateway, done, sent) = (Arc::clone(gateway), Arc::clone(done), Arc::clone(sent));
    thread::spawn(move || {
        let mut kept = gateway.client();
        while !done.load(Ordering::Relaxed) {
            let answer = match n {
                0 => gateway.ask(&post(&gateway)),
                _ => kept.ask(&post(&gateway)),
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            sent.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// Without the authority's word it is a third of its life.
#[test]
fn a_certificate_is_renewed_by_its_life() {
    let acme = Acme::start();
    let gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    let next = next_order(&gateway) as f64;
    let until = gateway.metric("countersign_certificate_expiry_timestamp_seconds", &[HOST]);
    // That of operations has the same name and ends earlier or later by a moment.
    let began = (START - 60 * DAY) as f64;
    let left = (until - next) / (until - began);
    assert!((0.33..0.38).contains(&left), "{left}");
    gateway.advance(next as u64 - gateway.now() - 60);
    assert_eq!(acme.orders(), 1);
    gateway.advance(120);
    let after = wait_renewed(&gateway, &before);
    assert_ne!(after, before);
    acme.with(|state| assert_eq!(state.orders[1].replaces, None, "nobody asked for it"));
}

/// A restart needs no authority: not even one that answers.
#[test]
fn a_restart_uses_what_is_kept() {
    let acme = Acme::start();
    let mut gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    acme.with(|state| state.held = true);
    gateway.restart();
    leads_to(&acme, &gateway);
    assert!(ready(&gateway));
    assert_eq!(usual_served(&gateway), before);
    gateway.accepts(&post(&gateway));
    acme.with(|state| state.held = false);
    assert_eq!(acme.orders(), 1);
}

/// A stop does not wait for an order, and the next start makes it anew.
#[test]
fn a_stop_leaves_an_order_that_is_under_way() {
    let acme = Acme::start();
    acme.with(|state| state.proofs_held = true);
    let mut gateway = start(&acme, usual(&acme));
    wait_until("an order", || acme.asked("POST /challenge/1") == 1);
    gateway.restart();
    leads_to(&acme, &gateway);
    acme.with(|state| state.proofs_held = false);
    wait_ready(&gateway);
    assert!(!gateway.log().contains("acme_left"), "{}", gateway.log());
    acme.with(|state| assert_eq!((state.orders.len(), state.accounts.len()), (2, 1)));
}

/// Names come and go with reloads; those that stay keep their certificates.
#[test]
fn a_reload_keeps_certificates() {
    let acme = Acme::start();
    let mut gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    gateway.change(|setup| setup.set("listener.acme.names", BOTH)).unwrap();
    assert_eq!(usual_served(&gateway), before);
    wait_until("the second name", || served(&gateway, "new.example.com").is_some());
    let second = served(&gateway, "new.example.com");
    gateway.change(|setup| setup.set("listener.acme.names", ONE)).unwrap();
    assert_eq!(served(&gateway, "new.example.com"), None, "nobody stands for it any more");
    assert_eq!(usual_served(&gateway), before);
    acme.with(|state| state.held = true);
    gateway.change(|setup| setup.set("listener.acme.names", BOTH)).unwrap();
    assert_eq!(served(&gateway, "new.example.com"), second, "what is kept comes back");
    acme.with(|state| state.held = false);
    assert_eq!(acme.orders(), 2);
}

/// Another authority: what the one before issued is served until its own is there.
#[test]
fn another_authority_takes_over_without_a_gap() {
    let (first, second) = (Acme::start(), Acme::start());
    let mut gateway = start(&first, usual(&first));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    second.with(|state| state.held = true);
    let directory = format!("\"{}\"", second.directory());
    gateway.change(|setup| setup.set("listener.acme.directory", &directory)).unwrap();
    leads_to(&second, &gateway);
    assert_eq!(usual_served(&gateway), before);
    second.with(|state| state.held = false);
    let after = wait_renewed(&gateway, &before);
    second.with(|state| {
        assert_eq!((state.orders.len(), state.accounts.len()), (1, 1));
        assert_eq!(state.orders[0].replaces, None, "it knows nothing of the other's");
    });
    gateway.restart();
    assert_eq!(usual_served(&gateway), after);
}

/// What every client must show, the authority does not have.
#[test]
fn a_listener_that_demands_certificates_is_proved_in_clear() {
    let acme = Acme::start();
    let mut gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    let demand = r#"{ ca = "ca.pem" }"#;
    let refused = gateway.change(|setup| setup.set("listener.client_certificates", demand));
    let refused = refused.unwrap_err();
    assert!(refused.contains("tls-alpn-01") && refused.contains("http-01"), "{refused}");
    assert_eq!(usual_served(&gateway), before, "nothing changed");
    gateway
        .change(|setup| {
            setup.set("listener.acme.challenge", "\"http-01\"");
            setup.set("listener.acme.names", BOTH);
        })
        .unwrap();
    let issued = || gateway.metric("countersign_acme_certificates_missing", &[]) == 0.0;
    wait_until("the second name", issued);
}

/// An authority that fails leaves in force what is there, and is asked again.
#[test]
fn a_renewal_that_fails_changes_nothing() {
    let acme = Acme::start();
    wants_renewal(&acme, START - 2 * DAY, START - DAY);
    let gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    // It would order at once, but for the time that it rests between two orders.
    wait_until("the gate to be told", || next_order(&gateway) == START + 3600);
    acme.does(Mischief::Blind);
    gateway.advance(REST);
    wait_failed(&gateway, "challenge_failed", 1.0);
    assert_eq!(usual_served(&gateway), before);
    assert!(ready(&gateway));
    gateway.accepts(&post(&gateway));
    let wait = next_order(&gateway) - gateway.now();
    assert!((60..=75).contains(&wait), "{wait}");
    wait_logged(&gateway, "certificate_failed");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("certificate_failed")).unwrap();
    assert!(line.contains("connection refused") && line.contains("error:connection"), "{line}");
    acme.does(Mischief::None);
    gateway.advance(80);
    wait_renewed(&gateway, &before);
}

/// Nobody misses what an authority may leave out.
#[test]
fn an_authority_may_say_little() {
    let acme = Acme::start();
    acme.does(Mischief::Curt);
    wants_renewal(&acme, START - 2 * DAY, START - DAY);
    let gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    wait_until("the gate to be told", || next_order(&gateway) == START + 3600);
    gateway.advance(REST);
    wait_renewed(&gateway, &before);
    assert!(!gateway.log().contains("renewal_info_failed"), "{}", gateway.log());
}

/// Somebody wants a certificate now.
#[test]
fn an_operator_can_have_a_certificate_renewed() {
    let acme = Acme::start();
    let gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let before = usual_served(&gateway);
    let renew = |name: &str| {
        let folder = gateway.folder.path();
        countersign(folder, &["certs", "renew", "--config", "countersign.toml", name])
    };
    let (status, said) = renew("other.example.com");
    assert!(!status.success() && said.contains("api.example.com"), "{said}");
    let (status, said) = renew("api.example.com.");
    assert!(!status.success(), "{said}");
    let (status, said) = renew("API.example.com");
    assert!(status.success() && said.contains("api.example.com"), "{said}");
    wait_renewed(&gateway, &before);
    assert_eq!(acme.orders(), 2);
    wait_logged(&gateway, "certificate_wanted");
}
