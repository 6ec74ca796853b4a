//! Every way of not taking a message: one table of codes and statuses.

use std::time::Duration;

use http::StatusCode;

use crate::gateway::admission::reading::Broken;
use crate::gateway::rejection::Rejection;
use crate::journal::Busy;

/// How long the sender of a message that could not be kept is asked to wait.
const PAUSE: Duration = Duration::from_secs(5);

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A claim of its signature is absent.
    MissingClaim,
    /// A claim is repeated or not of its form.
    MalformedClaim,
    /// Its signed time is too old or too far ahead.
    StaleTimestamp,
    /// Its signature is not good.
    InvalidSignature,
    /// Its signature is good, and its content is not what a message of this source is.
    Misshapen,
    /// A method that brings no messages.
    Method,
    /// It cannot be read as one request, or broke off.
    BadRequest,
    /// Its head is too large.
    HeadersTooLarge,
    /// Its body has a content coding.
    UnsupportedEncoding,
    /// Its host is not one that the TLS connection is for.
    Misdirected,
    /// Its body is too long.
    TooLarge,
    /// Its body comes too slowly.
    TooSlow,
    /// Its address failed too often, and may come again after so long.
    Slowed(Duration),
    /// More unsigned messages than are asked about; one more may come after so long.
    TooManyUnsigned(Duration),
    /// No secret can verify it now: nothing is taken rather than believed.
    NoKeys,
    /// It cannot be kept.
    Busy,
    /// A defect of the gate.
    Internal,
}

impl Refused {
    /// Its name in logs, metrics and the journal.
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingClaim => "missing_claim",
            Self::MalformedClaim => "malformed_claim",
            Self::StaleTimestamp => "stale_timestamp",
            Self::InvalidSignature => "invalid_signature",
            Self::Misshapen => "misshapen",
            Self::Method => "method",
            Self::BadRequest => "bad_request",
            Self::HeadersTooLarge => "headers_too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Misdirected => "misdirected",
            Self::TooLarge => "body_too_large",
            Self::TooSlow => "body_too_slow",
            Self::Slowed(_) => "slowed",
            Self::TooManyUnsigned(_) => "too_many_unsigned",
            Self::NoKeys => "no_keys",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }

    /// What people read of it.
    pub fn title(self) -> &'static str {
        match self {
            Self::MissingClaim => "Part of the signature missing",
            Self::MalformedClaim => "Part of the signature malformed",
            Self::StaleTimestamp => "Timestamp not acceptable",
            Self::InvalidSignature => "Invalid signature",
            Self::Misshapen => "Not a message of this source",
            Self::Method => "Method not allowed",
            Self::BadRequest => "Bad request",
            Self::HeadersTooLarge => "Headers too large",
            Self::UnsupportedEncoding => "Content coding not supported",
            Self::Misdirected => "Misdirected request",
            Self::TooLarge => "Body too large",
            Self::TooSlow => "Body too slow",
            Self::Slowed(_) | Self::TooManyUnsigned(_) => "Too many requests",
            Self::NoKeys => "No key to verify with",
            Self::Busy => "Busy",
            Self::Internal => "Internal error",
        }
    }

    /// The status of its answer; none: the source says which.
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::MissingClaim
            | Self::MalformedClaim
            | Self::StaleTimestamp
            | Self::InvalidSignature
            | Self::Misshapen => None,
            Self::Method => Some(StatusCode::METHOD_NOT_ALLOWED),
            Self::BadRequest => Some(StatusCode::BAD_REQUEST),
            Self::HeadersTooLarge => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::UnsupportedEncoding => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Misdirected => Some(StatusCode::MISDIRECTED_REQUEST),
            Self::TooLarge => Some(StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow => Some(StatusCode::REQUEST_TIMEOUT),
            Self::Slowed(_) | Self::TooManyUnsigned(_) => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::NoKeys | Self::Busy => Some(StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => Some(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// When its sender may try again, where that is known.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Slowed(wait) | Self::TooManyUnsigned(wait) => Some(wait),
            Self::NoKeys | Self::Busy => Some(PAUSE),
            _ => None,
        }
    }

    /// Whether it counts as a failure of the address that it came from. The gate's own trouble does
    /// not, nor do limits, nor the content of what was signed well.
    pub(super) fn counts_against_address(self) -> bool {
        match self {
            Self::MissingClaim
            | Self::MalformedClaim
            | Self::StaleTimestamp
            | Self::InvalidSignature
            | Self::Method
            | Self::BadRequest
            | Self::HeadersTooLarge
            | Self::UnsupportedEncoding
            | Self::Misdirected
            | Self::TooLarge
            | Self::TooSlow => true,
            Self::Misshapen
            | Self::Slowed(_)
            | Self::TooManyUnsigned(_)
            | Self::NoKeys
            | Self::Busy
            | Self::Internal => false,
        }
    }

    /// Whether the journal notes it: of an address that is slowed enough was noted before.
    pub(super) fn is_noted(self) -> bool {
        !matches!(self, Self::Slowed(_))
    }
}

impl From<Rejection> for Refused {
    /// What the steps say that all doors share. They say nothing else.
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::BadRequest(_) => Self::BadRequest,
            Rejection::HeadersTooLarge => Self::HeadersTooLarge,
            Rejection::UnsupportedEncoding => Self::UnsupportedEncoding,
            Rejection::Misdirected => Self::Misdirected,
            Rejection::BodyTooLarge(_) => Self::TooLarge,
            Rejection::BodyTooSlow => Self::TooSlow,
            Rejection::Busy => Self::Busy,
            _ => Self::Internal,
        }
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::from(broken.why)
    }
}

impl From<Busy> for Refused {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Refused; 17] = [
        Refused::MissingClaim,
        Refused::MalformedClaim,
        Refused::StaleTimestamp,
        Refused::InvalidSignature,
        Refused::Misshapen,
        Refused::Method,
        Refused::BadRequest,
        Refused::HeadersTooLarge,
        Refused::UnsupportedEncoding,
        Refused::Misdirected,
        Refused::TooLarge,
        Refused::TooSlow,
        Refused::Slowed(Duration::from_secs(2)),
        Refused::TooManyUnsigned(Duration::from_secs(1)),
        Refused::NoKeys,
        Refused::Busy,
        Refused::Internal,
    ];

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = ALL.iter().map(|refused| refused.code()).collect();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn what_may_come_again_is_told_when_and_nothing_else_is() {
        for refused in ALL {
            let status = refused.status().map_or(401, |status| status.as_u16());
            assert!((400..600).contains(&status), "{refused:?}");
            let later = matches!(status, 429 | 503);
            assert_eq!(refused.retry_after().is_some(), later, "{refused:?}");
        }
    }

    #[test]
    fn a_source_says_how_what_is_not_its_own_is_answered() {
        let own = ALL.iter().filter(|refused| refused.status().is_none()).count();
        assert_eq!(own, 5);
        assert_eq!(Refused::from(Busy), Refused::Busy);
        assert!(!Refused::Busy.counts_against_address());
        assert!(!Refused::Misshapen.counts_against_address(), "it is signed well");
        assert!(Refused::InvalidSignature.counts_against_address());
    }
}
