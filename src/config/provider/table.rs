//! The table of a profile, which has the same keys in a provider's file and in `[sources.NAME]`,
//! and the way back from a mistake to its place.

use http::{HeaderName, Method};

use crate::config::document::Showing;
use crate::config::node::{Mismatch, Node};
use crate::config::place::raw_span;
use crate::config::reader::Table;
use crate::config::value;
use crate::inbox::profile::{AnswerText, CheckText, Profile, ProfileMistake};

const TEMPLATE: &str = "a template: text with {holes}";

/// Header fields that are of one connection, or that would make a delivery another request or give
/// a permission away: never handed on.
const NEVER_PASSED: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Keys and the values that stand there.
#[derive(Default)]
pub(in crate::config) struct Places<'n>(Vec<(String, Node<'n>)>);

impl<'n> Places<'n> {
    pub(in crate::config) fn add(&mut self, key: String, node: Node<'n>) {
        self.0.push((key, node));
    }

    /// The value of a key.
    pub(super) fn at(&self, key: &str) -> Option<Node<'n>> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, node)| *node)
    }

    /// The value that a mistake's key means, and whether it is the very one: else it is the nearest
    /// table or array around it that is stated here.
    fn find(&self, key: &str) -> Option<(Node<'n>, bool)> {
        let mut part = key;
        loop {
            if let Some(node) = self.at(part) {
                return Some((node, part == key));
            }
            part = part.get(..part.rfind(['.', '['])?)?;
        }
    }

    /// Leaves a fault where a mistake is: under the part of the template, at the value, or at the
    /// key `otherwise` of the table where this file does not state it.
    pub(in crate::config) fn report(
        &self,
        table: &Table<'n>,
        mistake: &ProfileMistake,
        otherwise: &str,
    ) {
        let Some((node, exact)) = self.find(&mistake.key) else {
            let problem = format!("{}: {}", mistake.key, mistake.problem);
            table.refuse(otherwise, problem, mistake.hint.clone());
            return;
        };
        let whole = node.span();
        let span = match mistake.span.as_ref().filter(|_| exact && node.value().is_str()) {
            Some(span) => {
                let raw = node.document.text().get(whole.clone()).unwrap_or_default();
                let inner = raw_span(raw, span);
                whole.start + inner.start..whole.start + inner.end
            }
            None => whole,
        };
        let mut fault = node.document.fault(table.path_of(&mistake.key), span, Showing::Value);
        fault.problem.clone_from(&mistake.problem);
        fault.hint.clone_from(&mistake.hint);
        node.document.push(fault);
    }
}

/// Everything of a profile but its calls.
pub(in crate::config) fn profile<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Profile {
    Profile {
        about: text(table, "", "about", places).unwrap_or_default(),
        secret_is: text(table, "", "secret_is", places),
        scheme: text(table, "", "scheme", places),
        methods: methods(table, "methods"),
        probes: methods(table, "probes"),
        unsigned: table.optional("unsigned", value::choice(&UNSIGNED)).map(str::to_owned),
        lets: texts(table, "", "let", places),
        facts: texts(table, "", "facts", places),
        identity: identity(table, places),
        closed: closed(table, places),
        shape: shape(table, places),
        pass: passed(table),
        answers: answers(table, places),
        ..Profile::default()
    }
}

/// What becomes of messages without a signature.
const UNSIGNED: [(&str, &str); 2] = [("confirm", "confirm"), ("refuse", "refuse")];

/// A text of the key `before` and `key`, with its place.
pub(super) fn text<'n>(
    table: &mut Table<'n>,
    before: &str,
    key: &'static str,
    places: &mut Places<'n>,
) -> Option<String> {
    let node = table.node(key)?;
    places.add(format!("{before}{key}"), node);
    node.take(&table.path_of(key), |node| node.str(TEMPLATE).map(str::to_owned))
}

/// A table of texts in the order in which they stand, with their places.
pub(super) fn texts<'n>(
    table: &mut Table<'n>,
    before: &str,
    key: &'static str,
    places: &mut Places<'n>,
) -> Vec<(String, String)> {
    let Some(node) = table.node(key) else { return Vec::new() };
    places.add(format!("{before}{key}"), node);
    let path = table.path_of(key);
    let mut found = Vec::new();
    for (name, inner) in node.in_order(&path).unwrap_or_default() {
        places.add(format!("{before}{key}.{name}"), inner);
        let text = inner.take(&format!("{path}.{name}"), |node| node.str(TEMPLATE));
        found.extend(text.map(|text| (name.to_owned(), text.to_owned())));
    }
    found
}

fn methods(table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let node = table.node(key)?;
    if key == "methods" && node.value().as_array().is_some_and(|all| all.is_empty()) {
        table.refuse(key, "without a method no message comes", None);
    }
    Some(table.list(key, method))
}

fn method(node: &Node<'_>) -> Result<String, Mismatch> {
    let expected = "a method such as \"POST\"";
    let text = node.str(expected)?;
    let good = Method::from_bytes(text.as_bytes()).is_ok()
        && !matches!(text, "CONNECT" | "TRACE")
        && !text.bytes().any(|b| b.is_ascii_lowercase());
    good.then(|| text.to_owned()).ok_or_else(|| {
        Mismatch::text(expected, text).hint("in upper case; CONNECT and TRACE are never served")
    })
}

fn identity<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Option<Vec<String>> {
    let node = table.node("identity")?;
    places.add("identity".to_owned(), node);
    let items = table.items("identity", "an array of templates");
    let read = |(number, (path, item)): (usize, (String, Node<'n>))| {
        places.add(format!("identity[{number}]"), item);
        item.take(&path, |item| item.str(TEMPLATE).map(str::to_owned))
    };
    Some(items.into_iter().enumerate().filter_map(read).collect())
}

fn closed<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<(String, Vec<String>)> {
    let expected = "an array of tables with value and one_of";
    let mut found = Vec::new();
    for (number, (path, node)) in table.items("closed", expected).into_iter().enumerate() {
        places.add(format!("closed[{number}]"), node);
        let read = |table: &mut Table<'n>| {
            let value = text(table, &format!("closed[{number}]."), "value", places);
            if table.node("value").is_none() {
                table.missing("value");
            }
            let all = table.list("one_of", |node| node.str("text").map(str::to_owned));
            if all.is_empty() {
                let hint = "one_of = [\"\", \"1\"]: every value that it may have";
                table.refuse("one_of", "a closed set has values", Some(hint.to_owned()));
            }
            Some((value?, all))
        };
        found.extend(Table::of(&node, path, "a table with value and one_of", read).flatten());
    }
    found
}

fn shape<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<CheckText> {
    let expected = "an array of tables with name, value and a rule";
    let mut found = Vec::new();
    for (number, (path, node)) in table.items("shape", expected).into_iter().enumerate() {
        places.add(format!("shape[{number}]"), node);
        let before = format!("shape[{number}].");
        let read = |table: &mut Table<'n>| {
            let name = table.required("name", value::name).map(str::to_owned);
            let check = check(table, &before, places);
            Some(CheckText { name: name?, ..check? })
        };
        found.extend(Table::of(&node, path, "a table with name, value and a rule", read).flatten());
    }
    found
}

/// `value` and one of `one_of`, `matches` and `equals`.
pub(super) fn check<'n>(
    table: &mut Table<'n>,
    before: &str,
    places: &mut Places<'n>,
) -> Option<CheckText> {
    let value = text(table, before, "value", places);
    if table.node("value").is_none() {
        table.missing("value");
    }
    let one_of = table.node("one_of").map(|node| {
        places.add(format!("{before}one_of"), node);
        table.list("one_of", |node| node.str("text").map(str::to_owned))
    });
    let matches = text(table, before, "matches", places);
    let equals = text(table, before, "equals", places);
    Some(CheckText { name: String::new(), value: value?, one_of, matches, equals })
}

fn passed(table: &mut Table<'_>) -> Option<Vec<String>> {
    table.node("pass")?;
    Some(table.list("pass", field))
}

/// The name of a header field that may be handed on.
fn field(node: &Node<'_>) -> Result<String, Mismatch> {
    let expected = "the name of a header field such as \"X-GitHub-Event\"";
    let text = node.str(expected)?;
    let Ok(name) = text.parse::<HeaderName>() else { return Err(Mismatch::text(expected, text)) };
    if name == http::header::CONTENT_TYPE {
        return Err(Mismatch::text(expected, text).hint("it is handed on without being named"));
    }
    if NEVER_PASSED.contains(&name.as_str()) {
        return Err(Mismatch::text(expected, text).hint("this one is never handed on"));
    }
    Ok(text.to_owned())
}

fn answers<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<(String, AnswerText)> {
    let read = table.table("answers", |table| {
        let mut found = Vec::new();
        for key in ["stored", "duplicate", "refused"] {
            if let Some(node) = table.node(key) {
                places.add(format!("answers.{key}"), node);
            }
            let answer = table.table(key, |table| answer(table, key, places));
            found.extend(answer.map(|answer| (key.to_owned(), answer)));
        }
        found
    });
    read.unwrap_or_default()
}

fn answer<'n>(table: &mut Table<'n>, key: &str, places: &mut Places<'n>) -> AnswerText {
    let before = format!("answers.{key}.");
    let status = table.node("status");
    if let Some(node) = status {
        places.add(format!("{before}status"), node);
    }
    let status = table.optional("status", |node| value::number(node, 200..=599));
    AnswerText {
        status: status.and_then(|status| u16::try_from(status).ok()),
        content_type: text(table, &before, "content_type", places),
        body: text(table, &before, "body", places),
        location: text(table, &before, "location", places),
    }
}
