//! Keys that the store holds, in a running gate: what another process changes there is in force
//! within two seconds, a revocation within one.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::office::{Operator, secret};
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::signer::Signer;
use crate::support::wait_until;

const CHANGE: Duration = Duration::from_secs(2);
const REVOCATION: Duration = Duration::from_secs(1);

fn request(gateway: &Gateway, signer: &Signer) -> Request {
    signer.sign(Request::post("/v2/orders", b"{\"amount\":1}"), gateway.now())
}

fn passes(gateway: &Gateway, signer: &Signer) -> bool {
    gateway.ask(&request(gateway, signer)).status == 200
}

/// How long it takes until a signer passes or not.
fn until_it(gateway: &Gateway, signer: &Signer, is_to_pass: bool) -> Duration {
    let started = Instant::now();
    wait_until("the store", || passes(gateway, signer) == is_to_pass);
    started.elapsed()
}

#[test]
fn a_credential_made_beside_a_running_gate_is_in_service() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let signer = operator.credential("initech");
    // The gate had no store when it started, and finds this one first.
    until_it(&gateway, &signer, true);
    let seen = gateway.upstream.last();
    assert_eq!(seen.value("x-countersign-merchant"), "initech");
    let other = operator.credential("initech");
    assert!(until_it(&gateway, &other, true) < CHANGE);
    assert!(passes(&gateway, &v1()), "what the file states stays");
    let has_line = |line: &serde_json::Value| {
        line["credential"] == other.key_id.as_str() && line["secret_version"] == 1
    };
    wait_until("its line", || gateway.request_lines().iter().any(has_line));
}

#[test]
fn a_revocation_counts_within_a_second() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let signer = operator.credential("initech");
    until_it(&gateway, &signer, true);
    let by_key_id = json!({ "key_id": signer.key_id, "reason": "a test" });
    operator.says("credential suspend", by_key_id.clone());
    assert!(until_it(&gateway, &signer, false) < REVOCATION);
    gateway.refuses(&request(&gateway, &signer), "invalid_signature");
    operator.says("credential resume", by_key_id);
    assert!(until_it(&gateway, &signer, true) < CHANGE);
    let version = json!({
        "key_id": signer.key_id, "kind": "signing", "version": 1, "reason": "a test",
    });
    operator.says("secret revoke", version);
    assert!(until_it(&gateway, &signer, false) < REVOCATION);
}

#[test]
fn a_new_secret_takes_over_when_it_is_first_used() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let old = operator.credential("initech");
    until_it(&gateway, &old, true);
    let rotated = operator.says(
        "credential rotate",
        json!({ "key_id": old.key_id, "cutover": "on_first_use", "overlap": "1h" }),
    );
    let new = Signer::v1(&old.key_id, secret(&rotated));
    assert!(passes(&gateway, &old));
    assert!(until_it(&gateway, &new, true) < CHANGE);
    let state = |number: usize| {
        let list = operator.says("secret list", json!({ "key_id": old.key_id }));
        let items = list.value["items"].as_array().expect("items").clone();
        items.iter().find(|one| one["version"] == number).expect("a version")["state"].clone()
    };
    wait_until("its first use", || state(2) == "active");
    assert_eq!(state(1), "retiring");
    assert!(passes(&gateway, &old), "for the overlap");
    gateway.advance(3601);
    wait_until("the end of the overlap", || state(1) == "revoked");
    assert!(until_it(&gateway, &old, false) < CHANGE);
    gateway.refuses(&request(&gateway, &old), "invalid_signature");
    assert!(passes(&gateway, &new));
    let usage = operator.says("credential usage", json!({ "key_id": old.key_id }));
    let text = usage.value.to_string();
    assert!(text.contains("127.0.0.1"), "{text}");
}

#[test]
fn a_policy_rotates_by_itself() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let old = operator.credential("initech");
    until_it(&gateway, &old, true);
    operator.says(
        "policy create",
        json!({
            "policy": "yearly", "max_age": "365d", "overlap": "24h", "cutover": "now",
            "automatic": true, "remind_days": [30],
        }),
    );
    operator.says("policy assign", json!({ "policy": "yearly", "key_id": old.key_id }));
    gateway.advance(340 * 86_400);
    wait_until("a reminder", || gateway.log().contains("secret_ends_soon"));
    gateway.advance(26 * 86_400);
    wait_until("a rotation", || gateway.log().contains("\"secret_rotated\""));
    let revealed = operator
        .says("secret reveal", json!({ "key_id": old.key_id, "kind": "signing", "version": 2 }));
    let new = Signer::v1(&old.key_id, secret(&revealed));
    assert!(until_it(&gateway, &new, true) < CHANGE);
    assert!(passes(&gateway, &old), "for a day");
    assert!(gateway.metric("countersign_key_events_total", &["secret_rotated"]) >= 1.0);
}

#[test]
fn a_policy_counts_messages() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let old = operator.credential("initech");
    until_it(&gateway, &old, true);
    let policy = json!({
        "policy": "short", "max_messages": 10, "overlap": "1h", "cutover": "now",
        "automatic": true,
    });
    operator.says("policy create", policy);
    operator.says("policy assign", json!({ "policy": "short", "key_id": old.key_id }));
    let mut sent = 0;
    wait_until("a rotation", || {
        sent += u32::from(passes(&gateway, &old));
        gateway.log().contains("\"secret_rotated\"")
    });
    assert!(sent >= 9, "one more was sent before: {sent}");
    let list = operator.says("secret list", json!({ "key_id": old.key_id }));
    let states: Vec<&str> = list.value["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|one| one["state"].as_str())
        .collect();
    assert_eq!(states, ["retiring", "active"]);
}

#[test]
fn a_row_that_somebody_edited_is_out_of_service_and_reported() {
    let mut gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    for merchant in ["initech", "hooli"] {
        operator.merchant(merchant);
    }
    let (edited, other) = (operator.credential("initech"), operator.credential("hooli"));
    until_it(&gateway, &edited, true);
    until_it(&gateway, &other, true);
    operator.says("credential suspend", json!({ "key_id": edited.key_id, "reason": "a test" }));
    assert!(until_it(&gateway, &edited, false) < REVOCATION);
    let database = rusqlite::Connection::open(gateway.folder.path().join("state/keys.db"));
    let database = database.expect("the store");
    let rows = database
        .execute("UPDATE credential SET suspended = 0 WHERE key_id = ?1", [&edited.key_id])
        .expect("an edit");
    assert_eq!(rows, 1);
    drop(database);
    // The edit is in no change log: it is found when the store is read.
    gateway.restart();
    assert!(!passes(&gateway, &edited));
    assert!(passes(&gateway, &other));
    wait_until("the log", || gateway.log().contains("\"key_refused\""));
    assert!(gateway.metric("countersign_keys_refused", &[]) >= 1.0);
    // What the gate does by itself goes on for all others.
    let policy = json!({ "policy": "often", "max_age": "10d", "automatic": true });
    operator.says("policy create", policy);
    operator.says("policy assign", json!({ "policy": "often", "key_id": other.key_id }));
    gateway.advance(10 * 86_400 + 1);
    wait_until("a rotation", || gateway.log().contains("\"secret_rotated\""));
}

#[test]
fn a_merchant_lives_in_one_place_only() {
    let mut gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    let problem = operator.tries(
        "merchant create",
        json!({ "merchant": "acme", "name": "acme", "rate": "50/20000" }),
    );
    assert_eq!(problem.expect_err("taken").code.as_str(), "exists");
    operator.merchant("initech");
    let signer = operator.credential("initech");
    until_it(&gateway, &signer, true);
    // The merchants file gets one of the same name later.
    let own = Signer::v1("pk_live_initech", "a-secret-of-initech-for-itself");
    let table = crate::support::setup::credential("initech", &own, "live", "");
    let merchant =
        crate::support::setup::merchant("initech", crate::support::setup::GENEROUS, &[table]);
    gateway.change(|setup| *setup = setup.clone().merchant(merchant, &[&own])).expect("a reload");
    assert!(passes(&gateway, &own));
    assert!(!passes(&gateway, &signer));
    let told = || gateway.log().contains("it may live in one of the two only");
    wait_until("the log", told);
}

#[test]
fn a_restart_serves_what_the_store_holds() {
    let mut gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let signer = operator.credential("initech");
    until_it(&gateway, &signer, true);
    gateway.restart();
    assert!(passes(&gateway, &signer));
    gateway.reload().expect("a reload");
    assert!(passes(&gateway, &signer));
}

#[test]
fn old_rows_of_the_audit_log_go_by_themselves() {
    let gateway = Gateway::with_state(Setup::new());
    let operator = Operator::of(&gateway);
    operator.merchant("initech");
    let signer = operator.credential("initech");
    until_it(&gateway, &signer, true);
    gateway.advance(399 * 86_400);
    operator.merchant("umbrella");
    gateway.advance(2 * 86_400);
    let written = |object: &str| {
        let listed = operator.says("audit list", json!({ "object": object })).value;
        listed["items"].as_array().unwrap().clone()
    };
    wait_until("a trimming", || !written("audit").is_empty());
    assert_eq!(written("audit")[0]["action"], "audit.trimmed");
    assert!(written("initech").is_empty() && written(&signer.key_id).is_empty());
    assert_eq!(written("umbrella").len(), 1, "it is not old enough");
    assert!(operator.says("audit verify", json!({})).value["rows"].as_u64().unwrap() >= 2);
}
