//! An envelope as it is written: keys and values, without meaning yet; and what is wrong with one.

use std::cell::RefCell;
use std::ops::Range;

use crate::recipe::mistake::Mistake;

/// The keys and values of one envelope in the order of the file. Tables and arrays are spread out:
/// `before = [{ mac = "…" }]` is the key `before.0.mac`.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    settings: Vec<Setting>,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Names and numbers, joined by dots.
    pub key: String,
    /// The value.
    pub value: Literal,
}

/// A value that is neither table nor array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Text: a template, or a word.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
}

/// Something wrong in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeMistake {
    /// The key, spread out; empty for the envelope as a whole.
    pub key: String,
    /// Where in the key's text, in bytes; empty where the whole value is meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub problem: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl Definition {
    /// Adds a key.
    pub fn push(&mut self, key: impl Into<String>, value: Literal) {
        self.settings.push(Setting { key: key.into(), value });
    }
}

/// A definition while it is read: what was asked for, and every mistake.
pub(super) struct Reading<'d> {
    definition: &'d Definition,
    asked: RefCell<Vec<String>>,
    mistakes: RefCell<Vec<EnvelopeMistake>>,
}

impl<'d> Reading<'d> {
    pub(super) fn new(definition: &'d Definition) -> Self {
        Self { definition, asked: RefCell::default(), mistakes: RefCell::default() }
    }

    fn get(&self, key: &str) -> Option<&'d Literal> {
        self.asked.borrow_mut().push(key.to_owned());
        let found = self.definition.settings.iter().find(|setting| setting.key == key);
        found.map(|setting| &setting.value)
    }

    /// A text that may be absent.
    pub(super) fn text(&self, key: &str) -> Option<&'d str> {
        match self.get(key)? {
            Literal::Text(text) => Some(text),
            _ => self.refuse(key, "this is a text", None),
        }
    }

    /// A number that may be absent, at least 1.
    pub(super) fn number(&self, key: &str, most: usize) -> Option<usize> {
        let number = match self.get(key)? {
            Literal::Number(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let number = number.filter(|number| (1..=most).contains(number));
        number.or_else(|| self.refuse(key, format!("this is a number from 1 to {most}"), None))
    }

    /// Yes or no; `default` where it is absent.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        match self.get(key) {
            None => default,
            Some(Literal::Flag(flag)) => *flag,
            Some(_) => self.refuse(key, "this is true or false", None).unwrap_or(default),
        }
    }

    /// One of the words, as the thing that it names.
    pub(super) fn choice<T>(
        &self,
        key: &str,
        words: &[&str],
        named: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(key)?;
        named(text).or_else(|| {
            let known = words.join(", ");
            let mistake = Mistake::new(0..text.len(), format!("this is one of: {known}"));
            self.report(key, mistake.suggest(text, words.iter().copied()));
            None
        })
    }

    /// What follows a prefix up to the next dot, each once, in the order of the file.
    pub(super) fn below(&self, prefix: &str) -> Vec<&'d str> {
        let mut found = Vec::new();
        for setting in &self.definition.settings {
            let Some(rest) = setting.key.strip_prefix(prefix) else { continue };
            let Some(rest) = rest.strip_prefix('.') else { continue };
            let name = rest.split('.').next().unwrap_or(rest);
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found
    }

    /// The texts of a list.
    pub(super) fn list(&self, key: &str) -> Vec<(String, &'d str)> {
        let items = self.below(key).into_iter();
        let keys = items.map(|item| format!("{key}.{item}"));
        keys.filter_map(|key| self.text(&key).map(|text| (key, text))).collect()
    }

    /// Whether a key, or one below it, is there.
    pub(super) fn has(&self, key: &str) -> bool {
        let here = self.definition.settings.iter().any(|setting| setting.key == key);
        here || !self.below(key).is_empty()
    }

    /// Top-level keys with a text that mean nothing by themselves: names of the envelope's own.
    pub(super) fn own_names(&self, known: &[&str]) -> Vec<(&'d str, &'d str)> {
        let named = |setting: &'d Setting| match &setting.value {
            Literal::Text(text) if !setting.key.contains('.') => {
                let own = !known.contains(&setting.key.as_str());
                own.then_some((setting.key.as_str(), text.as_str()))
            }
            _ => None,
        };
        let found: Vec<_> = self.definition.settings.iter().filter_map(named).collect();
        self.asked.borrow_mut().extend(found.iter().map(|(name, _)| (*name).to_owned()));
        found
    }

    /// Every text that is not about sealing.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'d str> {
        let opening = self.definition.settings.iter().filter(|s| !s.key.starts_with("seal."));
        opening.filter_map(|setting| match &setting.value {
            Literal::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether any template names something.
    pub(super) fn reads_name(&self, name: &str) -> bool {
        let named = |text: &str| {
            text.match_indices(name).any(|(at, _)| {
                let before = text.get(..at).and_then(|text| text.chars().next_back());
                let after = text.get(at + name.len()..).and_then(|text| text.chars().next());
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !before.is_some_and(word) && !after.is_some_and(word)
            })
        };
        self.definition.settings.iter().any(|setting| match &setting.value {
            Literal::Text(text) => setting.key != name && named(text),
            _ => false,
        })
    }

    /// Notes a mistake in the text of a key.
    pub(super) fn report(&self, key: &str, mistake: Mistake) {
        let Mistake { span, problem, hint } = mistake;
        self.mistakes.borrow_mut().push(EnvelopeMistake {
            key: key.to_owned(),
            span,
            problem,
            hint,
        });
    }

    /// Notes a mistake of a key as a whole.
    pub(super) fn refuse<T>(
        &self,
        key: &str,
        problem: impl Into<String>,
        hint: Option<&str>,
    ) -> Option<T> {
        let (problem, hint) = (problem.into(), hint.map(str::to_owned));
        let mistake = EnvelopeMistake { key: key.to_owned(), span: 0..0, problem, hint };
        self.mistakes.borrow_mut().push(mistake);
        None
    }

    /// Every mistake, keys that nothing asked for among them.
    pub(super) fn finish(self, known: &[&str]) -> Vec<EnvelopeMistake> {
        let asked = self.asked.borrow().clone();
        for setting in &self.definition.settings {
            if !asked.contains(&setting.key) {
                let last = setting.key.rsplit('.').next().unwrap_or_default();
                let mistake = Mistake::new(0..0, "nothing reads this key here");
                self.report(&setting.key, mistake.suggest(last, known.iter().copied()));
            }
        }
        self.mistakes.into_inner()
    }
}
