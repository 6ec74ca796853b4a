//! The signature doctor: who is told the mistake behind a signature, who is not, and how often.

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{kwik, kwik_test, v1};
use crate::support::signer::{Signer, hmac_hex};
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\": 100}";

/// A request whose JSON was signed without its white space.
fn compacted(signer: &Signer, gateway: &Gateway) -> Request {
    let now = gateway.now().to_string();
    let signature = hmac_hex(&signer.secret, format!("{{\"amount\":100}}{now}").as_bytes());
    signer.claims(Request::post("/v1/orders", BODY), &now, "", &signature)
}

fn mistake(answer: &Answer) -> Option<String> {
    assert_eq!(answer.status, 401, "{}", answer.text());
    let hint = answer.json()["hint"].as_str().map(str::to_owned);
    let mistake = answer.json()["mistake"].as_str().map(str::to_owned);
    assert_eq!(hint.is_some(), mistake.is_some(), "{}", answer.text());
    mistake
}

fn counted(gateway: &Gateway, mistake: &str) -> f64 {
    let label = format!("mistake=\"{mistake}\"");
    gateway.metric("countersign_signature_mistakes_total", &[&label])
}

#[test]
fn the_owner_of_a_test_credential_is_told_the_mistake() {
    let gateway = Gateway::start();
    let request = compacted(&kwik_test(), &gateway);
    assert_eq!(mistake(&gateway.ask(&request)).as_deref(), Some("json_compacted"));
    assert_eq!(mistake(&gateway.ask_h2(&request)).as_deref(), Some("json_compacted"));
    assert_eq!(counted(&gateway, "json_compacted"), 2.0);
    assert_eq!(gateway.upstream.count(), 0);
}

/// One identical refusal for whoever is not the owner of a test credential.
#[test]
fn the_owner_of_a_live_credential_is_told_nothing_and_operators_are() {
    let gateway = Gateway::start();
    let live = gateway.ask(&compacted(&kwik(), &gateway));
    let unknown = Signer::kwikpaisa("pk_live_nobody", "kwik-live-2f6c9b1e40d75a83");
    let nobody = gateway.ask(&compacted(&unknown, &gateway));
    assert_eq!((mistake(&live), mistake(&nobody)), (None, None));
    let same = |answer: &Answer| {
        let mut json = answer.json();
        json["request_id"] = "".into();
        json
    };
    assert_eq!(same(&live), same(&nobody));
    let findings = || gateway.operation("/findings").json()["findings"].clone();
    wait_until("the finding", || !findings().as_array().unwrap().is_empty());
    let findings = findings();
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings}");
    assert_eq!(findings[0]["key_id"], "pk_live_acme");
    assert_eq!(findings[0]["mistake"], "json_compacted");
    assert_eq!(findings[0]["request_id"], live.json()["request_id"]);
    assert_eq!(counted(&gateway, "json_compacted"), 1.0);
}

#[test]
fn what_nobody_can_explain_is_counted_as_such() {
    let gateway = Gateway::start();
    let request = kwik_test().sign(Request::post("/v1/orders", BODY), gateway.now());
    let request = request.set("X-SIGNATURE", "0".repeat(64));
    assert_eq!(mistake(&gateway.ask(&request)), None);
    assert_eq!(counted(&gateway, "unexplained"), 1.0);
}

#[test]
fn an_address_is_told_ten_times_a_minute() {
    let gateway = Gateway::start();
    let ask = || mistake(&gateway.ask(&compacted(&kwik_test(), &gateway)));
    // The minutes are those of a clock that nobody moves: twenty requests fall into two at most.
    let told = (0..40).filter(|_| ask().is_some()).count();
    assert!((10..=20).contains(&told), "told {told} times");
}

/// The form of a claim is no secret: whoever sent it is told what is wrong with it.
#[test]
fn claims_of_another_form_are_explained_to_everybody() {
    let gateway = Gateway::start();
    let good = || kwik().sign(Request::post("/v1/orders", BODY), gateway.now());
    let now = gateway.now();
    for (name, value, expected) in [
        ("X-TIMESTAMP", format!("{now}000"), "milliseconds"),
        ("X-TIMESTAMP", "2026-11-25T20:00:00Z".to_owned(), "date_form"),
        ("X-SIGNATURE", "ab".repeat(20), "other_algorithm"),
        ("X-SIGNATURE", format!("sha256={}", "ab".repeat(32)), "signature_prefix"),
        ("X-SIGNATURE", format!("\"{}\"", "ab".repeat(32)), "quoted"),
        (
            "X-SIGNATURE",
            "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=".to_owned(),
            "other_encoding",
        ),
    ] {
        let answer = gateway.ask(&good().set(name, &value));
        assert_eq!(answer.refusal().code, "malformed_header", "{value}");
        assert_eq!(mistake(&answer).as_deref(), Some(expected), "{value}");
    }
    let upper = v1().sign(Request::post("/v2/orders", BODY), now);
    let text = upper.value("X-SIGNATURE").to_uppercase();
    let answer = gateway.ask(&upper.set("X-SIGNATURE", text));
    assert_eq!(mistake(&answer).as_deref(), Some("signature_case"));
    let local = kwik().sign(Request::post("/v1/orders", BODY), now + 2 * 3600);
    let answer = gateway.ask(&local);
    assert_eq!(answer.refusal().code, "stale_timestamp");
    assert_eq!(mistake(&answer).as_deref(), Some("time_zone"));
}
