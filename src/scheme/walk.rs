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

    /// Whether another reading is made of what this one keeps: two messages in which this one is
    /// the same do not differ in the other. Where both put something in the place of an absent
    /// value, absence and that text are one to the first and may be two to the other.
    pub(super) fn fixes(&self, other: &Reading<'_>) -> bool {
        let both = self.calls.iter().zip(&other.calls);
        let common = both.take_while(|(own, one)| own.is_same(one)).count();
        let later = |calls: &[&Call]| calls.iter().skip(common).any(|call| call.function.absence);
        let absence = later(&self.calls) && later(&other.calls);
        self.source == other.source && common >= self.losing && !absence
    }

    /// Whether it reads a name that stands for nothing: a value that is handed in.
    pub(super) fn is_handed_in(&self) -> bool {
        matches!(self.source, Source::Named(_) | Source::Member(..))
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
    let mut walk = Walk { scope, own, through_members: false, found: Vec::new() };
    walk.template(template, &[]);
    walk.found
}

/// Everything that a template of a scope reads that is not the scheme's own. A member of a name is
/// taken for the whole value of that name, since places in two scopes do not compare.
pub(super) fn readings_elsewhere<'p>(template: &'p Template, scope: &'p Scope) -> Vec<Reading<'p>> {
    let mut walk = Walk { scope, own: &[], through_members: true, found: Vec::new() };
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
    /// Whether members of names are followed to what the names stand for.
    through_members: bool,
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
        let defined = |index: &usize| self.scope.definition(*index)?.templates.as_ref();
        let (templates, after) = match &expression.source {
            Source::Named(index) => (defined(index), calls.as_slice()),
            Source::Member(index, ..) if self.through_members => (defined(index), &[][..]),
            _ => (None, &[][..]),
        };
        match templates {
            Some(templates) => {
                templates.iter().for_each(|(_, template)| self.template(template, after));
            }
            None => self.source(&expression.source, expression, calls),
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
