//! Functions that change text.

use super::input::{
    bytes, change, concat, cut, fixed, given, kept, optional, size, text, value, value_text,
};
use super::{Argument, Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::value::{Type, VALUE_BYTES_MAX, Value};

const CHARACTERS: Parameter = Parameter::required("characters", Kind::Text);
const MAYBE_CHARACTERS: Parameter = Parameter::optional("characters", Kind::Text);
const WIDTH: [Parameter; 2] =
    [Parameter::required("width", Kind::Number), Parameter::required("character", Kind::Text)];
/// The widest that text is padded to, in characters.
const WIDTH_MAX: usize = 4096;

pub(super) static TABLE: &[Function] = &[
    Function::text("lower", Takes::Text, "Letters in lower case.", |input, _| {
        change(input, str::to_lowercase)
    }),
    Function::text("upper", Takes::Text, "Letters in upper case.", |input, _| {
        change(input, str::to_uppercase)
    }),
    Function::text(
        "title",
        Takes::Text,
        "The first letter of each word in upper case, the others in lower case.",
        |input, _| change(input, title),
    ),
    Function::text(
        "trim",
        Takes::Text,
        "Without white space, or these characters, at both ends.",
        |input, arguments| {
            let set = Characters::or_space(optional(arguments, 0));
            cut(input, |text| Some(text.trim_matches(|c| set.hold(c))))
        },
    )
    .with(&[MAYBE_CHARACTERS]),
    Function::text(
        "trim_start",
        Takes::Text,
        "Without white space, or these characters, at the start.",
        |input, arguments| {
            let set = Characters::or_space(optional(arguments, 0));
            cut(input, |text| Some(text.trim_start_matches(|c| set.hold(c))))
        },
    )
    .with(&[MAYBE_CHARACTERS]),
    Function::text(
        "trim_end",
        Takes::Text,
        "Without white space, or these characters, at the end.",
        |input, arguments| {
            let set = Characters::or_space(optional(arguments, 0));
            cut(input, |text| Some(text.trim_end_matches(|c| set.hold(c))))
        },
    )
    .with(&[MAYBE_CHARACTERS]),
    Function::text(
        "squeeze",
        Takes::Text,
        "Every run of spaces, tabs and line breaks as one space.",
        |input, _| change(input, squeeze),
    ),
    Function::text(
        "only_chars",
        Takes::Text,
        "These characters only; `a-z` is a range.",
        |input, arguments| {
            let set = Characters::of(fixed(arguments, 0)?);
            change(input, |text| kept(text, |c| set.hold(c)))
        },
    )
    .with(&[CHARACTERS]),
    Function::text(
        "remove",
        Takes::Text,
        "Without these characters; `a-z` is a range.",
        |input, arguments| {
            let set = Characters::of(fixed(arguments, 0)?);
            change(input, |text| kept(text, |c| !set.hold(c)))
        },
    )
    .with(&[CHARACTERS]),
    Function::text(
        "replace",
        Takes::Text,
        "Every occurrence of one text replaced by another.",
        |input, arguments| {
            let (text, old) = (text(input)?, fixed(arguments, 0)?);
            let new = value_text(arguments, 1)?;
            let parts = text.splitn(if old.is_empty() { 1 } else { usize::MAX }, old);
            let parts =
                parts.enumerate().flat_map(|(at, part)| [if at > 0 { &*new } else { "" }, part]);
            concat(parts).map(Value::from)
        },
    )
    .with(&[Parameter::required("old", Kind::Text), Parameter::required("new", Kind::Value)]),
    Function::text(
        "pad_left",
        Takes::Text,
        "At least so many characters wide, filled up at the start.",
        |input, arguments| {
            let filling = filling(input, arguments)?;
            change(input, |text| [&filling, text].concat())
        },
    )
    .with(&WIDTH),
    Function::text(
        "pad_right",
        Takes::Text,
        "At least so many characters wide, filled up at the end.",
        |input, arguments| {
            let filling = filling(input, arguments)?;
            change(input, |text| [text, &filling].concat())
        },
    )
    .with(&WIDTH),
    Function::text(
        "map",
        Takes::Text,
        "For each text its counterpart: `map('MD5', 'md5', …)`. Any other text is absent.",
        |input, arguments| {
            counterpart(&text(input)?, arguments).map(Value::from).ok_or_else(Fault::absent)
        },
    )
    .with(&[Parameter::in_pairs("from, to", Kind::Text)]),
    Function::text(
        "recode",
        Takes::Text,
        "For each text its counterpart: `recode('true', '1', …)`. Any other text stays.",
        |input, arguments| {
            let other = counterpart(&text(input)?, arguments);
            other.map_or_else(|| cut(input, |text| Some(text)), |text| Ok(Value::from(text)))
        },
    )
    .with(&[Parameter::in_pairs("from, to", Kind::Text)]),
    Function::same(
        "default",
        Takes::Bytes,
        "Another value where this one is absent.",
        |input, arguments| match input {
            Some(value) => Ok(value.clone()),
            None => value(arguments, 0).cloned(),
        },
    )
    .with(&[Parameter::required("value", Kind::Value)])
    .absence(),
    Function::same(
        "if_empty",
        Takes::Bytes,
        "Another value where this one is absent or empty.",
        |input, arguments| match input.filter(|value| value.size() > 0) {
            Some(value) => Ok(value.clone()),
            None => value(arguments, 0).cloned(),
        },
    )
    .with(&[Parameter::required("value", Kind::Value)])
    .absence(),
    Function::text(
        "wrap",
        Takes::Text,
        "Text before and after it; nothing at all where it is absent.",
        |input, arguments| {
            if input.is_none() {
                return Ok(Value::from(""));
            }
            let (before, after) = (value_text(arguments, 0)?, value_text(arguments, 1)?);
            concat([&*before, &text(input)?, &after].into_iter()).map(Value::from)
        },
    )
    .with(&[Parameter::required("before", Kind::Value), Parameter::required("after", Kind::Value)])
    .absence(),
    Function::same("prepend", Takes::Bytes, "A value before it.", |input, arguments| {
        joined(input, value(arguments, 0)?, |own, other| [other, own].concat())
    })
    .with(&[Parameter::required("value", Kind::Value)]),
    Function::same("append", Takes::Bytes, "A value behind it.", |input, arguments| {
        joined(input, value(arguments, 0)?, |own, other| [own, other].concat())
    })
    .with(&[Parameter::required("value", Kind::Value)]),
    Function::text(
        "length",
        Takes::Bytes,
        "How many bytes it has, as a decimal number.",
        |input, _| Ok(Value::from(given(input)?.size().to_string())),
    ),
    Function::text("text", Takes::Text, "Bytes as text; they must be UTF-8.", |input, _| {
        cut(input, |text| Some(text))
    }),
];

/// What stands behind a text in a row of pairs.
fn counterpart<'a>(text: &str, arguments: &[Argument<'a>]) -> Option<&'a str> {
    arguments.chunks_exact(2).find_map(|pair| match pair {
        [Argument::Text(from), Argument::Text(to)] if *from == text => Some(*to),
        _ => None,
    })
}

fn title(text: &str) -> String {
    let mut within = false;
    let mut title = String::with_capacity(text.len());
    for c in text.chars() {
        if within {
            title.extend(c.to_lowercase());
        } else {
            title.extend(c.to_uppercase());
        }
        within = c.is_alphabetic();
    }
    title
}

fn squeeze(text: &str) -> String {
    let is_space = |c: char| c.is_ascii_whitespace();
    let mut squeezed = String::with_capacity(text.len());
    let mut after_space = false;
    for c in text.chars() {
        if !is_space(c) {
            squeezed.push(c);
        } else if !after_space {
            squeezed.push(' ');
        }
        after_space = is_space(c);
    }
    squeezed
}

/// What is missing to the width that the arguments ask for.
fn filling(input: Option<&Value<'_>>, arguments: &[Argument<'_>]) -> Result<String, Fault> {
    let width = size(arguments, 0, WIDTH_MAX)?;
    let missing = width.saturating_sub(text(input)?.chars().count());
    let character = fixed(arguments, 1)?.chars().next().ok_or_else(Fault::malformed)?;
    Ok(std::iter::repeat_n(character, missing).collect())
}

/// Text or bytes joined with another value.
fn joined<'a>(
    input: Option<&Value<'a>>,
    other: &Value<'a>,
    join: fn(&[u8], &[u8]) -> Vec<u8>,
) -> Result<Value<'a>, Fault> {
    let own = given(input)?;
    if own.size().saturating_add(other.size()) > VALUE_BYTES_MAX {
        return Err(Fault::too_long());
    }
    let both = join(&bytes(input)?, &bytes(Some(other))?);
    if own.kind() == Type::Bytes {
        return Ok(Value::from(both));
    }
    String::from_utf8(both).map(Value::from).map_err(|_| Fault::not_text())
}

/// A set of characters, written one after the other, `a-z` being a range.
struct Characters(Vec<(char, char)>);

impl Characters {
    fn of(written: &str) -> Self {
        let mut ranges = Vec::new();
        let mut rest = written.chars();
        while let Some(first) = rest.next() {
            let mut ahead = rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('-'), Some(last)) => {
                    ranges.push((first, last));
                    rest = ahead;
                }
                _ => ranges.push((first, first)),
            }
        }
        Self(ranges)
    }

    fn or_space(written: Option<&str>) -> Self {
        Self::of(written.unwrap_or(" \t\r\n"))
    }

    fn hold(&self, c: char) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&c))
    }
}
