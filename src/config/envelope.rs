//! Envelopes: the built-in ones, and files of one's own, each with a table an envelope.
//!
//! A mistake inside a template is shown with a caret under the very place.

mod builtin;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Showing};
use super::fault::{Fault, Faults};
use super::node::{Mismatch, Node, nearest};
use super::place::raw_span;
use super::reader::Table;
use super::value;
use crate::envelope::{Definition, Envelope, EnvelopeMistake, Literal};
use crate::gateway::opener::Opener;
use crate::scheme::Scheme;

pub use builtin::{builtin, builtin_names};

/// Every envelope that a configuration may name.
#[derive(Default)]
pub(super) struct Envelopes {
    own: HashMap<String, Arc<Envelope>>,
    /// Names of envelopes at fault: who names one of these is not told that it does not exist.
    broken: Vec<String>,
}

impl Envelopes {
    /// Those that are no built-in ones, by name.
    pub(super) fn own(&self) -> impl Iterator<Item = (String, Arc<Envelope>)> {
        self.own.iter().map(|(name, one)| (name.clone(), Arc::clone(one)))
    }

    /// The envelope of a name, or why there is none. Nothing where the envelope itself is at
    /// fault, which was told at its own place.
    pub(super) fn find(&self, node: &Node<'_>) -> Result<Option<Arc<Envelope>>, Mismatch> {
        let expected = "the name of an envelope";
        let text = node.str(expected)?;
        if self.broken.iter().any(|name| name == text) {
            return Ok(None);
        }
        let found = self.own.get(text).cloned().or_else(|| builtin(text));
        found.map(Some).ok_or_else(|| {
            let own = self.own.keys().chain(&self.broken);
            let mut names: Vec<&str> = own.map(String::as_str).collect();
            builtin_names().for_each(|name| names.push(name));
            Mismatch::text(expected, text).hint(match nearest(text, &names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "`countersign envelope list` shows the built-in ones; name files with \
                         your own as envelopes = [\"…\"]"
                    .to_owned(),
            })
        })
    }

    fn read(&mut self, path: &Path, faults: &mut Vec<Fault>) {
        let Some(text) = super::text_of(path, faults) else { return };
        let document = Document::parse(path, &text);
        for placed in tables(&document) {
            let name = placed.name();
            if self.own.contains_key(name) || self.broken.iter().any(|broken| broken == name) {
                placed.refuse("the name is taken by another envelope");
                continue;
            }
            match placed.compile() {
                Some(envelope) => drop(self.own.insert(name.to_owned(), Arc::new(envelope))),
                None => self.broken.push(name.to_owned()),
            }
        }
        faults.extend(document.into_faults());
    }
}

/// How a route's bodies are opened: its keys `envelope` and `sealed`.
pub(super) fn opener(
    table: &mut Table<'_>,
    envelopes: &Envelopes,
    scheme: Option<&Scheme>,
) -> Option<Arc<Opener>> {
    let envelope = table.optional("envelope", |node| envelopes.find(node)).flatten();
    let words = [("required", Some(true)), ("optional", Some(false)), ("off", None)];
    let sealed = table.optional("sealed", value::choice(&words));
    if table.node("sealed").is_some() && table.node("envelope").is_none() {
        table.refuse("sealed", "there is no envelope that this is about", None);
    }
    let (envelope, required) = (envelope?, sealed.unwrap_or(Some(true))?);
    if !envelope.authenticates() && scheme.is_some_and(|scheme| !scheme.coverage().body) {
        let problem = format!(
            "{} does not notice altered bodies, and the scheme does not sign the body",
            envelope.name()
        );
        table.refuse("envelope", problem, Some("take a scheme that signs the body".to_owned()));
    }
    Some(Arc::new(Opener::new(envelope, required)))
}

/// Every envelope of some files, for configurations. One of theirs may have the name of a built-in
/// one, and then stands in its place.
pub(super) fn read_all(paths: &[PathBuf], faults: &mut Vec<Fault>) -> Envelopes {
    let mut envelopes = Envelopes::default();
    paths.iter().for_each(|path| envelopes.read(path, faults));
    envelopes
}

/// Every envelope of some files, by name.
///
/// # Errors
/// Every mistake in them.
pub fn load_envelopes(paths: &[PathBuf]) -> Result<Vec<Arc<Envelope>>, Faults> {
    let mut faults = Vec::new();
    let envelopes = read_all(paths, &mut faults);
    Faults::collect(faults)?;
    let mut all: Vec<Arc<Envelope>> = envelopes.own.into_values().collect();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

/// One envelope's table.
struct Placed<'n> {
    document: &'n Document<'n>,
    key: &'n Spanned<Cow<'n, str>>,
    value: &'n Spanned<DeValue<'n>>,
}

/// Every table of a file, in the order in which they stand.
fn tables<'n>(document: &'n Document<'n>) -> Vec<Placed<'n>> {
    let root = in_order(document.root()).into_iter();
    root.map(|(key, value)| Placed { document, key, value }).collect()
}

fn in_order<'n>(
    table: &'n DeTable<'n>,
) -> Vec<(&'n Spanned<Cow<'n, str>>, &'n Spanned<DeValue<'n>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Keys spread out, with the values that stand there.
type Places<'n> = Vec<(String, &'n Spanned<DeValue<'n>>)>;

impl<'n> Placed<'n> {
    fn name(&self) -> &'n str {
        self.key.get_ref()
    }

    /// The envelope, or its mistakes at their places.
    fn compile(&self) -> Option<Envelope> {
        if !value::is_name(self.name()) {
            self.refuse(&format!("expected {}", value::NAME));
            return None;
        }
        let Some(table) = self.value.get_ref().as_table() else {
            self.refuse("expected a table that says how a message is sealed");
            return None;
        };
        let mut places = Places::new();
        spread(table, "", &mut places);
        let mut definition = Definition::default();
        let mut good = true;
        for (key, value) in &places {
            match literal(value.get_ref()) {
                Some(literal) => definition.push(key.clone(), literal),
                None => {
                    good = false;
                    let node = Node { document: self.document, value };
                    let path = format!("{}.{key}", self.name());
                    node.report(path, node.wrong_type("a text, a whole number, true or false"));
                }
            }
        }
        match Envelope::compile(self.name(), &definition) {
            Ok(envelope) => good.then_some(envelope),
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| self.report(mistake, &places));
                None
            }
        }
    }

    /// Leaves a fault at the name.
    fn refuse(&self, problem: &str) {
        let mut fault =
            self.document.fault(self.name().to_owned(), self.key.span(), Showing::Value);
        fault.problem = problem.to_owned();
        self.document.push(fault);
    }

    /// Leaves a fault where a mistake is: under the part of the template, at the value, or at the
    /// envelope's name where the key is missing.
    fn report(&self, mistake: &EnvelopeMistake, places: &Places<'n>) {
        let place = places.iter().find(|(key, _)| *key == mistake.key).map(|(_, value)| value);
        let span = match place {
            Some(value) if mistake.span.is_empty() => value.span(),
            Some(value) => {
                let whole = value.span();
                let raw = self.document.text().get(whole.clone()).unwrap_or_default();
                let inner = raw_span(raw, &mistake.span);
                whole.start + inner.start..whole.start + inner.end
            }
            None => self.key.span(),
        };
        let path = format!("{}.{}", self.name(), mistake.key);
        let mut fault = self.document.fault(path, span, Showing::Value);
        fault.problem.clone_from(&mistake.problem);
        fault.hint.clone_from(&mistake.hint);
        self.document.push(fault);
    }
}

/// Tables and arrays as keys of their leaves, in the order of the file.
fn spread<'n>(table: &'n DeTable<'n>, before: &str, places: &mut Places<'n>) {
    for (key, value) in in_order(table) {
        let name = key.get_ref();
        let path = if before.is_empty() { name.to_string() } else { format!("{before}.{name}") };
        spread_value(value, path, places);
    }
}

fn spread_value<'n>(value: &'n Spanned<DeValue<'n>>, path: String, places: &mut Places<'n>) {
    match value.get_ref() {
        DeValue::Table(table) => spread(table, &path, places),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                spread_value(item, format!("{path}.{at}"), places);
            }
        }
        _ => places.push((path, value)),
    }
}

fn literal(value: &DeValue<'_>) -> Option<Literal> {
    match value {
        DeValue::String(text) => Some(Literal::Text(text.to_string())),
        DeValue::Boolean(flag) => Some(Literal::Flag(*flag)),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Literal::Number)
        }
        _ => None,
    }
}

/// The envelopes of a file that is known to be right, in their order.
fn compiled(file: &str, text: &str) -> Vec<Envelope> {
    let document = Document::parse(Path::new(file), text);
    tables(&document).iter().filter_map(Placed::compile).collect()
}
