//! What the merchant's service gets for a delivery. Pure.

use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, Request, Uri};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::journal::{Confirmation, Delivery, Verdict};
use crate::secret::Secret;

use super::signature::signatures;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const SOURCE: HeaderName = HeaderName::from_static("countersign-source");
const RECEIVED: HeaderName = HeaderName::from_static("countersign-received");
const VERDICT: HeaderName = HeaderName::from_static("countersign-verdict");
const CONFIRMATION: HeaderName = HeaderName::from_static("countersign-confirmation");
const ATTEMPT: HeaderName = HeaderName::from_static("countersign-attempt");
const TARGET: HeaderName = HeaderName::from_static("countersign-target");

/// The longest fact that has a header, in bytes: a service must not refuse a delivery because of
/// what its sender wrote into it.
const FACT_BYTES_MAX: usize = 256;
/// The longest target that has a header, in bytes.
const TARGET_BYTES_MAX: usize = 4096;

/// Who is noted to have been asked where an operator answers for a delivery.
const OPERATOR: &str = "operator";

/// How a delivery is handed over.
pub(super) struct Handover<'a> {
    /// Where to.
    pub(super) url: &'a Uri,
    /// Which secrets sign it.
    pub(super) secrets: &'a [Secret],
    /// The header fields of the message that go with it.
    pub(super) passed: Vec<&'a HeaderName>,
    /// Which attempt this is, from 1.
    pub(super) number: u32,
    /// The name of the attempt.
    pub(super) attempt_id: &'a str,
    /// When.
    pub(super) now: Timestamp,
}

/// The request that hands a delivery over: its body as it came, signed by us, with what is known of
/// it in headers. What cannot stand in a header has none.
pub(super) fn request(delivery: &Delivery, handover: &Handover<'_>) -> Request<Bytes> {
    let mut headers = HeaderMap::new();
    pass(&mut headers, delivery, &handover.passed);
    let id = delivery.id.as_str();
    let signature = signatures(handover.secrets, id, handover.now, &delivery.body);
    let target = format!("{} {}", delivery.method, delivery.target);
    let own = [
        (WEBHOOK_ID, id.to_owned()),
        (WEBHOOK_TIMESTAMP, handover.now.to_string()),
        (WEBHOOK_SIGNATURE, signature),
        (SOURCE, delivery.source.to_string()),
        (RECEIVED, received(delivery.received_millis)),
        (VERDICT, verdict(&delivery.verdict)),
        (CONFIRMATION, confirmation(delivery)),
        (ATTEMPT, format!("{}; id={}", handover.number, handover.attempt_id)),
        (USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    for (name, value) in own {
        headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
    }
    if target.len() <= TARGET_BYTES_MAX {
        headers.extend(HeaderValue::try_from(target).map(|target| (TARGET, target)));
    }
    for (name, value) in &delivery.facts {
        let name = HeaderName::try_from(format!("countersign-fact-{name}"));
        if let (Ok(name), true) = (name, is_showable(value)) {
            headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        }
    }
    let mut request = Request::new(delivery.body.clone());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = handover.url.clone();
    *request.headers_mut() = headers;
    request
}

/// Copies fields of the message that go on, as they came and in their order.
fn pass(headers: &mut HeaderMap, delivery: &Delivery, passed: &[&HeaderName]) {
    for (name, value) in &delivery.headers {
        let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
        let of_the_body = name == CONTENT_TYPE || name == CONTENT_ENCODING;
        if !of_the_body && (!passed.contains(&&name) || never_passes(&name)) {
            continue;
        }
        let name = if is_ours(&name) {
            HeaderName::try_from(format!("original-{name}"))
        } else {
            Ok(name)
        };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}

/// What is about one connection (RFC 9110, section 7.6.1), about the framing of the message as it
/// came, or about somebody's right to something else.
fn never_passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("proxy-")
        || matches!(
            name,
            "authorization"
                | "connection"
                | "content-length"
                | "cookie"
                | "expect"
                | "host"
                | "http2-settings"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}

/// Whether a name is one that the gate says something under.
fn is_ours(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("webhook-") || text.starts_with("countersign-") || name == USER_AGENT
}

fn received(millis: u64) -> String {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn verdict(verdict: &Verdict) -> String {
    let Verdict { scheme, strength, .. } = verdict;
    match verdict.secret_version {
        Some(secret) => format!("verified; scheme={scheme}; strength={strength}; secret={secret}"),
        None => format!("unsigned; scheme={scheme}; strength={strength}"),
    }
}

fn confirmation(delivery: &Delivery) -> String {
    let Some(Confirmation { agreed, asked, state, .. }) = &delivery.confirmation else {
        return "not-asked".to_owned();
    };
    if !agreed || asked == OPERATOR {
        return "by-operator".to_owned();
    }
    let state = state.as_deref().filter(|state| is_token(state));
    let state = state.map_or_else(String::new, |state| format!("; state={state}"));
    format!("agreed; asked={asked}{state}")
}

/// Visible ASCII, with single spaces within as dates have them, and not too long.
fn is_showable(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    visible && !text.is_empty() && text.len() <= FACT_BYTES_MAX && text.trim() == text
}

fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(in_token)
}
