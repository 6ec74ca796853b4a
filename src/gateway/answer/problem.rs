//! The text of a refusal: problem details (RFC 9457) with what helps the caller, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::doctor::Mistake;
use crate::gateway::rejection::{Flaw, Rejection, Stale, StaleReason};
use crate::store::ledger::OrderState;
use crate::telemetry::RequestId;

use super::{Face, Forwarded};

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'static str,
    status: u16,
    code: &'static str,
    request_id: &'a str,
    forwarded: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'static str>,
    /// The mistake that the doctor recognised, and a sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mistake: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes_max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<ShownWindow>,
}

/// Seconds that a timestamp may lie before and after the gate's time, both ends inclusive.
#[derive(Serialize)]
struct ShownWindow {
    past_seconds: u64,
    ahead_seconds: u64,
}

/// The problem as JSON.
pub(super) fn text(face: &Face, rejection: Option<Rejection>, id: &RequestId) -> Bytes {
    let r#type = format!("urn:countersign:problem:{}", face.code.as_str());
    let mut problem = Problem {
        r#type: &r#type,
        title: face.title,
        status: face.status.as_u16(),
        code: face.code.as_str(),
        request_id: id.as_str(),
        forwarded: match face.forwarded {
            Forwarded::No => "no",
            Forwarded::Maybe => "maybe",
            Forwarded::Earlier => "earlier",
        },
        detail: None,
        header: None,
        mistake: None,
        hint: None,
        claim: None,
        body_bytes_max: None,
        retry_after_seconds: None,
        now: None,
        window: None,
    };
    if let Some(rejection) = rejection {
        problem.help(rejection);
    }
    // Text keys and plain values: this cannot fail.
    Bytes::from(serde_json::to_vec(&problem).unwrap_or_default())
}

impl Problem<'_> {
    fn help(&mut self, rejection: Rejection) {
        match rejection {
            Rejection::BadRequest(flaw) => {
                self.detail = Some(flaw.explanation());
                if let Flaw::OrderNumber(place) = flaw {
                    self.named(place);
                }
            }
            Rejection::DuplicateOrder(state) => self.detail = Some(came_to(state)),
            Rejection::MissingHeader(name) => self.named(name),
            Rejection::MalformedHeader(name, mistake) => {
                self.named(name);
                self.hint(mistake);
            }
            Rejection::InvalidSignature(mistake) => self.hint(mistake),
            Rejection::StaleTimestamp(stale) => self.stale(stale),
            Rejection::BodyTooLarge(bytes) => self.body_bytes_max = Some(bytes),
            Rejection::RateLimited(wait) => self.retry_after_seconds = Some(whole_seconds(wait)),
            Rejection::UnknownEpoch
            | Rejection::KeyExpired
            | Rejection::ChainRevoked
            | Rejection::KeySuperseded
            | Rejection::KeyExhausted => {
                self.detail = Some(
                    "Ask for fresh keys by a session call, then seal and sign the request anew.",
                );
            }
            Rejection::AnchorNotAllowed => {
                self.detail = Some("Here the anchor seals the session call only.");
            }
            Rejection::UnsupportedKid
            | Rejection::HeadersTooLarge
            | Rejection::UnsupportedEncoding
            | Rejection::Misdirected
            | Rejection::NoRoute
            | Rejection::BodyTooSlow
            | Rejection::AddressNotAllowed
            | Rejection::CertificateNotAllowed
            | Rejection::NotInScope
            | Rejection::Replayed
            | Rejection::CannotOpen
            | Rejection::Busy
            | Rejection::Internal => {}
        }
    }

    fn hint(&mut self, mistake: Option<Mistake>) {
        self.mistake = mistake.map(Mistake::code);
        self.hint = mistake.map(Mistake::hint);
    }

    /// A header by its name; what is elsewhere by its place: `query:NAME`, `json:PATH`.
    fn named(&mut self, name: &'static str) {
        match name.contains(':') {
            true => self.claim = Some(name),
            false => self.header = Some(name),
        }
    }

    fn stale(&mut self, stale: Stale) {
        self.detail = Some(match stale.reason {
            StaleReason::TooOld => "The timestamp is too old.",
            StaleReason::TooFarAhead => "The timestamp is too far ahead.",
            StaleReason::MayHaveBeenAccepted => {
                "A request with this timestamp may have been accepted already. Ask for its status \
                 before you sign anything anew."
            }
        });
        self.hint(stale.mistake);
        self.now = Some(stale.now.secs());
        self.window = Some(ShownWindow {
            past_seconds: stale.window.past.as_secs(),
            ahead_seconds: stale.window.ahead.as_secs(),
        });
    }
}

/// How far an order came that is there already.
fn came_to(state: OrderState) -> &'static str {
    match state {
        OrderState::Reserved => {
            "The same order is on its way at this moment. Ask for its status; do not send it again."
        }
        OrderState::Sent => {
            "The same order was sent before, and what came of it is not known here. Ask for its \
             status; do not send it again."
        }
        OrderState::Answered => {
            "The same order was sent before, and answered. Ask for its status; do not send it \
             again."
        }
    }
}

/// A time to wait in whole seconds, never zero.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + more).max(1)
}
