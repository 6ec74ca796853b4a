//! Every byte of a message changed: either the signature is not good any more, or the message is
//! the same one as before, but for the parts that are unsigned and closed.

use std::collections::BTreeSet;

use super::providers::{Case, case_of, cases};
use crate::scheme::Vector;

/// Changes of one character: to the next one, and to the other case.
fn changes(byte: u8) -> Vec<u8> {
    let next = match byte {
        b'9' => b'0',
        b'z' => b'a',
        b'Z' => b'A',
        byte if byte.is_ascii_alphanumeric() => byte + 1,
        _ => return Vec::new(),
    };
    let other = if byte.is_ascii_lowercase() { byte - 32 } else { byte + 32 };
    if byte.is_ascii_alphabetic() { vec![next, other] } else { vec![next] }
}

/// Every text with one of its characters changed.
fn changed(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut all = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        for other in changes(*byte) {
            let mut bytes = bytes.to_vec();
            bytes[at] = other;
            all.push(String::from_utf8(bytes).unwrap());
        }
    }
    all
}

/// Every message that differs from one in one character of its body, a header or its target.
fn neighbours(message: &Vector) -> Vec<Vector> {
    let body = changed(&message.body).into_iter();
    let mut all: Vec<Vector> = body.map(|body| Vector { body, ..message.clone() }).collect();
    for at in 0..message.headers.len() {
        for value in changed(&message.headers[at].1) {
            let mut message = message.clone();
            message.headers[at].1 = value;
            all.push(message);
        }
    }
    let start = message.url.find("://").unwrap() + 3;
    let path = start + message.url[start..].find('/').unwrap();
    let (host, target) = message.url.split_at(path);
    let url = |target: String| Vector { url: format!("{host}{target}"), ..message.clone() };
    all.extend(changed(target).into_iter().map(url));
    all
}

fn check(case: &Case) {
    let bed = &case.bed;
    let key = bed.read(&case.message).unwrap().key;
    let mut keys = BTreeSet::from([key]);
    for other in neighbours(&case.message).iter().filter(|other| bed.verifies(other)) {
        if let Ok(read) = bed.read(other) {
            keys.insert(read.key);
        }
    }
    let closed = bed.profile.closed.iter();
    let most: usize = closed.map(|(_, values)| values.len()).product();
    // A token proves nothing of a message, so each is one of its own.
    if bed.scheme.strength() > crate::scheme::Strength::Token {
        assert!(keys.len() <= most, "{}: one message can be {} others", bed.name, keys.len());
    }
}

#[test]
fn no_signature_is_good_for_two_messages() {
    cases().iter().for_each(check);
}

/// The names of form fields or members whose values can be changed under a good signature.
fn open(name: &str, fields: &[(&str, &str, &str)]) -> Vec<String> {
    let case = case_of(name);
    let verifies = |(_, from, to): &&(&str, &str, &str)| {
        assert!(case.message.body.contains(from), "{from}");
        let body = case.message.body.replacen(from, to, 1);
        case.bed.verifies(&Vector { body, ..case.message.clone() })
    };
    fields.iter().filter(verifies).map(|(name, ..)| (*name).to_owned()).collect()
}

#[test]
fn what_a_signature_leaves_open_is_known() {
    let fiuu = [
        ("tranID", "tranID=12345", "tranID=12346"),
        ("orderid", "orderid=ORD1", "orderid=ORD2"),
        ("status", "status=00", "status=11"),
        ("domain", "domain=shop", "domain=shoq"),
        ("amount", "amount=10.00", "amount=10.01"),
        ("currency", "currency=MYR", "currency=SGD"),
        ("paydate", "paydate=2024", "paydate=2025"),
        ("appcode", "appcode=APP1", "appcode=APP2"),
        ("nbcb", "nbcb=1", "nbcb=2"),
    ];
    assert_eq!(open("fiuu", &fiuu), ["nbcb"]);
    let adyen = [
        ("pspReference", "7914073381342284", "7914073381342285"),
        ("eventCode", "\"AUTHORISATION\"", "\"CAPTURE\""),
        ("success", "\"success\":\"true\"", "\"success\":\"false\""),
        ("value", "\"value\":1130", "\"value\":1131"),
        ("eventDate", "2014-08-06", "2014-08-07"),
        ("paymentMethod", "visa", "mc"),
        ("live", "\"live\":\"false\"", "\"live\":\"true\""),
    ];
    assert_eq!(open("adyen", &adyen), ["eventDate", "paymentMethod", "live"]);
    let midtrans = [
        ("order_id", "Postpaid-1", "Postpaid-2"),
        ("status_code", "\"200\"", "\"201\""),
        ("gross_amount", "100000.00", "100000.01"),
        ("transaction_status", "settlement", "deny"),
    ];
    assert_eq!(open("midtrans", &midtrans), ["transaction_status"]);
}

#[test]
fn unsigned_parts_have_the_values_that_are_listed_and_no_others() {
    let case = case_of("fiuu");
    let with = |nbcb: &str| {
        let body = case.message.body.replace("&nbcb=1", nbcb);
        case.bed.read(&Vector { body, ..case.message.clone() })
    };
    let keys: BTreeSet<[u8; 32]> =
        ["", "&nbcb=", "&nbcb=1", "&nbcb=2"].map(|nbcb| with(nbcb).unwrap().key).into();
    assert_eq!(keys.len(), 3);
    assert_eq!(with("&nbcb=3").unwrap_err().what, "form:nbcb".into());
}
