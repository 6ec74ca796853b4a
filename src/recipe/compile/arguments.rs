//! The arguments of functions: how many, of which kind, and the names in them.

use std::ops::Range;

use regex::RegexBuilder;

use super::{Compiler, origins_of};
use crate::recipe::expression::{Expression, Operand, PatternPart};
use crate::recipe::function::{Function, Kind, Parameter, Presence};
use crate::recipe::mistake::Mistake;
use crate::recipe::origin::Origins;
use crate::recipe::path::Path;
use crate::recipe::source::{self, Source};
use crate::recipe::syntax::{self, RawArgument, RawCall, RawPiece, RawPipeline, RawSource, Word};
use crate::recipe::value::Type;

/// The most memory that a compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// The names that mean the parts of a pair in a pattern.
const PATTERN_NAMES: [&str; 2] = ["k", "v"];

impl Compiler<'_> {
    pub(super) fn operands(
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

fn pattern_name(hole: &RawPipeline<'_>) -> Option<&'static str> {
    let RawSource::Plain(word) = &hole.source else { return None };
    let name = PATTERN_NAMES.into_iter().find(|name| *name == word.text);
    name.filter(|_| hole.calls.is_empty())
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
