//! From the schema of a verb's input to arguments, and from what was given to an input.
//!
//! What stands in the path is positional; the rest are flags. A secret is never an argument, which
//! every user of the machine can read: a flag names the file that it is in.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use countersign::administration::Verb;
use countersign::administration::clearable::is_clearable;
use countersign::administration::disclosure::FORMAT;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::member;
use crate::cli::Failure;
use crate::cli::secret_source::secret_in;

/// A member of an input.
struct Member {
    name: String,
    kind: Kind,
    about: String,
    /// What help calls the value.
    value_name: String,
    required: bool,
    /// Whether an update may empty it.
    clearable: bool,
    /// Its place among the positional arguments.
    position: Option<usize>,
}

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Words(Vec<String>),
    Number,
    /// False where it is not given.
    Flag,
    /// True or false, or as it is.
    Choice,
    Texts,
    Numbers,
    Secret,
    /// By name.
    Secrets,
}

/// The members of a verb's input: those of its path first, in their order.
fn members(verb: &Verb) -> Vec<Member> {
    let schema = verb.input_schema().to_value();
    let required: Vec<&str> = member(&schema, "required")
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut positions: Vec<&str> = verb.path_members().collect();
    // What is to be made is named as what is there; a secret has no place on a command line.
    let topic = verb.name.split(' ').next().unwrap_or_default();
    let open = member(member(member(&schema, "properties"), topic), "format") != FORMAT;
    if !positions.contains(&topic) && required.contains(&topic) && open {
        positions.push(topic);
    }
    let properties = member(&schema, "properties").as_object().into_iter().flatten();
    let mut all: Vec<Member> = properties
        .map(|(name, schema)| Member {
            kind: kind(schema),
            about: about(schema),
            value_name: value_name(schema),
            required: required.contains(&name.as_str()),
            clearable: is_clearable(schema),
            position: positions.iter().position(|own| own == name),
            name: name.clone(),
        })
        .collect();
    // Required flags come before others, each by name.
    all.sort_by_key(|member| (member.position.unwrap_or(usize::MAX), !member.required));
    all
}

fn kind(schema: &Value) -> Kind {
    if let Some(inner) = member(schema, "anyOf").as_array().and_then(|any| any.first()) {
        return kind(inner);
    }
    let is = |name: &str| match member(schema, "type") {
        Value::Array(types) => types.iter().any(|one| one == name),
        other => other == name,
    };
    if let Some(words) = member(schema, "enum").as_array() {
        return Kind::Words(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if is("boolean") {
        // Where null is a choice, it is told from false.
        return if is("null") { Kind::Choice } else { Kind::Flag };
    }
    if is("integer") {
        Kind::Number
    } else if is("array") {
        if kind(member(schema, "items")) == Kind::Number { Kind::Numbers } else { Kind::Texts }
    } else if is("object") {
        Kind::Secrets
    } else if member(schema, "format") == FORMAT {
        Kind::Secret
    } else {
        Kind::Text
    }
}

/// What help calls the value: by its format.
fn value_name(schema: &Value) -> String {
    if let Some(inner) = member(schema, "anyOf").as_array().and_then(|any| any.first()) {
        return value_name(inner);
    }
    if member(schema, "items").is_object() {
        return value_name(member(schema, "items"));
    }
    match member(schema, "format").as_str() {
        Some("date-time") => "TIME".to_owned(),
        Some(format) if !format.contains("int") => format.to_uppercase(),
        _ => "TEXT".to_owned(),
    }
}

/// The description, on one line and without code marks, as help has it.
fn about(schema: &Value) -> String {
    let text = member(schema, "description").as_str().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

impl Member {
    /// The flag's name: of one of many things, in the singular.
    fn flag(&self) -> String {
        let name = self.name.replace('_', "-");
        match self.kind {
            Kind::Texts | Kind::Numbers | Kind::Secrets => match name.strip_suffix("sses") {
                Some(stem) => format!("{stem}ss"),
                None => name.strip_suffix('s').unwrap_or(&name).to_owned(),
            },
            Kind::Secret => format!("{name}-file"),
            _ => name,
        }
    }

    /// The name of what empties it.
    fn cleared(&self) -> String {
        format!("no-{}", self.flag())
    }

    fn arguments(&self) -> impl Iterator<Item = Arg> {
        let cleared = self.clearable.then(|| {
            let about = format!("Empty it, instead of --{}", self.flag());
            let argument = Arg::new(self.cleared()).long(self.cleared()).help(about);
            argument.action(ArgAction::SetTrue).conflicts_with(self.name.clone())
        });
        [Some(self.argument()), cleared].into_iter().flatten()
    }

    fn argument(&self) -> Arg {
        let about = match self.kind {
            Kind::Texts | Kind::Numbers => format!("{}; may be repeated", self.about),
            Kind::Secret => format!("File that holds it and nothing else: {}", self.about),
            Kind::Secrets => format!("Name and file, may be repeated: {}", self.about),
            _ => self.about.clone(),
        };
        let argument = Arg::new(self.name.clone()).help(about);
        let argument = match &self.kind {
            Kind::Text => argument,
            Kind::Words(words) => argument.value_parser(PossibleValuesParser::new(words.clone())),
            Kind::Number => argument.value_parser(value_parser!(u64)),
            Kind::Flag => argument.action(ArgAction::SetTrue),
            Kind::Choice => argument.value_parser(value_parser!(bool)),
            Kind::Texts => argument.action(ArgAction::Append),
            Kind::Numbers => argument.action(ArgAction::Append).value_parser(value_parser!(u64)),
            Kind::Secret => argument.value_parser(value_parser!(PathBuf)),
            Kind::Secrets => argument.action(ArgAction::Append),
        };
        if self.position.is_some() {
            return argument.required(true).value_name(self.name.to_uppercase());
        }
        let argument = argument.long(self.flag());
        let value_name = match self.kind {
            Kind::Flag => return argument,
            Kind::Secret => "FILE",
            Kind::Secrets => "NAME=FILE",
            Kind::Number | Kind::Numbers => "NUMBER",
            Kind::Choice => "true|false",
            Kind::Words(_) => "WORD",
            Kind::Text | Kind::Texts => &self.value_name,
        };
        argument.required(self.required).value_name(value_name.to_owned())
    }

    /// What was given; nothing where it was not.
    fn value(&self, matches: &ArgMatches) -> Result<Option<Value>, Failure> {
        if self.clearable && matches.get_flag(&self.cleared()) {
            return Ok(Some(Value::Null));
        }
        let name = self.name.as_str();
        let text = || matches.get_one::<String>(name).map(|text| json!(text));
        let texts = || matches.get_many::<String>(name).into_iter().flatten();
        // Given once and empty: none of them.
        let some = |values: Vec<Value>, given: bool| given.then_some(Value::Array(values));
        Ok(match self.kind {
            Kind::Text | Kind::Words(_) => text(),
            Kind::Number => matches.get_one::<u64>(name).map(|number| json!(number)),
            Kind::Flag => matches.get_flag(name).then_some(json!(true)),
            Kind::Choice => matches.get_one::<bool>(name).map(|choice| json!(choice)),
            Kind::Texts => {
                let all = texts().filter(|text| !text.is_empty()).map(|text| json!(text)).collect();
                some(all, matches.contains_id(name))
            }
            Kind::Numbers => {
                let all = matches.get_many::<u64>(name).into_iter().flatten();
                some(all.map(|number| json!(number)).collect(), matches.contains_id(name))
            }
            Kind::Secret => matches.get_one::<PathBuf>(name).map(|path| read(path)).transpose()?,
            Kind::Secrets => {
                let mut all = Map::new();
                for text in texts() {
                    let (name, path) = text.split_once('=').ok_or_else(|| {
                        Failure::usage(format_args!("--{} takes NAME=FILE", self.flag()))
                    })?;
                    all.insert(name.to_owned(), read(Path::new(path))?);
                }
                (!all.is_empty()).then_some(Value::Object(all))
            }
        })
    }
}

/// The text of a secret file.
fn read(path: &Path) -> Result<Value, Failure> {
    let bytes = Zeroizing::new(secret_in(path)?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(json!(text)),
        Err(_) => Err(Failure::failed(format_args!(
            "{}: it is not text; write it in base64 and say --secret-encoding base64",
            path.display()
        ))),
    }
}

/// The arguments of a verb.
pub(super) fn of(verb: &Verb) -> Vec<Arg> {
    members(verb).iter().flat_map(Member::arguments).collect()
}

/// The input of a verb.
pub(super) fn input(verb: &Verb, matches: &ArgMatches) -> Result<Map<String, Value>, Failure> {
    let mut input = Map::new();
    for member in members(verb) {
        if let Some(value) = member.value(matches)? {
            input.insert(member.name, value);
        }
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign::administration::verbs;

    #[test]
    fn every_member_of_every_verb_is_an_argument() {
        for verb in verbs() {
            let schema = verb.input_schema().to_value();
            let count = schema["properties"].as_object().map_or(0, Map::len);
            let members = members(verb);
            assert_eq!(members.len(), count, "{}", verb.name);
            assert!(members.iter().all(|member| !member.about.is_empty()), "{}", verb.name);
            let positions = members.iter().filter(|member| member.position.is_some()).count();
            let open = |member: &Member| {
                member.position.is_none() || !matches!(member.kind, Kind::Secret | Kind::Secrets)
            };
            assert!(members.iter().all(open), "{}: a secret on the command line", verb.name);
            assert!(positions >= verb.path_members().count(), "{}", verb.name);
            assert_eq!(schema["additionalProperties"], false, "{}", verb.name);
        }
    }

    #[test]
    fn members_become_flags() {
        let verb = countersign::administration::verb("credential create").unwrap();
        let flag = |name: &str| {
            let members = members(verb);
            let member = members.into_iter().find(|member| member.name == name).unwrap();
            (member.flag(), member.kind)
        };
        assert_eq!(flag("scopes"), ("scope".to_owned(), Kind::Texts));
        assert_eq!(flag("addresses"), ("address".to_owned(), Kind::Texts));
        assert_eq!(flag("secret"), ("secret-file".to_owned(), Kind::Secret));
        assert_eq!(flag("values"), ("value".to_owned(), Kind::Secrets));
        assert_eq!(flag("strict_reads"), ("strict-reads".to_owned(), Kind::Flag));
        let words = Kind::Words(vec!["test".to_owned(), "live".to_owned()]);
        assert_eq!(flag("environment"), ("environment".to_owned(), words));
    }
}
