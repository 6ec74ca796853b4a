//! How functions read what they are called on and what stands in their parentheses.
//!
//! Texts are read where they are: a copy of a secret that nobody wipes must not be left behind.

use std::borrow::Cow;

use super::Argument;
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::value::{VALUE_BYTES_MAX, Value, utf8};

/// The value that the function is called on.
pub(super) fn given<'b, 'a>(input: Option<&'b Value<'a>>) -> Result<&'b Value<'a>, Fault> {
    input.ok_or_else(Fault::absent)
}

/// Its text.
pub(super) fn text<'b>(input: Option<&'b Value<'_>>) -> Result<Cow<'b, str>, Fault> {
    match given(input)? {
        Value::Text(text) | Value::Json(Json::String(text)) => Ok(Cow::Borrowed(text)),
        Value::Bytes(bytes) => utf8(bytes).map(Cow::Borrowed),
        other => other.text(),
    }
}

/// Its bytes, those of a text being its UTF-8.
pub(super) fn bytes<'b>(input: Option<&'b Value<'_>>) -> Result<Cow<'b, [u8]>, Fault> {
    match given(input)? {
        Value::Text(text) | Value::Json(Json::String(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Value::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        other => other.bytes(),
    }
}

/// The part of a text that a function finds in it, borrowed if the text is; [`Fault::Absent`] if it
/// finds none.
pub(super) fn cut<'a>(
    input: Option<&Value<'a>>,
    find: impl for<'t> Fn(&'t str) -> Option<&'t str>,
) -> Result<Value<'a>, Fault> {
    let part = match given(input)? {
        Value::Text(Cow::Borrowed(text)) => find(text).map(Cow::Borrowed),
        Value::Text(Cow::Owned(text)) => find(text).map(|part| Cow::Owned(part.to_owned())),
        other => find(&text(Some(other))?).map(|part| Cow::Owned(part.to_owned())),
    };
    part.map(Value::Text).ok_or_else(Fault::absent)
}

/// A text made of the text that the function is called on.
pub(super) fn change<'a>(
    input: Option<&Value<'a>>,
    make: impl FnOnce(&str) -> String,
) -> Result<Value<'a>, Fault> {
    Ok(Value::from(make(&text(input)?)))
}

/// The characters of a text that are kept, in a text that has room for all: growing would leave
/// copies behind.
pub(super) fn kept(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    kept.extend(text.chars().filter(|c| is_kept(*c)));
    kept
}

/// The fixed text at a place of the parentheses.
pub(super) fn fixed<'b>(arguments: &'b [Argument<'_>], at: usize) -> Result<&'b str, Fault> {
    optional(arguments, at).ok_or_else(Fault::malformed)
}

/// The fixed text at a place of the parentheses, if something stands there.
pub(super) fn optional<'b>(arguments: &'b [Argument<'_>], at: usize) -> Option<&'b str> {
    match arguments.get(at) {
        Some(Argument::Text(text)) => Some(text),
        _ => None,
    }
}

/// Every fixed text of the parentheses.
pub(super) fn every<'b>(arguments: &'b [Argument<'_>]) -> impl Iterator<Item = &'b str> + Clone {
    arguments.iter().filter_map(|argument| match argument {
        Argument::Text(text) => Some(*text),
        _ => None,
    })
}

/// The value at a place of the parentheses.
pub(super) fn value<'b, 'a>(
    arguments: &'b [Argument<'a>],
    at: usize,
) -> Result<&'b Value<'a>, Fault> {
    match arguments.get(at) {
        Some(Argument::Value(value)) => Ok(value),
        _ => Err(Fault::malformed()),
    }
}

/// The text of the value at a place of the parentheses.
pub(super) fn value_text<'b>(
    arguments: &'b [Argument<'_>],
    at: usize,
) -> Result<Cow<'b, str>, Fault> {
    text(Some(value(arguments, at)?))
}

/// The bytes of the value at a place of the parentheses.
pub(super) fn value_bytes<'b>(
    arguments: &'b [Argument<'_>],
    at: usize,
) -> Result<Cow<'b, [u8]>, Fault> {
    bytes(Some(value(arguments, at)?))
}

/// The number at a place of the parentheses.
pub(super) fn number(arguments: &[Argument<'_>], at: usize) -> Result<i64, Fault> {
    match arguments.get(at) {
        Some(Argument::Number(number)) => Ok(*number),
        _ => Err(Fault::malformed()),
    }
}

/// The number at a place of the parentheses, from nought to a most.
pub(super) fn size(arguments: &[Argument<'_>], at: usize, most: usize) -> Result<usize, Fault> {
    let size = usize::try_from(number(arguments, at)?).map_err(|_| Fault::malformed())?;
    if size <= most { Ok(size) } else { Err(Fault::too_long()) }
}

/// Parts in one text, which has its size from the start: growing would leave copies behind.
pub(super) fn concat<'b>(parts: impl Iterator<Item = &'b str> + Clone) -> Result<String, Fault> {
    let mut size = Sum::default();
    parts.clone().try_for_each(|part| size.add(part.len()))?;
    let mut text = String::with_capacity(size.0);
    text.extend(parts);
    Ok(text)
}

/// Checks that parts of a list or of pairs are together no longer than a value may be.
#[derive(Default)]
pub(super) struct Sum(usize);

impl Sum {
    /// Counts one more part.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Fault> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > VALUE_BYTES_MAX { Err(Fault::too_long()) } else { Ok(()) }
    }
}
