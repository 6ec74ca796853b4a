//! Functions from names and pairs to lists and texts.

use std::borrow::Cow;

use super::collection::pairs;
use super::input::{Sum, concat, given, value, value_text};
use super::{Argument, Function, Kind, Parameter, PatternPiece, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::path::Path;
use crate::recipe::value::{Pairs, Type, Value};

/// The most names that are looked up for one list.
pub const LOOKUPS_MAX: usize = 256;

const LIST: Takes = Takes::Only(&[Type::List]);
const PAIRS: Takes = Takes::Only(&[Type::Pairs]);

pub(super) static TABLE: &[Function] = &[
    Function::list(
        "items",
        Takes::Only(&[Type::Pairs, Type::List]),
        "A list with one text for each pair or item: `'{k}={v}'` with `{k}` the name and `{v}` the \
         value or item.",
        |input, arguments| {
            let Some(Argument::Pattern(pattern)) = arguments.first() else {
                return Err(Fault::malformed());
            };
            let mut sum = Sum::default();
            let mut filled = |name: &str, value: &str| fill(pattern, name, value, &mut sum);
            let items: Result<Vec<_>, Fault> = match given(input)? {
                Value::List(items) => items.iter().map(|item| filled("", item)).collect(),
                other => {
                    let pairs = pairs(Some(other))?.iter();
                    pairs.map(|(name, value)| filled(name, value)).collect()
                }
            };
            items.map(Value::List)
        },
    )
    .with(&[Parameter::required("pattern", Kind::Pattern)]),
    Function::list("names", PAIRS, "The list of names.", |input, _| {
        Ok(Value::List(pairs(input)?.iter().map(|(name, _)| name.clone()).collect()))
    }),
    Function::list("values", PAIRS, "The list of values.", |input, _| {
        Ok(Value::List(pairs(input)?.iter().map(|(_, value)| value.clone()).collect()))
    }),
    Function::text("join", LIST, "The items of a list in one text.", |input, arguments| {
        let Value::List(items) = given(input)? else { return Err(Fault::malformed()) };
        let between = if arguments.is_empty() { "".into() } else { value_text(arguments, 0)? };
        let parts = items.iter().enumerate();
        concat(parts.flat_map(|(at, item)| [if at > 0 { &*between } else { "" }, item]))
            .map(Value::from)
    })
    .with(&[Parameter::optional("separator", Kind::Value)]),
    Function::text(
        "count",
        Takes::Only(&[Type::List, Type::Pairs]),
        "How many items or pairs there are.",
        |input, _| {
            let count = match given(input)? {
                Value::List(items) => items.len(),
                other => pairs(Some(other))?.len(),
            };
            Ok(Value::from(count.to_string()))
        },
    ),
    Function::pairs(
        "lookup",
        LIST,
        "The pairs of a list of names with what stands under them in another value: names in \
         pairs, paths in JSON. All must be there.",
        |input, arguments| match value(arguments, 0)? {
            Value::Json(json) => found(input, |name| in_json(json, name)),
            Value::Pairs(pairs) => found(input, |name| first_in_pairs(pairs, name)),
            _ => Err(Fault::malformed()),
        },
    )
    .with(&[Parameter::required("where", Kind::Any)]),
    Function::pairs(
        "as_headers",
        LIST,
        "The pairs of a list of header names with the values of these headers. All must be there, \
         each once.",
        |input, arguments| {
            let Value::Pairs(headers) = value(arguments, 0)? else {
                return Err(Fault::malformed());
            };
            found(input, |name| once_in_headers(headers, name))
        },
    )
    .reads("params.headers"),
    Function::pairs(
        "as_form",
        LIST,
        "The pairs of a list of names with the form fields of these names. All must be there.",
        from_pairs,
    )
    .reads("params.form"),
    Function::pairs(
        "as_query",
        LIST,
        "The pairs of a list of names with the query parameters of these names. All must be there.",
        from_pairs,
    )
    .reads("params.query"),
];

fn fill<'a>(
    pattern: &[PatternPiece<'_>],
    name: &str,
    value: &str,
    sum: &mut Sum,
) -> Result<Cow<'a, str>, Fault> {
    let parts = pattern.iter().map(|piece| match piece {
        PatternPiece::Key => name,
        PatternPiece::Value => value,
        PatternPiece::Text(text) => text,
    });
    let text = concat(parts)?;
    sum.add(text.len())?;
    Ok(Cow::Owned(text))
}

/// Every name of a list with what is found under it.
fn found<'a>(
    input: Option<&Value<'a>>,
    find: impl Fn(&str) -> Result<Cow<'a, str>, Fault>,
) -> Result<Value<'a>, Fault> {
    let Value::List(names) = given(input)? else { return Err(Fault::malformed()) };
    if names.len() > LOOKUPS_MAX {
        return Err(Fault::too_long());
    }
    let mut sum = Sum::default();
    let mut pairs = Vec::with_capacity(names.len());
    for name in names {
        let value = find(name)?;
        sum.add(value.len())?;
        pairs.push((name.clone(), value));
    }
    Ok(Value::Pairs(pairs))
}

fn from_pairs<'a>(
    input: Option<&Value<'a>>,
    arguments: &[Argument<'a>],
) -> Result<Value<'a>, Fault> {
    let Value::Pairs(pairs) = value(arguments, 0)? else { return Err(Fault::malformed()) };
    found(input, |name| first_in_pairs(pairs, name))
}

fn first_in_pairs<'a>(pairs: &Pairs<'a>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let pair = pairs.iter().find(|(other, _)| *other == name);
    pair.map(|(_, value)| value.clone()).ok_or_else(Fault::absent)
}

fn once_in_headers<'a>(headers: &Pairs<'a>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let mut same = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let (_, value) = same.next().ok_or_else(Fault::absent)?;
    if same.next().is_some() { Err(Fault::repeated()) } else { Ok(value.clone()) }
}

fn in_json<'a>(json: &Json<'a>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let path = Path::parse(name).map_err(|_| Fault::malformed())?;
    json.get(&path).map(Json::flat_text).ok_or_else(Fault::absent)
}
