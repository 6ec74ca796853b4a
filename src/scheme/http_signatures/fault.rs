//! Why a message has no good signature by RFC 9421, for the log and for `explain`.
//!
//! Names what the sender wrote as component or parameter, never a value.

/// Why a message cannot be verified or signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A header that is needed is absent.
    #[error("{0} is absent")]
    Missing(&'static str),
    /// A header that is not the structured field that it should be, or repeats a key.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A header that is longer than any honest one.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// A label stands in `Signature` or in `Signature-Input` alone.
    #[error("Signature and Signature-Input do not have the same labels")]
    Labels,
    /// No signature has the label or tag that is looked for.
    #[error("no signature has the label or tag that is looked for")]
    NoneChosen,
    /// Several signatures, and nothing to choose one by.
    #[error("several signatures; which one counts cannot be told")]
    SeveralChosen,
    /// A signature parameter that is needed and absent.
    #[error("the signature parameter {0} is absent")]
    NoParameter(&'static str),
    /// A signature parameter that is not of its form.
    #[error("the signature parameter {0} is malformed")]
    Parameter(&'static str),
    /// The message names another algorithm than the credential's.
    #[error("the signature parameter alg is not the credential's algorithm")]
    Algorithm,
    /// A component that is repeated, not known, not of its form, or not of this kind of message.
    #[error("the component {0} is not understood here")]
    Component(Box<str>),
    /// More components than are taken.
    #[error("more components than are taken")]
    Components,
    /// A component that is covered and not in the message.
    #[error("the component {0} is not in the message, or not exactly once")]
    Absent(Box<str>),
    /// A component whose value no signature base can hold.
    #[error("the value of the component {0} cannot be signed: not ASCII, malformed or too long")]
    Value(Box<str>),
    /// Something that must be covered and is not.
    #[error("the signature does not cover the {0}")]
    NotCovered(Box<str>),
}

impl Fault {
    /// The header to look at, as it is usually written.
    pub fn header(&self) -> &'static str {
        match self {
            Self::Missing(name) | Self::Malformed(name) | Self::TooLong(name) => name,
            _ => "Signature-Input",
        }
    }
}
