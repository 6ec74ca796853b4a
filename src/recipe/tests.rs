//! Properties of the whole language: no text and no message makes it panic, and a value is the same
//! whichever way it is asked for.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::function::{self, Function, Kind, Presence};
use super::*;
use crate::secret::NamedSecrets;

/// Pieces of which templates are made, right and wrong.
const FRAGMENTS: [&str; 30] = [
    "{",
    "}",
    "{{",
    "}}",
    "|",
    "'",
    "\\",
    "\"",
    "(",
    ")",
    ",",
    " ",
    ":",
    ".",
    "@",
    "-1",
    "99",
    "é",
    "header",
    "body",
    "json",
    "params.form",
    "secret",
    "cred",
    "after",
    "items",
    "'{k}={v}'",
    "sha256",
    "\n",
    "x",
];

const SOURCES: [&str; 28] = [
    "method",
    "scheme",
    "authority",
    "host",
    "port",
    "path",
    "path:0",
    "target",
    "query",
    "url",
    "body",
    "secret",
    "header:a",
    "header_all:a",
    "cookie:a",
    "query:a",
    "query_all:a",
    "form:a",
    "form_all:a",
    "json:a",
    "json:b.0",
    "xml:a",
    "cred:a",
    "params.query",
    "params.form",
    "params.json",
    "params.xml",
    "params.headers",
];

fn scope() -> Scope {
    let mut scope = Scope::default();
    for (name, text) in [("n", "{header:a}"), ("p", "{params.form}"), ("j", "{params.json}")] {
        scope.define(name, Template::compile(text, &scope).unwrap()).unwrap();
    }
    scope
}

/// An argument of the right kind, mostly.
fn argument(kind: Kind) -> BoxedStrategy<String> {
    let text = prop_oneof!["[a-c=&;.]{0,3}", "\\PC{0,4}"];
    let quoted = |text: String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    match kind {
        Kind::Text => text.prop_map(quoted).boxed(),
        Kind::Value | Kind::Any => {
            let names = select(vec!["@n", "@p", "@j", "@secret", "@a"]).prop_map(str::to_owned);
            prop_oneof![text.prop_map(quoted), names].boxed()
        }
        Kind::Choice(choices) => {
            select(choices).prop_map(|choice: &str| format!("'{choice}'")).boxed()
        }
        Kind::Number => prop_oneof![-3_i64..20, any::<i64>()].prop_map(|n| n.to_string()).boxed(),
        Kind::Pattern => select(vec!["'{k}={v}'", "'{v}{v}'", "'{k}{secret}{n}'", "'x'"])
            .prop_map(str::to_owned)
            .boxed(),
        Kind::Regex => {
            select(vec!["'^a(.)'", "'(?:b)*(c?)'", r"'\d+'", "''"]).prop_map(str::to_owned).boxed()
        }
        Kind::Path => select(vec!["'a'", "'b.0'", "'a.\"x.y\"'"]).prop_map(str::to_owned).boxed(),
    }
}

fn call(function: &'static Function) -> BoxedStrategy<String> {
    let all = function.parameters.iter().map(|parameter| {
        let count = match parameter.presence {
            Presence::Required => 1..=1,
            Presence::Optional => 0..=1,
            Presence::Repeated => 1..=3,
            Presence::Any => 0..=2,
            Presence::InPairs => 2..=2,
        };
        vec(argument(parameter.kind), count)
    });
    let all = all.collect::<Vec<_>>();
    let name = function.name;
    all.prop_map(move |lists| format!("{name}({})", lists.concat().join(", "))).boxed()
}

fn hole() -> impl Strategy<Value = String> {
    let functions: Vec<&'static Function> = function::all().collect();
    let calls = vec(select(functions).prop_flat_map(call), 0..4);
    (select(&SOURCES[..]), calls).prop_map(|(source, calls)| {
        let calls: String = calls.iter().map(|call| format!(" | {call}")).collect();
        format!("{{{source}{calls}}}")
    })
}

#[derive(Clone, Debug)]
struct Message {
    target: String,
    headers: HeaderMap,
    body: Vec<Bytes>,
}

/// Bodies that hold the names that templates ask for, and bodies that hold anything.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = || "[a-c0-9 é%+\\\\]{0,4}".prop_map(String::from);
    prop_oneof![
        vec(any::<u8>(), 0..40),
        (text(), text()).prop_map(|(a, b)| format!("a={a}&b={b}&a=2").into_bytes()),
        (text(), text()).prop_map(|(a, b)| {
            serde_json::json!({"a": a, "b": [1.5, b], "c": {"d": null}}).to_string().into_bytes()
        }),
        text().prop_map(|a| format!("<x><a>{a}</a><b><c>1</c></b></x>").into_bytes()),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let header = (select(vec!["a", "b", "cookie"]), vec(0x20_u8..=0x7e, 0..12));
    (body(), vec(header, 0..4), "/[a-c/.%20?&=+]{0,12}", 1_usize..9).prop_map(
        |(body, headers, target, piece)| Message {
            target,
            headers: HeaderMap::from_iter(headers.into_iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(&value).unwrap())
            })),
            body: body.chunks(piece.pow(2)).map(Bytes::copy_from_slice).collect(),
        },
    )
}

/// Evaluates a template in every way, and wants the same from each.
fn evaluate(template: &Template, scope: &Scope, message: &Message) {
    let mut values = NamedSecrets::default();
    values.insert("a", b"value".to_vec());
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "a.example:1",
        target: &message.target,
        headers: &message.headers,
        body: &message.body,
        status: None,
        public_url: Some("https://b.example/"),
        secret: Some(b"secret"),
        values: &values,
    };
    let mut stepped = Evaluation::new(subject, scope);
    let mut steps = stepped.begin_digests(&[template]);
    while stepped.digest_step(&mut steps, 5) {}
    let whole = Evaluation::new(subject, scope);
    let value = whole.value(template);
    assert_eq!(stepped.value(template), value);
    if let Ok(value) = &value {
        let scalar = template.kind() == Type::Json && value.kind() == Type::Text;
        assert!(value.kind() == template.kind() || scalar);
    }
    let expected = value.and_then(value::Value::into_bytes).ok();
    let mut fed = Vec::new();
    let mut steps = FeedSteps::default();
    let result = loop {
        let sink = &mut |bytes: &[u8]| fed.extend_from_slice(bytes);
        match stepped.feed_step(template, &mut steps, 3, sink) {
            Ok(true) => {}
            Ok(false) => break Some(()),
            Err(_) => break None,
        }
    };
    assert_eq!(result.map(|()| &*fed), expected.as_deref());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Mistakes lie within the text, on whole characters, and say something.
    #[test]
    fn no_text_makes_the_compiler_panic(
        text in prop_oneof![
            "\\PC{0,60}",
            vec(select(&FRAGMENTS[..]), 0..30).prop_map(|all| all.concat()),
        ]
    ) {
        for mistake in Template::compile(&text, &scope()).err().unwrap_or_default() {
            prop_assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?}");
            prop_assert!(!mistake.problem.is_empty());
        }
    }

    #[test]
    fn no_message_makes_an_evaluation_panic(holes in vec(hole(), 1..3), message in message()) {
        let scope = scope();
        let text = holes.join("-");
        if let Ok(template) = Template::compile(&text, &scope) {
            evaluate(&template, &scope, &message);
        }
    }

    #[test]
    fn every_source_takes_every_message(message in message()) {
        let scope = scope();
        for source in SOURCES {
            let template = Template::compile(&format!("{{{source}}}"), &scope).unwrap();
            evaluate(&template, &scope, &message);
        }
    }
}
