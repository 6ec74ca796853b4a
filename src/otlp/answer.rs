//! What a collector's answer means (OTLP over HTTP, "Response"). Pure.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::outbound::{CallFault, retry_after};

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The collector has the spans, but for so many.
    Taken { rejected: u64 },
    /// It does not want them, and will not want them later.
    Refused(Cause),
    /// Nobody knows whether it has them, and to ask again would not help.
    Lost(Cause),
    /// It cannot take them now; later, after the time that it names.
    Later(Cause, Option<Duration>),
}

/// Why: a code, and the status of the answer where there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) code: &'static str,
    pub(super) status: Option<u16>,
}

impl Cause {
    pub(super) fn of(code: &'static str) -> Self {
        Self { code, status: None }
    }

    fn status(status: StatusCode) -> Self {
        Self { code: "status", status: Some(status.as_u16()) }
    }
}

/// The body of an answer, as far as it counts. What it says in words is not kept.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    partial_success: Option<PartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: Option<Count>,
}

/// A number of 64 bits, which JSON has as text or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

/// What an answer, or none, means for the spans of a call.
pub(super) fn verdict(answer: Result<Response<Bytes>, CallFault>, now: Timestamp) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault @ CallFault::TooLong) => return Verdict::Lost(Cause::of(fault.code())),
        Err(fault) => return Verdict::Later(Cause::of(fault.code()), None),
    };
    let status = answer.status();
    if status.is_success() {
        let lost = || Verdict::Lost(Cause { code: "answer_unreadable", ..Cause::status(status) });
        return rejected(answer.body()).map_or_else(lost, |rejected| Verdict::Taken { rejected });
    }
    match status.as_u16() {
        429 | 502..=504 => {
            Verdict::Later(Cause::status(status), retry_after(answer.headers(), now))
        }
        _ => Verdict::Refused(Cause::status(status)),
    }
}

/// How many spans an answer says were not taken; none: it is no answer of a collector.
fn rejected(body: &[u8]) -> Option<u64> {
    if body.is_empty() {
        return Some(0);
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    match body.partial_success.unwrap_or_default().rejected_spans {
        None => Some(0),
        Some(Count::Number(number)) => Some(number),
        Some(Count::Text(text)) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Verdict {
        let answer = Response::builder().status(status).header("retry-after", "7");
        let answer = answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        verdict(Ok(answer), Timestamp::from_secs(0))
    }

    #[test]
    fn only_what_a_collector_says_counts_as_taken() {
        for (body, rejected) in [
            ("", 0),
            ("{}", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":null}"#, 0),
            (r#"{"partialSuccess":{"errorMessage":"slow down"}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3"},"more":1}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
        ] {
            assert_eq!(read(200, body), Verdict::Taken { rejected }, "{body}");
        }
        for body in [
            "<html>",
            "[1]",
            "\"\"",
            r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":-1}}"#,
            r#"{"partialSuccess":{"rejectedSpans":"many"}}"#,
            r#"{"partialSuccess":3}"#,
        ] {
            assert!(matches!(read(200, body), Verdict::Lost(_)), "{body}");
        }
    }

    #[test]
    fn four_statuses_mean_later() {
        let seven = Some(Duration::from_secs(7));
        for status in [429, 502, 503, 504] {
            let later = Verdict::Later(Cause { code: "status", status: Some(status) }, seven);
            assert_eq!(read(status, "no"), later);
        }
        for status in [301, 304, 400, 401, 403, 404, 413, 415, 500, 501, 505] {
            assert!(matches!(read(status, "no"), Verdict::Refused(_)), "{status}");
        }
        let absent = verdict(Err(CallFault::Unreachable), Timestamp::from_secs(0));
        assert_eq!(absent, Verdict::Later(Cause::of("unreachable"), None));
    }
}
