//! What is read of a message: facts, shape, and by what a repeated one is known; and what is
//! answered. Compiled from a [`Profile`](super::profile::Profile), pure.

mod check;
mod reading;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::StatusCode;
use regex::Regex;

use crate::journal::Facts;
use crate::recipe::{Evaluation, Scope, Subject, Template};

/// What is read of a message.
pub struct Reading {
    /// The names that all templates of a source may use: its `let`s.
    pub(super) scope: Scope,
    /// Facts by name.
    pub(super) facts: Vec<(Fact, Template)>,
    /// What must hold of a message beside its signature.
    pub(super) shape: Vec<Check>,
    /// By what a repeated message is known.
    pub(super) identity: Identity,
}

/// What a message can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// What it is about: the merchant's order.
    Order,
    /// What the provider calls the payment.
    Transaction,
    /// How much, as decimal text.
    Amount,
    /// In which currency.
    Currency,
    /// What became of it, in the words of the profile: `succeeded`, `failed`, `pending`, or others.
    State,
    /// When, as the provider writes it.
    Date,
    /// What kind of message it is.
    Event,
    /// What the provider calls the message.
    Id,
}

/// By what a repeated message is known.
pub enum Identity {
    /// Templates whose values are signed, or of which each is one of few.
    Composed(Vec<Template>),
    /// The signed content and nothing else.
    Content,
}

/// What must hold of a text.
pub struct Check {
    /// The text.
    pub(super) value: Template,
    /// What it must be.
    pub(super) rule: Rule,
    /// What a refusal calls it.
    pub(super) shown: Box<str>,
}

/// What a text must be.
pub enum Rule {
    /// One of these.
    OneOf(Vec<Box<str>>),
    /// All of it matches.
    Matches(Regex),
    /// The same as another, compared in constant time.
    Equals(Template),
}

/// What is answered.
pub struct Answers {
    /// To a message that was stored.
    pub stored: Answer,
    /// To one that was there before.
    pub duplicate: Answer,
    /// To one whose signature or shape is not good.
    pub refused: Answer,
}

/// One answer. Its texts are templates over the message, in the scope of the reading.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The media type of its body; none where the body is empty.
    pub content_type: Option<Box<str>>,
    /// The body.
    pub body: Option<Template>,
    /// Where a browser goes next.
    pub location: Option<Template>,
}

/// Why a message that is signed well is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// What was looked at, in the words of the profile.
    pub what: Box<str>,
}

/// What a message says, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Facts.
    pub facts: Facts,
    /// The digest by which a repeated one is known. `content` is the digest of the signed content.
    pub key: [u8; 32],
}

impl Fact {
    /// Every fact with its name.
    pub const ALL: [(&'static str, Self); 8] = [
        ("order", Self::Order),
        ("transaction", Self::Transaction),
        ("amount", Self::Amount),
        ("currency", Self::Currency),
        ("state", Self::State),
        ("date", Self::Date),
        ("event", Self::Event),
        ("id", Self::Id),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        let own = Self::ALL.iter().find(|(_, fact)| *fact == self);
        own.map_or("", |(name, _)| name)
    }

    /// The fact of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, fact)| fact)
    }
}

impl Answer {
    /// Its body and where a browser goes, for a message. What the message lacks leaves it out.
    pub fn of(&self, reading: &Reading, subject: Subject<'_>) -> (Vec<u8>, Option<String>) {
        let message = Evaluation::new(subject, &reading.scope);
        let body = self.body.as_ref().and_then(|body| message.bytes(body).ok());
        let location = self.location.as_ref().and_then(|location| message.text(location).ok());
        // Two slashes would begin with a host, which no message chooses.
        let sendable = |text: &Cow<'_, str>| {
            text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.starts_with("//")
        };
        (
            body.map(Cow::into_owned).unwrap_or_default(),
            location.filter(sendable).map(Cow::into_owned),
        )
    }
}
