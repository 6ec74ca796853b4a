//! Authorities that misbehave, and state that is damaged.

use std::fs;

use crate::authority::{Acme, Mischief, kept};
use crate::kit::{
    leads_to, next_order, ready, start, usual, usual_served, wait_failed, wait_logged, wait_ready,
};
use crate::support::certificates::authority;
use crate::support::wait_until;

/// Longer than any wait of the gate's own between two orders.
const LONG: u64 = 8 * 3600;

/// Whatever an authority does, the gate says what it was, goes on, and asks again.
#[test]
fn every_misbehaviour_is_told_and_outlived() {
    let acme = Acme::start();
    acme.does(Mischief::Unavailable);
    let gateway = start(&acme, usual(&acme));
    wait_failed(&gateway, "server_error", 1.0);
    let all = [
        (Mischief::RateLimited(60), "rate_limited", 1.0),
        (Mischief::Redirected, "refused", 1.0),
        (Mischief::Blind, "challenge_failed", 1.0),
        (Mischief::OtherKey, "unusable_certificate", 1.0),
        (Mischief::OtherName, "unusable_certificate", 2.0),
        (Mischief::Garbage, "unusable_certificate", 3.0),
        (Mischief::Nonsense, "unreadable", 1.0),
        (Mischief::TooLong, "unreadable", 2.0),
        (Mischief::InClear, "unreadable", 3.0),
        (Mischief::NoUrl, "unreadable", 4.0),
        (Mischief::BadToken, "unreadable", 5.0),
    ];
    for (mischief, reason, count) in all {
        acme.does(mischief);
        gateway.advance(LONG);
        wait_failed(&gateway, reason, count);
        assert!(!ready(&gateway), "{mischief:?}");
    }
    acme.does(Mischief::None);
    gateway.advance(LONG);
    wait_until("the gate to be ready", || ready(&gateway));
    let log = gateway.log();
    assert_eq!(log.matches("certificate_failed").count(), 12, "{log}");
    assert!(log.contains("too many  "), "what an authority says is cleaned: {log}");
    assert!(!log.contains("\\u001b"), "{log}");
    assert_eq!(gateway.metric("countersign_panics_total", &[]), 0.0);
}

/// What has no end ends by the gate's own deadline.
#[test]
fn an_order_has_a_deadline() {
    let acme = Acme::start();
    acme.does(Mischief::Endless);
    let gateway = start(&acme, usual(&acme).with("listener.acme.deadline", "\"2s\""));
    wait_failed(&gateway, "timed_out", 1.0);
    acme.does(Mischief::Stuck);
    gateway.advance(LONG);
    wait_failed(&gateway, "timed_out", 2.0);
    assert!(!ready(&gateway));
}

/// A wait that no clock can tell is none that anything breaks by.
#[test]
fn an_authority_may_ask_for_any_wait() {
    let acme = Acme::start();
    acme.with(|state| state.proofs_held = true);
    acme.does(Mischief::Patient);
    let gateway = start(&acme, usual(&acme).with("listener.acme.deadline", "\"2s\""));
    wait_failed(&gateway, "timed_out", 1.0);
    assert_eq!(gateway.metric("countersign_panics_total", &[]), 0.0);
    acme.with(|state| state.proofs_held = false);
    acme.does(Mischief::None);
    gateway.advance(LONG);
    wait_until("the gate to be ready", || ready(&gateway));
}

/// An authority that was set up anew knows no account.
#[test]
fn an_authority_may_forget_an_account() {
    let acme = Acme::start();
    let mut gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    wait_logged(&gateway, "certificate_issued");
    let file = kept(&gateway.folder.path().join("state"), "api.example.com.pem");
    gateway.stop();
    let key = acme.with(|state| state.accounts.pop().unwrap().0);
    fs::remove_file(&file).unwrap();
    gateway.start_again();
    leads_to(&acme, &gateway);
    wait_ready(&gateway);
    acme.with(|state| assert_eq!(state.accounts[0].0, key, "the key stays"));
}

/// Nobody is there: neither an authority nor anything else.
#[test]
fn an_authority_that_is_not_there_is_told() {
    let acme = Acme::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = format!("\"https://localhost:{}/directory\"", nobody.port());
    let two = r#"["api.example.com", "new.example.com"]"#;
    let setup = usual(&acme).with("listener.acme.directory", &directory);
    let mut gateway = start(&acme, setup.with("listener.acme.names", two));
    wait_failed(&gateway, "unreachable", 1.0);
    assert!(next_order(&gateway) >= gateway.now() + 60, "the other name waits as well");
    let directory = format!("\"{}\"", acme.directory());
    gateway.change(|setup| setup.set("listener.acme.directory", &directory)).unwrap();
    let missing = || gateway.metric("countersign_acme_certificates_missing", &[]);
    wait_until("both certificates", || missing() == 0.0);
}

/// What makes no sense about renewal is told, and the certificate's life decides.
#[test]
fn a_window_that_makes_no_sense_is_told() {
    let acme = Acme::start();
    acme.with(|state| state.window = Some(("tomorrow".into(), "never".into())));
    let gateway = start(&acme, usual(&acme));
    wait_logged(&gateway, "renewal_info_failed");
    assert!(ready(&gateway));
    assert!(next_order(&gateway) > gateway.now() + 24 * 3600);
    assert_eq!(acme.orders(), 1);
}

/// An authority that asks to be let alone is, even if nobody else would wait so long.
#[test]
fn an_authority_that_wants_fewer_orders_is_let_alone() {
    let acme = Acme::start();
    acme.does(Mischief::RateLimited(20 * 3600));
    let gateway = start(&acme, usual(&acme));
    wait_failed(&gateway, "rate_limited", 1.0);
    assert_eq!(next_order(&gateway) - gateway.now(), 20 * 3600);
    acme.does(Mischief::None);
    // Two looks of the gate lie between: it had the time to ask, and did not.
    gateway.advance(19 * 3600);
    gateway.advance(3600 - 1);
    assert_eq!(acme.asked("POST /order"), 1);
    gateway.advance(2);
    wait_until("the gate to be ready", || ready(&gateway));
}

/// How often something failed outlives a restart: a gate that is started again and again does not
/// order again and again. A reload is somebody who says that it may work now.
#[test]
fn a_restart_does_not_forget_that_the_authority_is_let_alone() {
    let acme = Acme::start();
    acme.does(Mischief::Blind);
    let mut gateway = start(&acme, usual(&acme));
    wait_failed(&gateway, "challenge_failed", 1.0);
    gateway.advance(LONG);
    wait_failed(&gateway, "challenge_failed", 2.0);
    let planned = next_order(&gateway);
    assert!(planned - gateway.now() >= 120);
    gateway.restart();
    leads_to(&acme, &gateway);
    assert_eq!(next_order(&gateway), planned);
    acme.does(Mischief::None);
    gateway.reload().unwrap();
    assert_eq!(next_order(&gateway), gateway.now() + 60);
    gateway.advance(61);
    wait_until("the gate to be ready", || ready(&gateway));
    assert_eq!(acme.orders(), 3);
}

/// What is damaged is put aside, said, and ordered anew; so is what belongs to another key or name.
#[test]
fn what_is_damaged_is_put_aside() {
    let acme = Acme::start();
    let mut gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    wait_logged(&gateway, "certificate_issued");
    let state = gateway.folder.path().join("state");
    let file = kept(&state, "api.example.com.pem");
    let good = fs::read_to_string(&file).unwrap();
    let other = authority().issue(&["api.example.com"], 30);
    let of_another = authority().issue(&["other.example.com"], 30);
    let damaged = [
        "not PEM at all".to_owned(),
        good.replace("CERTIFICATE", "SOMETHING"),
        good[..good.len() / 2].to_owned(),
        format!("{}{}", other.key, authority().issue(&["api.example.com"], 30).chain),
        format!("{}{}", of_another.key, of_another.chain),
        String::new(),
    ];
    for (n, content) in damaged.iter().enumerate() {
        gateway.stop();
        fs::write(&file, content).unwrap();
        gateway.start_again();
        leads_to(&acme, &gateway);
        wait_ready(&gateway);
        let lines = || gateway.log().matches("certificate_set_aside").count();
        wait_until("it to be told", || lines() == n + 1);
        let aside = file.with_file_name("api.example.com.pem.damaged");
        assert_eq!(fs::read_to_string(aside).unwrap(), *content);
        assert_eq!(acme.orders(), n + 2);
        let issued = || gateway.log().matches("certificate_issued").count() == n + 2;
        wait_until("it to be kept", issued);
    }
    usual_served(&gateway);
    gateway.stop();
    let account = kept(&state, "account.key");
    let key = "PRIVATE KEY";
    fs::write(&account, format!("-----BEGIN {key}-----\nAAAA\n-----END {key}-----\n")).unwrap();
    fs::remove_file(&file).unwrap();
    gateway.start_again();
    leads_to(&acme, &gateway);
    wait_ready(&gateway);
    wait_logged(&gateway, "account_key_set_aside");
    acme.with(|state| assert_eq!(state.accounts.len(), 2, "a new account"));
}
