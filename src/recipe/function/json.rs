//! Functions that read and write JSON, forms and XML.

use std::borrow::Cow;

use super::input::{Sum, bytes, every, fixed, given, optional};
use super::{Argument, Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::json::{Json, Style};
use crate::recipe::value::{ITEMS_MAX, Pairs, Type, Value, owned_pairs};
use crate::recipe::{form, xml};

const WRITABLE: Takes = Takes::Only(&[Type::Json, Type::Pairs]);
const JSON: Takes = Takes::Only(&[Type::Json]);

pub(super) static TABLE: &[Function] = &[
    Function::json(
        "json",
        Takes::Only(&[Type::Text, Type::Bytes, Type::Pairs, Type::List]),
        "The JSON value of a JSON text; pairs become an object of strings, a list an array.",
        |input, _| match given(input)? {
            Value::Pairs(pairs) => Json::from_pairs(pairs).map(Value::Json),
            Value::List(items) => {
                let strings = items.iter().map(|item| Json::String(item.clone()));
                Ok(Value::Json(Json::Array(strings.collect())))
            }
            text => match borrowed(text) {
                Some(text) => Json::parse(text).map(Value::Json),
                None => Ok(Value::Json(Json::parse(&bytes(input)?)?.into_owned())),
            },
        },
    ),
    Function::pairs("form", Takes::Bytes, "The pairs of a form or query text.", |input, _| {
        match borrowed(given(input)?) {
            Some(text) => form::parse(text).map(Value::Pairs),
            None => Ok(Value::Pairs(owned_pairs(form::parse(&bytes(input)?)?))),
        }
    }),
    Function::pairs(
        "xml",
        Takes::Bytes,
        "The elements of an XML text that hold text, with their paths below the root: `a`, `b/c`.",
        |input, _| match borrowed(given(input)?) {
            Some(text) => xml::parse(text).map(Value::Pairs),
            None => Ok(Value::Pairs(owned_pairs(xml::parse(&bytes(input)?)?))),
        },
    ),
    Function::same(
        "get",
        WRITABLE,
        "What stands at a path in JSON, or the first value of a name in pairs; else absent.",
        |input, arguments| {
            let Some(Argument::Path(path)) = arguments.first() else {
                return Err(Fault::malformed());
            };
            match given(input)? {
                Value::Json(json) => json.get(path).cloned().map(Value::Json),
                Value::Pairs(pairs) => {
                    let names: Vec<&str> = path.steps().iter().map(|step| &*step.name).collect();
                    let name = names.join(".");
                    let pair = pairs.iter().find(|(other, _)| *other == name);
                    pair.map(|(_, value)| Value::Text(value.clone()))
                }
                _ => return Err(Fault::malformed()),
            }
            .ok_or_else(Fault::absent)
        },
    )
    .with(&[Parameter::required("path", Kind::Path)])
    .giving(|kind| if kind == Type::Pairs { Type::Text } else { Type::Json }),
    Function::text(
        "dump",
        WRITABLE,
        "Compact JSON text, numbers as they came. `'slashes'` writes `/` as `\\/`, `'ascii'` \
         writes `\\uhhhh`, `'html'` does for `<`, `>` and `&`, `'spaced'` puts a space behind `,` \
         and `:`; `'php'`, `'python'` and `'go'` are what these write if nothing is said.",
        |input, arguments| {
            let style = every(arguments).fold(Style::COMPACT, Style::with);
            Ok(Value::from(json(given(input)?)?.write(style)))
        },
    )
    .with(&[Parameter::any("option", Kind::Choice(Style::NAMES))]),
    Function::text(
        "canon",
        WRITABLE,
        "Compact JSON text with the members of all objects sorted, as RFC 8785 has it; numbers as \
         they came.",
        |input, _| Ok(Value::from(json(given(input)?)?.sorted().write(Style::COMPACT))),
    ),
    Function::list(
        "leaves",
        JSON,
        "The list of all values that are neither object nor array, in their order, as JSON text; \
         `flat('.') | values` gives their texts.",
        |input, _| {
            let mut items = Vec::new();
            json(given(input)?)?.leaves(&mut |_, leaf| {
                items.push(Cow::Owned(leaf.write(Style::COMPACT)));
            });
            if items.len() > ITEMS_MAX { Err(Fault::too_long()) } else { Ok(Value::List(items)) }
        },
    ),
    Function::pairs(
        "flat",
        JSON,
        "The pairs of all values that are neither object nor array; their names are the names and \
         indices on the way to them: `a:b:0` for `flat(':')`, `a[b][0]` for `flat('[', ']')`.",
        |input, arguments| {
            let (open, close) = (fixed(arguments, 0)?, optional(arguments, 1).unwrap_or_default());
            let mut pairs: Pairs<'_> = Vec::new();
            let mut sum = Sum::default();
            let mut checked = Ok(());
            json(given(input)?)?.leaves(&mut |way, leaf| {
                let step = open.len() + close.len();
                let length = way.iter().map(|name| name.len() + step).sum();
                checked = checked.clone().and_then(|()| sum.add(length));
                if checked.is_ok() && pairs.len() <= ITEMS_MAX {
                    pairs.push((Cow::Owned(path(way, open, close)), leaf.flat_text()));
                }
            });
            checked?;
            if pairs.len() > ITEMS_MAX { Err(Fault::too_long()) } else { Ok(Value::Pairs(pairs)) }
        },
    )
    .with(&[
        Parameter::required("separator", Kind::Text),
        Parameter::optional("behind", Kind::Text),
    ]),
];

/// The bytes of a value that borrows them in one piece: what is read from them borrows too.
fn borrowed<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Text(Cow::Borrowed(text)) => Some(text.as_bytes()),
        Value::Bytes(Cow::Borrowed(bytes)) => Some(bytes),
        Value::Body([piece]) => Some(piece),
        _ => None,
    }
}

/// The value as JSON: pairs are an object of texts.
fn json<'a>(value: &Value<'a>) -> Result<Json<'a>, Fault> {
    match value {
        Value::Json(json) => Ok(json.clone()),
        Value::Pairs(pairs) => Json::from_pairs(pairs),
        _ => Err(Fault::malformed()),
    }
}

/// Names on the way to a value, each but the first between two texts.
fn path(way: &[Cow<'_, str>], open: &str, close: &str) -> String {
    let mut path = String::new();
    for (at, name) in way.iter().enumerate() {
        let (open, close) = if at > 0 { (open, close) } else { ("", "") };
        path.extend([open, name, close]);
    }
    path
}
