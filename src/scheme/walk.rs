//! Through a compiled template to everything that it reads, and how whole that arrives.

use crate::recipe::expression::{Call, Expression, Operand, PatternPart};
use crate::recipe::source::Source;
use crate::recipe::template::Piece;
use crate::recipe::{Origin, Scope, Template};

/// Functions that keep everything: different values stay different, but for equal data in another
/// order or spelling.
#[rustfmt::skip]
const KEEPING: [&str; 34] = [
    "add", "append", "base64", "base64url", "blake2b", "canon", "default", "dump", "enc", "flat",
    "fold_hmac", "form", "hex", "hmac", "if_empty", "join", "json", "keccak256", "md5", "plus",
    "prepend", "sha1", "sha224", "sha256", "sha384", "sha3_256", "sha3_512", "sha512", "sha512_256",
    "sort", "text", "urlencode", "wrap", "xml",
];

/// Functions that leave out what they name, and keep all else.
const LEAVING_OUT: [&str; 2] = ["drop", "without_param"];

/// One thing that is read.
#[derive(Clone)]
pub(super) struct Reading<'p> {
    /// What it is; none for a value that is handed in.
    pub(super) origin: Option<&'p Origin>,
    /// Whether all of it arrives.
    pub(super) whole: bool,
    source: &'p Source,
    calls: Vec<&'p Call>,
    /// How many calls, from the first, lose something.
    losing: usize,
}

impl Reading<'_> {
    /// Whether another reading is a stage on the way of this one, from which on nothing is lost.
    pub(super) fn keeps(&self, other: &Reading<'_>) -> bool {
        let stages = other.calls.len();
        let same = self.calls.iter().zip(&other.calls).all(|(own, one)| own.is_same(one));
        self.source == other.source && stages <= self.calls.len() && same && self.losing <= stages
    }

    /// Whether something is put in its place when it is absent.
    pub(super) fn may_be_absent(&self) -> bool {
        self.calls.iter().any(|call| call.function.absence)
    }
}

/// Everything that a template reads. `own` are the names of parameters that hold the signature:
/// to leave these out loses nothing.
pub(super) fn readings<'p>(
    template: &'p Template,
    scope: &'p Scope,
    own: &[String],
) -> Vec<Reading<'p>> {
    let mut walk = Walk { scope, own, found: Vec::new() };
    walk.template(template, &[]);
    walk.found
}

/// What a template can give, where it ends in a `map`.
pub(super) fn choices(template: &Template) -> Option<Vec<&str>> {
    let [Piece::Hole(expression)] = template.pieces() else { return None };
    let last = expression.calls.last().filter(|call| call.function.name == "map")?;
    let texts = last.operands.iter().map(|operand| match operand {
        Operand::Text(text) => Some(&**text),
        Operand::Value(Expression { source: Source::Literal(text), .. }) => Some(&**text),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect::<Option<_>>()?;
    Some(texts.chunks(2).filter_map(|pair| pair.get(1).copied()).collect())
}

struct Walk<'p, 'o> {
    scope: &'p Scope,
    own: &'o [String],
    found: Vec<Reading<'p>>,
}

impl<'p> Walk<'p, '_> {
    /// A template whose value then goes through some calls.
    fn template(&mut self, template: &'p Template, after: &[&'p Call]) {
        for piece in template.pieces() {
            if let Piece::Hole(expression) = piece {
                self.expression(expression, after);
            }
        }
    }

    fn expression(&mut self, expression: &'p Expression, after: &[&'p Call]) {
        let calls: Vec<&Call> = expression.calls.iter().chain(after.iter().copied()).collect();
        for (at, call) in expression.calls.iter().enumerate() {
            let rest = calls.get(at..).unwrap_or_default();
            self.operands(call, rest);
        }
        match &expression.source {
            Source::Named(index) => {
                let templates =
                    self.scope.definition(*index).and_then(|one| one.templates.as_ref());
                for (_, template) in templates.into_iter().flat_map(|templates| templates.iter()) {
                    self.template(template, &calls);
                }
            }
            source => self.source(source, expression, calls),
        }
    }

    fn source(&mut self, source: &'p Source, expression: &'p Expression, calls: Vec<&'p Call>) {
        let last = calls.iter().rposition(|call| !self.keeps(call));
        let losing = last.map_or(0, |at| at + 1);
        let origin = source.origin();
        let origin = expression.origins.iter().find(|own| Some(*own) == origin.as_ref());
        let whole = losing == 0 && source.is_whole();
        self.found.push(Reading { origin, whole, source, calls, losing });
    }

    /// What a call takes in beside its value. Through functions that take it in whole it arrives
    /// as the value does.
    fn operands(&mut self, call: &'p Call, rest: &[&'p Call]) {
        for operand in &call.operands {
            match operand {
                Operand::Value(inner) => self.expression(inner, rest),
                Operand::Pattern(parts) => {
                    for part in parts {
                        if let PatternPart::Hole(inner) = part {
                            self.expression(inner, rest);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn keeps(&self, call: &Call) -> bool {
        let name = call.function.name;
        if name == "items" {
            let has = |wanted: fn(&PatternPart) -> bool| {
                call.operands.iter().any(|operand| match operand {
                    Operand::Pattern(parts) => parts.iter().any(wanted),
                    _ => false,
                })
            };
            return has(|part| matches!(part, PatternPart::Key))
                && has(|part| matches!(part, PatternPart::Value));
        }
        if LEAVING_OUT.contains(&name) {
            return call.operands.iter().all(|operand| match operand {
                Operand::Text(text) => self.own.iter().any(|own| **own == **text),
                _ => false,
            });
        }
        KEEPING.contains(&name)
    }
}
