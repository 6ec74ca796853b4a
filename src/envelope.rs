//! Sealed bodies: how a message is encrypted, as data; opening and sealing.
//!
//! Nothing that fails inside an envelope says what failed: there is one error, [`CannotOpen`].

pub mod cipher;
pub mod padding;
mod php;

/// What is sealed cannot be opened: its shape, length, key, tag, MAC, padding or content is wrong.
/// Which, is told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed body cannot be opened")]
pub struct CannotOpen;
