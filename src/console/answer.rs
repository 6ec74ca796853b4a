//! From what came of a call to its answer: JSON, or problem details (RFC 9457), never to be kept.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts as Head;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::administration::form::Moment;
use crate::administration::{self, Outcome, Verb};
use crate::clock::Timestamp;
use crate::recipe::form;

use super::Call;
use super::refusal::{Code, Refusal, Stranger};
use super::route::{Routes, encode};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The answer to a call that was carried out.
pub(super) fn outcome(
    call: &Call,
    head: &Head,
    routes: &Routes,
    (verb, outcome): (&Verb, Outcome),
) -> Response<Full<Bytes>> {
    let status = if makes(verb) { StatusCode::CREATED } else { StatusCode::OK };
    // Wiped when it has been sent.
    let text = outcome.disclose().map_or_else(|_| Bytes::new(), Bytes::from_owner);
    let mut answer = answer(status, JSON, text, head);
    let headers = answer.headers_mut();
    put(headers, X_REQUEST_ID, &call.id);
    let value = &outcome.value;
    if let Some(revision) = value.get("revision").and_then(Value::as_u64) {
        put(headers, ETAG, &format!("\"{revision}\""));
    }
    if let Some(next) = value.get("next").and_then(Value::as_str) {
        put(headers, LINK, &format!("<{}>; rel=\"next\"", next_page(head, next)));
    }
    if status == StatusCode::CREATED
        && let Some(place) = place(head, routes, verb, value)
    {
        put(headers, LOCATION, &place);
    }
    answer
}

/// Whether a verb makes something that has a place of its own.
pub(super) fn makes(verb: &Verb) -> bool {
    let last = verb.path.rsplit('/').next().unwrap_or_default();
    verb.method == administration::Method::Post && !last.contains(':')
}

/// Where that is which was made.
fn place(head: &Head, routes: &Routes, verb: &Verb, value: &Value) -> Option<String> {
    let found = routes.find(&head.method, head.uri.path())?;
    routes.place_of(verb, |name| {
        let in_path = found.members.iter().find(|(own, _)| *own == name);
        match (in_path, value.get(name)) {
            (Some((_, text)), _) => Some(text.clone()),
            (None, Some(Value::String(text))) => Some(text.clone()),
            (None, Some(Value::Number(number))) => Some(number.to_string()),
            (None, _) => None,
        }
    })
}

/// The same list from where this page ended.
fn next_page(head: &Head, next: &str) -> String {
    let query = head.uri.query().unwrap_or_default();
    let pairs = form::parse(query.as_bytes()).unwrap_or_default();
    let mut page = format!("{}?", head.uri.path());
    for (name, value) in pairs.iter().filter(|(name, _)| name != "after") {
        page.push_str(&format!("{}={}&", encode(name), encode(value)));
    }
    page.push_str(&format!("after={}", encode(next)));
    page
}

/// The answer to a call that was not carried out.
pub(super) fn refusal(
    call: &Call,
    head: &Head,
    refusal: &Refusal,
    unread: bool,
    now: Timestamp,
) -> Response<Full<Bytes>> {
    let (code, status, title) = refusal.face();
    let mut problem = json!({
        "type": format!("urn:countersign:problem:{code}"),
        "title": title,
        "status": status,
        "code": code,
        "detail": refusal.detail(),
        "request_id": call.id,
    });
    let at = match refusal {
        Refusal::Problem(problem) => problem.at,
        _ => None,
    };
    if let (Some(at), Some(members)) = (at, problem.as_object_mut()) {
        members.insert("at".to_owned(), Moment(at).to_string().into());
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answer(status, PROBLEM, Bytes::from(problem.to_string()), head);
    let headers = answer.headers_mut();
    put(headers, X_REQUEST_ID, &call.id);
    if let Some(seconds) = wait(refusal, at, now) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        Refusal::Unauthorized(stranger) => put(headers, WWW_AUTHENTICATE, challenge(*stranger)),
        Refusal::Method(allowed) => put(headers, ALLOW, &allowed.join(", ")),
        _ => {}
    }
    // What is left of the body would be read as the next request.
    if unread && head.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// RFC 6750, section 3.
fn challenge(stranger: Stranger) -> &'static str {
    match stranger {
        Stranger::Missing => "Bearer realm=\"countersign\"",
        Stranger::Mistyped | Stranger::Unknown | Stranger::Expired | Stranger::Revoked => {
            "Bearer realm=\"countersign\", error=\"invalid_token\""
        }
    }
}

/// Seconds after which trying again can help.
fn wait(refusal: &Refusal, at: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    match refusal {
        Refusal::Slowed(wait) => Some(wait.as_secs().saturating_add(1)),
        Refusal::Plain(Code::Busy, _) => Some(1),
        _ => at.map(|at| at.secs().saturating_sub(now.secs()).max(1)),
    }
}

/// The description of the API.
pub(super) fn document(head: &Head, text: &Bytes) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, JSON, text.clone(), head)
}

/// What a path takes.
pub(super) fn options(head: &Head, allowed: &[&'static str]) -> Response<Full<Bytes>> {
    let mut answer = answer(StatusCode::NO_CONTENT, JSON, Bytes::new(), head);
    answer.headers_mut().remove(CONTENT_TYPE);
    put(answer.headers_mut(), ALLOW, &allowed.join(", "));
    answer
}

fn answer(
    status: StatusCode,
    kind: &'static str,
    text: Bytes,
    head: &Head,
) -> Response<Full<Bytes>> {
    let length = text.len();
    let is_head = head.method == Method::HEAD;
    let mut answer = Response::new(Full::new(if is_head { Bytes::new() } else { text }));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}

/// Sets a header. What is set here is visible ASCII.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
