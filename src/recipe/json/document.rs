//! A JSON document with the text that it was read from, which nothing is copied out of.

use self_cell::self_cell;

use super::Json;
#[cfg(target_arch = "x86_64")]
use super::slashes;
use crate::recipe::fault::Fault;
use crate::secret::wipe;

self_cell!(
    struct Read {
        owner: Vec<u8>,

        #[covariant]
        dependent: Json,
    }
);

/// A JSON document with its text.
pub struct Document(Read);

impl Document {
    /// Reads a whole document, as [`Json::parse`] does.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub fn parse(text: Vec<u8>) -> Result<Self, Fault> {
        #[cfg(target_arch = "x86_64")]
        let text = slashes::resolved(text);
        let read = Read::try_new_or_recover(text, |text| Json::parse(text));
        read.map(Self).map_err(|(mut text, fault)| {
            wipe(&mut text);
            fault
        })
    }

    /// What it holds.
    pub fn json(&self) -> &Json<'_> {
        self.0.borrow_dependent()
    }

    /// Overwrites it.
    pub fn wipe(mut self) {
        self.0.with_dependent_mut(|_, json| json.wipe());
        wipe(&mut self.0.into_owner());
    }
}
