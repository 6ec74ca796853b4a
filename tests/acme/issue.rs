//! The first certificate: ordered, proved, served.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::{Acme, kept};
use crate::jws::encode;
use crate::kit::{leads_to, ready, served, setup, shown_to, start, usual, usual_served};
use crate::kit::{wait_logged, wait_ready};
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::request::{HOST, Request};
use crate::support::setup::v1;
use crate::support::wait_until;

fn post(gateway: &Gateway) -> Request {
    v1().sign(Request::post("/v2/orders", b"{}"), gateway.now())
}

/// Without a certificate the gate runs, says so, and refuses handshakes; with it it serves.
#[test]
fn a_gate_without_a_certificate_waits_for_it_and_is_not_ready() {
    let acme = Acme::start();
    acme.with(|state| state.held = true);
    let gateway = start(&acme, usual(&acme));
    let answer = gateway.operation("/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("certificate_missing"), "{}", answer.text());
    let reason = "reason=\"certificate_missing\"";
    assert_eq!(gateway.metric("countersign_not_ready", &[reason]), 1.0);
    assert_eq!(gateway.metric("countersign_acme_certificates_missing", &[]), 1.0);
    assert!(Client::dial(gateway.address, HOST, &["http/1.1"]).is_err());
    assert_eq!(gateway.operation("/healthz").status, 200);
    acme.with(|state| state.held = false);
    wait_ready(&gateway);
    gateway.accepts(&post(&gateway));
    gateway.accepts_h2(&post(&gateway));
    assert_eq!(gateway.metric("countersign_acme_certificates_missing", &[]), 0.0);
    let issued = "countersign_acme_certificates_issued_total";
    assert_eq!(gateway.metric(issued, &["certificate=\"api.example.com\""]), 1.0);
    wait_logged(&gateway, "certificate_issued");
    acme.with(|state| {
        assert_eq!(state.orders.len(), 1);
        assert_eq!((&state.orders[0].profile, &state.orders[0].replaces), (&None, &None));
        assert_eq!(state.accounts[0].1["contact"], json!(["mailto:operations@example.com"]));
    });
}

/// The proof in clear, and nothing there once it is over.
#[test]
fn a_name_is_proved_in_clear() {
    let acme = Acme::start();
    let gateway = start(&acme, setup(&acme.directory(), r#"["api.example.com"]"#, "http-01"));
    wait_ready(&gateway);
    gateway.accepts(&post(&gateway));
    let counted = gateway.metric("countersign_plain_requests_total", &["\"challenge\""]);
    assert_eq!(counted, 1.0);
}

/// A gate that keeps nothing has a certificate all the same.
#[test]
fn without_a_state_folder_nothing_is_kept() {
    let acme = Acme::start();
    let gateway = Gateway::with(usual(&acme));
    leads_to(&acme, &gateway);
    wait_ready(&gateway);
    gateway.accepts(&post(&gateway));
    assert!(!gateway.folder.path().join("state").exists());
}

/// Keys of every kind, for clients of every kind.
#[test]
fn keys_are_of_the_kind_that_was_asked_for() {
    for (kind, bytes) in [("p-256", 65), ("p-384", 97), ("rsa-2048", 270)] {
        let acme = Acme::start();
        let setup = usual(&acme).with("listener.acme.key", &format!("\"{kind}\""));
        let gateway = start(&acme, setup);
        wait_ready(&gateway);
        let der = usual_served(&gateway);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let key = &certificate.public_key().subject_public_key.data;
        assert_eq!(key.len(), bytes, "{kind}");
        gateway.accepts(&post(&gateway));
    }
}

/// What is kept is whole, for its owner alone, and no key is told to anybody.
#[test]
fn what_is_kept_is_for_the_gate_alone() {
    let acme = Acme::start();
    let gateway = start(&acme, usual(&acme));
    wait_ready(&gateway);
    let state = gateway.folder.path().join("state");
    wait_logged(&gateway, "certificate_issued");
    for file in ["account.key", "api.example.com.pem"] {
        let path = kept(&state, file);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let text = fs::read_to_string(&path).unwrap();
        let key = text.lines().nth(1).unwrap();
        assert!(text.starts_with(&format!("-----BEGIN {}-----", "PRIVATE KEY")), "{file}");
        assert!(!gateway.log().contains(key), "{file}");
    }
    assert_eq!(gateway.stop(), 0);
}

/// An account that belongs to another, a profile, keys of another kind, and a nonce that is refused
/// once.
#[test]
fn an_account_is_bound_where_the_authority_wants_it() {
    let acme = Acme::start();
    let key = b"a key that the authority gave us".to_vec();
    acme.with(|state| {
        state.external = Some(("kid-7".into(), key.clone()));
        state.bad_nonce = true;
    });
    let bound = r#"{ id = "kid-7", key = { file = "external.key" } }"#;
    let setup = usual(&acme)
        .with("listener.acme.external_account", bound)
        .with("listener.acme.profile", "\"short\"");
    let gateway = Gateway::prepared(setup, |folder| {
        let text = format!("{}\n", encode(&key));
        crate::support::write_private(&folder.join("external.key"), text.as_bytes());
    });
    leads_to(&acme, &gateway);
    wait_ready(&gateway);
    acme.with(|state| {
        assert_eq!(state.orders[0].profile.as_deref(), Some("short"));
        assert_eq!(state.accounts.len(), 1);
    });
    assert!(!gateway.log().contains(&encode(&key)));
}

/// While a proof is shown, nobody but who asks for it in the one way sees it; and it is gone
/// afterwards.
#[test]
fn a_proof_is_shown_to_nobody_else() {
    let acme = Acme::start();
    acme.with(|state| state.proofs_held = true);
    let both = r#"[{ chain = "api.pem", key = "api.key" }]"#;
    let setup = setup(&acme.directory(), r#"["new.example.com"]"#, "tls-alpn-01");
    let gateway = start(&acme, setup.with("listener.certificates", both));
    assert!(ready(&gateway), "there is a certificate from a file");
    let usual = usual_served(&gateway);
    let proof = |name: &str, alpn: &[&str]| shown_to(&gateway, name, alpn);
    wait_until("a proof", || proof("new.example.com", &["acme-tls/1"]).is_some());
    let own = proof("new.example.com", &["acme-tls/1"]).unwrap();
    assert_ne!(own, usual);
    for alpn in [&["acme-tls/1", "h2"][..], &["h2", "acme-tls/1"], &["http/1.1"], &["h2"], &[]] {
        assert_eq!(proof("new.example.com", alpn).as_ref(), Some(&usual), "{alpn:?}");
    }
    for name in ["api.example.com", "other.example.com"] {
        assert_eq!(proof(name, &["acme-tls/1"]), None, "{name}");
    }
    gateway.accepts(&post(&gateway));
    acme.with(|state| state.proofs_held = false);
    wait_until("its certificate", || served(&gateway, "new.example.com").is_some());
    assert_eq!(proof("new.example.com", &["acme-tls/1"]), None, "the proof is over");
    assert_eq!(usual_served(&gateway), usual, "that of the file stays");
}
