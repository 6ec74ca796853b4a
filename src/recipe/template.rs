//! A compiled template: text and holes.

use std::ops::Range;

use crate::recipe::compile;
use crate::recipe::expression::Expression;
use crate::recipe::mistake::Mistake;
use crate::recipe::origin::{Origin, Origins};
use crate::recipe::scope::Scope;
use crate::recipe::source::Source;
use crate::recipe::value::Type;

/// A template, compiled for one scope; it is evaluated with that scope or a later state of it.
///
/// ```text
/// template = { text | "{{" | "}}" | "{" pipeline "}" }
/// pipeline = source { "|" call }
/// source   = word [ ":" ( quoted | name ) ] | "url(public)" | quoted
/// call     = word [ "(" [ argument { "," argument } ] ")" ]
/// argument = quoted | integer | "@" name
/// quoted   = "'" text "'"            with \n \r \t \' \\ resolved
/// ```
///
/// A word without a name is a source or a name of the scope; `name.a.0` is a member of one that is
/// JSON or pairs. `@name` is a name of the scope, `@secret`, or a value of the credential. A name
/// behind a colon ends at white space, `|` or a brace, or stands in quotes. Paths of `json:` have
/// dots between their steps, and steps with dots in double quotes.
///
/// A template that is one hole has the type of that hole; any other is text, or bytes where a hole
/// gives bytes. What is absent, repeated or malformed is a [`Fault`](crate::recipe::Fault) and not
/// an empty text; functions such as `default` take absence, and nothing takes the others.
#[derive(Clone, Debug)]
pub struct Template {
    pub(crate) pieces: Box<[Piece]>,
    pub(crate) kind: Type,
    pub(crate) origins: Origins,
}

/// A part of a template.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as written, braces resolved.
    Literal(Box<str>, Range<usize>),
    /// A hole.
    Hole(Expression),
}

impl Piece {
    /// Where it stands in the template.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Literal(_, span) => span.clone(),
            Self::Hole(expression) => expression.span(),
        }
    }

    /// What it reads first.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Self::Literal(..) => Some(Origin::Constant),
            Self::Hole(expression) => expression.source.origin(),
        }
    }
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// All mistakes that it has.
    pub fn compile(text: &str, scope: &Scope) -> Result<Self, Vec<Mistake>> {
        compile::template(text, scope)
    }

    /// The type of its value: that of its hole if it is one hole; else text, or bytes where a hole
    /// gives bytes.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// What it reads, through everything that it names.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Text and holes in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether it reads what is secret.
    pub fn is_secret(&self) -> bool {
        self.origins.hold_secret()
    }

    /// Whether it reads the body.
    pub fn reads_body(&self) -> bool {
        self.origins.hold_body()
    }

    /// Whether it only joins text and sources, so that handing it on is as cheap as keeping it. A
    /// name in it may stand for another template, and those could grow without bound.
    pub(crate) fn only_joins(&self) -> bool {
        let named = |source: &Source| matches!(source, Source::Named(_) | Source::Member(..));
        self.holes().all(|hole| hole.calls.is_empty() && !named(&hole.source))
    }

    /// Its hole, if it is one hole.
    pub(crate) fn hole(&self) -> Option<&Expression> {
        match &*self.pieces {
            [Piece::Hole(expression)] => Some(expression),
            _ => None,
        }
    }

    pub(crate) fn holes(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(expression) => Some(expression),
            Piece::Literal(..) => None,
        })
    }
}
