//! `countersign scheme explain`: what a scheme signs, and what it leaves open.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use countersign::scheme::{AnswerSecret, Definition, Formula, Scheme, one_line};
use serde_json::json;

use crate::cli::Failure;
use crate::cli::scheme_source::find;
use crate::cli::table::{Cell, render};

/// Which scheme.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its name
    name: String,

    /// File with schemes of your own; may be repeated
    #[arg(long, value_name = "FILE")]
    schemes: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scheme = find(&arguments.name, &arguments.schemes)?;
    let mut out = anstream::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", to_json(&scheme))?;
        return Ok(());
    }
    let definition = scheme.definition();
    writeln!(out, "{}: {}\n", scheme.name(), definition.about)?;
    writeln!(out, "{}", render(&keys(definition)))?;
    for (method, pieces) in scheme.pieces() {
        let of = if method == "*" { String::new() } else { format!(" of a {method}") };
        writeln!(out, "What is signed{of}, in this order:")?;
        let lines: Vec<Vec<Cell>> = pieces
            .iter()
            .map(|(text, about)| vec![Cell::plain(format!("  {text}")), Cell::plain(about)])
            .collect();
        writeln!(out, "{}", render(&lines))?;
    }
    writeln!(out, "Strength: {}", scheme.strength())?;
    for open in scheme.left_open() {
        writeln!(out, "Open: {open}")?;
    }
    for unfit in scheme.unfit_for_routes() {
        writeln!(out, "Not for routes: {} {}", scheme.name(), unfit.problem)?;
    }
    for name in scheme.value_names() {
        writeln!(out, "Needs: the credential's value {name}")?;
    }
    writeln!(out, "Answers: {}", answers(&scheme))?;
    Ok(())
}

/// The keys of the definition as they are written.
fn keys(definition: &Definition) -> Vec<Vec<Cell>> {
    let mut lines = Vec::new();
    let mut add = |key: &str, text: &str| {
        lines.push(vec![Cell::plain(format!("  {key}")), Cell::plain(one_line(text))]);
    };
    let mut formula = |key: &str, formula: &Option<Formula>| match formula {
        None => {}
        Some(Formula::Always(text)) => add(key, text),
        Some(Formula::ByMethod(texts)) => {
            texts.iter().for_each(|(method, text)| add(&format!("{key}.{method}"), text));
        }
    };
    formula("key_id", &definition.key_id);
    formula("time", &definition.time);
    formula("nonce", &definition.nonce);
    formula("deadline", &definition.deadline);
    formula("signature", &definition.signature);
    for (number, place) in definition.any.iter().enumerate() {
        formula(&format!("any[{number}].signature"), &Some(place.signature.clone()));
    }
    for (name, value) in &definition.lets {
        formula(&format!("let.{name}"), &Some(value.clone()));
    }
    formula("message", &definition.message);
    formula("key", &definition.key);
    let single = [
        ("mac", &definition.mac),
        ("encode", &definition.encode),
        ("compare", &definition.compare),
        ("time_unit", &definition.time_unit),
    ];
    for (key, text) in single {
        formula(key, &text.clone().map(Formula::Always));
    }
    for [left, right] in &definition.require {
        formula("require", &Some(Formula::Always(format!("{left} is {right}"))));
    }
    for must in &definition.must_list {
        let text = format!("{} names {}", must.list, must.names.join(", "));
        formula("must_list", &Some(Formula::Always(text)));
    }
    if let Some(answer) = &definition.answer {
        let message = answer.message.clone().map(Formula::Always);
        formula("answer.message", &message);
        for (name, text) in &answer.headers {
            formula(&format!("answer.headers.{name}"), &Some(Formula::Always(text.clone())));
        }
    }
    lines
}

/// What becomes of answers, in words.
fn answers(scheme: &Scheme) -> &'static str {
    match scheme.answer_secret() {
        Some(AnswerSecret::Request) => "can be signed, with the secret of the request",
        Some(AnswerSecret::Own) => "can be signed, with an answer_secret of the credential",
        None => "cannot be signed: there is no table `answer`",
    }
}

fn to_json(scheme: &Scheme) -> serde_json::Value {
    let coverage = scheme.coverage();
    let headers: Vec<&str> = scheme.credential_headers().iter().map(|name| name.as_str()).collect();
    let pieces = scheme.pieces().into_iter().map(|(method, pieces)| {
        let pieces: Vec<_> =
            pieces.iter().map(|(text, about)| json!({ "text": text, "about": about })).collect();
        json!({ "method": method, "pieces": pieces })
    });
    json!({
        "name": scheme.name(),
        "about": scheme.definition().about,
        "strength": scheme.strength().as_str(),
        "signs": {
            "method": coverage.method,
            "target": coverage.target,
            "body": coverage.body,
            "time": coverage.time.is_signed(),
            "nonce": coverage.nonce.is_signed(),
        },
        "open": scheme.left_open(),
        "routes": scheme.unfit_for_routes().iter().map(|unfit| &unfit.problem).collect::<Vec<_>>(),
        "claim_headers": headers,
        "answers": answers(scheme),
        "values": scheme.value_names().collect::<Vec<_>>(),
        "message": pieces.collect::<Vec<_>>(),
    })
}
