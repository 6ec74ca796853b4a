//! Asking somebody whether a message is true, and comparing what is answered: one engine for
//! providers and for the merchant's own service. Compiled from a profile.

pub(super) mod address;
mod comparison;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::clock::Timestamp;
use crate::journal::{Delivery, Facts};
use crate::outbound::Caller;
use crate::recipe::{Evaluation, Given, Scope, Template, Value};
use crate::scheme::{Scheme, VerifyingKey};
use crate::secret::NamedSecrets;

use super::message::Fact;

/// From the question to the whole answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A call that is made for a delivery: its texts are templates over the message as it came, and the
/// facts that were read of it.
pub struct Call {
    pub(super) method: Method,
    pub(super) url: Template,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: Option<Template>,
    pub(super) scope: Scope,
    pub(super) given: Vec<Handed>,
    pub(super) sign: Option<(Arc<Scheme>, Template)>,
}

/// A question, and what the answer must say.
pub struct Inquiry {
    /// The call that asks it.
    pub call: Call,
    pub(super) scope: Scope,
    pub(super) given: Vec<Handed>,
    pub(super) require: Vec<[Template; 2]>,
    pub(super) unknown: Vec<u16>,
    pub(super) facts: Vec<(Fact, Template)>,
}

/// What secrets and values a call is made with.
#[derive(Clone, Copy)]
pub struct Means<'m> {
    /// The active secret of the source: for the answer's proof, and to sign the call.
    pub key: &'m VerifyingKey,
    /// The values beside it.
    pub values: &'m NamedSecrets,
    /// The time to sign.
    pub now: Timestamp,
}

/// What came of an inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Everything that was compared agrees.
    Agrees {
        /// The state that the answer gives.
        state: Option<String>,
    },
    /// Something does not: a fact with both values a line.
    Differs {
        /// The state that the answer gives.
        state: Option<String>,
        /// A fact with both values a line.
        differences: Vec<String>,
    },
    /// The payment is not settled there.
    Pending,
    /// The payment is not known there.
    Unknown,
    /// There is no answer that can be believed, by a code: ask again later.
    NoAnswer {
        /// Such as `timed_out`, `status`, `unproved`, `unreadable`.
        code: &'static str,
        /// The status of the answer, where there was one.
        status: Option<u16>,
        /// How long the other side asks to wait, in seconds.
        retry_after: Option<u64>,
    },
}

/// Why a call cannot be made of a message: it lacks something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call cannot be made: {0}")]
pub struct Unaskable(pub String);

impl Inquiry {
    /// Asks, and compares what is answered with what the message says. Never gives a secret away.
    ///
    /// A message that lacks what the question is made of can never be asked about, and so differs.
    pub async fn ask(&self, caller: &Caller, delivery: &Delivery, means: Means<'_>) -> Finding {
        let request = match self.call.request(delivery, means) {
            Ok(request) => request,
            Err(unaskable) => {
                return Finding::Differs { state: None, differences: vec![unaskable.to_string()] };
            }
        };
        match caller.call(request, DEADLINE, ANSWER_BYTES_MAX).await {
            Ok(answer) => self.compare(&delivery.facts, &answer, means),
            Err(fault) => Finding::NoAnswer { code: fault.code(), status: None, retry_after: None },
        }
    }
}

/// A fact that is handed in to a scope.
#[derive(Clone, Copy)]
pub(super) struct Handed {
    pub(super) fact: Fact,
    pub(super) place: Given,
}

/// Hands the facts of a message in.
fn give<'s>(evaluation: &mut Evaluation<'s>, given: &[Handed], facts: &'s Facts) {
    for handed in given {
        if let Some(text) = facts.get(handed.fact.as_str()) {
            evaluation.give(handed.place, Value::from(text.as_str()));
        }
    }
}
