//! Why a verb was not carried out: a closed list of codes, for programs that read answers.

use crate::clock::Timestamp;
use crate::custody::CustodyFault;
use crate::keyring::lifecycle::Refusal;
use crate::store::StoreFault;

/// Why a verb was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Which kind of problem.
    pub code: Code,
    /// What is wrong and what to do, in a sentence without full stop. No secret is in it.
    pub detail: String,
    /// When trying again can help.
    pub at: Option<Timestamp>,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The input has not the form that the verb takes.
    InvalidInput,
    /// Scheme, envelope, secret or scopes do not go together.
    Unfit,
    /// What the input names is not there.
    NotFound,
    /// What is to be made is there.
    Exists,
    /// The secret is the secret of something else.
    SecretTaken,
    /// It was changed since the revision that the input names.
    Changed,
    /// It is in a state in which this cannot be done.
    WrongState,
    /// Two versions retire already.
    SlotsFull,
    /// It can be done later.
    TooEarly,
    /// Something else depends on it.
    InUse,
    /// The secret was shown before, and is shown once.
    AlreadyShown,
    /// The idempotency key was used for another input.
    KeyReused,
    /// It is for the operator to do, outside the program.
    ByHand,
    /// A row was changed by somebody else than this program, or the audit log does not hold.
    Tampered,
    /// The master key is not at hand.
    Custody,
    /// The store cannot be read or written.
    Store,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::InvalidInput,
        Self::Unfit,
        Self::NotFound,
        Self::Exists,
        Self::SecretTaken,
        Self::Changed,
        Self::WrongState,
        Self::SlotsFull,
        Self::TooEarly,
        Self::InUse,
        Self::AlreadyShown,
        Self::KeyReused,
        Self::ByHand,
        Self::Tampered,
        Self::Custody,
        Self::Store,
    ];

    /// The code's text, its HTTP status, and its title.
    const fn entry(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidInput => ("invalid_input", 400, "The input is not right"),
            Self::Unfit => ("unfit", 422, "The parts do not go together"),
            Self::NotFound => ("not_found", 404, "There is no such thing"),
            Self::Exists => ("exists", 409, "It exists already"),
            Self::SecretTaken => ("secret_taken", 409, "Another has this secret"),
            Self::Changed => ("changed", 412, "It was changed meanwhile"),
            Self::WrongState => ("wrong_state", 409, "Its state does not allow that"),
            Self::SlotsFull => ("slots_full", 409, "Two versions retire already"),
            Self::TooEarly => ("too_early", 409, "It is too early for that"),
            Self::InUse => ("in_use", 409, "Something depends on it"),
            Self::AlreadyShown => ("already_shown", 409, "The secret was shown already"),
            Self::KeyReused => ("key_reused", 422, "The idempotency key is taken"),
            Self::ByHand => ("by_hand", 409, "That is for the operator to do"),
            Self::Tampered => ("tampered", 500, "The store was tampered with"),
            Self::Custody => ("custody", 503, "The master key is not at hand"),
            Self::Store => ("store", 503, "The store does not answer"),
        }
    }

    /// Its text, which never changes.
    pub const fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The status of an HTTP answer.
    pub const fn status(self) -> u16 {
        self.entry().1
    }

    /// What it means, in a line.
    pub const fn title(self) -> &'static str {
        self.entry().2
    }
}

impl Problem {
    /// A problem of a kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), at: None }
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        let code = match &fault {
            StoreFault::Open { .. } | StoreFault::Database(_) | StoreFault::Tombstones { .. } => {
                Code::Store
            }
            StoreFault::Refused(_) => Code::WrongState,
            StoreFault::Custody(_) => Code::Custody,
            StoreFault::Tampered { .. } => Code::Tampered,
            StoreFault::Conflict(_) => Code::Changed,
            StoreFault::Missing(_) => Code::NotFound,
            StoreFault::Exists(_) => Code::Exists,
        };
        Self::new(code, fault.to_string())
    }
}

impl From<CustodyFault> for Problem {
    fn from(fault: CustodyFault) -> Self {
        Self::new(Code::Custody, fault.to_string())
    }
}

impl From<crate::crypto::NoRandom> for Problem {
    fn from(fault: crate::crypto::NoRandom) -> Self {
        Self::new(Code::Store, fault.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, at) = match &refusal {
            Refusal::Missing { .. } => (Code::NotFound, None),
            Refusal::WrongState { .. } | Refusal::Scheduled { .. } | Refusal::Expired { .. } => {
                (Code::WrongState, None)
            }
            Refusal::SlotsFull { frees_at } => (Code::SlotsFull, Some(*frees_at)),
            Refusal::TooManyPending => (Code::InUse, None),
            Refusal::TooEarly { at } => (Code::TooEarly, Some(*at)),
        };
        Self { at, ..Self::new(code, refusal.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own() {
        let mut texts = Code::ALL.map(Code::as_str).to_vec();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..=599).contains(&code.status())));
    }
}
