//! Checks over a message before it is opened, and over what was sealed afterwards. All of one kind
//! are made before any result is looked at, each in constant time.

use subtle::Choice;

use super::{CannotOpen, Part, Prepared};
use crate::crypto::{digest, equal_bytes, mac};
use crate::recipe::{Evaluation, Template};

/// One check, compiled.
pub(super) enum Check {
    /// A MAC over what a template gives.
    Mac { algorithm: mac::Algorithm, key: Part, over: Template, equals: Template },
    /// A digest over what a template gives, or over texts that are sorted and joined.
    Digest { algorithm: digest::Algorithm, over: Over, equals: Template },
    /// A text that is one of some.
    OneOf { words: Vec<String>, value: Template },
    /// Two values that are equal.
    Equal { value: Template, equals: Template },
}

/// What a digest is made over.
pub(super) enum Over {
    One(Template),
    Sorted(Vec<Template>),
}

/// Whether all hold. The templates read the message alike whether they do or not.
///
/// # Errors
/// When one does not, or a value is missing.
pub(super) fn all_hold(
    checks: &[Check],
    look: &Evaluation<'_>,
    prepared: &Prepared,
) -> Result<(), CannotOpen> {
    let mut good = Choice::from(1);
    for check in checks {
        good &= check.holds(look, prepared)?;
    }
    if bool::from(good) { Ok(()) } else { Err(CannotOpen) }
}

impl Check {
    fn holds(&self, look: &Evaluation<'_>, prepared: &Prepared) -> Result<Choice, CannotOpen> {
        Ok(match self {
            Self::Mac { algorithm, key, over, equals } => {
                let tag = mac_tag(*algorithm, key, over, look, prepared)?;
                equal(tag.as_bytes(), &look.bytes(equals)?)
            }
            Self::Digest { algorithm, over, equals } => {
                equal(digest_tag(*algorithm, over, look)?.as_bytes(), &look.bytes(equals)?)
            }
            Self::OneOf { words, value } => {
                let value = look.bytes(value)?;
                let each = words.iter().map(|word| equal(word.as_bytes(), &value));
                each.fold(Choice::from(0), |any, one| any | one)
            }
            Self::Equal { value, equals } => equal(&look.bytes(value)?, &look.bytes(equals)?),
        })
    }

    /// The MAC or digest that a message must carry; none for checks of other kinds.
    ///
    /// # Errors
    /// When a value is missing.
    pub(super) fn tag(
        &self,
        look: &Evaluation<'_>,
        prepared: &Prepared,
    ) -> Result<Option<digest::Tag>, CannotOpen> {
        match self {
            Self::Mac { algorithm, key, over, .. } => {
                mac_tag(*algorithm, key, over, look, prepared).map(Some)
            }
            Self::Digest { algorithm, over, .. } => digest_tag(*algorithm, over, look).map(Some),
            Self::OneOf { .. } | Self::Equal { .. } => Ok(None),
        }
    }

    /// Position of the MAC's key among what is settled, with the algorithm to set it up.
    pub(super) fn settled_key(&self) -> Option<(usize, mac::Algorithm)> {
        match self {
            Self::Mac { algorithm, key: Part::Settled(at), .. } => Some((*at, *algorithm)),
            _ => None,
        }
    }
}

fn equal(one: &[u8], other: &[u8]) -> Choice {
    Choice::from(u8::from(equal_bytes(one, other)))
}

fn mac_tag(
    algorithm: mac::Algorithm,
    key: &Part,
    over: &Template,
    look: &Evaluation<'_>,
    prepared: &Prepared,
) -> Result<digest::Tag, CannotOpen> {
    let mut mac = match key {
        Part::Settled(at) => prepared.mac(*at, algorithm).ok_or(CannotOpen)?.begin(),
        Part::Message(key) => algorithm.key(&look.secret_bytes(key)?).begin(),
    };
    look.feed(over, &mut |bytes| mac.update(bytes))?;
    Ok(mac.finish())
}

fn digest_tag(
    algorithm: digest::Algorithm,
    over: &Over,
    look: &Evaluation<'_>,
) -> Result<digest::Tag, CannotOpen> {
    let mut digest = algorithm.begin();
    match over {
        Over::One(over) => look.feed(over, &mut |bytes| digest.update(bytes))?,
        Over::Sorted(parts) => {
            let texts: Result<Vec<_>, _> =
                parts.iter().map(|part| look.secret_bytes(part)).collect();
            let mut texts = texts?;
            texts.sort_by(|a, b| a.as_slice().cmp(b));
            texts.iter().for_each(|text| digest.update(text));
        }
    }
    Ok(digest.finish())
}
