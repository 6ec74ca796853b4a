//! How a log line is written. JSON strings are escaped by the JSON library; text lines use the same
//! escapes, so that no value can begin a line of its own.

use std::io::Write as _;
use std::time::Duration;

use http::Version;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Line, LogFormat};

#[derive(Serialize)]
struct Shown<'a> {
    time: &'a str,
    event: &'static str,
    code: &'static str,
    status: u16,
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    peer: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'static str>,
    us: Micros,
    request_id: &'a str,
}

/// Microseconds by stage.
#[derive(Serialize)]
struct Micros {
    head: u64,
    body: u64,
    verify: u64,
    decide: u64,
    upstream: u64,
    total: u64,
}

/// One finished request. The query is left out: people put secrets there.
pub(super) fn request(format: LogFormat, line: &Line, out: &mut Vec<u8>) {
    let mut time = [0; 24];
    let time = rfc3339(line.wall_millis, &mut time);
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let [head, body, verify, decide, upstream] = line.spans.map(micros);
    let owner = line.owner.as_ref();
    let shown = Shown {
        time,
        event: "request",
        code: line.code.as_str(),
        status: line.status,
        method: line.method.as_str(),
        path: line.target.as_ref().map_or("", |target| target.path()),
        protocol: if line.version == Version::HTTP_2 { "h2" } else { "h1" },
        peer: line.ip,
        route: line.route.as_deref(),
        credential: line.key_id.as_ref().and_then(|id| id.to_str().ok()),
        merchant: owner.map(|(merchant, _)| &**merchant),
        environment: owner.map(|(_, environment)| *environment),
        us: Micros { head, body, verify, decide, upstream, total: micros(line.total) },
        request_id: line.id.as_str(),
    };
    match format {
        // Writing to memory cannot fail, and the value has text keys only.
        LogFormat::Json => drop(serde_json::to_writer(&mut *out, &shown)),
        LogFormat::Text => text(&serde_json::to_value(&shown).unwrap_or_default(), out),
    }
    out.push(b'\n');
}

/// One event.
pub(super) fn event(format: LogFormat, wall_millis: u64, event: &Value, out: &mut Vec<u8>) {
    let mut time = [0; 24];
    let time = rfc3339(wall_millis, &mut time);
    let mut line = serde_json::Map::new();
    line.insert("time".into(), Value::from(time));
    if let Value::Object(fields) = event {
        line.extend(fields.clone());
    }
    let line = Value::Object(line);
    match format {
        LogFormat::Json => drop(serde_json::to_writer(&mut *out, &line)),
        LogFormat::Text => text(&line, out),
    }
    out.push(b'\n');
}

/// `key=value` pairs; a value with anything but plain characters is written as JSON.
fn text(line: &Value, out: &mut Vec<u8>) {
    let Value::Object(fields) = line else { return };
    let order = ["time", "level", "event"];
    let first = order.iter().filter_map(|key| fields.get_key_value(*key));
    let rest = fields.iter().filter(|(key, _)| !order.contains(&key.as_str()));
    for (index, (key, value)) in first.chain(rest).enumerate() {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'=';
        let space = if index == 0 { "" } else { " " };
        let written = match value {
            Value::String(text) if !text.is_empty() && text.bytes().all(plain) => {
                write!(out, "{space}{key}={text}")
            }
            other => write!(out, "{space}{key}={other}"),
        };
        // Writing to memory cannot fail.
        drop(written);
    }
}

/// RFC 3339 in UTC with milliseconds, which is 24 bytes until the year 9999.
fn rfc3339(wall_millis: u64, buffer: &mut [u8; 24]) -> &str {
    let nanos = i128::from(wall_millis).saturating_mul(1_000_000);
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, millis) = time.to_hms_milli();
    let month = u8::from(month);
    let mut rest = &mut buffer[..];
    let written = write!(
        rest,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    );
    if written.is_err() { "" } else { std::str::from_utf8(buffer).unwrap_or_default() }
}
