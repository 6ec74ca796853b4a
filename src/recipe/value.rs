//! Values of the language. What is cut from a message stays borrowed from it; whatever a value
//! owns can be wiped.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::secret::wipe;

/// The most bytes that any value may have, and that all values of a list or of pairs may have
/// together.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most items of a list, pairs, or members of a form or query.
pub const ITEMS_MAX: usize = 16 * 1024;

/// Pairs of name and value in their order; a name may stand more than once.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What kind of value an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// UTF-8 text.
    Text,
    /// Bytes of any kind.
    Bytes,
    /// Texts in order.
    List,
    /// Names with values, in order.
    Pairs,
    /// A JSON value. Where text is wanted, a JSON string, number or boolean will do.
    Json,
}

impl Type {
    /// Whether it is one value, as a header or a body is.
    pub fn is_scalar(self) -> bool {
        matches!(self, Self::Text | Self::Bytes)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Pairs => "pairs",
            Self::Json => "JSON",
        })
    }
}

/// A value. It has no telling `Debug`: it may hold what nobody should see.
#[derive(Clone, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// The body as it came, in its pieces; [`Type::Bytes`]. Digests and MACs take it unjoined.
    Body(&'a [Bytes]),
    /// Texts.
    List(Vec<Cow<'a, str>>),
    /// Names with values.
    Pairs(Pairs<'a>),
    /// JSON.
    Json(Json<'a>),
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹{}›", self.kind())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

impl<'a> Value<'a> {
    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::Text,
            Self::Bytes(_) | Self::Body(_) => Type::Bytes,
            Self::List(_) => Type::List,
            Self::Pairs(_) => Type::Pairs,
            Self::Json(_) => Type::Json,
        }
    }

    /// Its text: bytes must be UTF-8, JSON a string, number or boolean.
    ///
    /// Text that is borrowed from the message stays so; owned text is copied.
    ///
    /// # Errors
    /// [`Fault::NotText`] for anything else; [`Fault::Absent`] for a JSON `null`.
    pub fn text(&self) -> Result<Cow<'a, str>, Fault> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Bytes(Cow::Borrowed(bytes)) => Ok(Cow::Borrowed(utf8(bytes)?)),
            Self::Bytes(Cow::Owned(bytes)) => Ok(Cow::Owned(utf8(bytes)?.to_owned())),
            Self::Body([]) => Ok(Cow::Borrowed("")),
            Self::Body([piece]) => Ok(Cow::Borrowed(utf8(piece)?)),
            Self::Body(pieces) => {
                String::from_utf8(pieces.concat()).map(Cow::Owned).map_err(|_| Fault::not_text())
            }
            Self::Json(json) => json.text(),
            Self::List(_) | Self::Pairs(_) => Err(Fault::not_text()),
        }
    }

    /// As [`Value::text`], copying nothing that it owns.
    ///
    /// # Errors
    /// As [`Value::text`].
    pub fn into_text(self) -> Result<Cow<'a, str>, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bytes(Cow::Owned(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(error) => {
                    wipe(&mut error.into_bytes());
                    Err(Fault::not_text())
                }
            },
            other => other.text(),
        }
    }

    /// As [`Value::bytes`], copying nothing that it owns.
    ///
    /// # Errors
    /// As [`Value::bytes`].
    pub fn into_bytes(self) -> Result<Cow<'a, [u8]>, Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Text(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
            other => other.bytes(),
        }
    }

    /// Its bytes in one piece: those of a text are its UTF-8.
    ///
    /// # Errors
    /// [`Fault::NotText`] for lists, pairs, and JSON that is no scalar.
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>, Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Body([]) => Ok(Cow::Borrowed(&[])),
            Self::Body([piece]) => Ok(Cow::Borrowed(piece)),
            Self::Body(pieces) => Ok(Cow::Owned(pieces.concat())),
            other => Ok(match other.text()? {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
        }
    }

    /// Hands its bytes on, piece by piece, without copying text, bytes or body.
    ///
    /// # Errors
    /// As [`Value::bytes`].
    pub fn feed(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        match self {
            Self::Text(text) => sink(text.as_bytes()),
            Self::Bytes(bytes) => sink(bytes),
            Self::Body(pieces) => pieces.iter().for_each(|piece| sink(piece)),
            Self::Json(json) => sink(json.lent_text()?.as_bytes()),
            Self::List(_) | Self::Pairs(_) => return Err(Fault::not_text()),
        }
        Ok(())
    }

    /// How many bytes it has, names and values together.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Body(pieces) => pieces.iter().map(Bytes::len).sum(),
            Self::List(items) => items.iter().map(|item| item.len()).sum(),
            Self::Pairs(pairs) => pairs.iter().map(|(name, value)| name.len() + value.len()).sum(),
            Self::Json(json) => json.size(),
        }
    }

    /// Whether it is longer, or has more items, than a value may.
    pub fn is_too_long(&self) -> bool {
        let items = match self {
            Self::List(items) => items.len(),
            Self::Pairs(pairs) => pairs.len(),
            _ => 0,
        };
        items > ITEMS_MAX || self.size() > VALUE_BYTES_MAX
    }

    /// The same value, borrowed from this one.
    pub fn lend(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Self::Body(pieces) => Value::Body(pieces),
            Self::List(items) => {
                Value::List(items.iter().map(|item| Cow::Borrowed(&**item)).collect())
            }
            Self::Pairs(pairs) => Value::Pairs(lend_pairs(pairs)),
            Self::Json(json) => Value::Json(json.lend()),
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Body(pieces) => Value::Bytes(Cow::Owned(pieces.concat())),
            Self::List(items) => Value::List(items.into_iter().map(owned).collect()),
            Self::Pairs(pairs) => Value::Pairs(owned_pairs(pairs)),
            Self::Json(json) => Value::Json(json.into_owned()),
        }
    }

    /// Overwrites what it owns, and empties it.
    pub fn wipe(&mut self) {
        match self {
            Self::Text(text) => wipe_text(text),
            Self::Bytes(Cow::Owned(bytes)) => wipe(bytes),
            Self::Bytes(Cow::Borrowed(_)) | Self::Body(_) => {}
            Self::List(items) => items.iter_mut().for_each(wipe_text),
            Self::Pairs(pairs) => pairs.iter_mut().for_each(|(name, value)| {
                wipe_text(name);
                wipe_text(value);
            }),
            Self::Json(json) => json.wipe(),
        }
    }
}

/// Pairs, borrowed from these.
pub fn lend_pairs<'b>(pairs: &'b [(Cow<'_, str>, Cow<'_, str>)]) -> Pairs<'b> {
    let lend = |(name, value): &'b (Cow<'_, str>, Cow<'_, str>)| {
        (Cow::Borrowed(&**name), Cow::Borrowed(&**value))
    };
    pairs.iter().map(lend).collect()
}

/// Pairs that borrow nothing.
pub fn owned_pairs(pairs: Pairs<'_>) -> Pairs<'static> {
    pairs.into_iter().map(|(name, value)| (owned(name), owned(value))).collect()
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Overwrites a text that is owned.
pub fn wipe_text(text: &mut Cow<'_, str>) {
    if let Cow::Owned(text) = text {
        wipe(&mut std::mem::take(text).into_bytes());
    }
}

/// Bytes as text, looked at by the wide registers of the processor.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Fault::not_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_stay_borrowed() {
        let value = Value::from(&b"abc"[..]);
        assert!(matches!(value.text(), Ok(Cow::Borrowed("abc"))));
        let pieces = [Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        let body = Value::Body(&pieces);
        assert_eq!(body.text().unwrap(), "abc");
        assert!(matches!(Value::Body(&pieces[..1]).bytes(), Ok(Cow::Borrowed(b"ab"))));
        assert_eq!(Value::from(&b"\xff"[..]).text(), Err(Fault::not_text()));
    }

    #[test]
    fn wiped_values_hold_nothing() {
        let mut value = Value::from("secret".to_owned());
        value.wipe();
        assert_eq!(value.size(), 0);
        let mut value = Value::Pairs(vec![("a".into(), "b".to_owned().into())]);
        value.wipe();
        assert_eq!(value.size(), 1);
    }

    #[test]
    fn debug_shows_the_type_only() {
        assert_eq!(format!("{:?}", Value::from("secret")), "‹text›");
    }

    #[test]
    fn more_items_than_allowed_are_too_long() {
        assert!(!Value::List(vec!["".into(); ITEMS_MAX]).is_too_long());
        assert!(Value::List(vec!["".into(); ITEMS_MAX + 1]).is_too_long());
        assert!(Value::from(vec![0; VALUE_BYTES_MAX + 1]).is_too_long());
    }
}
