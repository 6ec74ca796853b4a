//! Every way in which the gate says no. A closed list, in the order of the path.
//!
//! Payloads are what helps the caller, and never text that came from outside.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::doctor::Mistake;
use crate::limit::Window;
use crate::roll::Refusal;
use crate::roll::session::SessionFault;
use crate::store::ledger::OrderState;
use crate::telemetry::Code;

/// The gate works and says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Framing, target, method or Host are not such that every program reads them alike.
    BadRequest(Flaw),
    /// A header value, the header list or the target is too large.
    HeadersTooLarge,
    /// The body has a content coding.
    UnsupportedEncoding,
    /// The host is not one that the TLS connection is for.
    Misdirected,
    /// Nothing is configured for this host, path and method.
    NoRoute,
    /// A claim is absent; the name of its header, or its place elsewhere such as `json:PATH`.
    MissingHeader(&'static str),
    /// A claim is repeated or not of its form; named as above, and what was meant.
    MalformedHeader(&'static str, Option<Mistake>),
    /// The timestamp is out of its window, or may have been accepted already.
    StaleTimestamp(Stale),
    /// The body is larger than its route takes, in bytes.
    BodyTooLarge(usize),
    /// The body did not come in time.
    BodyTooSlow,
    /// Unknown key, key not in use or wrong signature: nobody learns which, but for the owner of a
    /// test credential, who is told the mistake.
    InvalidSignature(Option<Mistake>),
    /// The credential may not be used from this address.
    AddressNotAllowed,
    /// The credential is bound to certificates, and the connection has none of them.
    CertificateNotAllowed,
    /// The credential may not call this.
    NotInScope,
    /// The same request was accepted before.
    Replayed,
    /// A limit is used up, for so long.
    RateLimited(Duration),
    /// What names a rolling key is no such name, or an anchor that is not in use.
    UnsupportedKid,
    /// The epoch of a rolling key is over: nobody can derive it any more.
    UnknownEpoch,
    /// A rolling key or its chain is past its time, or from the future.
    KeyExpired,
    /// The chain of a rolling key was killed, alone or with all others.
    ChainRevoked,
    /// A newer rolling key of the chain was used, or it cannot be known whether one was.
    KeySuperseded,
    /// The anchor seals only the session call here.
    AnchorNotAllowed,
    /// A rolling key has sealed as many messages as it may.
    KeyExhausted,
    /// The body is not sealed as the route asks, or does not open: nobody learns which.
    CannotOpen,
    /// The order was taken before, and how far it came.
    DuplicateOrder(OrderState),
    /// The gate cannot take this on now.
    Busy,
    /// A defect of the gate.
    Internal,
}

/// What is wrong with a request before anybody looks at its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// `CONNECT`, `TRACE`, or a method that is too long.
    Method,
    /// Not `/path?query` in visible ASCII, or a path with two readings.
    Target,
    /// `Host` or `:authority` is absent, repeated, different or not a host.
    Host,
    /// A transfer coding other than `chunked`.
    TransferEncoding,
    /// An expectation other than `100-continue`.
    Expect,
    /// A request to change the protocol.
    Upgrade,
    /// What a trusted proxy says of the client has no one reading.
    Client,
    /// A field name with an underscore, which some programs read as a hyphen.
    FieldName,
    /// A field that must be single comes twice.
    Repeated,
    /// The body broke off or its framing is broken.
    Body,
    /// A session call that is not of its form.
    KeySession,
    /// The body does not say its order number as its route asks; where that is looked for.
    OrderNumber(&'static str),
}

/// Why a timestamp is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// What is wrong with it.
    pub reason: StaleReason,
    /// The gate's time.
    pub now: Timestamp,
    /// The window of the route.
    pub window: Window,
    /// What the timestamp tells of the clock that made it.
    pub mistake: Option<Mistake>,
}

/// What is wrong with a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Older than the window.
    TooOld,
    /// Further ahead than the window.
    TooFarAhead,
    /// So old that the gate no longer knows whether it accepted it.
    MayHaveBeenAccepted,
}

impl Flaw {
    /// One sentence for the caller.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Method => "The method is CONNECT, TRACE or too long.",
            Self::Target => {
                "The target is not a path in visible ASCII that every program reads alike: no \
                 empty segments, no dot segments, no escaped slashes, no broken escapes."
            }
            Self::Host => "There must be exactly one valid Host.",
            Self::TransferEncoding => "The only transfer coding is chunked.",
            Self::Expect => "The only expectation is 100-continue.",
            Self::Upgrade => "The protocol cannot be changed here.",
            Self::Client => {
                "X-Forwarded-For or Forwarded of a proxy in front does not name one client."
            }
            Self::FieldName => "A header name holds an underscore.",
            Self::Repeated => "A header that must be single comes more than once.",
            Self::Body => "The body broke off or its framing is broken.",
            Self::KeySession => {
                "A session call is {\"lanes\": 1 to 16, \"replaces\": [kid, …]}, 64 kids at most."
            }
            Self::OrderNumber(_) => {
                "The body must be JSON without repeated names, and hold the order number, a text \
                 of 1 to 256 bytes or a whole number."
            }
        }
    }
}

impl Rejection {
    /// What answers, metrics and logs call it.
    pub fn code(self) -> Code {
        match self {
            Self::BadRequest(_) => Code::BadRequest,
            Self::HeadersTooLarge => Code::HeadersTooLarge,
            Self::UnsupportedEncoding => Code::UnsupportedEncoding,
            Self::Misdirected => Code::Misdirected,
            Self::NoRoute => Code::NoRoute,
            Self::MissingHeader(_) => Code::MissingHeader,
            Self::MalformedHeader(..) => Code::MalformedHeader,
            Self::StaleTimestamp(_) => Code::StaleTimestamp,
            Self::BodyTooLarge(_) => Code::BodyTooLarge,
            Self::BodyTooSlow => Code::BodyTooSlow,
            Self::InvalidSignature(_) => Code::InvalidSignature,
            Self::AddressNotAllowed => Code::AddressNotAllowed,
            Self::CertificateNotAllowed => Code::CertificateNotAllowed,
            Self::NotInScope => Code::NotInScope,
            Self::Replayed => Code::Replayed,
            Self::RateLimited(_) => Code::RateLimited,
            Self::UnsupportedKid => Code::UnsupportedKid,
            Self::UnknownEpoch => Code::UnknownEpoch,
            Self::KeyExpired => Code::KeyExpired,
            Self::ChainRevoked => Code::ChainRevoked,
            Self::KeySuperseded => Code::KeySuperseded,
            Self::AnchorNotAllowed => Code::AnchorNotAllowed,
            Self::KeyExhausted => Code::KeyExhausted,
            Self::DuplicateOrder(_) => Code::DuplicateOrder,
            Self::CannotOpen => Code::CannotOpen,
            Self::Busy => Code::Busy,
            Self::Internal => Code::Internal,
        }
    }

    /// Whether it counts as a failed admission of the address that it came from. The gate's own
    /// trouble does not, nor do limits, which would otherwise never end, nor rolling keys that have
    /// had their time: all workers of a partner can hold such keys at once.
    pub fn counts_against_address(self) -> bool {
        !matches!(
            self,
            Self::RateLimited(_)
                | Self::Busy
                | Self::Internal
                | Self::UnknownEpoch
                | Self::KeyExpired
                | Self::ChainRevoked
                | Self::KeySuperseded
                | Self::KeyExhausted
        )
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnsupportedKid => Self::UnsupportedKid,
            Refusal::UnknownEpoch => Self::UnknownEpoch,
            Refusal::KeyExpired => Self::KeyExpired,
            Refusal::ChainRevoked => Self::ChainRevoked,
            Refusal::KeySuperseded => Self::KeySuperseded,
            Refusal::AnchorNotAllowed => Self::AnchorNotAllowed,
            Refusal::KeyExhausted => Self::KeyExhausted,
            Refusal::CannotOpen => Self::CannotOpen,
            Refusal::Busy => Self::Busy,
        }
    }
}

impl From<SessionFault> for Rejection {
    fn from(fault: SessionFault) -> Self {
        match fault {
            SessionFault::Form => Self::BadRequest(Flaw::KeySession),
            SessionFault::Busy => Self::Busy,
        }
    }
}
