//! One look at a message: its shape, its facts, and by what a repeated one is known.

use crate::crypto::DigestInProgress;
use crate::journal::Facts;
use crate::recipe::{Evaluation, Fault, Subject};

use super::{Identity, Misshapen, Read, Reading};

/// The longest fact, in bytes: it goes into headers and logs.
const FACT_BYTES_MAX: usize = 4096;
/// What the digests of keys begin with, so that they are digests of nothing else.
const KEY_LABEL: &[u8] = b"countersign-delivery-key-1\n";

impl Reading {
    /// Reads a message that was verified. `content` is the digest of exactly what is signed.
    ///
    /// A fact that is absent is left out; one that is there and is no text, or a very long one, is
    /// no fact. The key tells deliveries of one source apart, and says nothing across sources.
    ///
    /// # Errors
    /// When its shape is not as it must be.
    pub fn read(&self, subject: Subject<'_>, content: &[u8; 32]) -> Result<Read, Misshapen> {
        let message = Evaluation::new(subject, &self.scope);
        for check in &self.shape {
            if check.holds_in(&message) != Ok(true) {
                return Err(Misshapen { what: check.shown.clone() });
            }
        }
        Ok(Read { facts: self.facts(&message)?, key: self.key(&message, content)? })
    }

    fn facts(&self, message: &Evaluation<'_>) -> Result<Facts, Misshapen> {
        let mut facts = Facts::new();
        for (fact, template) in &self.facts {
            match message.text(template) {
                Ok(text) if text.len() <= FACT_BYTES_MAX => {
                    facts.insert(fact.as_str().to_owned(), text.into_owned());
                }
                Err(Fault::Absent(_)) => {}
                _ => return Err(Misshapen { what: fact.as_str().into() }),
            }
        }
        Ok(facts)
    }

    /// Every value goes in with its length, so that no two rows of values are one.
    fn key(&self, message: &Evaluation<'_>, content: &[u8; 32]) -> Result<[u8; 32], Misshapen> {
        let mut digest = DigestInProgress::default();
        digest.update(KEY_LABEL);
        let mut add = |value: &[u8]| {
            digest.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(value);
        };
        match &self.identity {
            Identity::Composed(templates) => {
                add(b"values");
                for template in templates {
                    let value = message.bytes(template);
                    add(&value.map_err(|_| Misshapen { what: "identity".into() })?);
                }
            }
            Identity::Content => {
                add(b"content");
                add(content);
            }
        }
        Ok(digest.finish())
    }
}
