//! From an outcome to an answer: one table of status, code, title and what became of the request.
//!
//! Refusals are problem details (RFC 9457). A refusal never breaks the connection under the client:
//! a little of an unread body is read and thrown away, and where more is left the answer says that
//! the connection closes.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, Response, StatusCode};
use http_body::Body as HttpBody;

use crate::gateway::admission::unread::Asked;
use crate::gateway::forward::UpstreamFault;
use crate::gateway::rejection::{Flaw, Rejection, Stale, StaleReason};
use crate::gateway::reply::{ReplySlot, Unsealable};
use crate::telemetry::{Code, RequestId};

pub use crate::gateway::forward::Body;

mod problem;

const X_COUNTERSIGN_REQUEST_ID: HeaderName = HeaderName::from_static("x-countersign-request-id");

/// What came of a request.
pub enum Outcome {
    /// The upstream answered.
    Answered(Box<Response<Body>>),
    /// The same, of a request that was refused and went on.
    Observed(Box<Response<Body>>),
    /// The gate said no.
    Rejected(Rejection),
    /// The upstream failed.
    Failed(UpstreamFault),
}

impl From<Result<Response<Body>, UpstreamFault>> for Outcome {
    fn from(result: Result<Response<Body>, UpstreamFault>) -> Self {
        result.map_or_else(Self::Failed, |answer| Self::Answered(Box::new(answer)))
    }
}

impl Outcome {
    /// What came of a request that was refused and went on.
    pub fn observed(result: Result<Response<Body>, UpstreamFault>) -> Self {
        result.map_or_else(Self::Failed, |answer| Self::Observed(Box::new(answer)))
    }
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Whether the upstream got the request, for a caller who must know if money may have moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwarded {
    No,
    Maybe,
    Earlier,
}

/// How an outcome looks from outside.
struct Face {
    status: StatusCode,
    code: Code,
    title: &'static str,
    forwarded: Forwarded,
}

/// Answers an outcome, after what is left of the request body was drained or given up.
pub async fn respond<B: HttpBody<Data = Bytes> + Unpin>(
    outcome: Outcome,
    unread: &mut B,
    asked: Asked,
    id: &RequestId,
) -> (Box<Response<Body>>, Code) {
    let rejection = match outcome {
        Outcome::Answered(answer) => return forwarded_on(answer, Code::Forwarded, id),
        Outcome::Observed(answer) => return forwarded_on(answer, Code::Observed, id),
        Outcome::Rejected(rejection) => Some(rejection),
        Outcome::Failed(_) => None,
    };
    let face = face(&outcome);
    let slow = rejection == Some(Rejection::BodyTooSlow);
    let finished = asked.finishes(unread, slow).await;
    let text = problem::text(&face, rejection, id);
    let mut answer = Response::new(Body::whole(text));
    *answer.status_mut() = face.status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_COUNTERSIGN_REQUEST_ID, id.header());
    if face.status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2, demands a challenge.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Countersign"));
    }
    if let Some(Rejection::RateLimited(wait)) = rejection {
        headers.insert(RETRY_AFTER, HeaderValue::from(problem::whole_seconds(wait)));
    }
    // After a head with two readings nobody can say where the next request begins.
    let ambiguous = match rejection {
        Some(Rejection::BadRequest(flaw)) => !matches!(flaw, Flaw::OrderNumber(_)),
        Some(_) | None => false,
    };
    if asked.http1 && (ambiguous || !finished) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    (Box::new(answer), face.code)
}

fn forwarded_on(
    mut answer: Box<Response<Body>>,
    code: Code,
    id: &RequestId,
) -> (Box<Response<Body>>, Code) {
    answer.headers_mut().insert(X_COUNTERSIGN_REQUEST_ID, id.header());
    (answer, code)
}

/// Seals the answer to a message that opened by rolling keys; every other goes on as it is. One
/// that cannot be sealed does not leave: its place takes a refusal, and what it answered may have
/// been done.
pub fn sealed(
    answer: Box<Response<Body>>,
    code: Code,
    slot: &ReplySlot,
    to_head: bool,
    id: &RequestId,
) -> (Box<Response<Body>>, Code) {
    if !slot.is_filled() {
        return (answer, code);
    }
    let (mut head, body) = answer.into_parts();
    let whole = match body {
        Body::Whole(bytes) => Ok(bytes.unwrap_or_default()),
        // Forwarding waits for all of an answer that is to be sealed.
        Body::Upstream(_) => Err(Unsealable),
    };
    match whole.and_then(|whole| slot.seal(&mut head, whole, to_head)) {
        Ok(body) => (Box::new(Response::from_parts(head, Body::whole(body))), code),
        Err(Unsealable) => {
            let outcome = Outcome::Failed(UpstreamFault::Broke);
            let face = face(&outcome);
            let (mut head, ()) = Response::new(()).into_parts();
            let text = problem::text(&face, None, id);
            head.status = face.status;
            head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            head.headers.insert(X_COUNTERSIGN_REQUEST_ID, id.header());
            // Without random bytes not even that can be sealed, and no answer says anything.
            let body = slot.seal(&mut head, text, to_head).unwrap_or_default();
            (Box::new(Response::from_parts(head, Body::whole(body))), face.code)
        }
    }
}

/// The table.
fn face(outcome: &Outcome) -> Face {
    use Forwarded::{Maybe, No};
    let (status, code, title, forwarded) = match outcome {
        Outcome::Answered(answer) => (answer.status(), Code::Forwarded, "Forwarded", Maybe),
        Outcome::Observed(answer) => (answer.status(), Code::Observed, "Forwarded", Maybe),
        Outcome::Failed(fault) => match fault {
            UpstreamFault::Unreachable => {
                (StatusCode::BAD_GATEWAY, Code::UpstreamUnreachable, "Service unreachable", No)
            }
            UpstreamFault::TimedOut => {
                (StatusCode::GATEWAY_TIMEOUT, Code::UpstreamTimedOut, "Service timed out", Maybe)
            }
            UpstreamFault::Broke => {
                (StatusCode::BAD_GATEWAY, Code::UpstreamBroke, "Service broke off", Maybe)
            }
            UpstreamFault::Busy | UpstreamFault::Unrecorded => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::Busy, "Busy", No)
            }
            UpstreamFault::AnswerTooLarge => {
                (StatusCode::BAD_GATEWAY, Code::AnswerTooLarge, "Answer too large", Maybe)
            }
        },
        Outcome::Rejected(rejection) => {
            let (status, title) = refusal(*rejection);
            (status, rejection.code(), title, forwarded(*rejection))
        }
    };
    Face { status, code, title, forwarded }
}

/// What became of a request that was refused. A defect may strike after a byte has left, and what
/// may have been accepted before may have been forwarded then.
fn forwarded(rejection: Rejection) -> Forwarded {
    match rejection {
        Rejection::Replayed | Rejection::DuplicateOrder(_) => Forwarded::Earlier,
        Rejection::Internal
        | Rejection::StaleTimestamp(Stale { reason: StaleReason::MayHaveBeenAccepted, .. }) => {
            Forwarded::Maybe
        }
        Rejection::BadRequest(_)
        | Rejection::HeadersTooLarge
        | Rejection::UnsupportedEncoding
        | Rejection::Misdirected
        | Rejection::NoRoute
        | Rejection::MissingHeader(_)
        | Rejection::MalformedHeader(..)
        | Rejection::StaleTimestamp(_)
        | Rejection::BodyTooLarge(_)
        | Rejection::BodyTooSlow
        | Rejection::InvalidSignature(_)
        | Rejection::AddressNotAllowed
        | Rejection::CertificateNotAllowed
        | Rejection::NotInScope
        | Rejection::RateLimited(_)
        | Rejection::UnsupportedKid
        | Rejection::UnknownEpoch
        | Rejection::KeyExpired
        | Rejection::ChainRevoked
        | Rejection::KeySuperseded
        | Rejection::AnchorNotAllowed
        | Rejection::KeyExhausted
        | Rejection::CannotOpen
        | Rejection::Busy => Forwarded::No,
    }
}

fn refusal(rejection: Rejection) -> (StatusCode, &'static str) {
    match rejection {
        Rejection::BadRequest(_) => (StatusCode::BAD_REQUEST, "Bad request"),
        Rejection::HeadersTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large")
        }
        Rejection::UnsupportedEncoding => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content coding not supported")
        }
        Rejection::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "Misdirected request"),
        Rejection::NoRoute => (StatusCode::NOT_FOUND, "No route"),
        Rejection::MissingHeader(_) => (StatusCode::UNAUTHORIZED, "Header missing"),
        Rejection::MalformedHeader(..) => (StatusCode::UNAUTHORIZED, "Header malformed"),
        Rejection::StaleTimestamp(_) => (StatusCode::UNAUTHORIZED, "Timestamp not acceptable"),
        Rejection::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
        Rejection::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "Body too slow"),
        Rejection::InvalidSignature(_) => (StatusCode::UNAUTHORIZED, "Invalid signature"),
        Rejection::AddressNotAllowed => (StatusCode::FORBIDDEN, "Address not allowed"),
        Rejection::CertificateNotAllowed => (StatusCode::FORBIDDEN, "Certificate not allowed"),
        Rejection::NotInScope => (StatusCode::FORBIDDEN, "Not in scope"),
        Rejection::Replayed => (StatusCode::CONFLICT, "Request seen before"),
        Rejection::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Rejection::UnsupportedKid => (StatusCode::UNAUTHORIZED, "Key id not supported"),
        Rejection::UnknownEpoch => (StatusCode::UNAUTHORIZED, "Epoch of the key is over"),
        Rejection::KeyExpired => (StatusCode::UNAUTHORIZED, "Key expired"),
        Rejection::ChainRevoked => (StatusCode::UNAUTHORIZED, "Chain revoked"),
        Rejection::KeySuperseded => (StatusCode::UNAUTHORIZED, "Key superseded"),
        Rejection::AnchorNotAllowed => (StatusCode::FORBIDDEN, "Anchor not allowed here"),
        Rejection::KeyExhausted => (StatusCode::UNAUTHORIZED, "Key used up"),
        Rejection::DuplicateOrder(_) => (StatusCode::CONFLICT, "Order seen before"),
        Rejection::CannotOpen => (StatusCode::BAD_REQUEST, "Cannot open"),
        Rejection::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Busy"),
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::limit::Window;
    use crate::store::ledger::OrderState;

    fn of(rejection: Rejection) -> Forwarded {
        face(&Outcome::from(rejection)).forwarded
    }

    #[test]
    fn what_may_have_been_forwarded_is_never_told_to_be_not() {
        let (now, window) = (Timestamp::from_secs(1_764_000_000), Window::default());
        let stale =
            |reason| Rejection::StaleTimestamp(Stale { reason, now, window, mistake: None });
        assert_eq!(of(stale(StaleReason::TooOld)), Forwarded::No);
        assert_eq!(of(stale(StaleReason::TooFarAhead)), Forwarded::No);
        assert_eq!(of(stale(StaleReason::MayHaveBeenAccepted)), Forwarded::Maybe);
        assert_eq!(of(Rejection::Internal), Forwarded::Maybe);
        assert_eq!(of(Rejection::Replayed), Forwarded::Earlier);
        for state in [OrderState::Reserved, OrderState::Sent, OrderState::Answered] {
            assert_eq!(of(Rejection::DuplicateOrder(state)), Forwarded::Earlier);
        }
        for fault in [UpstreamFault::Unrecorded, UpstreamFault::Busy, UpstreamFault::Unreachable] {
            assert_eq!(face(&Outcome::Failed(fault)).forwarded, Forwarded::No);
        }
        assert_eq!(of(Rejection::Busy), Forwarded::No);
    }
}
