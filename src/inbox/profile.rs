//! What is written of a source's messages, as tables state it, before anything is checked. The
//! built-in profiles (`config/providers/*.toml`) and the tables of sources have the same keys: what
//! a source states takes the place of what its provider's profile states.

mod answers;
mod calls;
mod compile;
mod identity;
mod merge;
#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::scheme::Scheme;

use super::inquiry::{Call, Inquiry};
use super::message::{Answers, Check, Reading};

/// What is written of a source's messages. Texts are templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What it is, in a line.
    pub about: String,
    /// Which of a provider's secrets is meant.
    pub secret_is: Option<String>,
    /// The name of the scheme.
    pub scheme: Option<String>,
    /// Methods that bring messages; POST where it is not said.
    pub methods: Option<Vec<String>>,
    /// Methods that are answered and not looked at.
    pub probes: Option<Vec<String>>,
    /// `confirm`: a message without a signature is taken, to be confirmed.
    pub unsigned: Option<String>,
    /// Named values, in their order.
    pub lets: Vec<(String, String)>,
    /// Facts, by name.
    pub facts: Vec<(String, String)>,
    /// By what a repeated message is known.
    pub identity: Option<Vec<String>>,
    /// Parts of it that are not signed, each with all values that it may have: a closed set.
    pub closed: Vec<(String, Vec<String>)>,
    /// What must hold of a message.
    pub shape: Vec<CheckText>,
    /// Header fields that are handed on.
    pub pass: Option<Vec<String>>,
    /// What is answered, by `stored`, `duplicate` and `refused`.
    pub answers: Vec<(String, AnswerText)>,
    /// How the provider is asked.
    pub confirm: Option<InquiryText>,
    /// How the merchant's service is asked what was ordered.
    pub order: Option<InquiryText>,
    /// How fields are posted back.
    pub post_back: Option<PostBackText>,
}

/// What must hold of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckText {
    /// What a refusal calls it.
    pub name: String,
    /// The text.
    pub value: String,
    /// One of these.
    pub one_of: Option<Vec<String>>,
    /// All of it matches a regular expression.
    pub matches: Option<String>,
    /// It equals another.
    pub equals: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerText {
    /// The status; 200 where it is not said, 401 for `refused`.
    pub status: Option<u16>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Option<String>,
    /// Where a browser goes next.
    pub location: Option<String>,
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallText {
    /// The method; POST where there is a body, else GET.
    pub method: Option<String>,
    /// A whole URL.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Named values, in their order, over the message and its facts.
    pub lets: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
    /// The scheme by which the call is signed, with the secret of the source.
    pub sign: Option<String>,
    /// The key id that it is signed under.
    pub key_id: Option<String>,
}

/// A question, and what the answer must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InquiryText {
    /// The call.
    pub call: CallText,
    /// Named values over the answer and the facts.
    pub lets: Vec<(String, String)>,
    /// Pairs that must be equal, or the answer is not believed.
    pub require: Vec<[String; 2]>,
    /// Statuses that say that nothing is known; 404 where it is not said.
    pub unknown: Option<Vec<u16>>,
    /// What the answer says, by the names of facts: each is compared.
    pub facts: Vec<(String, String)>,
}

/// A post-back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostBackText {
    /// The call.
    pub call: CallText,
    /// For which messages.
    pub when: Option<CheckText>,
}

/// What is wrong with a profile, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileMistake {
    /// The key that it is about, such as `facts.order` or `confirm.headers.X`.
    pub key: String,
    /// The part of that key's text, in bytes; the whole where there is none.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What a profile compiles to.
pub struct Compiled {
    /// What is read of a message.
    pub reading: Reading,
    /// What is answered.
    pub answers: Answers,
    /// How the provider is asked.
    pub confirm: Option<Inquiry>,
    /// How the merchant's service is asked.
    pub order: Option<Inquiry>,
    /// How fields are posted back, and for which messages.
    pub post_back: Option<(Call, Option<Check>)>,
    /// The values beside the secret that all of it reads as `cred:NAME`.
    pub value_names: Vec<String>,
    /// Parts of the identity that are unsigned and closed, as people read them.
    pub exceptions: Vec<String>,
    /// Whether messages state an id that no signature covers, and that is only noted.
    pub id_is_unsigned: bool,
    /// Facts of the payment that are neither signed nor compared with what anybody answers: who
    /// makes a message up can state them as he likes.
    pub unproved: Vec<&'static str>,
}

impl Profile {
    /// Compiles what is written, for a scheme. `schemes` finds those that calls are signed by.
    ///
    /// # Errors
    /// Every mistake, each with its key.
    pub fn compile(
        &self,
        scheme: &Scheme,
        schemes: &dyn Fn(&str) -> Option<Arc<Scheme>>,
    ) -> Result<Compiled, Vec<ProfileMistake>> {
        compile::profile(self, scheme, schemes)
    }
}

impl ProfileMistake {
    /// A mistake of a whole key.
    pub fn of(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), span: None, problem: problem.into(), hint: None }
    }

    /// The same, and what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
