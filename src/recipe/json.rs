//! JSON values as they were sent: the order of members and the text of numbers are kept, and no
//! member may stand twice.

use std::borrow::Cow;
use std::fmt;

use crate::recipe::fault::Fault;
use crate::recipe::path::Path;
use crate::recipe::value::{Pairs, utf8, wipe_text};

mod document;
mod marks;
mod reader;
#[cfg(target_arch = "x86_64")]
mod slashes;
mod writer;

pub use document::Document;
pub use writer::Style;
pub(crate) use writer::escape;

/// How deep arrays and objects may stand in each other.
pub const DEPTH_MAX: usize = 64;
/// The most values in one document, members and items counted.
pub const VALUES_MAX: usize = 64 * 1024;

/// A JSON value.
#[derive(Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true`. Its own kind, as `false` is: a byte beside texts would make the value slow to move,
    /// byte by byte.
    True,
    /// `false`.
    False,
    /// A number, as it was written.
    Number(Cow<'a, str>),
    /// A string, its escapes resolved.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, its members in their order.
    Object(Vec<Member<'a>>),
}

/// The name and the value of a member.
pub type Member<'a> = (Cow<'a, str>, Json<'a>);

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹JSON›")
    }
}

impl<'a> Json<'a> {
    /// Reads a whole document (RFC 8259, strictly).
    ///
    /// # Errors
    /// [`Fault::NotText`] for what is no UTF-8; [`Fault::Malformed`]; [`Fault::Repeated`] for a
    /// member that stands twice; [`Fault::TooLong`] beyond [`DEPTH_MAX`] or [`VALUES_MAX`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        reader::parse(utf8(bytes)?)
    }

    /// The value at a path; `None` where there is none.
    pub fn get(&self, path: &Path) -> Option<&Json<'a>> {
        path.steps().iter().try_fold(self, |value, step| match value {
            Self::Object(members) => {
                members.iter().find(|(name, _)| *name == *step.name).map(|(_, value)| value)
            }
            Self::Array(items) => step.index.and_then(|index| items.get(index)),
            _ => None,
        })
    }

    /// The text of a string, number or boolean.
    ///
    /// # Errors
    /// [`Fault::Absent`] for `null`, [`Fault::NotText`] for objects and arrays.
    pub fn text(&self) -> Result<Cow<'a, str>, Fault> {
        match self {
            Self::Number(text) | Self::String(text) => Ok(text.clone()),
            other => other.word().map(Cow::Borrowed),
        }
    }

    /// The same, borrowed from this value and not copied where this owns it.
    ///
    /// # Errors
    /// As [`Json::text`].
    pub fn lent_text(&self) -> Result<&str, Fault> {
        match self {
            Self::Number(text) | Self::String(text) => Ok(text),
            other => other.word(),
        }
    }

    /// The text of a value that is a word.
    fn word(&self) -> Result<&'static str, Fault> {
        match self {
            Self::Null => Err(Fault::absent()),
            Self::True => Ok("true"),
            Self::False => Ok("false"),
            _ => Err(Fault::not_text()),
        }
    }

    /// Text for every value: scalars as [`Json::text`] gives them, `null` as empty text, objects
    /// and arrays as compact JSON.
    pub fn flat_text(&self) -> Cow<'a, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Array(_) | Self::Object(_) => Cow::Owned(self.write(Style::COMPACT)),
            scalar => scalar.text().unwrap_or_default(),
        }
    }

    /// Members of an object as names and texts, which are those of [`Json::flat_text`].
    ///
    /// # Errors
    /// [`Fault::NotText`] for anything but an object.
    pub fn pairs(&self) -> Result<Pairs<'a>, Fault> {
        let Self::Object(members) = self else { return Err(Fault::not_text()) };
        Ok(members.iter().map(|(name, value)| (name.clone(), value.flat_text())).collect())
    }

    /// Elements of an array as texts, which are those of [`Json::flat_text`].
    ///
    /// # Errors
    /// [`Fault::NotText`] for anything but an array.
    pub fn list(&self) -> Result<Vec<Cow<'a, str>>, Fault> {
        let Self::Array(items) = self else { return Err(Fault::not_text()) };
        Ok(items.iter().map(Self::flat_text).collect())
    }

    /// An object of texts.
    ///
    /// # Errors
    /// [`Fault::Repeated`] for a name that stands twice.
    pub fn from_pairs(pairs: &Pairs<'a>) -> Result<Self, Fault> {
        let member = |(name, value): &(Cow<'a, str>, Cow<'a, str>)| {
            (name.clone(), Self::String(value.clone()))
        };
        let object = Self::Object(pairs.iter().map(member).collect());
        if object.is_repeated() { Err(Fault::repeated()) } else { Ok(object) }
    }

    /// Whether it is an object in which a name stands twice: one that was not read, but made.
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::Object(members) if reader::is_repeated(members))
    }

    /// Whether it is an object or an array.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// The same value with the members of all objects in the order of RFC 8785, that is, of the
    /// UTF-16 units of their names.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.sort();
        self
    }

    fn sort(&mut self) {
        match self {
            Self::Array(items) => items.iter_mut().for_each(Self::sort),
            Self::Object(members) => {
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
            _ => {}
        }
    }

    /// Visits every value that is neither object nor array, with the names and indices on the way
    /// to it.
    pub fn leaves(&self, visit: &mut dyn FnMut(&[Cow<'_, str>], &Json<'a>)) {
        self.walk(&mut Vec::new(), visit);
    }

    fn walk<'b>(
        &'b self,
        way: &mut Vec<Cow<'b, str>>,
        visit: &mut dyn FnMut(&[Cow<'_, str>], &Json<'a>),
    ) {
        match self {
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    way.push(Cow::Owned(index.to_string()));
                    item.walk(way, visit);
                    way.pop();
                }
            }
            Self::Object(members) => {
                for (name, value) in members {
                    way.push(Cow::Borrowed(name));
                    value.walk(way, visit);
                    way.pop();
                }
            }
            leaf => visit(way, leaf),
        }
    }

    /// JSON text in some style.
    pub fn write(&self, style: Style) -> String {
        let mut text = String::with_capacity(self.size() + 2);
        style.write(self, &mut text);
        text
    }

    /// Bytes of all names and texts, one for each bracket, colon and comma.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::True | Self::False => 5,
            Self::Number(text) => text.len(),
            Self::String(text) => text.len() + 2,
            Self::Array(items) => items.iter().map(|item| item.size() + 1).sum::<usize>() + 2,
            Self::Object(members) => {
                members.iter().map(|(name, value)| name.len() + value.size() + 4).sum::<usize>() + 2
            }
        }
    }

    /// The same value, borrowed from this one.
    pub fn lend(&self) -> Json<'_> {
        fn lent(text: &str) -> Cow<'_, str> {
            Cow::Borrowed(text)
        }
        match self {
            Self::Null => Json::Null,
            Self::True => Json::True,
            Self::False => Json::False,
            Self::Number(text) => Json::Number(lent(text)),
            Self::String(text) => Json::String(lent(text)),
            Self::Array(items) => Json::Array(items.iter().map(Json::lend).collect()),
            Self::Object(members) => {
                let members = members.iter();
                Json::Object(members.map(|(name, value)| (lent(name), value.lend())).collect())
            }
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Json<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        match self {
            Self::Null => Json::Null,
            Self::True => Json::True,
            Self::False => Json::False,
            Self::Number(text) => Json::Number(owned(text)),
            Self::String(text) => Json::String(owned(text)),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(members) => {
                let members = members.into_iter();
                Json::Object(
                    members.map(|(name, value)| (owned(name), value.into_owned())).collect(),
                )
            }
        }
    }

    /// Overwrites what it owns.
    pub fn wipe(&mut self) {
        match self {
            Self::Null | Self::True | Self::False => {}
            Self::Number(text) | Self::String(text) => wipe_text(text),
            Self::Array(items) => items.iter_mut().for_each(Self::wipe),
            Self::Object(members) => members.iter_mut().for_each(|(name, value)| {
                wipe_text(name);
                value.wipe();
            }),
        }
    }
}

#[cfg(test)]
mod tests;
