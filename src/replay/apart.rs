//! What all cores write all the time, kept apart from what they only read.

use std::ops::Deref;

/// Has lines of the processor's cache to itself, so that nothing beside it is taken along when
/// another core writes it: two of 64 bytes, which processors fetch in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
