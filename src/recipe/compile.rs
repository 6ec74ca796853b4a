//! Templates compiled: names resolved, arguments and types checked, every mistake with its place.

use std::ops::Range;
use std::sync::Arc;

use crate::recipe::expression::{Call, Expression};
use crate::recipe::function::{self, Function, Takes};
use crate::recipe::mistake::Mistake;
use crate::recipe::origin::{Origin, Origins};
use crate::recipe::path::Path;
use crate::recipe::scope::{Credentials, Scope};
use crate::recipe::source::{self, Source};
use crate::recipe::syntax::{self, RawCall, RawPiece, RawPipeline, RawSource, Word};
use crate::recipe::template::{Piece, Template};
use crate::recipe::value::Type;

/// The longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// The most functions in one pipeline.
const CALLS_MAX: usize = 32;
pub(super) fn template(text: &str, scope: &Scope) -> Result<Template, Vec<Mistake>> {
    let mut compiler = Compiler { scope, mistakes: Vec::new(), in_pattern: false };
    if text.len() > TEMPLATE_BYTES_MAX {
        let problem = format!("a template has at most {TEMPLATE_BYTES_MAX} bytes");
        return Err(vec![Mistake::new(0..text.len(), problem)]);
    }
    let raw = syntax::template(text, &mut compiler.mistakes);
    let alone = raw.len() == 1;
    let mut pieces = Vec::with_capacity(raw.len());
    let mut kind = Type::Text;
    let mut origins = Origins::default();
    for piece in raw {
        match piece {
            RawPiece::Text(word) => {
                origins.insert(Origin::Constant);
                pieces.push(Piece::Literal(word.text.into(), word.span));
            }
            RawPiece::Hole(raw) => {
                let Some(hole) = compiler.expression(raw) else { continue };
                kind = if alone { hole.kind } else { compiler.joined(kind, &hole) };
                origins.extend(&hole.origins);
                pieces.push(Piece::Hole(hole));
            }
        }
    }
    compiler.end(Template { pieces: pieces.into(), kind, origins })
}

mod arguments;

struct Compiler<'s> {
    scope: &'s Scope,
    mistakes: Vec<Mistake>,
    /// Whether a pattern is being compiled: patterns do not nest.
    in_pattern: bool,
}

impl Compiler<'_> {
    fn end<T>(mut self, whole: T) -> Result<T, Vec<Mistake>> {
        self.mistakes.sort_by_key(|mistake| mistake.span.start);
        if self.mistakes.is_empty() { Ok(whole) } else { Err(self.mistakes) }
    }

    fn note<T>(&mut self, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.mistakes.push(mistake)).ok()
    }

    /// The type of a template that has the type of its pieces so far and another hole.
    fn joined(&mut self, kind: Type, hole: &Expression) -> Type {
        match hole.kind {
            Type::Text | Type::Json => kind,
            Type::Bytes => Type::Bytes,
            Type::List | Type::Pairs => {
                let problem = format!("{} cannot stand within text", hole.kind);
                let hint = "make it text first, with 'join' or 'items'";
                self.mistakes.push(Mistake::new(hole.span(), problem).hint(hint));
                kind
            }
        }
    }

    fn expression(&mut self, raw: RawPipeline<'_>) -> Option<Expression> {
        let mut origins = Origins::default();
        let source = self.source(&raw.source, &mut origins);
        // Functions are checked behind an unknown source, too, as if it gave text.
        let kind = source.as_ref().map_or(Type::Text, |(_, kind)| *kind);
        let (calls, kind) = self.calls(raw.calls, kind, &mut origins);
        let secret = origins.hold_secret();
        let (source, _) = source?;
        Some(Expression { source, calls, kind, origins, secret, span: raw.span })
    }

    fn source(&mut self, raw: &RawSource<'_>, origins: &mut Origins) -> Option<(Source, Type)> {
        let source = match raw {
            RawSource::Quoted(word) => Ok(Source::Literal(word.text.as_ref().into())),
            RawSource::Plain(word) => match source::plain(&word.text) {
                Some(source) => Ok(source),
                None => return self.named(word, origins),
            },
            RawSource::Naming(word, name) => source::naming(&word.text, name)
                .unwrap_or_else(|| Err(unknown_source(word, source::words())))
                .and_then(|source| self.permitted(source, name)),
        };
        let source = self.note(source)?;
        source.origin().into_iter().for_each(|origin| origins.insert(origin));
        let kind = source.kind();
        Some((source, kind))
    }

    /// A value of the credential only where the scope lets it be named.
    fn permitted(&self, source: Source, name: &Word<'_>) -> Result<Source, Mistake> {
        let Source::Credential(wanted) = &source else { return Ok(source) };
        let span = name.span.clone();
        match self.scope.credentials() {
            Credentials::Any => Ok(source),
            Credentials::Only(names) if names.iter().any(|name| **name == **wanted) => Ok(source),
            Credentials::Only(names) => {
                let mistake = Mistake::new(span, format!("credentials have no value '{wanted}'"));
                Err(mistake.suggest(wanted, names.iter().map(String::as_str)))
            }
            Credentials::None => Err(Mistake::new(span, "no value of a credential is known here")),
        }
    }

    /// A name of the scope, or a member of one: `box.iv`.
    fn named(&mut self, word: &Word<'_>, origins: &mut Origins) -> Option<(Source, Type)> {
        let found = self.lookup(word);
        let (source, kind, more) = self.note(found)?;
        origins.extend(&more);
        Some((source, kind))
    }

    fn lookup(&self, word: &Word<'_>) -> Result<(Source, Type, Origins), Mistake> {
        if let Some((index, found)) = self.scope.find(&word.text) {
            return Ok((Source::Named(index), found.kind, found.origins.clone()));
        }
        let (name, path) = word.text.split_once('.').unwrap_or((&word.text, ""));
        if let Some((index, found)) = self.scope.find(name) {
            if !matches!(found.kind, Type::Json | Type::Pairs) {
                let problem = format!("'{name}' is {} and has no members", found.kind);
                return Err(Mistake::new(word.span.clone(), problem));
            }
            let steps = Path::parse(path);
            let steps = steps.map_err(|problem| Mistake::new(word.span.clone(), problem))?;
            let kind = if found.kind == Type::Json { Type::Json } else { Type::Text };
            let source = Source::Member(index, Arc::new(steps), path.into());
            return Ok((source, kind, found.origins.clone()));
        }
        if source::takes_name(&word.text) {
            let problem = format!("'{}' takes a name", word.text);
            let hint = format!("write '{}:NAME'", word.text);
            return Err(Mistake::new(word.span.clone(), problem).hint(hint));
        }
        let mut known: Vec<&str> = source::words().collect();
        known.extend(self.scope.names());
        Err(unknown_source(word, known.into_iter()))
    }

    fn calls(
        &mut self,
        raw: Vec<RawCall<'_>>,
        mut kind: Type,
        origins: &mut Origins,
    ) -> (Box<[Call]>, Type) {
        let mut calls = Vec::with_capacity(raw.len());
        if let Some(call) = raw.get(CALLS_MAX) {
            let problem = format!("a pipeline has at most {CALLS_MAX} functions");
            self.mistakes.push(Mistake::new(call.span.clone(), problem));
        }
        for call in raw {
            let Some(function) = function::find(&call.name.text) else {
                self.mistakes.push(unknown_function(&call.name));
                continue;
            };
            let given = result_type(function, kind, call.name.span.clone());
            kind = self.note(given).unwrap_or_else(|| (function.gives)(Type::Text));
            if let Some(operands) = self.operands(function, call, origins) {
                calls.push(Call { function, operands, kind });
            }
        }
        (calls.into(), kind)
    }
}

fn origins_of(source: &Source) -> Origins {
    let mut origins = Origins::default();
    source.origin().into_iter().for_each(|origin| origins.insert(origin));
    origins
}

fn unknown_source<'n>(word: &Word<'_>, known: impl Iterator<Item = &'n str>) -> Mistake {
    let problem = format!("there is no source or name '{}'", word.text);
    Mistake::new(word.span.clone(), problem).suggest(&word.text, known)
}

fn unknown_function(name: &Word<'_>) -> Mistake {
    let problem = format!("there is no function '{}'", name.text);
    let known = function::all().map(|function| function.name);
    Mistake::new(name.span.clone(), problem).suggest(&name.text, known)
}

/// The type that a function gives for a value of a type.
fn result_type(function: &Function, kind: Type, span: Range<usize>) -> Result<Type, Mistake> {
    let name = function.name;
    match function.takes {
        Takes::Text | Takes::Bytes => match kind {
            Type::List | Type::Pairs => {
                let each = (function.gives)(Type::Text);
                if each == Type::Text {
                    return Ok(kind);
                }
                let problem = format!("'{name}' makes {each} of each value of {kind}");
                Err(Mistake::new(span, problem).hint("only functions that give text go over many"))
            }
            Type::Json => Ok((function.gives)(Type::Text)),
            Type::Text | Type::Bytes if function.takes == Takes::Text => {
                Ok((function.gives)(Type::Text))
            }
            Type::Text | Type::Bytes => Ok((function.gives)(kind)),
        },
        Takes::Only(types) => match accepted(types, kind) {
            Some(kind) => Ok((function.gives)(kind)),
            None => {
                let wanted: Vec<String> = types.iter().map(Type::to_string).collect();
                let wanted = wanted.join(" or ");
                Err(Mistake::new(span, format!("'{name}' takes {wanted}, and here comes {kind}")))
            }
        },
    }
}

/// The type as which a function that takes some types is called with a value of another.
pub(super) fn accepted(types: &[Type], kind: Type) -> Option<Type> {
    let order: &[Type] = match kind {
        Type::Text => &[Type::Text, Type::Bytes],
        Type::Bytes => &[Type::Bytes, Type::Text],
        Type::List => &[Type::List],
        Type::Pairs => &[Type::Pairs],
        // Text first: a member is a string more often than anything else.
        Type::Json => &[Type::Json, Type::Text, Type::Pairs, Type::List, Type::Bytes],
    };
    order.iter().copied().find(|kind| types.contains(kind))
}

#[cfg(test)]
mod tests;
