//! Whether a value still stands in a template as it was read: what freshness and the replay memory
//! read must be what is signed.
//!
//! A value is carried by functions whose result is another for another value: encodings, digests,
//! sorting, joining. One that changes, cuts or replaces it ends that.

use crate::recipe::expression::{Call, Expression, Operand, PatternPart, same_calls};
use crate::recipe::origin::Origin;
use crate::recipe::scope::Scope;
use crate::recipe::source::Source;
use crate::recipe::template::Template;

/// Functions that carry whatever comes in. Values of pairs are carried with their names.
const CARRYING: [&str; 34] = [
    "hex", "base64", "base64url", "urlencode", "enc", "md5", "sha1", "sha224", "sha256", "sha384",
    "sha512", "sha512_256", "sha3_256", "sha3_512", "hmac", "sort", "sort_names", "upper_names",
    "lower_names", "values", "join", "append", "prepend", "plus", "add", "dump", "canon", "leaves",
    "flat", "json", "wrap", "unique", "first_of_name", "drop_empty",
];

/// What is looked for.
struct Wanted<'w> {
    what: What<'w>,
    /// The name of the field, where it is one of many.
    field: Option<&'w str>,
    /// The names that may be left out, where it is all fields.
    but: &'w [&'w str],
}

enum What<'w> {
    Origin(&'w Origin),
    /// A source and the functions that it goes through.
    Pipeline(&'w Source, &'w [Call]),
}

impl Template {
    /// Whether a source stands in the template as it was read, not replaced by a default, not cut
    /// and not folded into the same as others.
    pub fn is_unchanged(&self, of: &Origin, scope: &Scope) -> bool {
        self.is_unchanged_but(of, &[], scope)
    }

    /// As [`Template::is_unchanged`], for all fields of a query, form, JSON object or XML document
    /// of which some may be left out, as a signature is that stands among them.
    pub fn is_unchanged_but(&self, of: &Origin, but: &[&str], scope: &Scope) -> bool {
        self.carries_wanted(&Wanted { what: What::Origin(of), field: field(of), but }, scope)
    }

    /// Whether the value of another template, which is one hole, stands in this one as it is there.
    pub fn carries(&self, other: &Self, scope: &Scope) -> bool {
        let mut sought = other.hole();
        while let Some(hole) = sought {
            if self.carries_hole(hole, scope) {
                return true;
            }
            // Another name for the same value.
            sought = match (&hole.source, &*hole.calls) {
                (Source::Named(index), []) => only_template(scope, *index).and_then(Self::hole),
                _ => None,
            };
        }
        false
    }

    fn carries_hole(&self, hole: &Expression, scope: &Scope) -> bool {
        let wanted = |what, field| self.carries_wanted(&Wanted { what, field, but: &[] }, scope);
        let whole = What::Pipeline(&hole.source, &hole.calls);
        if wanted(whole, None) {
            return true;
        }
        match (&*hole.calls, hole.source.origin()) {
            ([], Some(origin)) if hole.source.is_whole() => {
                wanted(What::Origin(&origin), field(&origin))
            }
            // A field is carried by what carries all fields.
            ([before @ .., last], _) if last.function.name == "get" => {
                let field = first_text(last);
                field.is_some() && wanted(What::Pipeline(&hole.source, before), field)
            }
            _ => false,
        }
    }

    fn carries_wanted(&self, wanted: &Wanted<'_>, scope: &Scope) -> bool {
        self.holes().any(|hole| wanted.is_in(hole, scope))
    }
}

impl Wanted<'_> {
    fn is_in(&self, hole: &Expression, scope: &Scope) -> bool {
        let mut calls = &*hole.calls;
        loop {
            if matches!(self.what, What::Pipeline(source, own)
                if *source == hole.source && same_calls(own, calls))
            {
                return true;
            }
            let [before @ .., last] = calls else { return self.is_source(&hole.source, scope) };
            if last.operands.iter().any(|operand| self.is_operand(last, operand, scope)) {
                return true;
            }
            if !self.passes(last) {
                return false;
            }
            calls = before;
        }
    }

    fn is_source(&self, source: &Source, scope: &Scope) -> bool {
        if let Source::Named(index) = source {
            let Some(definition) = scope.definition(*index) else { return false };
            return match &definition.templates {
                Some(templates) => {
                    templates.iter().all(|(_, template)| template.carries_wanted(self, scope))
                }
                None => matches!(self.what, What::Origin(of) if definition.origins.contains(of)),
            };
        }
        let What::Origin(of) = self.what else { return false };
        match source {
            Source::QueryAll(_) | Source::FormAll(_) | Source::XmlAll(_) | Source::HeaderAll(_) => {
                source.origin().is_some_and(|origin| origin == *of)
            }
            source if !source.is_whole() => false,
            source => source.origin().is_some_and(|origin| covers(&origin, of)),
        }
    }

    /// Whether it comes in by an argument of a function that joins things.
    fn is_operand(&self, call: &Call, operand: &Operand, scope: &Scope) -> bool {
        let joins = ["append", "prepend", "plus", "add", "items"].contains(&call.function.name);
        match operand {
            Operand::Value(inner) => joins && self.is_in(inner, scope),
            Operand::Pattern(parts) => parts.iter().any(
                |part| matches!(part, PatternPart::Hole(inner) if self.is_in(inner, scope)),
            ),
            _ => false,
        }
    }

    /// Whether a function carries it on.
    fn passes(&self, call: &Call) -> bool {
        let names = || {
            call.operands.iter().filter_map(|operand| match operand {
                Operand::Text(text) => Some(&**text),
                _ => None,
            })
        };
        match (call.function.name, self.field) {
            ("drop" | "without_param", Some(field)) => {
                names().all(|name| !name.eq_ignore_ascii_case(field))
            }
            ("drop" | "without_param", None) => names().all(|name| self.but.contains(&name)),
            ("pick", Some(field)) => names().any(|name| name == field),
            ("drop_nested", Some(field)) => !matches!(self.what, What::Origin(Origin::Json(path))
                if **path != *field),
            ("items", _) => call.operands.iter().any(|operand| {
                matches!(operand, Operand::Pattern(parts)
                    if parts.iter().any(|part| matches!(part, PatternPart::Value)))
            }),
            (name, _) => CARRYING.contains(&name),
        }
    }
}

fn only_template(scope: &Scope, index: usize) -> Option<&Template> {
    scope.definition(index)?.templates.as_ref()?.only()
}

fn first_text(call: &Call) -> Option<&str> {
    match call.operands.first()? {
        Operand::Text(text) => Some(text),
        Operand::Path(path) => path.steps().first().map(|step| &*step.name),
        _ => None,
    }
}

/// The name of the field that an origin is.
fn field(origin: &Origin) -> Option<&str> {
    match origin {
        Origin::QueryField(name) | Origin::Form(name) | Origin::Xml(name) => Some(name),
        Origin::Json(path) => Some(path.split_once('.').map_or(path, |(first, _)| first)),
        Origin::Header(name) => Some(name.0.as_str()),
        _ => None,
    }
}

/// Whether one origin holds all of another.
fn covers(one: &Origin, other: &Origin) -> bool {
    let part = match one {
        Origin::Target => {
            matches!(other, Origin::Path | Origin::Query | Origin::QueryFields | Origin::QueryField(_))
        }
        Origin::Url => {
            matches!(other, Origin::Scheme | Origin::Authority | Origin::Target)
                || covers(&Origin::Target, other)
        }
        Origin::Query => matches!(other, Origin::QueryFields | Origin::QueryField(_)),
        Origin::QueryFields => matches!(other, Origin::QueryField(_)),
        Origin::Body => other.is_body(),
        Origin::FormFields => matches!(other, Origin::Form(_)),
        Origin::JsonDocument => matches!(other, Origin::Json(_)),
        Origin::XmlElements => matches!(other, Origin::Xml(_)),
        Origin::Headers => matches!(other, Origin::Header(_)),
        _ => false,
    };
    part || one == other
}
