//! Templates compiled: names resolved, arguments and types checked, every mistake with its place.

use std::ops::Range;
use std::sync::Arc;

use regex::RegexBuilder;

use crate::recipe::expression::{Call, Expression, Operand, PatternPart};
use crate::recipe::function::{self, Function, Kind, Parameter, Presence, Takes};
use crate::recipe::mistake::Mistake;
use crate::recipe::origin::{Origin, Origins};
use crate::recipe::path::Path;
use crate::recipe::scope::{Credentials, Scope};
use crate::recipe::source::{self, Source};
use crate::recipe::syntax::{self, RawArgument, RawCall, RawPiece, RawPipeline, RawSource, Word};
use crate::recipe::template::{Piece, Pipeline, Template};
use crate::recipe::value::Type;

/// The longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// The most functions in one pipeline.
const CALLS_MAX: usize = 32;
/// The most memory that a compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// The names that mean the parts of a pair in a pattern.
const PATTERN_NAMES: [&str; 2] = ["k", "v"];

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

pub(super) fn pipeline(text: &str, takes: Type, scope: &Scope) -> Result<Pipeline, Vec<Mistake>> {
    let mut compiler = Compiler { scope, mistakes: Vec::new(), in_pattern: false };
    let raw = syntax::calls(text).map_err(|mistake| vec![mistake])?;
    let mut origins = Origins::default();
    let (calls, kind) = compiler.calls(raw, takes, &mut origins);
    compiler.end(Pipeline { calls, takes, kind, origins })
}

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

    fn operands(
        &mut self,
        function: &'static Function,
        call: RawCall<'_>,
        origins: &mut Origins,
    ) -> Option<Box<[Operand]>> {
        let mut operands = Vec::with_capacity(call.arguments.len() + 1);
        if let Some(word) = function.reads {
            let span = call.span.clone();
            let implied = self.implied(word, span, origins);
            operands.extend(implied.map(Operand::Value));
        }
        let fitting = arity(function, &call);
        self.note(fitting)?;
        let mut complete = true;
        for (at, argument) in call.arguments.into_iter().enumerate() {
            let Some(parameter) = parameter(function, at) else { break };
            match self.operand(function, parameter, argument, origins) {
                Some(operand) => operands.push(operand),
                None => complete = false,
            }
        }
        complete.then(|| operands.into())
    }

    /// The source that a function reads without its being written.
    fn implied(
        &mut self,
        word: &'static str,
        span: Range<usize>,
        origins: &mut Origins,
    ) -> Option<Expression> {
        let raw = RawSource::Plain(Word { text: word.into(), span: span.clone() });
        let (source, kind) = self.source(&raw, origins)?;
        let read = origins_of(&source);
        let secret = read.hold_secret();
        Some(Expression { source, calls: Box::default(), kind, origins: read, secret, span })
    }

    fn operand(
        &mut self,
        function: &Function,
        parameter: &Parameter,
        argument: RawArgument<'_>,
        origins: &mut Origins,
    ) -> Option<Operand> {
        let span = argument.span();
        let result = match (parameter.kind, argument) {
            (Kind::Text, RawArgument::Quoted(word)) => Ok(Operand::Text(word.text.into())),
            (Kind::Choice(choices), RawArgument::Quoted(word)) => chosen(choices, word),
            (Kind::Number, RawArgument::Number(number, _)) => Ok(Operand::Number(number)),
            (Kind::Value | Kind::Any, RawArgument::Quoted(word)) => {
                let source = Source::Literal(word.text.as_ref().into());
                let expression = Expression {
                    origins: origins_of(&source),
                    source,
                    calls: Box::default(),
                    kind: Type::Text,
                    secret: false,
                    span,
                };
                Ok(Operand::Value(expression))
            }
            (Kind::Value | Kind::Any, RawArgument::Name(word)) => {
                let value = self.value(&word, origins)?;
                let many = matches!(value.kind, Type::List | Type::Pairs);
                if !many || parameter.kind == Kind::Any {
                    return Some(Operand::Value(value));
                }
                let (name, function) = (parameter.name, function.name);
                let problem = format!("'{name}' of '{function}' is one value, not {}", value.kind);
                Err(Mistake::new(span, problem))
            }
            (Kind::Pattern, RawArgument::Quoted(word)) => {
                return self.pattern(&word, origins).map(Operand::Pattern);
            }
            (Kind::Regex, RawArgument::Quoted(word)) => regex(&word),
            (Kind::Path, RawArgument::Quoted(word)) => {
                let path = Path::parse(&word.text).map(Operand::Path);
                path.map_err(|problem| Mistake::new(span, problem))
            }
            (kind, _) => {
                let wanted = format!("'{}' of '{}' is ", parameter.name, function.name);
                Err(Mistake::new(span, wanted + wanted_form(kind)))
            }
        };
        self.note(result)
    }

    /// `@name`: a name of the scope, the secret, or a value of the credential.
    fn value(&mut self, word: &Word<'_>, origins: &mut Origins) -> Option<Expression> {
        let start = word.span.start.saturating_sub(1);
        let (source, kind, read) = if let Ok(found) = self.lookup(word) {
            found
        } else {
            let name = word.text.strip_prefix("cred:").unwrap_or(&word.text);
            let source = match &*word.text {
                "secret" => Ok(Source::Secret),
                other if source::plain(other).is_some() || other.is_empty() => {
                    Err(Mistake::new(word.span.clone(), format!("'{other}' is a source"))
                        .hint(format!("give it a name of its own: let.NAME = \"{{{other}}}\"")))
                }
                _ => {
                    let word = Word { text: name.into(), span: word.span.clone() };
                    self.permitted(Source::Credential(name.into()), &word).map_err(|mistake| {
                        let unknown = format!("'{name}' is not defined before this");
                        let mistake = Mistake { problem: unknown, ..mistake };
                        if mistake.hint.is_some() {
                            return mistake;
                        }
                        mistake.suggest(name, self.scope.names())
                    })
                }
            };
            let source = self.note(source)?;
            let read = origins_of(&source);
            (source, Type::Bytes, read)
        };
        origins.extend(&read);
        let secret = read.hold_secret();
        let span = start..word.span.end;
        Some(Expression { source, calls: Box::default(), kind, origins: read, secret, span })
    }

    /// A pattern: text with `{k}`, `{v}` and other holes. Places are those of the whole argument.
    fn pattern(&mut self, word: &Word<'_>, origins: &mut Origins) -> Option<Box<[PatternPart]>> {
        if self.in_pattern {
            let problem = "a pattern cannot stand in another";
            self.mistakes.push(Mistake::new(word.span.clone(), problem));
            return None;
        }
        let before = self.mistakes.len();
        let raw = syntax::template(&word.text, &mut self.mistakes);
        let mut parts = Vec::with_capacity(raw.len());
        self.in_pattern = true;
        for piece in raw {
            match piece {
                RawPiece::Text(text) => parts.push(PatternPart::Text(text.text.into())),
                RawPiece::Hole(hole) => match pattern_name(&hole) {
                    Some("k") => parts.push(PatternPart::Key),
                    Some(_) => parts.push(PatternPart::Value),
                    None => {
                        let Some(hole) = self.expression(hole) else { continue };
                        self.joined(Type::Text, &hole);
                        origins.extend(&hole.origins);
                        parts.push(PatternPart::Hole(hole));
                    }
                },
            }
        }
        self.in_pattern = false;
        let mistakes = self.mistakes.get_mut(before..).unwrap_or_default();
        mistakes.iter_mut().for_each(|mistake| mistake.span = word.span.clone());
        mistakes.is_empty().then(|| parts.into())
    }
}

fn origins_of(source: &Source) -> Origins {
    let mut origins = Origins::default();
    source.origin().into_iter().for_each(|origin| origins.insert(origin));
    origins
}

fn pattern_name(hole: &RawPipeline<'_>) -> Option<&'static str> {
    let RawSource::Plain(word) = &hole.source else { return None };
    let name = PATTERN_NAMES.into_iter().find(|name| *name == word.text);
    name.filter(|_| hole.calls.is_empty())
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

/// The parameter that stands at a place.
fn parameter(function: &Function, at: usize) -> Option<&'static Parameter> {
    let parameters = function.parameters;
    let many = |last: &&Parameter| {
        matches!(last.presence, Presence::Repeated | Presence::Any | Presence::InPairs)
    };
    parameters.get(at).or_else(|| parameters.last().filter(many))
}

/// Whether a function has as many arguments as it takes.
fn arity(function: &Function, call: &RawCall<'_>) -> Result<(), Mistake> {
    let count = call.arguments.len();
    let required = |one: &&Parameter| !matches!(one.presence, Presence::Optional | Presence::Any);
    let least = function.parameters.iter().filter(required).count();
    let last = function.parameters.last().map(|one| one.presence);
    let fits = match last {
        Some(Presence::Repeated | Presence::Any) => count >= least,
        // The first of the pairs is counted among those required.
        Some(Presence::InPairs) => count > least && (count - least) % 2 == 1,
        _ => (least..=function.parameters.len()).contains(&count),
    };
    if fits {
        return Ok(());
    }
    let names: Vec<&str> = function.parameters.iter().map(|one| one.name).collect();
    let more = match last {
        Some(Presence::Repeated | Presence::Any) => ", …",
        Some(Presence::InPairs) => " and so on, always two at a time",
        _ => "",
    };
    let name = function.name;
    let problem = match names.as_slice() {
        [] => format!("'{name}' takes no arguments"),
        names => format!("'{name}' takes ({}{more})", names.join(", ")),
    };
    Err(Mistake::new(call.span.clone(), problem))
}

fn wanted_form(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice(_) => "text in single quotes",
        Kind::Number => "a whole number",
        Kind::Value | Kind::Any => "text in single quotes or @name",
        Kind::Pattern => "text in single quotes, with {k} and {v}",
        Kind::Regex => "a regular expression in single quotes",
        Kind::Path => "a path in single quotes, such as 'a.b.0'",
    }
}

fn chosen(choices: &'static [&'static str], word: Word<'_>) -> Result<Operand, Mistake> {
    if choices.contains(&&*word.text) {
        return Ok(Operand::Text(word.text.into()));
    }
    let mistake =
        Mistake::new(word.span, format!("one of '{}' belongs here", choices.join("', '")));
    Err(mistake.suggest(&word.text, choices.iter().copied()))
}

fn regex(word: &Word<'_>) -> Result<Operand, Mistake> {
    let regex = RegexBuilder::new(&word.text).size_limit(REGEX_BYTES_MAX).nest_limit(32).build();
    regex.map(Operand::Regex).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Mistake::new(word.span.clone(), format!("no regular expression: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let mut scope = Scope::new(Credentials::Only(vec!["token".into()]));
        scope.define("ts", Template::compile("{header:X-T}", &scope).unwrap()).unwrap();
        scope.define("box", Template::compile("{body | json}", &scope).unwrap()).unwrap();
        scope.define("all", Template::compile("{params.form}", &scope).unwrap()).unwrap();
        scope
    }

    fn kind(text: &str) -> Type {
        Template::compile(text, &scope()).unwrap_or_else(|all| panic!("{text}: {all:?}")).kind()
    }

    /// The mistakes of a template, each with the text at its place.
    fn mistakes(text: &str) -> Vec<(String, String)> {
        let mistakes = Template::compile(text, &scope()).unwrap_err();
        mistakes.iter().map(|one| (text[one.span.clone()].to_owned(), one.to_string())).collect()
    }

    fn mistake(text: &str) -> (String, String) {
        let [one] = &mistakes(text)[..] else { panic!("{text}") };
        one.clone()
    }

    #[test]
    fn types_follow_the_pipeline() {
        assert_eq!(kind(""), Type::Text);
        assert_eq!(kind("{header:a}{path}"), Type::Text);
        assert_eq!(kind("{header:a}{body}"), Type::Bytes);
        assert_eq!(kind("{body | sha256}"), Type::Bytes);
        assert_eq!(kind("{body | sha256 | hex}"), Type::Text);
        assert_eq!(kind("{params.form | lower}"), Type::Pairs);
        assert_eq!(kind("{params.form | items('{k}={v}')}"), Type::List);
        assert_eq!(kind("{json:a}"), Type::Json);
        assert_eq!(kind("{json:a}{json:b}"), Type::Text);
        assert_eq!(kind("{box.a}"), Type::Json);
        assert_eq!(kind("{all.a}"), Type::Text);
        assert_eq!(kind("{params.json | drop('sign') | items('{k}') | join}"), Type::Text);
    }

    #[test]
    fn origins_go_through_names_and_arguments() {
        let template = "{ts | append(@token)}{params.form | items('{k}{secret}') | join}";
        let template = Template::compile(template, &scope()).unwrap();
        let origins: Vec<String> = template.origins().iter().map(Origin::to_string).collect();
        assert_eq!(origins, ["header:x-t", "params.form", "secret", "cred:token"]);
        let template =
            Template::compile("{params.form | items('{k}') | as_headers}", &scope()).unwrap();
        assert!(template.origins().contains(&Origin::Headers));
    }

    #[test]
    fn misspelt_names_are_told_with_what_was_meant() {
        let told = |text| mistake(text).1;
        assert_eq!(mistake("a{bdy}").0, "bdy");
        assert_eq!(told("{bdy}"), "there is no source or name 'bdy'; did you mean 'body'?");
        assert_eq!(told("{tss}"), "there is no source or name 'tss'; did you mean 'ts'?");
        assert_eq!(
            told("{body | sha265}"),
            "there is no function 'sha265'; did you mean 'sha256'?"
        );
        assert_eq!(told("{headr:a}"), "there is no source or name 'headr'; did you mean 'header'?");
        assert_eq!(told("{header}"), "'header' takes a name; write 'header:NAME'");
        assert_eq!(
            told("{path | append(@tokem)}"),
            "'tokem' is not defined before this; did you mean 'token'?"
        );
        assert!(told("{cred:tokem}").ends_with("did you mean 'token'?"));
        assert!(told("{path | append(@body)}").starts_with("'body' is a source"));
    }

    #[test]
    fn arguments_are_checked() {
        assert_eq!(mistake("{path | after}"), ("after".into(), "'after' takes (text)".into()));
        assert_eq!(mistake("{path | after('a', 'b')}").0, "after('a', 'b')");
        assert_eq!(mistake("{path | after(3)}").0, "3");
        assert_eq!(mistake("{path | lower('a')}").1, "'lower' takes no arguments");
        assert_eq!(mistake("{path | map('a')}").0, "map('a')");
        assert!(mistake("{path | re('(')}").1.starts_with("no regular expression: unclosed group"));
        assert_eq!(mistake("{body | json | get('a..b')}").0, "'a..b'");
        let choice = mistake("{params.form | sort('cii')}");
        assert!(choice.1.ends_with("did you mean 'ci'?"), "{choice:?}");
    }

    #[test]
    fn types_are_checked() {
        let told = |text| mistake(text).1;
        assert!(told("{params.form}{path}").contains("cannot stand within text"));
        assert!(told("{params.form | items('{k}') | sha256}").contains("over many"));
        assert!(told("{path | items('{k}')}").contains("here comes text"));
        assert!(told("{ts.a}").contains("has no members"));
        assert!(told("{path | append(@all)}").contains("one value, not pairs"));
        assert_eq!(kind("{params.query | plus(@all)}"), Type::Pairs);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let told = mistakes("}{bdy | lowr}{path | after(1) | sha265}{");
        let places: Vec<&str> = told.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["}", "bdy", "lowr", "1", "sha265", "{"]);
    }

    #[test]
    fn patterns_hold_names_values_and_holes() {
        assert_eq!(kind("{all | items('{{{k}}}={v}{ts | lower}')}"), Type::List);
        assert_eq!(mistake("{all | items('{k}{tss}')}").0, "'{k}{tss}'");
        let nested = r"{all | items('{all | items(\'{v}\') | join}')}";
        assert!(mistake(nested).1.contains("cannot stand in another"));
    }

    #[test]
    fn templates_and_pipelines_are_bounded() {
        let scope = Scope::default();
        assert!(Template::compile(&"a".repeat(TEMPLATE_BYTES_MAX + 1), &scope).is_err());
        let many = format!("{{path{}}}", " | lower".repeat(CALLS_MAX + 1));
        assert_eq!(mistake(&many).0, "lower");
        assert!(mistake("{path | re('(a{1000}){1000}')}").1.contains("regular expression"));
    }

    #[test]
    fn rows_of_functions_are_templates_without_a_source() {
        let scope = Scope::default();
        let pipeline = Pipeline::compile("hex | upper", Type::Bytes, &scope).unwrap();
        assert_eq!(pipeline.kind(), Type::Text);
        assert_eq!(pipeline.functions().collect::<Vec<_>>(), ["hex", "upper"]);
        let mistakes = Pipeline::compile("hxe", Type::Bytes, &scope).unwrap_err();
        assert_eq!(mistakes[0].span, 0..3);
    }
}
