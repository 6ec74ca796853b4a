//! What is read of a message, and how repeated ones are known.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::recipe::Credentials;
use crate::secret::NamedSecrets;

fn template(text: &str, scope: &Scope) -> Template {
    Template::compile(text, scope).unwrap()
}

fn reading(facts: &[(Fact, &str)], identity: Option<&[&str]>) -> Reading {
    let scope = Scope::new(Credentials::Any);
    let facts = facts.iter().map(|(fact, text)| (*fact, template(text, &scope))).collect();
    let identity = match identity {
        Some(texts) => {
            Identity::Composed(texts.iter().map(|text| template(text, &scope)).collect())
        }
        None => Identity::Content,
    };
    Reading { scope, facts, shape: Vec::new(), identity }
}

fn look<T>(body: &str, look: impl FnOnce(Subject<'_>) -> T) -> T {
    let (headers, mut values) = (HeaderMap::new(), NamedSecrets::default());
    values.insert("domain", b"shop".to_vec());
    let body = [Bytes::copy_from_slice(body.as_bytes())];
    look(Subject {
        method: "POST",
        scheme: "https",
        authority: "gate.example",
        target: "/webhooks?a=1",
        headers: &headers,
        body: &body,
        status: None,
        public_url: None,
        secret: None,
        values: &values,
    })
}

fn read(reading: &Reading, body: &str, content: u8) -> Result<Read, Misshapen> {
    look(body, |subject| reading.read(subject, &[content; 32]))
}

#[test]
fn facts_that_are_absent_are_left_out_and_others_are_texts() {
    let facts = [
        (Fact::Order, "{json:order}"),
        (Fact::Amount, "{json:amount | shift(-2)}"),
        (Fact::State, "{json:state | map('ok', 'succeeded')}"),
    ];
    let reading = reading(&facts, None);
    let facts = |body: &str| read(&reading, body, 0).map(|read| read.facts);
    let both = facts(r#"{"order":7,"amount":1050,"state":"ok"}"#).unwrap();
    let expected = [("amount", "10.5"), ("order", "7"), ("state", "succeeded")];
    assert_eq!(both, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    assert!(facts(r#"{"order":null,"state":"odd"}"#).unwrap().is_empty());
    for (body, what) in [
        (r#"{"order":{"id":1}}"#, "order"),
        (r#"{"order":1,"order":2}"#, "order"),
        ("order=1", "order"),
        (r#"{"amount":"much"}"#, "amount"),
        (&format!(r#"{{"order":"{}"}}"#, "x".repeat(5000)), "order"),
    ] {
        assert_eq!(facts(body), Err(Misshapen { what: what.into() }), "{body}");
    }
}

#[test]
fn keys_are_of_the_values_and_of_nothing_else() {
    let reading = reading(&[], Some(&["{form:a}", "{form:b}"]));
    let key = |body: &str, content| read(&reading, body, content).unwrap().key;
    let one = key("a=1&b=2", 0);
    assert_eq!(key("b=2&a=1&c=3", 1), one);
    assert_ne!(key("a=1&b=3", 0), one);
    // Where one value ends and the next begins is told.
    assert_ne!(key("a=12&b=", 0), key("a=1&b=2", 0));
    assert_ne!(key("a=&b=12", 0), key("a=12&b=", 0));
    assert_eq!(read(&reading, "a=1", 0), Err(Misshapen { what: "identity".into() }));
}

#[test]
fn without_values_the_content_is_the_key() {
    let reading = reading(&[], None);
    let key = |body: &str, content| read(&reading, body, content).unwrap().key;
    assert_eq!(key("a", 1), key("b", 1));
    assert_ne!(key("a", 1), key("a", 2));
    assert_ne!(key("a", 1), [1; 32]);
}

#[test]
fn a_shape_that_does_not_hold_is_named() {
    let mut reading = reading(&[], None);
    let scope = &reading.scope;
    let check = |shown: &str, value: &str, rule| Check {
        value: template(value, scope),
        rule,
        shown: shown.into(),
    };
    let checks = vec![
        check("status", "{form:s}", Rule::OneOf(vec!["00".into(), "11".into()])),
        check("number", "{form:n}", Rule::Matches(Regex::new("^(?:[0-9]+|-)$").unwrap())),
        check("domain", "{form:d}", Rule::Equals(template("{cred:domain}", scope))),
        check("other", "{form:o | default('')}", Rule::OneOf(vec!["".into()])),
    ];
    reading.shape = checks;
    let shape = |body: &str| read(&reading, body, 0).err().map(|wrong| wrong.what.to_string());
    assert_eq!(shape("s=00&n=12&d=shop"), None);
    assert_eq!(shape("s=11&n=-&d=shop&o="), None);
    for (body, what) in [
        ("s=0&n=12&d=shop", "status"),
        ("n=12&d=shop", "status"),
        ("s=00&n=12x&d=shop", "number"),
        ("s=00&n=12%0A&d=shop", "number"),
        ("s=00&n=&d=shop", "number"),
        ("s=00&n=12&d=shops", "domain"),
        ("s=00&n=12", "domain"),
        ("s=00&n=12&d=shop&o=1", "other"),
    ] {
        assert_eq!(shape(body).as_deref(), Some(what), "{body}");
    }
    let holds = |body: &str| look(body, |subject| reading.shape[0].holds(&reading, subject));
    assert!(holds("s=00") && !holds("s=22") && !holds(""));
}

#[test]
fn answers_leave_out_what_the_message_lacks() {
    let reading = reading(&[], None);
    let answer = Answer {
        status: StatusCode::SEE_OTHER,
        content_type: None,
        body: Some(template("{form:a}", &reading.scope)),
        location: Some(template("/thanks?order={form:b | urlencode}", &reading.scope)),
    };
    let of = |body: &str| look(body, |subject| answer.of(&reading, subject));
    assert_eq!(of("a=1&b=2%202"), (b"1".to_vec(), Some("/thanks?order=2%202".into())));
    assert_eq!(of("c=1"), (Vec::new(), None));
    let place = "/{form:b | urlencode}/{form:c | urlencode('path')}";
    let place = Answer { location: Some(template(place, &reading.scope)), ..answer };
    let of = |body: &str| look(body, |subject| place.of(&reading, subject)).1;
    assert_eq!(of("b=1&c=shop.example").as_deref(), Some("/1/shop.example"));
    // Without the first part the second would be a host.
    assert_eq!(of("b=&c=shop.example"), None);
    // A line break would begin another header.
    let raw = Answer { location: Some(template("/{form:b}", &reading.scope)), ..place };
    assert_eq!(look("b=%0D%0AX:1", |subject| raw.of(&reading, subject)).1, None);
}

#[test]
fn every_fact_has_a_name_of_its_own() {
    for (name, fact) in Fact::ALL {
        assert_eq!((fact.as_str(), Fact::named(name)), (name, Some(fact)));
    }
    assert_eq!(Fact::named("Order"), None);
}
