//! The functions of the language: one table. A function is one entry, in one place.

use std::borrow::Cow;

use regex::Regex;
use zeroize::Zeroize as _;

use crate::recipe::fault::Fault;
use crate::recipe::path::Path;
use crate::recipe::value::{Type, Value, wipe_text};

mod collection;
mod cut;
mod digest;
mod encoding;
mod input;
mod json;
mod list;
mod number;
mod order;
mod text;
mod time;

pub use list::LOOKUPS_MAX;

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name in templates.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// The type that it gives for a type that it takes. For a list or pairs that it maps over, it
    /// is asked with the type of one value.
    pub gives: fn(Type) -> Type,
    /// What stands in its parentheses.
    pub parameters: &'static [Parameter],
    /// A source that is handed to it as its first argument without being written, such as
    /// `params.headers`.
    pub reads: Option<&'static str>,
    /// Whether it is called with `None` for an absent value; others pass the absence on.
    pub absence: bool,
    /// What it does.
    pub apply: Apply,
    /// How it takes bytes in piece by piece, for functions that can. What it gives must be what
    /// `apply` gives.
    pub stream: Option<Stream>,
    /// What it does, in one line.
    pub about: &'static str,
}

/// What a function does: the value it is called on, its arguments in order. Faults have no place
/// yet. Slices of borrowed values stay borrowed.
pub type Apply = for<'a> fn(Option<&Value<'a>>, &[Argument<'a>]) -> Result<Value<'a>, Fault>;

/// Begins to take in bytes.
pub type Stream = fn(&[Argument<'_>]) -> Result<Box<dyn Absorb>, Fault>;

/// A digest or MAC in the making.
pub trait Absorb {
    /// Adds bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Ends the bytes: the digest.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// One text: it is called with [`Value::Text`]. Bytes that are UTF-8 and JSON scalars are made
    /// text for it. It maps over a list and over the values of pairs.
    Text,
    /// One value: it is called with [`Value::Text`], [`Value::Bytes`] or [`Value::Body`]. It maps
    /// as [`Takes::Text`] does.
    Bytes,
    /// A value of one of these types; nothing is mapped. JSON is made text for a function that
    /// takes [`Type::Text`] and not [`Type::Json`], or else pairs, or else a list.
    Only(&'static [Type]),
}

/// What stands at one place of the parentheses.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in documentation and mistakes.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// How often.
    pub presence: Presence,
}

/// What may stand at the place of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `'text'`, fixed: [`Argument::Text`].
    Text,
    /// `'text'`, one of these: [`Argument::Text`].
    Choice(&'static [&'static str]),
    /// An integer: [`Argument::Number`].
    Number,
    /// `'text'`, or `@name` that is text, bytes or JSON: [`Argument::Value`].
    Value,
    /// `'text'`, or `@name` of any type: [`Argument::Value`].
    Any,
    /// `'text'` with `{k}`, `{v}` and holes of its own: [`Argument::Pattern`].
    Pattern,
    /// `'regular expression'`: [`Argument::Regex`].
    Regex,
    /// `'a.b.0'`: [`Argument::Path`].
    Path,
}

/// How often a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Once.
    Required,
    /// Once or not at all; only optional and repeated ones follow.
    Optional,
    /// At least once; the last parameter.
    Repeated,
    /// Any number of times, or not at all; the last parameter.
    Any,
    /// Twice, four times and so on; the last parameter.
    InPairs,
}

/// What stands in the parentheses, evaluated.
#[derive(Debug)]
pub enum Argument<'a> {
    /// Fixed text.
    Text(&'a str),
    /// An integer.
    Number(i64),
    /// A value; JSON is not made text.
    Value(Value<'a>),
    /// A pattern for pairs or items.
    Pattern(Vec<PatternPiece<'a>>),
    /// A regular expression.
    Regex(&'a Regex),
    /// A path into JSON.
    Path(&'a Path),
}

/// A part of a pattern.
#[derive(Clone)]
pub enum PatternPiece<'a> {
    /// `{k}`: the name of the pair.
    Key,
    /// `{v}`: the value, or the item of a list.
    Value,
    /// Text, or the value of a hole.
    Text(Cow<'a, str>),
}

impl std::fmt::Debug for PatternPiece<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key => "{k}",
            Self::Value => "{v}",
            Self::Text(_) => "‹text›",
        })
    }
}

impl Argument<'_> {
    /// Overwrites what it owns.
    pub(crate) fn wipe(&mut self) {
        match self {
            Self::Value(value) => value.wipe(),
            Self::Pattern(pieces) => pieces.iter_mut().for_each(|piece| {
                if let PatternPiece::Text(text) = piece {
                    wipe_text(text);
                }
            }),
            Self::Number(number) => number.zeroize(),
            Self::Text(_) | Self::Regex(_) | Self::Path(_) => {}
        }
    }
}

/// The function of a name.
pub fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// Every function.
pub fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

static TABLES: [&[Function]; 11] = [
    text::TABLE,
    number::TABLE,
    cut::TABLE,
    encoding::TABLE,
    digest::DIGESTS,
    digest::TABLE,
    collection::TABLE,
    order::TABLE,
    list::TABLE,
    json::TABLE,
    time::TABLE,
];

/// What the tables are written with.
impl Function {
    const fn new(
        name: &'static str,
        takes: Takes,
        gives: fn(Type) -> Type,
        about: &'static str,
        apply: Apply,
    ) -> Self {
        let (parameters, reads, absence, stream) = (&[], None, false, None);
        Self { name, takes, gives, parameters, reads, absence, apply, stream, about }
    }

    /// A function that gives text.
    const fn text(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |_| Type::Text, about, apply)
    }

    /// A function that gives bytes.
    const fn bytes(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |_| Type::Bytes, about, apply)
    }

    /// A function that gives a list.
    const fn list(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |_| Type::List, about, apply)
    }

    /// A function that gives pairs.
    const fn pairs(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |_| Type::Pairs, about, apply)
    }

    /// A function that gives JSON.
    const fn json(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |_| Type::Json, about, apply)
    }

    /// A function that gives the type that it takes.
    const fn same(name: &'static str, takes: Takes, about: &'static str, apply: Apply) -> Self {
        Self::new(name, takes, |kind| kind, about, apply)
    }

    /// With parameters.
    const fn with(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// With another rule for what it gives.
    const fn giving(self, gives: fn(Type) -> Type) -> Self {
        Self { gives, ..self }
    }

    /// With a source that is handed to it.
    const fn reads(self, source: &'static str) -> Self {
        Self { reads: Some(source), ..self }
    }

    /// Called for absent values too.
    const fn absence(self) -> Self {
        Self { absence: true, ..self }
    }

    /// Able to take bytes in piece by piece.
    const fn streams(self, stream: Stream) -> Self {
        Self { stream: Some(stream), ..self }
    }
}

impl Parameter {
    /// Stands once.
    const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Required }
    }

    /// Stands once or not at all.
    const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Optional }
    }

    /// Stands at least once.
    const fn repeated(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Repeated }
    }

    /// Stands any number of times.
    const fn any(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Any }
    }

    /// Stands twice, four times and so on.
    const fn in_pairs(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::InPairs }
    }
}

#[cfg(test)]
mod tests;
