//! Why an order came to nothing, in a form that can be counted and logged.

use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::outbound::CallFault;
pub(super) use crate::telemetry::OrderFault as Reason;

/// Characters that are kept of a text of the authority.
const TEXT_CHARS_MAX: usize = 300;

/// Why an order came to nothing. Passes through the library as it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// The type of the authority's problem document (RFC 8555, section 6.7), cleaned.
    pub(super) problem: Option<String>,
    /// More, for people.
    pub(super) detail: String,
    /// How long the authority asks to be let alone.
    pub(super) wait: Option<Duration>,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, problem: None, detail: detail.into(), wait: None }
    }

    /// The authority answered something that makes no sense.
    pub(super) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(Reason::Unreadable, detail)
    }

    /// Something of our own failed.
    pub(super) fn local(fault: impl std::error::Error) -> Self {
        Self::new(Reason::Local, fault.to_string())
    }

    /// What the authority says of what it did not do.
    pub(super) fn told(problem: &Problem, reason: Reason) -> Self {
        let detail = problem.detail.as_deref().map(cleaned).unwrap_or_default();
        let mut fault = Self::new(reason, detail);
        fault.problem = problem.r#type.as_deref().map(cleaned);
        if fault.is("rateLimited") {
            fault.reason = Reason::RateLimited;
        }
        fault
    }

    /// Whether another name would fare no better now.
    pub(super) fn is_of_the_authority(&self) -> bool {
        matches!(self.reason, Reason::Unreachable | Reason::ServerError)
    }

    /// Whether the authority gave its problem this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        let own = self.problem.as_deref().and_then(|own| own.rsplit(':').next());
        own == Some(kind)
    }
}

impl From<CallFault> for Fault {
    fn from(fault: CallFault) -> Self {
        let reason = match fault {
            CallFault::TooLong => Reason::Unreadable,
            _ => Reason::Unreachable,
        };
        Self::new(reason, fault.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::told(&problem, Reason::Refused),
            Error::Crypto | Error::KeyRejected => Self::local(error),
            Error::Unsupported(_) => Self::new(Reason::Refused, error.to_string()),
            // Without a word of it.
            Error::Json(fault) => {
                let why = if fault.is_data() { "not what belongs here" } else { "not JSON" };
                Self::unreadable(format!("the authority's answer cannot be read: {why}"))
            }
            Error::Other(cause) => match cause.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::new(Reason::Refused, cleaned(&other.to_string())),
            },
            other => Self::unreadable(cleaned(&other.to_string())),
        }
    }
}

/// Text of others for a line of the log: one line, nothing that moves a cursor, and not long.
pub(super) fn cleaned(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() || is_format(c) { ' ' } else { c });
    let mut kept: String = shown.take(TEXT_CHARS_MAX).collect();
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        kept.push('…');
    }
    kept
}

/// Marks that change the direction of text or are not seen at all.
fn is_format(c: char) -> bool {
    let hidden = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    c == '\u{feff}' || hidden.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_one_short_line() {
        assert_eq!(cleaned("a\r\nb\u{1b}[31m\u{202e}c"), "a  b [31m c");
        let long = "ü".repeat(5000);
        assert_eq!(cleaned(&long).chars().count(), TEXT_CHARS_MAX + 1);
        assert_eq!(cleaned("short"), "short");
    }
}
