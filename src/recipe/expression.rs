//! A pipeline, compiled: a source and the functions that it goes through.

use std::ops::Range;

use regex::Regex;

use crate::recipe::function::{Function, Takes};
use crate::recipe::origin::Origins;
use crate::recipe::path::Path;
use crate::recipe::source::Source;
use crate::recipe::value::Type;

/// What stands in a hole.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(crate) source: Source,
    pub(crate) calls: Box<[Call]>,
    pub(crate) kind: Type,
    pub(crate) origins: Origins,
    /// Whether anything that it reads is secret: what comes up on the way is wiped.
    pub(crate) secret: bool,
    pub(crate) span: Range<usize>,
}

/// A function with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) operands: Box<[Operand]>,
    /// The type of what it gives here.
    pub(crate) kind: Type,
}

/// An argument, as far as it is known before there is a message.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Text(Box<str>),
    Number(i64),
    Value(Expression),
    Pattern(Box<[PatternPart]>),
    Regex(Regex),
    Path(Path),
}

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum PatternPart {
    Key,
    Value,
    Text(Box<str>),
    Hole(Expression),
}

impl Expression {
    /// The type of its value.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// What it reads, through everything that it names, arguments included.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Where it stands in its template, with its braces.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether it or anything that it names reads what is secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether another expression gives the same value for every message.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source && same_calls(&self.calls, &other.calls)
    }
}

impl Call {
    /// Whether it wants JSON as JSON, and not its text.
    pub(crate) fn wants_json(&self) -> bool {
        matches!(self.function.takes, Takes::Only(types) if types.contains(&Type::Json))
    }

    /// Whether it can take in piece by piece what it is called on.
    pub(crate) fn streams(&self) -> bool {
        self.function.stream.is_some()
    }

    /// Whether it makes JSON of text.
    pub(crate) fn reads_json(&self) -> bool {
        self.function.name == "json"
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.function, other.function)
            && self.operands.len() == other.operands.len()
            && self.operands.iter().zip(&other.operands).all(|(one, two)| one.is_same(two))
    }
}

/// Whether two rows of calls do the same.
pub(crate) fn same_calls(one: &[Call], two: &[Call]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_same(two))
}

impl Operand {
    /// Whether it reads what is secret.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Self::Value(expression) => expression.secret,
            Self::Pattern(parts) => parts
                .iter()
                .any(|part| matches!(part, PatternPart::Hole(expression) if expression.secret)),
            _ => false,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Number(one), Self::Number(two)) => one == two,
            (Self::Value(one), Self::Value(two)) => one.is_same(two),
            (Self::Regex(one), Self::Regex(two)) => one.as_str() == two.as_str(),
            (Self::Path(one), Self::Path(two)) => one == two,
            (Self::Pattern(one), Self::Pattern(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_same(two))
            }
            _ => false,
        }
    }
}

impl PatternPart {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key, Self::Key) | (Self::Value, Self::Value) => true,
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Hole(one), Self::Hole(two)) => one.is_same(two),
            _ => false,
        }
    }
}
