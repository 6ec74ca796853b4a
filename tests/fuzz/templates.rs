//! The recipe compiler, the evaluator, and whole tables of schemes and envelopes.

use std::fs;

use bytes::Bytes;
use countersign::config::envelope::load_envelopes;
use countersign::config::scheme::load_schemes;
use countersign::config::{Colour, Excerpt, Faults};
use countersign::recipe::{Evaluation, Scope, Subject, Template, Type, Value, function};
use countersign::secret::NamedSecrets;
use http::HeaderMap;

use crate::corpus;
use crate::mutation::Source;
use crate::rounds;

const SYNTAX: [&str; 16] = [
    "{", "}", "{{", "}}", "|", "(", ")", "'", "\\'", ",", "@secret", "@", ":", "{body}",
    "{secret}", "{'é' | ",
];

const SOURCES: [&str; 18] = [
    "header:date",
    "header_all:date",
    "json:a.b",
    "json",
    "form:a",
    "form_all:a",
    "query:c",
    "query_all:c",
    "xml:b",
    "cookie:a",
    "segment:1",
    "params.query",
    "params.form",
    "params.headers",
    "box.a",
    "item",
    "url(public)",
    "cred:a",
];

/// Names of the language, and what joins them.
fn words() -> Vec<String> {
    let functions = function::all().map(|one| format!(" | {}('a')", one.name));
    let bare = function::all().map(|one| format!(" | {}", one.name));
    let sources = SOURCES.map(|word| format!("{{{word}}}"));
    let syntax = SYNTAX.map(str::to_owned);
    functions.chain(bare).chain(sources).chain(syntax).collect()
}

#[test]
fn no_template_breaks_the_compiler_or_the_evaluation() {
    let templates = corpus::templates();
    let words = words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bodies =
        ["", "{\"a\":{\"b\":[1,\"x\",null]}}", "a=1&b=%20&a=2", "<a><b>1</b><c/></a>", "\u{fe}"];
    rounds::run("templates", |random| {
        let mut scope = Scope::default();
        scope.define("box", Template::compile("{body | json}", &scope).unwrap()).unwrap();
        let given = scope.expect("item", Type::Bytes).unwrap();
        let start = random.pick(&templates);
        let text = random.text(start, &words);
        let template = match Template::compile(&text, &scope) {
            Ok(template) => template,
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    let place = text.get(mistake.span.clone());
                    assert!(place.is_some(), "{:?} of {text:?}: {mistake}", mistake.span);
                }
                return;
            }
        };
        for piece in template.pieces() {
            assert!(text.get(piece.span()).is_some(), "{:?} of {text:?}", piece.span());
        }
        let (headers, values) = (headers(random), NamedSecrets::default());
        let body = random.pick(&bodies);
        let body = [Bytes::from(random.bytes(body.as_bytes(), &[])), Bytes::from_static(b" ")];
        let subject = Subject {
            method: "POST",
            scheme: "https",
            authority: "a.example:8443",
            target: "/a/b?c=1&d=%2&c=+",
            headers: &headers,
            body: &body[..random.below(3)],
            status: None,
            public_url: Some("https://p.example/"),
            secret: Some(b"0123456789abcdef"),
            values: &values,
        };
        let mut evaluation = Evaluation::new(subject, &scope);
        evaluation.give(given, Value::from(&b"given"[..]));
        let mut fed = Vec::new();
        let by_piece = evaluation.feed(&template, &mut |bytes| fed.extend_from_slice(bytes));
        if let (Ok(whole), Ok(())) = (evaluation.bytes(&template), by_piece) {
            assert!(*whole == *fed, "{text:?} handed on is not {text:?} at once");
        }
        drop(evaluation.parts(&template));
    });
}

fn headers(random: &mut Source) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-signature", "t=1,v1=ab"), ("cookie", "a=b; c"), ("date", "x")] {
        let value = random.bytes(value.as_bytes(), &["t=", ","]);
        headers.extend(
            value
                .try_into()
                .ok()
                .map(|value: http::HeaderValue| (http::HeaderName::from_static(name), value)),
        );
    }
    headers
}

#[test]
fn no_table_of_a_scheme_breaks_its_reader() {
    tables("scheme", "config/schemes", |path| load_schemes(&[path]).err());
}

#[test]
fn no_table_of_an_envelope_breaks_its_reader() {
    tables("envelope", "config/envelopes", |path| load_envelopes(&[path]).err());
}

fn tables(name: &str, folder: &str, load: impl Fn(std::path::PathBuf) -> Option<Faults>) {
    let tables = corpus::tables(folder);
    let words = words();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["\n", " = ", "[", "]", "\"\"\"", "mac", "\nmessage = ", "\n[a.b]\n", "'''"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.toml"));
    rounds::run(name, |random| {
        let start = random.pick(&tables);
        let text = random.text(start, &words);
        fs::write(&path, &text).unwrap();
        let Some(faults) = load(path.clone()) else { return };
        let lines: Vec<&str> = text.split('\n').collect();
        for fault in faults.iter() {
            let Some(line) = fault.line else { continue };
            assert!((1..=lines.len()).contains(&line), "{fault} of {text:?}");
            let width = lines[line - 1].chars().count();
            assert!(fault.column.is_none_or(|column| column <= width + 1), "{fault} of {text:?}");
            let shown =
                |source: &Excerpt| source.indent + source.width <= source.text.chars().count() + 1;
            assert!(fault.source.as_ref().is_none_or(shown), "{fault} of {text:?}");
        }
        assert!(!faults.render(Colour::Ansi).is_empty());
    });
}
