//! How a log line is written. Whatever came from outside is escaped by the JSON library, in text
//! lines too, so that no value can begin a line of its own.

use std::io::Write as _;
use std::time::Duration;

use http::Version;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::super::record::Stage;
use super::super::usage::VerifiedBy;
use super::{Line, LogFormat};

/// Times as text, RFC 3339 in UTC with milliseconds. Lines of one second share their beginning.
pub(super) struct Times {
    second: u64,
    text: [u8; TIME_BYTES],
}

/// `2026-11-25T18:00:00.123Z`, until the year 9999.
const TIME_BYTES: usize = 24;
/// Up to the point before the milliseconds.
const SECOND_BYTES: usize = 20;

impl Default for Times {
    fn default() -> Self {
        let mut times = Self { second: 0, text: [0; TIME_BYTES] };
        times.begin(0);
        times
    }
}

impl Times {
    /// A time, in milliseconds since 1970.
    pub(super) fn of(&mut self, wall_millis: u64) -> &str {
        if wall_millis / 1000 != self.second {
            self.begin(wall_millis / 1000);
        }
        let mut millis = itoa::Buffer::new();
        // Four digits, of which the first is cut off: leading zeros stay.
        let digits = millis.format(1000 + wall_millis % 1000).as_bytes();
        let places = self.text.iter_mut().skip(SECOND_BYTES);
        places.zip(digits.iter().skip(1)).for_each(|(place, digit)| *place = *digit);
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    fn begin(&mut self, second: u64) {
        self.second = second;
        let time = i64::try_from(second).ok();
        let time = time.and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        let month = u8::from(month);
        let mut rest = &mut self.text[..];
        let written =
            write!(rest, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z");
        // 24 bytes have room for every year up to 9999.
        drop(written);
    }
}

/// The name of a field as it stands in a line, put together when the gate is built.
#[derive(Clone, Copy)]
struct Key {
    json: &'static str,
    text: &'static str,
}

macro_rules! key {
    ($name:literal) => {
        Key { json: concat!(",\"", $name, "\":"), text: concat!(" ", $name, "=") }
    };
}

/// The time of a stage, in microseconds.
fn stage_key(stage: Stage) -> Key {
    match stage {
        Stage::Head => key!("head_us"),
        Stage::Body => key!("body_us"),
        Stage::Verify => key!("verify_us"),
        Stage::Decide => key!("decide_us"),
        Stage::Upstream => key!("upstream_us"),
    }
}

/// One finished request. The query is left out: people put secrets there.
pub(super) fn request(format: LogFormat, time: &str, line: &Line<'_>, out: &mut Vec<u8>) {
    let mut fields = Fields { format, out };
    let notes = line.notes;
    fields.begin(time);
    fields.plain(key!("event"), "request");
    fields.plain(key!("code"), line.code.as_str());
    if let Some(verdict) = notes.refused {
        fields.plain(key!("refused"), verdict.as_str());
    }
    fields.number(key!("status"), u64::from(line.status));
    // A token (RFC 9110, section 5.6.2) has nothing that needs escapes.
    fields.plain(key!("method"), notes.method.as_str());
    fields.text(key!("path"), notes.target.as_ref().map_or("", |target| target.path()));
    fields.plain(key!("protocol"), if notes.version == Version::HTTP_2 { "h2" } else { "h1" });
    fields.plain(key!("peer"), notes.peer.forwarded_for.to_str().unwrap_or_default());
    if let Some(via) = notes.peer.via() {
        fields.plain(key!("via"), &via.to_string());
    }
    if let Some(certificate) = &notes.peer.certificate {
        fields.plain(key!("certificate"), certificate.fingerprint());
    }
    if let Some(route) = &notes.route {
        fields.plain(key!("route"), route.name());
    }
    if let Some(owner) = &notes.owner {
        fields.text(key!("credential"), &owner.key_id);
        if let Some(VerifiedBy { number, .. }) = notes.verified {
            fields.text(key!("merchant"), &owner.merchant);
            fields.plain(key!("environment"), owner.environment);
            if number > 0 {
                fields.number(key!("secret_version"), u64::from(number));
            }
        }
    }
    for (stage, span) in Stage::ALL.into_iter().zip(line.spans) {
        fields.micros(stage_key(stage), span);
    }
    fields.micros(key!("total_us"), line.total);
    if let Some(traced) = &notes.traced {
        fields.plain(key!("trace_id"), traced.trace.id());
    }
    fields.plain(key!("request_id"), line.id.as_str());
    fields.end();
}

/// One event: a JSON object, its fields after the time.
pub(super) fn event(format: LogFormat, time: &str, event: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut fields = Fields { format, out };
    fields.begin(time);
    // Level and event come first; the map keeps its keys in order of their names.
    let first = ["level", "event"];
    for key in first {
        if let Some(value) = event.get(key) {
            fields.value(key, value);
        }
    }
    for (key, value) in event.iter().filter(|(key, _)| !first.contains(&key.as_str())) {
        fields.value(key, value);
    }
    fields.end();
}

/// A line in the making.
struct Fields<'a> {
    format: LogFormat,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn begin(&mut self, time: &str) {
        let (before, after): (&[u8], &[u8]) = match self.format {
            LogFormat::Json => (b"{\"time\":\"", b"\""),
            LogFormat::Text => (b"time=", b""),
        };
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(time.as_bytes());
        self.out.extend_from_slice(after);
    }

    fn end(&mut self) {
        self.out.extend_from_slice(match self.format {
            LogFormat::Json => b"}\n",
            LogFormat::Text => b"\n",
        });
    }

    fn key(&mut self, key: Key) {
        let key = match self.format {
            LogFormat::Json => key.json,
            LogFormat::Text => key.text,
        };
        self.out.extend_from_slice(key.as_bytes());
    }

    /// Text of our own that needs no escapes.
    fn plain(&mut self, key: Key, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    fn quoted(&mut self, text: &str) {
        let text = text.as_bytes();
        match self.format {
            LogFormat::Json => {
                self.out.push(b'"');
                self.out.extend_from_slice(text);
                self.out.push(b'"');
            }
            LogFormat::Text => self.out.extend_from_slice(text),
        }
    }

    /// Text that may come from outside.
    fn text(&mut self, key: Key, text: &str) {
        self.key(key);
        self.escaped(text);
    }

    fn escaped(&mut self, text: &str) {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'=');
        // Without an early end, so that the compiler looks at many bytes at a time.
        if !text.is_empty() && text.bytes().fold(true, |all, b| all & plain(b)) {
            self.quoted(text);
        } else {
            self.json(&Value::from(text));
        }
    }

    /// A member of an event.
    fn value(&mut self, key: &str, value: &Value) {
        let key = key.as_bytes();
        match self.format {
            LogFormat::Json => {
                self.out.extend_from_slice(b",\"");
                self.out.extend_from_slice(key);
                self.out.extend_from_slice(b"\":");
            }
            LogFormat::Text => {
                self.out.push(b' ');
                self.out.extend_from_slice(key);
                self.out.push(b'=');
            }
        }
        match value {
            Value::String(text) => self.escaped(text),
            other => self.json(other),
        }
    }

    fn json(&mut self, value: &Value) {
        // Writing to memory cannot fail.
        drop(serde_json::to_writer(&mut *self.out, value));
    }

    fn number(&mut self, key: Key, number: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn micros(&mut self, key: Key, span: Duration) {
        let micros = u64::from(span.subsec_micros());
        self.number(key, span.as_secs().saturating_mul(1_000_000).saturating_add(micros));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        let mut times = Times::default();
        assert_eq!(times.of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(times.of(1_764_093_600_007), "2025-11-25T18:00:00.007Z");
        assert_eq!(times.of(1_764_093_600_999), "2025-11-25T18:00:00.999Z");
    }

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        let evil = "a\r\n{\"event\":\"x\"}\u{1b}[31m \"=";
        for format in [LogFormat::Json, LogFormat::Text] {
            let mut out = Vec::new();
            let fields = [("event".into(), Value::from("e")), ("why".into(), Value::from(evil))];
            event(format, "now", &Map::from_iter(fields), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
            if format == LogFormat::Json {
                let line: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(line["why"], evil);
            }
        }
    }
}
