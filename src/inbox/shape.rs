//! Seventh step: what a message says. [`Told`] is shaped as messages of its source are, and has its
//! facts and the key by which a repeated one is known.

use crate::crypto::DigestInProgress;
use crate::journal::Facts;

use super::ambiguity;
use super::message::{Misshapen, Read};
use super::verification::Verified;

/// A message that was read.
#[must_use]
pub(super) struct Told<'m> {
    verified: Verified<'m>,
    read: Read,
}

/// Reads a message.
///
/// # Errors
/// What of it is not as it must be.
pub(super) fn read(verified: Verified<'_>) -> Result<Told<'_>, Misshapen> {
    let received = verified.received();
    let source = received.announced().source();
    ambiguity::check(source, &received.subject())?;
    let reading = &source.reading;
    let mut read = reading.read(received.subject(), verified.content())?;
    if verified.by().is_none() {
        read.key = of_unsigned(&read.key, verified.content());
    }
    Ok(Told { verified, read })
}

/// The key of an unsigned message: anybody can send one, so it must not take the place of the true
/// message about the same payment, whether that is signed or not. Only the same bytes are the same.
fn of_unsigned(key: &[u8; 32], content: &[u8; 32]) -> [u8; 32] {
    let mut digest = DigestInProgress::default();
    digest.update(b"countersign unsigned webhook\0");
    digest.update(key);
    digest.update(content);
    digest.finish()
}

impl<'m> Told<'m> {
    /// The proof of it.
    pub(super) fn verified(&self) -> &Verified<'m> {
        &self.verified
    }

    /// By what a repeated one is known.
    pub(super) fn key(&self) -> [u8; 32] {
        self.read.key
    }

    /// What it says.
    pub(super) fn into_facts(self) -> Facts {
        self.read.facts
    }
}

#[cfg(test)]
mod tests {
    use super::of_unsigned;

    #[test]
    fn an_unsigned_message_takes_the_place_of_no_other() {
        let (key, content) = ([1; 32], [2; 32]);
        assert_ne!(of_unsigned(&key, &content), key);
        assert_ne!(of_unsigned(&key, &content), of_unsigned(&key, &[3; 32]));
        assert_eq!(of_unsigned(&key, &content), of_unsigned(&key, &content));
    }
}
