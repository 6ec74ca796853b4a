//! Functions that choose, add and rename pairs, or the members of a JSON object alike.

use std::borrow::Cow;
use std::collections::HashSet;

use super::encoding::Percent;
use super::input::{every, fixed, given, optional, value};
use super::{Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::json::{Json, Member};
use crate::recipe::value::{ITEMS_MAX, Pairs, Type, Value};

const NAMES: Parameter = Parameter::repeated("name", Kind::Text);
const NAMED: Takes = Takes::Only(&[Type::Pairs, Type::Json]);

pub(super) static TABLE: &[Function] = &[
    Function::same("drop", NAMED, "Without these names.", |input, arguments| {
        retain(input, |name| every(arguments).all(|other| other != name))
    })
    .with(&[NAMES]),
    Function::same("keep", NAMED, "These names only, in the order sent.", |input, arguments| {
        retain(input, |name| every(arguments).any(|other| other == name))
    })
    .with(&[NAMES]),
    Function::same(
        "pick",
        NAMED,
        "These names only, in the order given here; names that are absent are left out.",
        |input, arguments| match given(input)? {
            Value::Pairs(pairs) => {
                Ok(Value::Pairs(every(arguments).flat_map(|wanted| named(pairs, wanted)).collect()))
            }
            other => {
                let members = members(other)?;
                Ok(object(every(arguments).flat_map(|wanted| named(members, wanted)).collect()))
            }
        },
    )
    .with(&[NAMES]),
    Function::same("prefix", NAMED, "Names that begin so, only.", |input, arguments| {
        let start = fixed(arguments, 0)?;
        retain(input, |name| name.starts_with(start))
    })
    .with(&[Parameter::required("start", Kind::Text)]),
    Function::same(
        "drop_empty",
        Takes::Only(&[Type::Pairs, Type::Json, Type::List]),
        "Without names whose value is empty or `null`; without empty items.",
        |input, _| match given(input)? {
            Value::Pairs(pairs) => {
                let kept = pairs.iter().filter(|(_, value)| !value.is_empty());
                Ok(Value::Pairs(kept.cloned().collect()))
            }
            Value::List(items) => {
                Ok(Value::List(items.iter().filter(|item| !item.is_empty()).cloned().collect()))
            }
            other => {
                let members = members(other)?.iter();
                let kept = members.filter(|(_, value)| !value.flat_text().is_empty());
                Ok(object(kept.cloned().collect()))
            }
        },
    ),
    Function::same(
        "drop_blank",
        Takes::Only(&[Type::Pairs]),
        "Without names whose value is empty or white space.",
        |input, _| {
            let kept = pairs(input)?.iter().filter(|(_, value)| !value.trim().is_empty());
            Ok(Value::Pairs(kept.cloned().collect()))
        },
    ),
    Function::json(
        "drop_nested",
        Takes::Only(&[Type::Json]),
        "Without members whose value is an object or an array.",
        |input, _| {
            let kept = members(given(input)?)?.iter().filter(|(_, value)| !value.is_nested());
            Ok(object(kept.cloned().collect()))
        },
    ),
    Function::same(
        "add",
        NAMED,
        "One more name with its value, at the end.",
        |input, arguments| {
            let (name, added) = (fixed(arguments, 0)?.to_owned(), value(arguments, 1)?);
            match given(input)? {
                Value::Pairs(pairs) => {
                    let mut pairs = pairs.clone();
                    pairs.push((Cow::Owned(name), added.text()?));
                    Ok(Value::Pairs(pairs))
                }
                other => {
                    let added = match added {
                        Value::Json(json) => json.clone(),
                        other => Json::String(other.text()?),
                    };
                    merged(members(other)?.to_vec(), vec![(Cow::Owned(name), added)])
                }
            }
        },
    )
    .with(&[Parameter::required("name", Kind::Text), Parameter::required("value", Kind::Value)]),
    Function::same(
        "plus",
        Takes::Only(&[Type::Pairs, Type::Json, Type::List]),
        "These pairs, members or items, and then those of another value. A text is one item.",
        |input, arguments| {
            let other = value(arguments, 0)?;
            match given(input)? {
                Value::List(items) => {
                    let mut items = items.clone();
                    match other {
                        Value::List(others) => items.extend(others.iter().cloned()),
                        one => items.push(one.text()?),
                    }
                    if items.len() > ITEMS_MAX {
                        Err(Fault::too_long())
                    } else {
                        Ok(Value::List(items))
                    }
                }
                Value::Pairs(pairs) => {
                    let mut pairs = pairs.clone();
                    match other {
                        Value::Pairs(others) => pairs.extend(others.iter().cloned()),
                        Value::Json(json) => pairs.extend(json.pairs()?),
                        _ => return Err(Fault::malformed()),
                    }
                    bounded(pairs)
                }
                ours => {
                    let others = match other {
                        Value::Json(Json::Object(members)) => members.clone(),
                        Value::Pairs(pairs) => match Json::from_pairs(pairs)? {
                            Json::Object(members) => members,
                            _ => Vec::new(),
                        },
                        _ => return Err(Fault::malformed()),
                    };
                    merged(members(ours)?.to_vec(), others)
                }
            }
        },
    )
    .with(&[Parameter::required("other", Kind::Any)]),
    Function::same(
        "first_of_name",
        Takes::Only(&[Type::Pairs]),
        "Of names that stand several times, the first only.",
        |input, _| {
            let pairs = pairs(input)?;
            let mut seen = HashSet::new();
            Ok(Value::Pairs(pairs.iter().filter(|(name, _)| seen.insert(name)).cloned().collect()))
        },
    ),
    Function::same(
        "unique",
        Takes::Only(&[Type::Pairs, Type::List]),
        "Of equal items, or of pairs with equal name and value, the first only.",
        |input, _| match given(input)? {
            Value::List(items) => {
                let mut seen = HashSet::new();
                Ok(Value::List(items.iter().filter(|item| seen.insert(*item)).cloned().collect()))
            }
            other => {
                let pairs = pairs(Some(other))?;
                let mut seen = HashSet::new();
                let kept = pairs.iter().filter(|pair| seen.insert(*pair));
                Ok(Value::Pairs(kept.cloned().collect()))
            }
        },
    ),
    Function::same("upper_names", NAMED, "Names in upper case.", |input, _| {
        renamed(input, str::to_uppercase)
    }),
    Function::same("lower_names", NAMED, "Names in lower case.", |input, _| {
        renamed(input, str::to_lowercase)
    }),
    Function::pairs(
        "enc",
        Takes::Only(&[Type::Pairs]),
        "Names and values percent-encoded, in a style of `urlencode`.",
        |input, arguments| {
            let how = Percent::of(optional(arguments, 0).unwrap_or("rfc3986"));
            let encoded = |text: &str| Cow::Owned(how.encode(text.as_bytes()));
            let pairs = pairs(input)?.iter();
            Ok(Value::Pairs(pairs.map(|(name, value)| (encoded(name), encoded(value))).collect()))
        },
    )
    .with(&[Parameter::optional("style", Kind::Choice(Percent::STYLES))]),
];

/// The pairs that a function is called on.
pub(super) fn pairs<'b, 'a>(input: Option<&'b Value<'a>>) -> Result<&'b Pairs<'a>, Fault> {
    match given(input)? {
        Value::Pairs(pairs) => Ok(pairs),
        _ => Err(Fault::malformed()),
    }
}

/// The members of the JSON object that a function is called on.
pub(super) fn members<'b, 'a>(value: &'b Value<'a>) -> Result<&'b [Member<'a>], Fault> {
    match value {
        Value::Json(Json::Object(members)) => Ok(members),
        _ => Err(Fault::malformed()),
    }
}

fn object<'a>(members: Vec<Member<'a>>) -> Value<'a> {
    Value::Json(Json::Object(members))
}

fn bounded<'a>(pairs: Pairs<'a>) -> Result<Value<'a>, Fault> {
    if pairs.len() > ITEMS_MAX { Err(Fault::too_long()) } else { Ok(Value::Pairs(pairs)) }
}

/// What stands under a name.
fn named<'b, 'a, V: Clone>(
    pairs: &'b [(Cow<'a, str>, V)],
    wanted: &'b str,
) -> impl Iterator<Item = (Cow<'a, str>, V)> + 'b {
    pairs.iter().filter(move |(name, _)| *name == wanted).cloned()
}

fn retain<'a>(
    input: Option<&Value<'a>>,
    is_kept: impl Fn(&str) -> bool,
) -> Result<Value<'a>, Fault> {
    match given(input)? {
        Value::Pairs(pairs) => {
            Ok(Value::Pairs(pairs.iter().filter(|(name, _)| is_kept(name)).cloned().collect()))
        }
        other => {
            let kept = members(other)?.iter().filter(|(name, _)| is_kept(name));
            Ok(object(kept.cloned().collect()))
        }
    }
}

fn renamed<'a>(
    input: Option<&Value<'a>>,
    rename: impl Fn(&str) -> String,
) -> Result<Value<'a>, Fault> {
    match given(input)? {
        Value::Pairs(pairs) => {
            let pairs = pairs.iter();
            let renamed = pairs.map(|(name, value)| (Cow::Owned(rename(name)), value.clone()));
            Ok(Value::Pairs(renamed.collect()))
        }
        other => {
            let members = members(other)?.iter();
            let renamed = members.map(|(name, value)| (Cow::Owned(rename(name)), value.clone()));
            merged(Vec::new(), renamed.collect())
        }
    }
}

/// One object of two; refused if a name would stand twice.
fn merged<'a>(mut ours: Vec<Member<'a>>, others: Vec<Member<'a>>) -> Result<Value<'a>, Fault> {
    ours.extend(others);
    let json = Json::Object(ours);
    if json.is_repeated() { Err(Fault::repeated()) } else { Ok(Value::Json(json)) }
}
