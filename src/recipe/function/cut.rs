//! Functions that cut a part out of a text, bytes or a list.

use std::borrow::Cow;
use std::collections::HashSet;

use super::input::{bytes, cut, fixed, given, number, optional, size, text, value_text};
use super::{Argument, Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::form::{Plus, decode};
use crate::recipe::value::{ITEMS_MAX, Pairs, Type, VALUE_BYTES_MAX, Value};

const TEXT: Parameter = Parameter::required("text", Kind::Value);
const SEPARATOR: Parameter = Parameter::required("separator", Kind::Text);
const INDEX: Parameter = Parameter::required("index", Kind::Number);
const COUNT: Parameter = Parameter::required("count", Kind::Number);
const SEQUENCES: Takes = Takes::Only(&[Type::Text, Type::List, Type::Pairs]);

pub(super) static TABLE: &[Function] = &[
    Function::text(
        "after",
        Takes::Text,
        "What stands behind the first occurrence of a text; absent where there is none.",
        |input, arguments| {
            let mark = value_text(arguments, 0)?;
            cut(input, |text| text.split_once(&*mark).map(|(_, after)| after))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "before",
        Takes::Text,
        "What stands before the first occurrence of a text; absent where there is none.",
        |input, arguments| {
            let mark = value_text(arguments, 0)?;
            cut(input, |text| text.split_once(&*mark).map(|(before, _)| before))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "after_last",
        Takes::Text,
        "What stands behind the last occurrence of a text; absent where there is none.",
        |input, arguments| {
            let mark = value_text(arguments, 0)?;
            cut(input, |text| text.rsplit_once(&*mark).map(|(_, after)| after))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "before_last",
        Takes::Text,
        "What stands before the last occurrence of a text; absent where there is none.",
        |input, arguments| {
            let mark = value_text(arguments, 0)?;
            cut(input, |text| text.rsplit_once(&*mark).map(|(before, _)| before))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "between",
        Takes::Text,
        "What stands between a first text and the next occurrence of a second; else absent.",
        |input, arguments| {
            let (first, second) = (value_text(arguments, 0)?, value_text(arguments, 1)?);
            cut(input, |text| {
                let (_, after) = text.split_once(&*first)?;
                after.split_once(&*second).map(|(between, _)| between)
            })
        },
    )
    .with(&[Parameter::required("first", Kind::Value), Parameter::required("second", Kind::Value)]),
    Function::text(
        "strip",
        Takes::Text,
        "Without a text at its start; absent where it starts otherwise.",
        |input, arguments| {
            let start = value_text(arguments, 0)?;
            cut(input, |text| text.strip_prefix(&*start))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "strip_end",
        Takes::Text,
        "Without a text at its end; absent where it ends otherwise.",
        |input, arguments| {
            let end = value_text(arguments, 0)?;
            cut(input, |text| text.strip_suffix(&*end))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "without_prefix",
        Takes::Text,
        "Without a text at its start, where it starts so.",
        |input, arguments| {
            let start = value_text(arguments, 0)?;
            cut(input, |text| Some(text.strip_prefix(&*start).unwrap_or(text)))
        },
    )
    .with(&[TEXT]),
    Function::text(
        "without_suffix",
        Takes::Text,
        "Without a text at its end, where it ends so.",
        |input, arguments| {
            let end = value_text(arguments, 0)?;
            cut(input, |text| Some(text.strip_suffix(&*end).unwrap_or(text)))
        },
    )
    .with(&[TEXT]),
    Function::list(
        "split",
        Takes::Text,
        "The list of what stands between separators.",
        |input, arguments| {
            let separator = fixed(arguments, 0)?;
            parts(input, |text| split(text, separator).take(ITEMS_MAX + 1).collect())
        },
    )
    .with(&[SEPARATOR]),
    Function::list(
        "lines",
        Takes::Text,
        "The list of its lines, without their ends.",
        |input, _| parts(input, |text| text.lines().take(ITEMS_MAX + 1).collect()),
    ),
    Function::text(
        "nth",
        Takes::Only(&[Type::List]),
        "One item of a list: 0 is the first, -1 the last; absent beyond the ends.",
        |input, arguments| item(input, number(arguments, 0)?),
    )
    .with(&[INDEX]),
    Function::text("first", Takes::Only(&[Type::List]), "The first item of a list.", |input, _| {
        item(input, 0)
    }),
    Function::text("last", Takes::Only(&[Type::List]), "The last item of a list.", |input, _| {
        item(input, -1)
    }),
    Function::same(
        "take",
        SEQUENCES,
        "The first so many characters, items or pairs; the last ones for a negative count.",
        |input, arguments| {
            let count = number(arguments, 0)?;
            let amount = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            run(input, |length| match count {
                0.. => (0, length.min(amount)),
                _ => (length.saturating_sub(amount), length),
            })
        },
    )
    .with(&[COUNT]),
    Function::same(
        "skip",
        SEQUENCES,
        "Without the first so many characters, items or pairs; the last ones for a negative count.",
        |input, arguments| {
            let count = number(arguments, 0)?;
            let amount = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            run(input, |length| match count {
                0.. => (length.min(amount), length),
                _ => (0, length.saturating_sub(amount)),
            })
        },
    )
    .with(&[COUNT]),
    Function::text(
        "re",
        Takes::Text,
        "What a group of a regular expression matches: the first group if there is one, else the \
         whole match; absent where it does not match.",
        |input, arguments| {
            let Some(Argument::Regex(regex)) = arguments.first() else {
                return Err(Fault::malformed());
            };
            let group = match arguments.get(1) {
                Some(_) => size(arguments, 1, usize::MAX)?,
                None => regex.captures_len().saturating_sub(1).min(1),
            };
            cut(input, |text| Some(regex.captures(text)?.get(group)?.as_str()))
        },
    )
    .with(&[
        Parameter::required("pattern", Kind::Regex),
        Parameter::optional("group", Kind::Number),
    ]),
    Function::text(
        "field",
        Takes::Text,
        "One part between separators: 0 is the first, -1 the last; absent beyond the ends.",
        |input, arguments| {
            let (separator, index) = (fixed(arguments, 0)?, number(arguments, 1)?);
            let steps = if index < 0 { index.saturating_add(1) } else { index };
            let steps = usize::try_from(steps.unsigned_abs()).map_err(|_| Fault::absent())?;
            cut(input, |text| match index {
                _ if separator.is_empty() => None,
                0.. => text.split(separator).nth(steps),
                _ => text.rsplit(separator).nth(steps),
            })
        },
    )
    .with(&[SEPARATOR, INDEX]),
    Function::pairs(
        "pairs",
        Takes::Text,
        "The pairs of a text such as `t=1,v1=ab`; the separators are `,` and `=` unless others are \
         given. White space around names and values is left out.",
        |input, arguments| {
            let between = optional(arguments, 0).unwrap_or(",");
            let within = optional(arguments, 1).unwrap_or("=");
            let text = text(input)?;
            let fields = split(&text, between).filter(|field| !field.trim().is_empty());
            let pairs = fields.map(|field| {
                let (name, value) = field.split_once(within).unwrap_or((field, ""));
                (Cow::Owned(name.trim().to_owned()), Cow::Owned(value.trim().to_owned()))
            });
            bounded(pairs.take(ITEMS_MAX + 1).collect())
        },
    )
    .with(&[Parameter::optional("between", Kind::Text), Parameter::optional("within", Kind::Text)]),
    Function::pairs(
        "auth_params",
        Takes::Text,
        "The parameters of an Authorization header: `Name k=\"v\", k2=v2`. One that stands twice \
         is refused.",
        |input, _| auth_params(&text(input)?).map(Value::Pairs),
    ),
    Function::bytes(
        "bytes",
        Takes::Bytes,
        "The bytes from one place up to another, or to the end; places below 0 count from the end. \
         Absent where there are not so many.",
        |input, arguments| {
            let bytes = bytes(input)?;
            let place = |at: i64| {
                let from_end = usize::try_from(at.unsigned_abs()).ok()?;
                if at < 0 { bytes.len().checked_sub(from_end) } else { Some(from_end) }
            };
            let start = place(number(arguments, 0)?);
            let end = match arguments.get(1) {
                Some(_) => place(number(arguments, 1)?),
                None => Some(bytes.len()),
            };
            let part = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
            part.map(|part| Value::from(part.to_vec())).ok_or_else(Fault::absent)
        },
    )
    .with(&[Parameter::required("from", Kind::Number), Parameter::optional("to", Kind::Number)]),
    Function::bytes(
        "first_bytes",
        Takes::Bytes,
        "The first so many bytes, or all if there are fewer.",
        |input, arguments| {
            let count = size(arguments, 0, VALUE_BYTES_MAX)?;
            let bytes = bytes(input)?;
            Ok(Value::from(bytes.get(..count).unwrap_or(&bytes).to_vec()))
        },
    )
    .with(&[COUNT]),
    Function::text(
        "without_param",
        Takes::Text,
        "A raw query or form without the parameters of a name; the others stay as they were sent.",
        |input, arguments| {
            let (text, name) = (text(input)?, fixed(arguments, 0)?);
            let is_other = |field: &&str| {
                let raw = field.split('=').next().unwrap_or_default();
                decode(raw.as_bytes(), Plus::Space).map_or(true, |decoded| decoded != name)
            };
            Ok(Value::from(text.split('&').filter(is_other).collect::<Vec<_>>().join("&")))
        },
    )
    .with(&[Parameter::required("name", Kind::Text)]),
];

/// Parts of a text between separators; an empty separator stands nowhere.
fn split<'t>(text: &'t str, separator: &str) -> impl Iterator<Item = &'t str> {
    text.splitn(if separator.is_empty() { 1 } else { usize::MAX }, separator)
}

/// A list of parts of the text, borrowed if it is.
fn parts<'a>(
    input: Option<&Value<'a>>,
    find: impl for<'t> Fn(&'t str) -> Vec<&'t str>,
) -> Result<Value<'a>, Fault> {
    let parts: Vec<Cow<'a, str>> = match given(input)? {
        Value::Text(Cow::Borrowed(text)) => find(text).into_iter().map(Cow::Borrowed).collect(),
        other => {
            let text = self::text(Some(other))?;
            find(&text).into_iter().map(|part| Cow::Owned(part.to_owned())).collect()
        }
    };
    if parts.len() > ITEMS_MAX { Err(Fault::too_long()) } else { Ok(Value::List(parts)) }
}

fn item<'a>(input: Option<&Value<'a>>, index: i64) -> Result<Value<'a>, Fault> {
    let Value::List(items) = given(input)? else { return Err(Fault::malformed()) };
    let place = usize::try_from(index.unsigned_abs()).map_err(|_| Fault::absent())?;
    let place = if index < 0 { items.len().checked_sub(place) } else { Some(place) };
    let item = place.and_then(|place| items.get(place));
    item.cloned().map(Value::Text).ok_or_else(Fault::absent)
}

/// A run of characters, items or pairs, chosen by how many there are.
fn run<'a>(
    input: Option<&Value<'a>>,
    choose: impl Fn(usize) -> (usize, usize),
) -> Result<Value<'a>, Fault> {
    match given(input)? {
        Value::List(items) => {
            let (from, to) = choose(items.len());
            Ok(Value::List(items.get(from..to).unwrap_or_default().to_vec()))
        }
        Value::Pairs(pairs) => {
            let (from, to) = choose(pairs.len());
            Ok(Value::Pairs(pairs.get(from..to).unwrap_or_default().to_vec()))
        }
        other => cut(Some(other), |text| {
            let (from, to) = choose(text.chars().count());
            let starts = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
            text.get(starts().nth(from)?..starts().nth(to)?)
        }),
    }
}

fn bounded<'a>(pairs: Pairs<'a>) -> Result<Value<'a>, Fault> {
    if pairs.len() > ITEMS_MAX { Err(Fault::too_long()) } else { Ok(Value::Pairs(pairs)) }
}

fn auth_params(text: &str) -> Result<Pairs<'static>, Fault> {
    let text = text.trim();
    // A word before the first parameter names the way of signing.
    let (word, after) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut rest = if word.contains('=') { text } else { after };
    let mut pairs: Pairs<'static> = Vec::new();
    let mut names = HashSet::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.is_empty() {
            return Ok(pairs);
        }
        let (name, after) = rest.split_once('=').ok_or_else(Fault::malformed)?;
        let name = name.trim();
        if name.is_empty() || name.contains([',', '"']) {
            return Err(Fault::malformed());
        }
        let (value, after) = auth_value(after.trim_start())?;
        rest = after;
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(Fault::repeated());
        }
        pairs.push((Cow::Owned(name.to_owned()), Cow::Owned(value)));
    }
}

/// A value in quotes or up to the next comma, and what follows it.
fn auth_value(text: &str) -> Result<(String, &str), Fault> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(',').unwrap_or((text, ""));
        let value = value.trim();
        let is_plain = !value.contains('"');
        return if is_plain { Ok((value.to_owned(), after)) } else { Err(Fault::malformed()) };
    };
    let mut value = String::with_capacity(quoted.len());
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let after = quoted.get(at + 1..).unwrap_or_default().trim_start();
                let ends = after.is_empty() || after.starts_with(',');
                return if ends { Ok((value, after)) } else { Err(Fault::malformed()) };
            }
            '\\' => value.push(characters.next().ok_or_else(Fault::malformed)?.1),
            c => value.push(c),
        }
    }
    Err(Fault::malformed())
}
