//! The very requests that providers are asked with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::config::scheme::builtin;
use crate::inbox::inquiry::address::address;
use crate::inbox::inquiry::{Call, Means, Unaskable};
use crate::inbox::profile::tests::bed::{Bed, message, vector};
use crate::recipe::Subject;
use crate::scheme::Vector;

use super::comparisons::md5;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_764_000_000);

/// The request of a call for a message.
fn request(bed: &Bed, call: &Call, message: &Vector) -> Result<Request<Bytes>, Unaskable> {
    let read = bed.read(message).unwrap();
    let means = Means { key: &bed.key, values: &bed.values, now: NOW };
    let made = bed.look(message, |subject| {
        let subject = Subject { secret: Some(bed.key.secret().expose()), ..subject };
        call.request_of(subject, &read.facts, means)
    });
    made.unwrap()
}

pub(super) fn asked(bed: &Bed, message: &Vector) -> Request<Bytes> {
    request(bed, &bed.compiled.confirm.as_ref().unwrap().call, message).unwrap()
}

fn header<'r>(request: &'r Request<Bytes>, name: &str) -> &'r str {
    request.headers()[name].to_str().unwrap()
}

#[test]
fn fiuu_is_asked_by_transaction_with_the_verify_key() {
    let message = vector("fiuu");
    let values = [("domain", "shop"), ("verify_key", "verify-1")];
    let bed = Bed::new("fiuu", &message.secret, &values);
    let request = asked(&bed, &message);
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://api.fiuu.com/RMS/API/gate-query/index.php");
    assert_eq!(header(&request, "content-type"), "application/x-www-form-urlencoded");
    let key = md5("12345shopverify-110.00");
    let body = format!("amount=10.00&txID=12345&domain=shop&skey={key}&type=2");
    assert_eq!(request.body(), body.as_bytes());
}

#[test]
fn fiuu_hears_its_fields_again_where_that_is_asked_for() {
    let message = vector("fiuu");
    let values = [("domain", "shop"), ("verify_key", "verify-1")];
    let bed = Bed::new("fiuu", &message.secret, &values);
    let (call, when) = bed.compiled.post_back.as_ref().unwrap();
    let request = request(&bed, call, &message).unwrap();
    assert_eq!(request.uri(), "https://pay.fiuu.com/RMS/API/chkstat/returnipn.php");
    assert_eq!(request.body(), format!("{}&treq=1", message.body).as_bytes());
    let holds = |message: &Vector| {
        let holds =
            |subject: Subject<'_>| when.as_ref().unwrap().holds(&bed.compiled.reading, subject);
        bed.look(message, holds).unwrap()
    };
    assert!(!holds(&message), "a callback wants a word, and not its fields");
    let body = message.body.replace("nbcb=1", "nbcb=2");
    assert!(holds(&Vector { body, ..message }));
}

#[test]
fn kwikpaisa_is_asked_with_a_signed_request() {
    let message = vector("kwikpaisa-webhook");
    let bed = Bed::new("kwikpaisa", &message.secret, &[("key_id", "pk_test_1")]);
    let request = asked(&bed, &message);
    assert_eq!(request.uri(), "https://api.kwikpaisa.com/api/v3/pg/order/status");
    assert_eq!(request.body(), &br#"{"order_id":"A1"}"#[..]);
    assert_eq!(header(&request, "content-type"), "application/json");
    let scheme = builtin("kwikpaisa").unwrap();
    let body = [request.body().clone()];
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "api.kwikpaisa.com",
        target: "/api/v3/pg/order/status",
        headers: request.headers(),
        body: &body,
        status: None,
        public_url: None,
        secret: None,
        values: &bed.values,
    };
    let claims = scheme.claims(&subject).unwrap();
    assert_eq!(claims.key_id(), Some("pk_test_1"));
    assert_eq!(claims.timestamp(), Some(NOW));
    let key = scheme.key(bed.key.secret(), bed.values.clone()).unwrap();
    assert_eq!(scheme.verify(&[&key], &claims, subject).finish().matched, Some(0));
}

#[test]
fn texts_of_a_message_stay_texts_in_json() {
    let mut message = vector("kwikpaisa-webhook");
    let secret = message.secret.clone();
    let bed = Bed::new("kwikpaisa", &secret, &[("key_id", "pk_test_1")]);
    message.body = message.body.replace(r#""A1""#, r#""A1\",\"x\":\"1""#);
    let request = asked(&bed, &message);
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, serde_json::json!({ "order_id": "A1\",\"x\":\"1" }));
}

#[test]
fn paykun_is_asked_by_payment_with_two_headers() {
    let body = r#"{"transaction":{"payment_id":"P-1","merchant_id":"M1"}}"#;
    let message = message(&[], body);
    let values = [("merchant_id", "M1"), ("access_token", "token-1")];
    let bed = Bed::new("paykun", "paykun-api-secret-0123456789abcd", &values);
    let request = asked(&bed, &message);
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "https://api.paykun.com/v1/merchant/transaction/P-1/");
    assert_eq!(
        (header(&request, "merchantid"), header(&request, "accesstoken")),
        ("M1", "token-1")
    );
    assert!(request.headers()["accesstoken"].is_sensitive());
    assert!(request.body().is_empty());
}

#[test]
fn midtrans_is_asked_with_its_key_as_the_user() {
    let message = vector("midtrans");
    let bed = Bed::new("midtrans", &message.secret, &[]);
    let request = asked(&bed, &message);
    assert_eq!(request.uri(), "https://api.midtrans.com/v2/Postpaid-1/status");
    let expected = format!("Basic {}", STANDARD.encode(format!("{}:", message.secret)));
    assert_eq!(header(&request, "authorization"), expected);
}

#[test]
fn what_a_message_says_stays_in_its_place_of_the_address() {
    let mut message = vector("midtrans");
    let bed = Bed::new("midtrans", &message.secret.clone(), &[]);
    message.body = message.body.replace("Postpaid-1", "a/../b?c=d#e f");
    let request = asked(&bed, &message);
    assert_eq!(request.uri(), "https://api.midtrans.com/v2/a%2F..%2Fb%3Fc%3Dd%23e%20f/status");
    message.body = message.body.replace("a/../b?c=d#e f", "..");
    let call = &bed.compiled.confirm.as_ref().unwrap().call;
    assert!(super::requests::request(&bed, call, &message).is_err());
    for climbing in ["https://a/b/..", "https://a/./b", "https://a/%2E%2e/b", "https://a/.%2e/b"] {
        assert_eq!(address(climbing), None, "{climbing}");
    }
    for none in ["", "/a", "a/b", "https://", "https://a b/", "ftp://a/"] {
        assert_eq!(address(none), None, "{none}");
    }
    assert!(address("https://a/..b/c..?d=..").is_some());
}

proptest! {
    #[test]
    fn no_message_chooses_whom_the_gate_calls(order in "\\PC{1,40}|[./%?#@:\\\\]{1,12}") {
        let mut message = vector("midtrans");
        let bed = Bed::new("midtrans", &message.secret.clone(), &[]);
        let call = &bed.compiled.confirm.as_ref().unwrap().call;
        let text = serde_json::to_string(&order).unwrap();
        message.body = message.body.replace("\"Postpaid-1\"", &text);
        if let Ok(request) = super::requests::request(&bed, call, &message) {
            let uri = request.uri();
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            prop_assert_eq!(uri.authority().unwrap().as_str(), "api.midtrans.com");
            let segments: Vec<&str> = uri.path().split('/').collect();
            prop_assert_eq!(segments.len(), 4);
            prop_assert_eq!((segments[1], segments[3], uri.query()), ("v2", "status", None));
        }
    }
}

#[test]
fn a_message_that_lacks_something_cannot_be_asked_about() {
    let mut message = vector("midtrans");
    let bed = Bed::new("midtrans", &message.secret.clone(), &[]);
    let call = &bed.compiled.confirm.as_ref().unwrap().call;
    let (facts, values) = (Default::default(), &bed.values);
    let means = Means { key: &bed.key, values, now: NOW };
    message.body = "{}".into();
    let made = bed.look(&message, |subject| call.request_of(subject, &facts, means)).unwrap();
    assert_eq!(made.err(), Some(Unaskable("order is absent".into())));
}
