//! Every function in templates that use it, with what they give. Values that other implementations
//! know are theirs: what made them is said where they stand.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::recipe::json::Style;
use crate::recipe::{Credentials, Evaluation, Scope, Subject, Template};
use crate::secret::NamedSecrets;

mod collections;
mod digests;
mod texts;

const FORM: &[u8] = b"b=2&a=1&c=&a=3&B=x+y&sign=s%2Fs";

/// What a template gives for one message, in words: bytes as hexadecimal text, the items of a list
/// between bars, pairs as `name=value`.
fn given(template: &str) -> Result<String, Fault> {
    let mut scope = Scope::new(Credentials::Any);
    for (name, definition) in [
        ("fields", "{params.form}"),
        ("doc", r#"{'{"z":{"y":[1.50,"q"]},"a":true,"n":null}' | json}"#),
        ("jefe", "{'Jefe'}"),
        ("names", "{'c,a' | split(',')}"),
        ("zeros", "{'000102' | unhex}"),
    ] {
        scope.define(name, Template::compile(definition, &scope).unwrap()).unwrap();
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-one", "1".parse().unwrap());
    headers.append("x-two", "2".parse().unwrap());
    headers.append("x-two", "3".parse().unwrap());
    let values = NamedSecrets::default();
    let body = [Bytes::from_static(&FORM[..5]), Bytes::from_static(&FORM[5..])];
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "a.example",
        target: "/p?q=1&r=2&q=3",
        headers: &headers,
        body: &body,
        status: None,
        public_url: None,
        secret: Some(b"secret"),
        values: &values,
    };
    let compiled = Template::compile(template, &scope).unwrap_or_else(|mistakes| {
        panic!("{template}: {mistakes:?}");
    });
    let evaluation = Evaluation::new(subject, &scope);
    let value = evaluation.value(&compiled)?;
    assert_eq!(value.kind(), compiled.kind(), "{template}");
    Ok(match value {
        Value::Text(text) => text.into_owned(),
        Value::List(items) => items.join("|"),
        Value::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join("|")
        }
        Value::Json(json) => json.write(Style::COMPACT),
        other => other.bytes().unwrap().iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// Checks a table of templates and what they give.
fn check(table: &[(&str, &str)]) {
    for (template, expected) in table {
        assert_eq!(given(template).as_deref(), Ok(*expected), "{template}");
    }
}

/// What kind of fault a template ends in.
fn fault(template: &str) -> &'static str {
    match given(template).expect_err(template) {
        Fault::Absent(_) => "absent",
        Fault::Repeated(_) => "repeated",
        Fault::Malformed(_) => "malformed",
        Fault::NotText(_) => "no text",
        Fault::TooLong(_) => "too long",
    }
}

/// Checks a table of templates and the kinds of fault that they end in.
fn check_faults(table: &[(&str, &str)]) {
    for (template, expected) in table {
        assert_eq!(fault(template), *expected, "{template}");
    }
}

#[test]
fn every_function_is_in_a_table_and_described_in_a_line() {
    let tables = [
        include_str!("tests/collections.rs"),
        include_str!("tests/digests.rs"),
        include_str!("tests/texts.rs"),
    ];
    let mut names = BTreeSet::new();
    for function in all() {
        let name = function.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(function.about.ends_with('.') && !function.about.contains('\n'), "{name}");
        let starts_and_ends = ["| ", "(\""].into_iter().flat_map(|start| {
            ["(", " ", "}", "\""].into_iter().map(move |end| format!("{start}{name}{end}"))
        });
        let calls: Vec<String> = starts_and_ends.collect();
        let used = calls.iter().any(|call| tables.iter().any(|table| table.contains(call)));
        assert!(used, "{name} is in no table");
    }
    assert!(find("lower").is_some() && find("Lower").is_none());
}

fn any_argument(kind: Kind, text: &'static str, number: i64) -> Option<Argument<'static>> {
    Some(match kind {
        Kind::Text => Argument::Text(text),
        Kind::Choice(choices) => Argument::Text(choices.first()?),
        Kind::Number => Argument::Number(number),
        Kind::Value | Kind::Any => Argument::Value(Value::from(text)),
        Kind::Pattern => {
            Argument::Pattern(vec![PatternPiece::Key, PatternPiece::Text(text.into())])
        }
        Kind::Regex | Kind::Path => return None,
    })
}

fn any_values(text: &str) -> Vec<Value<'_>> {
    let texts = || vec![text.into(), "".into(), "a".into()];
    vec![
        Value::from(text),
        Value::from(text.to_owned()),
        Value::from(text.as_bytes()),
        Value::List(texts()),
        Value::Pairs(texts().into_iter().map(|item| (item, text.into())).collect()),
        Value::Json(Json::String(text.into())),
        Value::Json(Json::Object(vec![(text.into(), Json::Null)])),
    ]
}

use crate::recipe::json::Json;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No function panics, whatever it is called on and with, even if its types are wrong; and what
    /// it gives is bounded.
    #[test]
    fn functions_are_total(text in any::<String>(), with in prop::sample::select(vec![
        "", " ", "=", "&", "a-z", "-", "%", "%Y%", "ä", "0", "12.34", "\u{0}",
    ]), number in prop::sample::select(vec![
        i64::MIN, -4097, -1, 0, 1, 3, 65, 4096, 2_000_001, i64::MAX,
    ])) {
        for function in all() {
            // Rounds of PBKDF2 that are allowed and take long.
            let number = if function.name == "pbkdf2" { number.min(3) } else { number };
            let arguments: Vec<_> = function
                .parameters
                .iter()
                .filter_map(|parameter| any_argument(parameter.kind, with, number))
                .collect();
            for value in any_values(&text) {
                for arguments in [&arguments[..], &[]] {
                    if let Ok(value) = (function.apply)(Some(&value), arguments) {
                        prop_assert!(!value.is_too_long(), "{}", function.name);
                    }
                }
            }
            let _ = (function.apply)(None, &arguments);
        }
    }

    /// Encodings lead back to what was encoded.
    #[test]
    fn encodings_go_both_ways(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for (there, back) in [
            ("hex", "unhex"), ("base64", "base64_decode"), ("base64url", "base64url_decode"),
        ] {
            let encode = find(there).unwrap().apply;
            let decode = find(back).unwrap().apply;
            let encoded = encode(Some(&Value::from(&bytes[..])), &[]).unwrap();
            prop_assert_eq!(decode(Some(&encoded), &[]), Ok(Value::from(&bytes[..])));
        }
    }

    /// Every style of percent-encoding can be decoded, those with a plus sign as a form.
    #[test]
    fn percent_encoded_text_is_read_again(text in any::<String>()) {
        for style in super::encoding::Percent::STYLES {
            let encoded = super::encoding::Percent::of(style).encode(text.as_bytes());
            let plus = if encoded.contains('+') { form::Plus::Space } else { form::Plus::Itself };
            let decoded = form::decode(encoded.as_bytes(), plus).unwrap();
            prop_assert_eq!(&*decoded, &*text, "{}", style);
        }
    }
}

use crate::recipe::form;
