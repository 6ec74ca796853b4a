//! Spans as the JSON of an export request (OTLP, "JSON Protobuf Encoding"): ids in hexadecimal,
//! numbers of 64 bits as text, enumerations as numbers. Names of attributes are those of the
//! OpenTelemetry semantic conventions for HTTP; `countersign.*` are our own.

use std::fmt::Display;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::telemetry::{Asked, Code, Span, SpanId, Stage};

/// `SpanKind` of OTLP.
const KIND_SERVER: u8 = 2;
const KIND_CLIENT: u8 = 3;
/// `StatusCode` of OTLP.
const STATUS_ERROR: u8 = 2;
/// What a method is called that is no standard one.
const OTHER_METHOD: &str = "_OTHER";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanEntry<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanEntry<'a> {
    trace_id: &'a str,
    #[serde(serialize_with = "digits")]
    span_id: SpanId,
    #[serde(serialize_with = "digits_if_any", skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    name: String,
    kind: u8,
    #[serde(serialize_with = "as_text")]
    start_time_unix_nano: u64,
    #[serde(serialize_with = "as_text")]
    end_time_unix_nano: u64,
    attributes: Vec<Attribute<'a>>,
    status: Status,
}

#[derive(Default, Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: Value<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "stringValue", serialize_with = "as_text")]
    Digits(u16),
    #[serde(rename = "intValue", serialize_with = "as_text")]
    Number(u64),
}

fn as_text<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn digits<S: Serializer>(id: &SpanId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.as_str())
}

fn digits_if_any<S: Serializer>(id: &Option<SpanId>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.as_ref().map_or("", SpanId::as_str))
}

/// An export request with these spans of a service.
pub(super) fn export(service: &str, spans: &[Box<Span>]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [text("service.name", service), text("service.version", version)];
    let of_request = |span| [Some(server(span)), client(span)].into_iter().flatten();
    let spans = spans.iter().map(|span| &**span).flat_map(of_request).collect();
    let scope = Scope { name: "countersign", version };
    let scope_spans = [ScopeSpans { scope, spans }];
    let resource = Resource { attributes };
    let export = Export { resource_spans: [ResourceSpans { resource, scope_spans }] };
    // Text and numbers in memory always become JSON.
    serde_json::to_vec(&export).unwrap_or_default()
}

/// The span of a request in the gate.
fn server(span: &Span) -> SpanEntry<'_> {
    let method = span.method.unwrap_or(OTHER_METHOD);
    let route = span.route.as_ref().map(|route| route.name());
    let mut attributes = vec![
        text("http.request.method", method),
        text("url.scheme", "https"),
        text("network.protocol.version", span.protocol),
    ];
    attributes.extend(route.map(|route| text("http.route", route)));
    attributes.extend(status_of(span));
    attributes.extend(error_of(span, 500));
    attributes.extend(span.refused.map(|code| text("countersign.refused", code.as_str())));
    if let Some(owner) = &span.owner {
        attributes.push(text("countersign.credential", &owner.key_id));
        if span.verified {
            attributes.push(text("countersign.merchant", &owner.merchant));
            attributes.push(text("countersign.environment", owner.environment));
        }
    }
    attributes.push(text("countersign.request_id", span.id.as_str()));
    attributes.extend(Stage::ALL.into_iter().zip(span.stages).filter_map(stage));
    SpanEntry {
        trace_id: span.trace.id(),
        span_id: SpanId::inbound(&span.id),
        parent_span_id: span.trace.parent().copied(),
        name: route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
        kind: KIND_SERVER,
        start_time_unix_nano: span.start_nanos,
        end_time_unix_nano: span.start_nanos.saturating_add(nanos(span.total)),
        attributes,
        // A refusal is the client's failure, and not the gate's.
        status: status(span.status >= 500 || span.code == Code::ClientGone),
    }
}

/// The span of a request on its way to its upstream and back.
fn client(span: &Span) -> Option<SpanEntry<'_>> {
    let Asked { upstream, after, took } = span.asked.as_ref()?;
    let method = span.method.unwrap_or(OTHER_METHOD);
    let mut attributes = vec![text("http.request.method", method), text("peer.service", upstream)];
    // The gate's own statuses are none of the upstream's.
    if is_upstreams(span.code) {
        attributes.extend(status_of(span));
    }
    attributes.extend(error_of(span, 400));
    let start = span.start_nanos.saturating_add(nanos(*after));
    Some(SpanEntry {
        trace_id: span.trace.id(),
        span_id: SpanId::outbound(&span.id),
        parent_span_id: Some(SpanId::inbound(&span.id)),
        name: method.to_owned(),
        kind: KIND_CLIENT,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(nanos(*took)),
        attributes,
        status: status(span.status >= 400 || !is_upstreams(span.code)),
    })
}

/// Whether the answer is the upstream's.
fn is_upstreams(code: Code) -> bool {
    matches!(code, Code::Forwarded | Code::Observed)
}

fn status(failed: bool) -> Status {
    Status { code: failed.then_some(STATUS_ERROR) }
}

fn status_of(span: &Span) -> Option<Attribute<'_>> {
    // To a client that is gone nobody answered.
    let answered = span.code != Code::ClientGone;
    answered.then(|| number("http.response.status_code", u64::from(span.status)))
}

/// Why it failed: the code, or where the upstream answered so, its status from `least` on.
fn error_of(span: &Span, least: u16) -> Option<Attribute<'_>> {
    if !is_upstreams(span.code) {
        return Some(text("error.type", span.code.as_str()));
    }
    let value = Value::Digits(span.status);
    (span.status >= least).then_some(Attribute { key: "error.type", value })
}

/// The time in a stage, in microseconds, where it was passed. That of the upstream is a span.
fn stage<'a>((stage, took): (Stage, Duration)) -> Option<Attribute<'a>> {
    let key = match stage {
        Stage::Head => "countersign.head_us",
        Stage::Body => "countersign.body_us",
        Stage::Verify => "countersign.verify_us",
        Stage::Decide => "countersign.decide_us",
        Stage::Upstream => return None,
    };
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    (!took.is_zero()).then(|| number(key, micros))
}

fn text<'a>(key: &'static str, value: &'a str) -> Attribute<'a> {
    Attribute { key, value: Value::Text(value) }
}

fn number<'a>(key: &'static str, value: u64) -> Attribute<'a> {
    Attribute { key, value: Value::Number(value) }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
