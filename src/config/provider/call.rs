//! The calls of a profile, as tables state them: `confirm`, `order` and `post_back`.

use super::table::{Places, check, text, texts};
use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::inbox::profile::{CallText, InquiryText, PostBackText};

/// The keys of a call.
const CALL: [&str; 7] = ["method", "url", "headers", "let", "body", "sign", "key_id"];

/// A question and what its answer must say; nothing where the table states nothing of it. `before`
/// is the key of the table, with a full stop.
pub(in crate::config) fn inquiry<'n>(
    table: &mut Table<'n>,
    before: &str,
    places: &mut Places<'n>,
) -> Option<InquiryText> {
    let call = call(table, before, places);
    let inner = format!("{before}answer.");
    if let Some(node) = table.node("answer") {
        places.add(format!("{before}answer"), node);
    }
    let answer = table.table("answer", |table| InquiryText {
        lets: texts(table, &inner, "let", places),
        require: require(table, &inner, places),
        unknown: unknown(table, &inner, places),
        facts: texts(table, &inner, "facts", places),
        ..InquiryText::default()
    });
    let stated = table.stated("answer") || CALL.iter().any(|key| table.stated(key));
    stated.then(|| InquiryText { call, ..answer.unwrap_or_default() })
}

/// A post-back; nothing where the table states nothing of it.
pub(in crate::config) fn post_back<'n>(
    table: &mut Table<'n>,
    before: &str,
    places: &mut Places<'n>,
) -> Option<PostBackText> {
    let call = call(table, before, places);
    if let Some(node) = table.node("when") {
        places.add(format!("{before}when"), node);
    }
    let inner = format!("{before}when.");
    let when = table.table("when", |table| check(table, &inner, places)).flatten();
    let stated = table.stated("when") || CALL.iter().any(|key| table.stated(key));
    stated.then_some(PostBackText { call, when })
}

fn call<'n>(table: &mut Table<'n>, before: &str, places: &mut Places<'n>) -> CallText {
    CallText {
        method: text(table, before, "method", places),
        url: text(table, before, "url", places).unwrap_or_default(),
        headers: headers(table, before, places),
        lets: texts(table, before, "let", places),
        body: text(table, before, "body", places),
        sign: text(table, before, "sign", places),
        key_id: text(table, before, "key_id", places),
    }
}

/// Words in the names of header fields that hold secrets.
const SECRET_FIELDS: [&str; 6] =
    ["authorization", "cookie", "token", "secret", "password", "api-key"];

/// Header fields. What is written out in one that holds a secret is a literal secret.
fn headers<'n>(
    table: &mut Table<'n>,
    before: &str,
    places: &mut Places<'n>,
) -> Vec<(String, String)> {
    let is_literal = |name: &str, text: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        SECRET_FIELDS.iter().any(|word| name.contains(word)) && !text.contains('{')
    };
    let mut headers = texts(table, before, "headers", places);
    let path = table.path_of("headers");
    headers.retain(|(name, text)| {
        if text.is_empty() || !is_literal(name, text) {
            return true;
        }
        if let Some(node) = places.at(&format!("{before}headers.{name}")) {
            let mismatch = node.wrong_type("a template that reads the secret").hidden();
            let hint = "name a value of the source: \"Bearer {cred:NAME}\"";
            let found = "one that is written out".to_owned();
            node.report(format!("{path}.{name}"), Mismatch { found, ..mismatch }.hint(hint));
        }
        false
    });
    headers
}

/// Pairs that must be equal.
fn require<'n>(table: &mut Table<'n>, before: &str, places: &mut Places<'n>) -> Vec<[String; 2]> {
    let expected = "two templates that must be equal: [\"{…}\", \"…\"]";
    if let Some(node) = table.node("require") {
        places.add(format!("{before}require"), node);
    }
    let mut found = Vec::new();
    let document = table.document();
    for (number, (path, node)) in table.items("require", "an array").into_iter().enumerate() {
        places.add(format!("{before}require[{number}]"), node);
        let pair = node.take(&path, |node| {
            let items = node.value().as_array().map(|items| items.iter().collect::<Vec<_>>());
            match items.as_deref() {
                Some([left, right]) => {
                    let [left, right] = [*left, *right].map(|value| Node { document, value });
                    Ok([(left, left.str(expected)?), (right, right.str(expected)?)])
                }
                _ => Err(node.wrong_type(expected)),
            }
        });
        let Some([(left, left_text), (right, right_text)]) = pair else { continue };
        places.add(format!("{before}require[{number}][0]"), left);
        places.add(format!("{before}require[{number}][1]"), right);
        found.push([left_text.to_owned(), right_text.to_owned()]);
    }
    found
}

fn unknown<'n>(table: &mut Table<'n>, before: &str, places: &mut Places<'n>) -> Option<Vec<u16>> {
    places.add(format!("{before}unknown"), table.node("unknown")?);
    Some(table.list("unknown", status))
}

fn status(node: &Node<'_>) -> Result<u16, Mismatch> {
    let number = value::number(node, 100..=599)?;
    u16::try_from(number).map_err(|_| node.wrong_type("a status"))
}
