//! One value with its place, and the fault that it leaves when it is not what its key asks for.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Showing};

/// The longest found value that a fault repeats, in characters.
const FOUND_CHARS_MAX: usize = 60;

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Node<'n> {
    pub(super) document: &'n Document<'n>,
    pub(super) value: &'n Spanned<DeValue<'n>>,
}

/// Why a value is not what its key asks for.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) hint: Option<String>,
    pub(super) showing: Showing,
}

impl Mismatch {
    /// A text that does not say what it should.
    pub(super) fn text(expected: impl Into<String>, found: &str) -> Self {
        let mut shown: String =
            found.chars().take(FOUND_CHARS_MAX).flat_map(char::escape_debug).collect();
        if found.chars().count() > FOUND_CHARS_MAX {
            shown.push('…');
        }
        Self {
            expected: expected.into(),
            found: format!("\"{shown}\""),
            hint: None,
            showing: Showing::Value,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, without the source of what was found: it may be a secret.
    pub(super) fn hidden(mut self) -> Self {
        self.showing = Showing::Nothing;
        self
    }
}

impl<'n> Node<'n> {
    pub(super) fn value(&self) -> &'n DeValue<'n> {
        self.value.get_ref()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// A value of another type: only the type is told.
    pub(super) fn wrong_type(&self, expected: impl Into<String>) -> Mismatch {
        let found = match self.value() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        Mismatch {
            expected: expected.into(),
            found: found.to_owned(),
            hint: None,
            showing: Showing::Value,
        }
    }

    pub(super) fn str(&self, expected: &str) -> Result<&'n str, Mismatch> {
        self.value().as_str().ok_or_else(|| self.wrong_type(expected))
    }

    pub(super) fn report(&self, key: String, mismatch: Mismatch) {
        let mut fault = self.document.fault(key, self.span(), mismatch.showing);
        fault.problem = format!("expected {}, found {}", mismatch.expected, mismatch.found);
        fault.expected = Some(mismatch.expected);
        fault.found = Some(mismatch.found);
        fault.hint = mismatch.hint;
        self.document.push(fault);
    }

    /// The node as a `T`, or a fault.
    pub(super) fn take<T>(
        &self,
        path: &str,
        read: impl FnOnce(&Self) -> Result<T, Mismatch>,
    ) -> Option<T> {
        read(self).map_err(|mismatch| self.report(path.to_owned(), mismatch)).ok()
    }

    /// The entries of a table in the order in which they stand, or a fault.
    pub(super) fn in_order(&self, path: &str) -> Option<Vec<(&'n str, Self)>> {
        let mut entries: Vec<_> = self.entries(path, "a table")?.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let document = self.document;
        let entry = |(key, value): (&'n Spanned<Cow<'n, str>>, _)| {
            (key.get_ref().as_ref(), Node { document, value })
        };
        Some(entries.into_iter().map(entry).collect())
    }

    /// The node as a table, or a fault that does not show what is there instead: a secret may have
    /// been put in its place.
    pub(super) fn entries(&self, path: &str, expected: &str) -> Option<&'n DeTable<'n>> {
        self.take(path, |node| {
            node.value().as_table().ok_or_else(|| node.wrong_type(expected).hidden())
        })
    }
}

/// The choice that a misspelt word most likely means.
pub(super) fn nearest<'c>(word: &str, choices: &[&'c str]) -> Option<&'c str> {
    let distance = |choice: &str| strsim::damerau_levenshtein(word, choice);
    let best = choices.iter().copied().min_by_key(|choice| distance(choice))?;
    let close = distance(best) <= (best.chars().count() / 3).max(1);
    (close || word.eq_ignore_ascii_case(best)).then_some(best)
}

/// Words as a list: `a`, `b` or `c`.
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
