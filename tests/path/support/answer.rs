//! What came back, and the rules that every answer of the gate keeps.

use serde_json::Value;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Statuses of interim answers before it.
    pub(crate) interim: Vec<u16>,
}

/// Headers that an answer of the gate's own may carry, over HTTP/1.1.
const OWN_HEADERS: [&str; 8] = [
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "www-authenticate",
    "x-countersign-request-id",
];

/// Headers that the gate may add to an upstream's answer, beside those the upstream sent.
pub(crate) const ADDED_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "x-countersign-request-id"];

/// Members that a refusal always has.
const MEMBERS: [&str; 6] = ["type", "title", "status", "code", "request_id", "forwarded"];

/// Members that a refusal may have.
const MORE_MEMBERS: [&str; 9] = [
    "detail",
    "header",
    "claim",
    "mistake",
    "hint",
    "body_bytes_max",
    "retry_after_seconds",
    "now",
    "window",
];

impl Answer {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault} in {self:?}: {}", self.text()))
    }

    /// The refusal's code; fails the test when the answer is not a refusal of the right form.
    pub(crate) fn refusal(&self) -> Refusal {
        let shown = format!("{self:?} {}", self.text());
        assert_eq!(self.value("content-type"), Some("application/problem+json"), "{shown}");
        for (name, _) in &self.headers {
            assert!(OWN_HEADERS.contains(&name.as_str()), "header {name} in {shown}");
        }
        let json = self.json();
        let members = json.as_object().unwrap_or_else(|| panic!("{shown}"));
        for name in MEMBERS {
            assert!(members.contains_key(name), "{name} in {shown}");
        }
        for name in members.keys() {
            let known = MEMBERS.contains(&name.as_str()) || MORE_MEMBERS.contains(&name.as_str());
            assert!(known, "member {name} in {shown}");
        }
        assert_eq!(json["status"], self.status, "{shown}");
        let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
        assert!(!text("request_id").is_empty() && !text("title").is_empty(), "{shown}");
        assert!(text("type").contains(&text("code")), "{shown}");
        Refusal { status: self.status, code: text("code"), forwarded: text("forwarded") }
    }
}

/// What a refusal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) forwarded: String,
}

/// The status of a code, from the table of refusals in the design.
pub(crate) fn status_of(code: &str) -> u16 {
    match code {
        "missing_header" | "malformed_header" | "stale_timestamp" | "invalid_signature" => 401,
        "unsupported_kid" | "unknown_epoch" | "key_expired" | "chain_revoked"
        | "key_superseded" | "key_exhausted" => 401,
        "address_not_allowed"
        | "certificate_not_allowed"
        | "not_in_scope"
        | "anchor_not_allowed" => 403,
        "replayed" | "duplicate_order" => 409,
        "cannot_open" | "bad_request" => 400,
        "misdirected" => 421,
        "no_route" => 404,
        "body_too_large" => 413,
        "headers_too_large" => 431,
        "body_too_slow" => 408,
        "unsupported_encoding" => 415,
        "rate_limited" => 429,
        "busy" => 503,
        "internal" => 500,
        "upstream_unreachable" | "upstream_broke" | "answer_too_large" => 502,
        "upstream_timed_out" => 504,
        other => panic!("no such code: {other}"),
    }
}
