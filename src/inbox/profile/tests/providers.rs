//! Every built-in profile on a real message: it verifies, and gives these facts and this answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::bed::{Bed, message, recipe, vector};
use crate::config::provider;
use crate::inbox::profile::Profile;
use crate::journal::Facts;
use crate::scheme::{Strength, Vector};

/// A message of a provider, and what is made of it.
pub(super) struct Case {
    pub(super) bed: Bed,
    pub(super) message: Vector,
    facts: Facts,
    stored: (u16, String),
}

/// One or more for every built-in profile.
pub(super) fn cases() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/providers.toml");
    let table: Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let tables = table["case"].as_array().unwrap().iter();
    tables.map(|case| self::case(case.as_table().unwrap())).collect()
}

fn case(table: &Table) -> Case {
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let pairs = |key: &str| -> Vec<(&str, &str)> {
        let members = table.get(key).and_then(Value::as_table).into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
    };
    let mut message = match (text("scheme"), text("recipe")) {
        (Some(scheme), _) => vector(scheme),
        (_, Some(id)) => recipe(id),
        _ => {
            Vector { secret: text("secret").unwrap().into(), ..message(&[], text("body").unwrap()) }
        }
    };
    let added = pairs("headers").into_iter();
    message.headers.extend(added.map(|(name, value)| (name.to_owned(), value.to_owned())));
    message.body = message.body.replace(text("cut").unwrap_or("\0"), "");
    let own = message.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let values: Vec<(&str, &str)> = pairs("values").into_iter().chain(own).collect();
    let bed = Bed::new(text("profile").unwrap(), &message.secret, &values);
    let facts = pairs("facts").into_iter();
    let status = table.get("status").and_then(Value::as_integer).unwrap_or(200);
    Case {
        message: bed.sign(&message),
        bed,
        facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        stored: (status.try_into().unwrap(), text("answer").unwrap_or_default().to_owned()),
    }
}

/// The first one of a profile.
pub(super) fn case_of(name: &str) -> Case {
    cases().into_iter().find(|case| case.bed.name == name).unwrap()
}

#[test]
fn every_profile_reads_a_real_message() {
    let (mut seen, cases) = (BTreeSet::new(), cases());
    for case in &cases {
        let name = &*case.bed.name;
        assert!(case.bed.verifies(&case.message), "{name} does not verify");
        let read = case.bed.read(&case.message).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        assert_eq!(read.facts, case.facts, "{name}");
        assert_eq!(case.bed.stored(&case.message), case.stored, "{name}");
        assert_eq!(case.bed.compiled.answers.refused.status, 401, "{name}");
        seen.insert(name);
    }
    let all: BTreeSet<&str> = provider::builtin_names().collect();
    assert_eq!(seen, all);
}

#[test]
fn values_are_named_as_they_are_read() {
    for (name, values) in [
        ("fiuu", &["domain", "verify_key"][..]),
        ("kwikpaisa", &["key_id"]),
        ("paykun", &["access_token", "merchant_id"]),
        ("phonepe-v1", &["merchant_id", "salt_index"]),
        ("xendit", &["api_key"]),
        ("stripe", &[]),
    ] {
        let case = case_of(name);
        assert_eq!(case.bed.compiled.value_names, values, "{name}");
    }
}

#[test]
fn what_is_open_in_an_identity_is_told() {
    for case in cases() {
        let told = &case.bed.compiled.exceptions;
        assert_eq!(told.len(), case.bed.profile.closed.len(), "{}", case.bed.name);
    }
    let case = case_of("fiuu");
    let expected = "form:nbcb is not signed, and is one of '', '1', '2'";
    assert_eq!(case.bed.compiled.exceptions, [expected]);
}

#[test]
fn ids_that_no_signature_covers_are_only_noted() {
    let all = cases();
    let unsigned = all.iter().filter(|case| case.bed.compiled.id_is_unsigned);
    let unsigned: BTreeSet<&str> = unsigned.map(|case| &*case.bed.name).collect();
    let expected = ["github", "midtrans-snap", "razorpay", "shopify", "xendit"];
    assert_eq!(unsigned, expected.into_iter().collect());
}

#[test]
fn providers_that_can_be_asked_are() {
    let all = cases();
    let asked = all.iter().filter(|case| case.bed.compiled.confirm.is_some());
    let asked: BTreeSet<&str> = asked.map(|case| &*case.bed.name).collect();
    for name in ["fiuu", "fiuu-return", "kwikpaisa", "midtrans", "paykun", "phonepe-v1", "xendit"] {
        assert!(asked.contains(name), "{name}");
    }
    // What proves the whole body needs nobody.
    let strong = |name: &str| case_of(name).bed.scheme.strength() == Strength::Full;
    assert!(["stripe", "github", "kwikpaisa", "cashfree"].into_iter().all(strong));
}

#[test]
fn nothing_of_a_payment_is_believed_unasked_where_somebody_can_be_asked() {
    let left = |name: &str| case_of(name).bed.compiled.unproved;
    for name in ["fiuu", "kwikpaisa", "paykun", "phonepe-v1", "stripe", "xendit", "cashfree"] {
        assert_eq!(left(name), Vec::<&str>::new(), "{name}");
    }
    // What the provider calls the payment; order, amount and state are asked for.
    assert_eq!(left("midtrans"), ["transaction"]);
    // Nobody is asked unless a source says whom.
    assert_eq!(left("duitku"), ["transaction", "state"]);
    assert_eq!(left("secretpay"), ["order", "amount", "currency", "state"]);
    let case = case_of("paykun");
    let profile = Profile { confirm: None, ..case.bed.profile.clone() };
    let compiled = profile.compile(&case.bed.scheme, &|_| None).unwrap();
    assert_eq!(compiled.unproved, ["order", "transaction", "amount", "state"]);
}
