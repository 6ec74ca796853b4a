//! What answers of providers say of messages: tables of agreements, differences, and answers that
//! say nothing.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::Response;
use md5::{Digest as _, Md5};

use crate::inbox::inquiry::{Finding, Means};
use crate::inbox::profile::tests::bed::{Bed, message, vector};
use crate::inbox::profile::{CallText, InquiryText, Profile};
use crate::scheme::Vector;

use super::requests::{NOW, asked};

/// The MD5 of a text in hexadecimal digits.
pub(super) fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a provider's answer says of a message.
pub(super) fn compare(bed: &Bed, message: &Vector, status: u16, body: &str) -> Finding {
    let facts = bed.read(message).unwrap().facts;
    let answer = Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes()));
    let means = Means { key: &bed.key, values: &bed.values, now: NOW };
    bed.compiled.confirm.as_ref().unwrap().compare(&facts, &answer.unwrap(), means)
}

fn agrees(state: &str) -> Finding {
    Finding::Agrees { state: Some(state.into()) }
}

fn no_answer(code: &'static str, status: u16) -> Finding {
    Finding::NoAnswer { code, status: Some(status), retry_after: None }
}

/// The facts that differ.
fn differing(finding: &Finding) -> Vec<&str> {
    match finding {
        Finding::Differs { differences, .. } => {
            differences.iter().map(|line| line.split(':').next().unwrap()).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn fiuu() -> (Bed, Vector) {
    let message = vector("fiuu");
    let values = [("domain", "shop"), ("verify_key", "verify-1")];
    (Bed::new("fiuu", &message.secret, &values), message)
}

/// An answer of Fiuu, with its proof.
fn fiuu_answer(state: &str, transaction: &str, amount: &str, more: &str) -> String {
    let proof = md5(&format!("{amount}fiuu-secret-key-1shop{transaction}{state}"));
    let said = format!(r#""StatCode":"{state}","TranID":"{transaction}","Amount":"{amount}""#);
    format!(r#"{{{said},"Domain":"shop"{more},"VrfKey":"{proof}"}}"#)
}

#[test]
fn fiuu_agrees_where_everything_does() {
    let (bed, message) = fiuu();
    for (transaction, amount, more) in [
        ("12345", "10.00", ""),
        ("12345", "10", r#","Currency":"myr""#),
        ("12345", "010.000", r#","OrderID":"ORD1","Currency":"MYR""#),
    ] {
        let body = fiuu_answer("00", transaction, amount, more);
        assert_eq!(compare(&bed, &message, 200, &body), agrees("succeeded"), "{body}");
    }
}

#[test]
fn fiuu_differs_by_fact_with_both_values() {
    let (bed, message) = fiuu();
    for (state, transaction, amount, more, expected) in [
        ("11", "12345", "10.00", "", &["state"][..]),
        ("00", "12345", "10.01", "", &["amount"]),
        ("00", "1234", "10.00", "", &["transaction"]),
        ("00", "12345", "10.00", r#","OrderID":"ORD2""#, &["order"]),
        ("00", "12345", "10.00", r#","Currency":"SGD""#, &["currency"]),
        ("11", "1", "2", r#","OrderID":"3""#, &["order", "transaction", "amount", "state"]),
        // Pending or not, another amount is another amount.
        ("22", "12345", "10.01", "", &["amount"]),
    ] {
        let body = fiuu_answer(state, transaction, amount, more);
        let finding = compare(&bed, &message, 200, &body);
        assert_eq!(differing(&finding), expected, "{body}");
    }
    let finding = compare(&bed, &message, 200, &fiuu_answer("11", "12345", "9.00", ""));
    let expected = Finding::Differs {
        state: Some("failed".into()),
        differences: vec![
            "amount: the message says 10.00, the answer 9.00".into(),
            "state: the message says succeeded, the answer failed".into(),
        ],
    };
    assert_eq!(finding, expected);
}

#[test]
fn states_that_are_not_final_wait_and_give_way() {
    let (bed, message) = fiuu();
    let pending = |status: &str| {
        let body = message.body.replace("status=00", &format!("status={status}"));
        Vector { body, ..message.clone() }
    };
    let ask = |status: &str, state: &str| {
        compare(&bed, &pending(status), 200, &fiuu_answer(state, "12345", "10.00", ""))
    };
    assert_eq!(ask("00", "22"), Finding::Pending);
    assert_eq!(ask("11", "22"), Finding::Pending);
    assert_eq!(ask("22", "22"), agrees("pending"));
    assert_eq!(ask("22", "00"), agrees("succeeded"));
    assert_eq!(ask("22", "11"), agrees("failed"));
    assert_eq!(differing(&ask("11", "00")), ["state"]);
}

#[test]
fn nothing_is_believed_that_is_not_proved() {
    let (bed, message) = fiuu();
    let good = fiuu_answer("00", "12345", "10.00", "");
    let ask = |body: &str| compare(&bed, &message, 200, body);
    assert_eq!(ask(&good), agrees("succeeded"));
    for forged in [
        good.replace("\"StatCode\":\"00\"", "\"StatCode\":\"11\""),
        good.replace("\"Amount\":\"10.00\"", "\"Amount\":\"10.01\""),
        good.replace("\"TranID\":\"12345\"", "\"TranID\":\"12346\""),
        good.replace("VrfKey", "VrfKeys"),
        good.replace("\"VrfKey\":\"", "\"VrfKey\":\"0"),
        good.to_uppercase(),
        "{}".to_owned(),
        String::new(),
    ] {
        assert_eq!(ask(&forged), no_answer("unproved", 200), "{forged}");
    }
    for broken in ["[", "<html>", &good.replacen('{', r#"{"TranID":"1","#, 1)] {
        assert_eq!(ask(broken), no_answer("unreadable", 200), "{broken}");
    }
    let odd = fiuu_answer("33", "12345", "10.00", "");
    assert_eq!(ask(&odd), no_answer("unreadable", 200));
}

#[test]
fn statuses_come_before_the_body() {
    let (bed, message) = fiuu();
    let good = fiuu_answer("00", "12345", "10.00", "");
    assert_eq!(compare(&bed, &message, 404, &good), Finding::Unknown);
    for status in [301, 400, 401, 410, 429, 500, 503] {
        assert_eq!(compare(&bed, &message, status, &good), no_answer("status", status));
    }
    let answer = Response::builder().status(503).header("Retry-After", "120").body(Bytes::new());
    let means = Means { key: &bed.key, values: &bed.values, now: NOW };
    let facts = bed.read(&message).unwrap().facts;
    let confirm = bed.compiled.confirm.as_ref().unwrap();
    let expected = Finding::NoAnswer { code: "status", status: Some(503), retry_after: Some(120) };
    assert_eq!(confirm.compare(&facts, &answer.unwrap(), means), expected);
}

#[test]
fn what_the_message_does_not_say_does_not_agree() {
    let (bed, message) = fiuu();
    let answer = Response::new(Bytes::from(fiuu_answer("00", "12345", "10.00", "")));
    let means = Means { key: &bed.key, values: &bed.values, now: NOW };
    let confirm = bed.compiled.confirm.as_ref().unwrap();
    let mut facts = bed.read(&message).unwrap().facts;
    facts.remove("amount");
    assert_eq!(differing(&confirm.compare(&facts, &answer, means)), ["amount"]);
}

#[test]
fn long_and_odd_values_are_told_in_one_short_line() {
    let (bed, message) = fiuu();
    let order = format!(r#","OrderID":"\u001b[31m{}""#, "x".repeat(100));
    let finding = compare(&bed, &message, 200, &fiuu_answer("00", "12345", "10.00", &order));
    let Finding::Differs { differences, .. } = finding else { panic!("{finding:?}") };
    let expected = format!("the answer \u{fffd}[31m{}…", "x".repeat(59));
    assert!(differences[0].ends_with(&expected), "{differences:?}");
}

/// What the comment in Fiuu's file says of asking by order.
fn by_order() -> Profile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = fs::read_to_string(folder.join("config/providers/fiuu.toml")).unwrap();
    let lines: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let table: toml::Table = lines.join("\n").parse().unwrap();
    let confirm = &table["sources"]["NAME"]["confirm"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let texts = |value: &toml::Value| {
        let members = value.as_table().unwrap().iter();
        members.map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let call = CallText {
        url: text(&confirm["url"]),
        lets: texts(&confirm["let"]),
        body: Some(text(&confirm["body"])),
        ..CallText::default()
    };
    let answer = &confirm["answer"];
    let (lets, facts) = (texts(&answer["let"]), texts(&answer["facts"]));
    let confirm = Some(InquiryText { call, lets, facts, ..InquiryText::default() });
    Profile { confirm, ..Profile::default() }
}

#[test]
fn fiuu_can_be_asked_by_order() {
    let (mut bed, message) = fiuu();
    let profile = bed.profile.overridden_by(&by_order());
    bed.compiled = profile.compile(&bed.scheme, &|_| None).unwrap();
    let request = asked(&bed, &message);
    let key = md5("ORD1shopverify-110.00");
    assert_eq!(request.uri(), "https://api.fiuu.com/RMS/query/q_by_oid.php");
    let body = format!("amount=10.00&oID=ORD1&domain=shop&skey={key}&type=2");
    assert_eq!(request.body(), body.as_bytes());
    let proof = md5("10.00fiuu-secret-key-1shopORD100");
    let said = format!(r#""StatCode":"00","OrderID":"ORD1","Amount":"10.00","VrfKey":"{proof}""#);
    assert_eq!(compare(&bed, &message, 200, &format!("{{{said}}}")), agrees("succeeded"));
    let other = format!(r#"{{{said},"TranID":"1"}}"#);
    assert_eq!(differing(&compare(&bed, &message, 200, &other)), ["transaction"]);
    let forged = said.replace("\"OrderID\":\"ORD1\"", "\"OrderID\":\"ORD2\"");
    let finding = compare(&bed, &message, 200, &format!("{{{forged}}}"));
    assert_eq!(finding, no_answer("unproved", 200));
}

#[test]
fn kwikpaisas_answers() {
    let message = vector("kwikpaisa-webhook");
    let bed = Bed::new("kwikpaisa", &message.secret, &[("key_id", "pk_test_1")]);
    let answer = |code: &str, state: &str, amount: &str, currency: &str| {
        let data = format!(r#""order_status":"{state}","order_amount":"{amount}""#);
        let data = format!(r#"{data},"currency":"{currency}","transaction_id":"T1""#);
        let body = format!(r#"{{"code":"{code}","return_data":{{{data}}}}}"#);
        compare(&bed, &message, 200, &body)
    };
    assert_eq!(answer("200", "PAID", "10.00", "INR"), agrees("succeeded"));
    assert_eq!(answer("200", "PAID", "10", "inr"), agrees("succeeded"));
    assert_eq!(answer("200", "ACTIVE", "10.00", "INR"), Finding::Pending);
    assert_eq!(differing(&answer("200", "FAILED", "10.00", "INR")), ["state"]);
    assert_eq!(differing(&answer("200", "PAID", "100.00", "INR")), ["amount"]);
    assert_eq!(differing(&answer("200", "PAID", "10.00", "USD")), ["currency"]);
    assert_eq!(answer("401", "PAID", "10.00", "INR"), no_answer("unproved", 200));
    assert_eq!(answer("200", "ODD", "10.00", "INR"), no_answer("unreadable", 200));
    assert_eq!(compare(&bed, &message, 200, r#"{"code":"200"}"#), no_answer("unreadable", 200));
    assert_eq!(compare(&bed, &message, 404, "{}"), Finding::Unknown);
    let data = r#""order_status":"PAID","order_amount":"10.00","currency":"INR""#;
    let other = format!(r#"{{"code":"200","return_data":{{"order_id":"A2",{data}}}}}"#);
    assert_eq!(differing(&compare(&bed, &message, 200, &other)), ["order"]);
}

#[test]
fn paykuns_answers() {
    let transaction = |payment: &str, state: &str, amount: &str| {
        let order = format!(r#""order":{{"order_id":"O1","gross_amount":{amount}}}"#);
        let said = format!(r#""payment_id":"{payment}","merchant_id":"M1","status":"{state}""#);
        format!(r#""transaction":{{{said},{order}}}"#)
    };
    let message = message(&[], &format!("{{{}}}", transaction("P1", "Success", "11.50")));
    let values = [("merchant_id", "M1"), ("access_token", "token-1")];
    let bed = Bed::new("paykun", "paykun-api-secret-0123456789abcd", &values);
    let answer = |good: bool, payment: &str, state: &str, amount: &str| {
        let data = transaction(payment, state, amount);
        let body = format!(r#"{{"status":{good},"data":{{{data}}}}}"#);
        compare(&bed, &message, 200, &body)
    };
    assert_eq!(answer(true, "P1", "Success", "11.50"), agrees("succeeded"));
    assert_eq!(answer(true, "P1", "SUCCESS", "11.5"), agrees("succeeded"));
    assert_eq!(answer(true, "P1", "Pending", "11.50"), Finding::Pending);
    assert_eq!(differing(&answer(true, "P1", "Failed", "11.50")), ["state"]);
    assert_eq!(differing(&answer(true, "P2", "Success", "1.50")), ["transaction", "amount"]);
    assert_eq!(answer(false, "P1", "Success", "11.50"), no_answer("unproved", 200));
    assert_eq!(answer(true, "P1", "Odd", "11.50"), no_answer("unreadable", 200));
    assert_eq!(compare(&bed, &message, 404, ""), Finding::Unknown);
}

#[test]
fn midtrans_tells_unknown_orders_in_the_answer_itself() {
    let message = vector("midtrans");
    let bed = Bed::new("midtrans", &message.secret, &[]);
    let ask = |body: &str| compare(&bed, &message, 200, body);
    let missing = r#"{"status_code":"404","status_message":"Transaction doesn't exist."}"#;
    assert_eq!(ask(missing), Finding::Unknown);
    let order = r#""order_id":"Postpaid-1","gross_amount":"100000.00""#;
    let good = format!(r#"{{"status_code":"200",{order},"transaction_status":"settlement"}}"#);
    assert_eq!(ask(&good), agrees("succeeded"));
    let challenged = good.replace("settlement\"", "capture\",\"fraud_status\":\"challenge\"");
    assert_eq!(ask(&challenged), Finding::Pending);
    assert_eq!(differing(&ask(&good.replace("settlement", "deny"))), ["state"]);
}
