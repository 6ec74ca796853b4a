//! Small typed readers over a [`Document`]: each takes what it can and leaves a fault for the rest.
//!
//! A reader never stops at a mistake: it answers `None` and goes on, so that all mistakes show at
//! once. A key that nobody asked for is a fault when its table is done.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::document::{Document, Showing};
use super::node::{Mismatch, Node, nearest, one_of};
use super::value;

/// A table in the middle of being read.
pub(super) struct Table<'n> {
    document: &'n Document<'n>,
    entries: &'n DeTable<'n>,
    span: Range<usize>,
    path: String,
    asked: Vec<&'static str>,
    /// Whether keys that nobody asks for are others' business.
    leaves_rest: bool,
}

impl<'n> Table<'n> {
    /// Reads a whole file.
    pub(super) fn read_root<T>(
        document: &'n Document<'n>,
        read: impl FnOnce(&mut Table<'n>) -> T,
    ) -> T {
        Self::read(document, document.root(), 0..0, String::new(), read)
    }

    /// Reads the table that a value is.
    pub(super) fn of<T>(
        node: &Node<'n>,
        path: String,
        expected: &str,
        read: impl FnOnce(&mut Table<'n>) -> T,
    ) -> Option<T> {
        let entries = node.entries(&path, expected)?;
        Some(Self::read(node.document, entries, node.span(), path, read))
    }

    fn read<T>(
        document: &'n Document<'n>,
        entries: &'n DeTable<'n>,
        span: Range<usize>,
        path: String,
        read: impl FnOnce(&mut Table<'n>) -> T,
    ) -> T {
        let mut table =
            Table { document, entries, span, path, asked: Vec::new(), leaves_rest: false };
        let result = read(&mut table);
        if !table.leaves_rest {
            table.refuse_unknown();
        }
        result
    }

    /// Leaves keys that nobody asks for to other readers of the same file.
    pub(super) fn leave_rest(&mut self) {
        self.leaves_rest = true;
    }

    /// The path of a key in this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn document(&self) -> &'n Document<'n> {
        self.document
    }

    /// Where the table begins.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of a key, which counts as known from now on.
    pub(super) fn node(&mut self, key: &'static str) -> Option<Node<'n>> {
        self.asked.push(key);
        #[cfg(test)]
        asked::note(&self.path, key);
        let value = self.entries.get(key)?;
        Some(Node { document: self.document, value })
    }

    /// Whether a key has a value, whoever asks for it.
    pub(super) fn stated(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A value that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'n>) -> Result<T, Mismatch>,
    ) -> Option<T> {
        let node = self.node(key)?;
        self.take(key, &node, read)
    }

    /// A value that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'n>) -> Result<T, Mismatch>,
    ) -> Option<T> {
        match self.node(key) {
            Some(node) => self.take(key, &node, read),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// Every item of an array that may be absent; items at fault are left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Node<'n>) -> Result<T, Mismatch>,
    ) -> Vec<T> {
        let items = self.items(key, "an array");
        items.iter().filter_map(|(path, item)| item.take(path, &mut read)).collect()
    }

    /// The table of a key, read to its end.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'n>) -> T,
    ) -> Option<T> {
        let node = self.node(key)?;
        Self::of(&node, self.path_of(key), "a table", read)
    }

    /// The table of a key that must be there, read to its end.
    pub(super) fn required_table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'n>) -> T,
    ) -> Option<T> {
        if self.node(key).is_none() {
            self.missing(key);
        }
        self.table(key, read)
    }

    /// Every table of an array of tables, each read to its end.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        mut read: impl FnMut(&mut Table<'n>) -> Option<T>,
    ) -> Vec<T> {
        let items = self.items(key, &format!("an array; each item is {expected}"));
        let read_item =
            |(path, item): (String, Node<'n>)| Self::of(&item, path, expected, &mut read);
        items.into_iter().filter_map(read_item).flatten().collect()
    }

    /// Every table of a table whose keys are names, each read to its end.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&'n Spanned<Cow<'n, str>>, &mut Table<'n>) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path_of(key);
        let mut found = Vec::new();
        for (name, value) in node.entries(&path, "a table of names").into_iter().flatten() {
            let node = Node { document: self.document, value };
            let own = format!("{path}.{}", name.get_ref());
            found.extend(Self::of(&node, own, "a table", |inner| read(name, inner)).flatten());
        }
        found
    }

    /// The names in a table of names, as written.
    pub(super) fn names(&self, key: &str) -> Vec<&'n str> {
        let names = self.entries.get(key).and_then(|value| value.get_ref().as_table());
        names
            .into_iter()
            .flat_map(|table| table.keys())
            .map(|name| name.get_ref().as_ref())
            .collect()
    }

    /// The items of an array and their paths.
    pub(super) fn items(&mut self, key: &'static str, expected: &str) -> Vec<(String, Node<'n>)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let path = self.path_of(key);
        let Some(items) = node.value().as_array() else {
            node.report(path, node.wrong_type(expected).hidden());
            return Vec::new();
        };
        let document = self.document;
        let item = |(n, value)| (format!("{path}[{n}]"), Node { document, value });
        items.iter().enumerate().map(item).collect()
    }

    /// The name that this table has as a key of its parent.
    pub(super) fn own_name(&self, key: &'n Spanned<Cow<'n, str>>) -> Option<&'n str> {
        if value::is_name(key.get_ref()) {
            return Some(key.get_ref());
        }
        self.refuse_key(key, format!("expected {}", value::NAME));
        None
    }

    /// Leaves a fault at the key that names this table.
    pub(super) fn refuse_key(&self, key: &Spanned<Cow<'n, str>>, problem: String) {
        let mut fault = self.document.fault(self.path.clone(), key.span(), Showing::Value);
        fault.problem = problem;
        self.document.push(fault);
    }

    fn take<T>(
        &self,
        key: &str,
        node: &Node<'n>,
        read: impl FnOnce(&Node<'n>) -> Result<T, Mismatch>,
    ) -> Option<T> {
        node.take(&self.path_of(key), read)
    }

    /// Leaves a fault for an absent key.
    pub(super) fn missing(&self, key: &str) {
        let mut fault = self.document.fault(self.path_of(key), self.span(), Showing::Value);
        if self.path.is_empty() {
            (fault.line, fault.column, fault.source) = (None, None, None);
        }
        fault.problem = format!("the key `{key}` is missing");
        self.document.push(fault);
    }

    /// Leaves a fault at a key of this table, or at the table itself where the key is absent or
    /// empty.
    pub(super) fn refuse(&self, key: &str, problem: impl Into<String>, hint: Option<String>) {
        let (path, span) = match key {
            "" => (self.path.clone(), self.span()),
            key => (self.path_of(key), self.span_of(key)),
        };
        let mut fault = self.document.fault(path, span, Showing::Value);
        fault.problem = problem.into();
        fault.hint = hint;
        self.document.push(fault);
    }

    /// Where a key's value begins, or the table where the key is absent.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.entries.get(key).map_or(self.span(), Spanned::span)
    }

    fn refuse_unknown(&self) {
        let unknown = |key: &&Spanned<Cow<'n, str>>| !self.asked.contains(&key.get_ref().as_ref());
        for key in self.entries.keys().filter(unknown) {
            let known: BTreeSet<&str> = self.asked.iter().copied().collect();
            let known: Vec<&str> = known.into_iter().collect();
            let path = self.path_of(key.get_ref());
            let mut fault = self.document.fault(path, key.span(), Showing::Value);
            fault.problem = "unknown key".to_owned();
            fault.hint = Some(match nearest(key.get_ref(), &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", one_of(&known)),
            });
            self.document.push(fault);
        }
    }
}

/// Every key that a reader asked for in a test, for the test of the documentation.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    type Keys = BTreeSet<(String, &'static str)>;

    thread_local! {
        static KEYS: RefCell<Option<Keys>> = const { RefCell::new(None) };
    }

    pub(super) fn note(path: &str, key: &'static str) {
        KEYS.with_borrow_mut(|keys| {
            keys.as_mut().is_some_and(|keys| keys.insert((path.to_owned(), key)))
        });
    }

    /// Table paths and keys that are asked for while `load` runs.
    pub(crate) fn during(load: impl FnOnce()) -> Keys {
        KEYS.set(Some(Keys::new()));
        load();
        KEYS.take().unwrap_or_default()
    }
}
