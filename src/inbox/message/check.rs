//! Whether what must hold of a message does.

use crate::crypto::equal_bytes;
use crate::recipe::{Evaluation, Fault, Subject};

use super::{Check, Reading, Rule};

impl Check {
    /// Whether it holds of a message, in the scope of the reading. Of what is absent nothing holds.
    pub fn holds(&self, reading: &Reading, subject: Subject<'_>) -> bool {
        self.holds_in(&Evaluation::new(subject, &reading.scope)).unwrap_or(false)
    }

    /// The same for a message that is looked at already.
    pub(super) fn holds_in(&self, message: &Evaluation<'_>) -> Result<bool, Fault> {
        let value = message.secret_bytes(&self.value)?;
        Ok(match &self.rule {
            // All are looked at, whichever is the right one: the value may be secret.
            Rule::OneOf(texts) => {
                texts.iter().fold(false, |found, text| found | equal_bytes(&value, text.as_bytes()))
            }
            Rule::Matches(pattern) => {
                std::str::from_utf8(&value).is_ok_and(|text| pattern.is_match(text))
            }
            Rule::Equals(other) => equal_bytes(&value, &message.secret_bytes(other)?),
        })
    }
}
