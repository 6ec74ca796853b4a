//! One scheme's table as a definition, and the way back from a mistake to its place.

use std::borrow::Cow;

use toml::Spanned;

use crate::config::document::{Document, Showing};
use crate::config::node::{Mismatch, Node};
use crate::config::place::raw_span;
use crate::config::reader::Table;
use crate::config::value;
use crate::scheme::{
    AnswerTable, Definition, Formula, MustList, Place, Respond, SchemeMistake, Vector,
};

const TEMPLATE: &str = "a template: text with {holes}";
const FORMULA: &str =
    "a template, or a table of templates by method: { GET = \"…\", \"*\" = \"…\" }";

/// A definition and where its parts stand.
pub(super) struct Placed<'n> {
    pub(super) name: String,
    /// Nothing where a value is of another type than its key asks for.
    pub(super) definition: Option<Definition>,
    key: &'n Spanned<Cow<'n, str>>,
    document: &'n Document<'n>,
    places: Places<'n>,
}

/// Keys and the values that stand there.
type Places<'n> = Vec<(String, Node<'n>)>;

/// Every scheme of a file, in the order in which they stand.
pub(super) fn schemes<'n>(document: &'n Document<'n>) -> Vec<Placed<'n>> {
    let mut tables: Vec<_> = document.root().iter().collect();
    tables.sort_by_key(|(key, _)| key.span().start);
    tables.into_iter().filter_map(|(key, value)| scheme(document, key, value)).collect()
}

fn scheme<'n>(
    document: &'n Document<'n>,
    key: &'n Spanned<Cow<'n, str>>,
    value: &'n Spanned<toml::de::DeValue<'n>>,
) -> Option<Placed<'n>> {
    let node = Node { document, value };
    let name = key.get_ref().to_string();
    let before = document.fault_count();
    let mut places = Places::new();
    // An unknown key is told when the table ends, and hides no mistake in the others.
    let definition =
        Table::of(&node, name.clone(), "a table that says how a scheme signs", |table| {
            if !value::is_name(key.get_ref()) {
                table.refuse_key(key, format!("expected {}", value::NAME));
            }
            let definition = definition(table, &mut places);
            (document.fault_count() == before).then_some(definition)
        })?;
    Some(Placed { name, definition, key, document, places })
}

fn definition<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Definition {
    let mut formula = |table: &mut Table<'n>, key: &'static str| {
        let node = table.node(key)?;
        formula(key, &table.path_of(key), node, places)
    };
    let mut definition = Definition {
        key_id: formula(table, "key_id"),
        time: formula(table, "time"),
        nonce: formula(table, "nonce"),
        deadline: formula(table, "deadline"),
        message: formula(table, "message"),
        key: formula(table, "key"),
        signature: formula(table, "signature"),
        ..Definition::default()
    };
    let mut text = |table: &mut Table<'n>, key: &'static str| {
        let node = table.node(key)?;
        places.push((key.to_owned(), node));
        node.take(&table.path_of(key), |node| node.str("text").map(str::to_owned))
    };
    definition.about = text(table, "about").unwrap_or_default();
    definition.time_unit = text(table, "time_unit");
    definition.protocol = text(table, "protocol");
    definition.label = text(table, "label");
    definition.tag = text(table, "tag");
    definition.mac = text(table, "mac");
    definition.encode = text(table, "encode");
    definition.compare = text(table, "compare");
    definition.strength = text(table, "strength");
    definition.window = table.optional("window", value::seconds);
    definition.ahead = table.optional("ahead", value::seconds);
    definition.nonce_length = table.optional("nonce_length", nonce_length);
    definition.lets = lets(table, places);
    definition.any = any(table, places);
    definition.require = require(table, places);
    definition.must_list = must_list(table, places);
    definition.respond = table.table("respond", respond).flatten();
    definition.covers = table
        .node("covers")
        .is_some()
        .then(|| table.list("covers", |node| node.str("a word or a component").map(str::to_owned)));
    for key in ["nonce_length", "covers", "vector"] {
        places.extend(table.node(key).map(|node| (key.to_owned(), node)));
    }
    definition.answer = answer(table, places);
    definition.vector = table.table("vector", vector).flatten();
    definition
}

/// A template or templates by method, with their places.
fn formula<'n>(key: &str, path: &str, node: Node<'n>, places: &mut Places<'n>) -> Option<Formula> {
    places.push((key.to_owned(), node));
    if !node.value().is_table() {
        return node.take(path, |node| node.str(FORMULA).map(str::to_owned)).map(Formula::Always);
    }
    let mut texts = Vec::new();
    for (method, inner) in node.in_order(path)? {
        let good = method == "*" || method.bytes().all(|b| b.is_ascii_uppercase());
        if !good {
            let mismatch =
                Mismatch::text("a method in upper case, or \"*\" for all others", method);
            inner.report(path.to_owned(), mismatch);
        }
        places.push((format!("{key}.{method}"), inner));
        let text = inner.take(&format!("{path}.{method}"), |node| node.str(TEMPLATE));
        texts.extend(text.map(|text| (method.to_owned(), text.to_owned())));
    }
    Some(Formula::ByMethod(texts))
}

fn lets<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<(String, Formula)> {
    let Some(node) = table.node("let") else { return Vec::new() };
    let path = table.path_of("let");
    let mut lets = Vec::new();
    for (name, inner) in node.in_order(&path).unwrap_or_default() {
        let own = format!("{path}.{name}");
        let formula = formula(&format!("let.{name}"), &own, inner, places);
        lets.extend(formula.map(|formula| (name.to_owned(), formula)));
    }
    lets
}

fn any<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<Place> {
    let mut found = Vec::new();
    for (number, (path, node)) in table.items("any", "an array of tables").into_iter().enumerate() {
        let place = Table::of(&node, path, "a table with signature and key", |table| {
            let mut formula = |table: &mut Table<'n>, key: &'static str| {
                let node = table.node(key)?;
                formula(&format!("any[{number}].{key}"), &table.path_of(key), node, places)
            };
            let (signature, key) = (formula(table, "signature"), formula(table, "key"));
            if table.node("signature").is_none() {
                table.missing("signature");
            }
            Some(Place { signature: signature?, key })
        });
        found.extend(place.flatten());
    }
    found
}

fn require<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<[String; 2]> {
    let expected = "two templates whose values must be equal: [\"{…}\", \"{…}\"]";
    let mut found = Vec::new();
    for (number, (path, node)) in table.items("require", "an array").into_iter().enumerate() {
        let pair = node.take(&path, |node| {
            let items = node.value().as_array().map(|items| items.iter().collect::<Vec<_>>());
            match items.as_deref() {
                Some([left, right]) => Ok([*left, *right]),
                _ => Err(node.wrong_type(expected)),
            }
        });
        let Some(pair) = pair else { continue };
        let side = |value, side: usize, places: &mut Places<'n>| {
            let node = Node { document: table.document(), value };
            places.push((format!("require[{number}][{side}]"), node));
            node.take(&path, |node| node.str(TEMPLATE).map(str::to_owned))
        };
        let [left, right] = pair;
        let sides = (side(left, 0, places), side(right, 1, places));
        if let (Some(left), Some(right)) = sides {
            found.push([left, right]);
        }
    }
    found
}

fn must_list<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Vec<MustList> {
    let expected = "an array of tables with list and names";
    let mut found = Vec::new();
    for (number, (path, node)) in table.items("must_list", expected).into_iter().enumerate() {
        let read = |table: &mut Table<'n>| {
            let node = table.node("list");
            places.extend(node.map(|node| (format!("must_list[{number}].list"), node)));
            let list = table.required("list", |node| node.str(TEMPLATE).map(str::to_owned));
            let names = table.list("names", |node| node.str("a name").map(str::to_owned));
            Some(MustList { list: list?, names })
        };
        found.extend(Table::of(&node, path, "a table with list and names", read).flatten());
    }
    found
}

fn nonce_length(node: &Node<'_>) -> Result<(usize, usize), Mismatch> {
    let expected = "the least and the most characters of a nonce: [16, 64]";
    let items = node.value().as_array().ok_or_else(|| node.wrong_type(expected))?;
    let number = |value| {
        let node = Node { document: node.document, value };
        value::number(&node, 1..=128).map(|number| usize::try_from(number).unwrap_or(128))
    };
    match items.iter().collect::<Vec<_>>().as_slice() {
        [least, most] => match (number(least)?, number(most)?) {
            (least, most) if least <= most => Ok((least, most)),
            _ => Err(node.wrong_type(expected)),
        },
        _ => Err(node.wrong_type(expected)),
    }
}

/// How answers are signed.
fn answer<'n>(table: &mut Table<'n>, places: &mut Places<'n>) -> Option<AnswerTable> {
    let node = table.node("answer")?;
    places.push(("answer".to_owned(), node));
    let read = |table: &mut Table<'n>| {
        let mut text = |table: &mut Table<'n>, key: &'static str| {
            let node = table.node(key)?;
            places.push((format!("answer.{key}"), node));
            node.take(&table.path_of(key), |node| node.str(TEMPLATE).map(str::to_owned))
        };
        let (secret, message) = (text(table, "secret"), text(table, "message"));
        let mut headers = Vec::new();
        if let Some(node) = table.node("headers") {
            places.push(("answer.headers".to_owned(), node));
            let path = table.path_of("headers");
            for (name, inner) in node.in_order(&path).unwrap_or_default() {
                places.push((format!("answer.headers.{name}"), inner));
                let text = inner.take(&format!("{path}.{name}"), |node| node.str(TEMPLATE));
                headers.extend(text.map(|text| (name.to_owned(), text.to_owned())));
            }
        }
        AnswerTable { secret, message, headers }
    };
    let expected = "a table that says how answers are signed";
    Table::of(&node, table.path_of("answer"), expected, read)
}

fn respond(table: &mut Table<'_>) -> Option<Respond> {
    let status = table.optional("status", |node| value::number(node, 200..=299)).unwrap_or(200);
    let body = table.optional("body", |node| node.str("text").map(str::to_owned));
    let content_type = table.optional("content_type", |node| node.str("a media type"));
    Some(Respond {
        status: u16::try_from(status).ok()?,
        body: body.unwrap_or_default(),
        content_type: content_type.unwrap_or("text/plain").to_owned(),
    })
}

fn vector(table: &mut Table<'_>) -> Option<Vector> {
    let text = |node: &Node<'_>| node.str("text").map(str::to_owned);
    let secret = table.required("secret", text);
    let values = pairs(table, "values");
    let headers = pairs(table, "headers");
    let method = table.optional("method", text).unwrap_or_else(|| "POST".to_owned());
    let url = table.optional("url", text).unwrap_or_else(|| "https://example.com/".to_owned());
    let body = table.optional("body", text).unwrap_or_default();
    let published = table.required("published", value::boolean);
    Some(Vector { secret: secret?, values, method, url, headers, body, published: published? })
}

/// A table of texts.
fn pairs(table: &mut Table<'_>, key: &'static str) -> Vec<(String, String)> {
    let Some(node) = table.node(key) else { return Vec::new() };
    let path = table.path_of(key);
    let mut found = Vec::new();
    for (name, inner) in node.in_order(&path).unwrap_or_default() {
        let text = inner.take(&format!("{path}.{name}"), |node| node.str("text"));
        found.extend(text.map(|text| (name.to_owned(), text.to_owned())));
    }
    found
}

impl Placed<'_> {
    /// Leaves a fault at the name.
    pub(super) fn refuse_name(&self, problem: &str) {
        let mut fault = self.document.fault(self.name.clone(), self.key.span(), Showing::Value);
        fault.problem = problem.to_owned();
        self.document.push(fault);
    }

    /// Leaves a fault where a mistake is: under the part of the template, at the value, or at the
    /// scheme's name where the key is missing.
    pub(super) fn report(&self, mistake: &SchemeMistake) {
        let node = self.places.iter().find(|(key, _)| *key == mistake.key).map(|(_, node)| node);
        let span = match (node, &mistake.span) {
            (Some(node), Some(span)) => {
                let whole = node.span();
                let raw = self.document.text().get(whole.clone()).unwrap_or_default();
                let inner = raw_span(raw, span);
                whole.start + inner.start..whole.start + inner.end
            }
            (Some(node), None) => node.span(),
            (None, _) => self.key.span(),
        };
        let path = format!("{}.{}", self.name, mistake.key);
        let mut fault = self.document.fault(path, span, Showing::Value);
        fault.problem.clone_from(&mistake.problem);
        fault.hint.clone_from(&mistake.hint);
        self.document.push(fault);
    }
}
