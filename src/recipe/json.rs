//! JSON values: order of members and text of numbers kept.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::recipe::fault::Fault;
use crate::recipe::path::Path;
use crate::recipe::value::Pairs;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<'a>(PhantomData<&'a ()>);

impl<'a> Json<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`Fault::Malformed`]; [`Fault::Repeated`] for a member that stands twice.
    pub fn parse(_bytes: &'a [u8]) -> Result<Self, Fault> {
        Err(Fault::malformed())
    }

    /// The value at a path; `None` where there is none.
    pub fn get(&self, _path: &Path) -> Option<&Json<'a>> {
        None
    }

    /// The text of a string, number or boolean.
    ///
    /// # Errors
    /// [`Fault::Absent`] for `null`, [`Fault::NotText`] for objects and arrays.
    pub fn text(&self) -> Result<Cow<'a, str>, Fault> {
        Err(Fault::not_text())
    }

    /// Members of an object as names and texts: scalars as [`Json::text`] gives them, `null` as
    /// empty text, objects and arrays as compact JSON.
    ///
    /// # Errors
    /// [`Fault::NotText`] for anything but an object.
    pub fn pairs(&self) -> Result<Pairs<'a>, Fault> {
        Err(Fault::not_text())
    }

    /// Bytes of all names and texts.
    pub fn size(&self) -> usize {
        0
    }

    /// The same value, borrowed from this one.
    pub fn lend(&self) -> Json<'_> {
        Json(PhantomData)
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Json<'static> {
        Json(PhantomData)
    }

    /// Overwrites what it owns.
    pub fn wipe(&mut self) {}
}
