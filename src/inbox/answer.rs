//! From what came of a message to its answer. What providers expect the source says, to the byte;
//! all other refusals are problem details (RFC 9457).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use http_body::Body;
use serde_json::json;

use crate::gateway::admission::unread::Asked;
use crate::journal::DeliveryId;

use super::body::Received;
use super::message::Answer;
use super::refusal::Refused;
use super::source::Source;

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was no message, but a look whether somebody is there.
    Probe,
    /// It is on the disk. Where nobody can be asked whether it is true, and somebody has to be, it
    /// is held, and this says why.
    Stored(DeliveryId, Option<&'static str>),
    /// It was there before.
    Duplicate(DeliveryId),
}

/// The answer to a message. `came` is there where all of it was read.
pub(super) fn of(
    outcome: &Result<Outcome, Refused>,
    source: &Source,
    came: Option<&Received>,
) -> Response<Bytes> {
    let answers = &source.answers;
    let mut answer = match outcome {
        Ok(Outcome::Probe) => Response::default(),
        Ok(Outcome::Stored(..)) => stated(&answers.stored, source, came),
        Ok(Outcome::Duplicate(_)) => stated(&answers.duplicate, source, came),
        Err(refused) => refusal(*refused, source, came),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer as the source states it.
fn stated(answer: &Answer, source: &Source, came: Option<&Received>) -> Response<Bytes> {
    let texts = came.map(|came| answer.of(&source.reading, came.subject()));
    let (body, location) = texts.unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let media = answer.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    headers.extend(media.map(|media| (CONTENT_TYPE, media)));
    // What the message says may stand in it: a text that is no header value is left out.
    let location = location.and_then(|text| HeaderValue::from_str(&text).ok());
    headers.extend(location.map(|location| (LOCATION, location)));
    response
}

fn refusal(refused: Refused, source: &Source, came: Option<&Received>) -> Response<Bytes> {
    let own = &source.answers.refused;
    let mut response = match refused.status() {
        None if own.body.is_some() || own.location.is_some() => stated(own, source, came),
        status => problem(refused, status.unwrap_or(own.status)),
    };
    let status = response.status();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2, demands a challenge.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Countersign"));
    }
    if refused == Refused::Method {
        let methods = source.methods.iter().chain(&source.probes);
        let methods: Vec<&str> = methods.map(http::Method::as_str).collect();
        let allow = HeaderValue::from_str(&methods.join(", ")).ok();
        headers.extend(allow.map(|allow| (ALLOW, allow)));
    }
    if let Some(wait) = refused.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

fn problem(refused: Refused, status: StatusCode) -> Response<Bytes> {
    let text = json!({
        "type": format!("urn:countersign:problem:{}", refused.code()),
        "title": refused.title(),
        "status": status.as_u16(),
        "code": refused.code(),
    });
    let mut response = Response::new(Bytes::from(text.to_string()));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

/// Drains what is left of a body, so that the answer does not break the connection under its
/// sender; where more is left, the answer says that the connection closes.
pub(super) async fn settle<B: Body<Data = Bytes> + Unpin>(
    answer: &mut Response<Bytes>,
    refused: Option<Refused>,
    unread: &mut B,
    asked: Asked,
) {
    let finished = asked.finishes(unread, refused == Some(Refused::TooSlow)).await;
    // After a head with two readings nobody can say where the next request begins.
    let ambiguous = refused == Some(Refused::BadRequest);
    if asked.http1 && (ambiguous || !finished) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A time to wait in whole seconds, never zero.
fn whole_seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + more).max(1)
}
