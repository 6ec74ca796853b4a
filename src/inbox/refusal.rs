//! Every way of not taking a message: one table of codes and statuses.

use http::StatusCode;

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
    /// Its body is too long.
    TooLarge,
    /// Its body comes too slowly.
    TooSlow,
    /// Its address failed too often.
    Slowed,
    /// More unsigned messages than are asked about.
    TooManyUnsigned,
    /// No secret can verify it now: nothing is taken rather than believed.
    NoKeys,
    /// It cannot be kept.
    Busy,
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
            Self::TooLarge => "body_too_large",
            Self::TooSlow => "body_too_slow",
            Self::Slowed => "slowed",
            Self::TooManyUnsigned => "too_many_unsigned",
            Self::NoKeys => "no_keys",
            Self::Busy => "busy",
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
            Self::TooLarge => Some(StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow => Some(StatusCode::REQUEST_TIMEOUT),
            Self::Slowed | Self::TooManyUnsigned => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::NoKeys | Self::Busy => Some(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}
