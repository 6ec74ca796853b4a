//! What is answered to clients that come in clear: the way to HTTPS, and the tokens by which an
//! authority for certificates sees that a name is ours (RFC 8555, section 8.3).
//!
//! Promises that nothing secret is asked for a second time: a client that sent a credential in
//! clear is told so instead of being sent on, since its program would go on unnoticed.
//! Nothing that comes here reaches the gateway.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use prometheus::IntCounterVec;
use serde_json::json;

use crate::gateway::admission::intake::guard::host_named;
use crate::limit::KIB;
use crate::peer::Peer;
use crate::serve::{Arriving, Handler};
use crate::target::check_path;

/// Answers for tokens that an authority for certificates asks for (RFC 8555, section 8.3).
pub trait Challenges: Send + Sync {
    /// Whether authorities may ask at all. Where not, their place is like any other.
    fn are_expected(&self) -> bool;

    /// The key authorization of a token; nothing where no challenge with it is under way.
    fn answer(&self, token: &str) -> Option<String>;
}

/// Where authorities ask.
const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// A token is base64url; those of authorities have 43 bytes.
const TOKEN_BYTES_MAX: usize = 128;
/// All names and values of a head and its target.
const HEAD_BYTES_MAX: usize = 8 * KIB;

/// Headers that tell nothing secret: browsers and proxies send them of themselves. Everything else
/// may be a credential, since every scheme has its own names.
const HARMLESS: [&str; 33] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-length",
    "device-memory",
    "dnt",
    "downlink",
    "ect",
    "forwarded",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "range",
    "referer",
    "rtt",
    "save-data",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "viewport-width",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// What the names of query parameters hold that carry signatures or keys.
const SECRET_WORDS: [&str; 13] = [
    "sig",
    "hmac",
    "mac",
    "token",
    "key",
    "secret",
    "auth",
    "pass",
    "pwd",
    "hash",
    "digest",
    "credential",
    "session",
];

/// Answers what comes in clear.
pub struct Redirect {
    challenges: Option<Arc<dyn Challenges>>,
    answers: IntCounterVec,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The same over HTTPS.
    To(HeaderValue),
    /// An answer for an authority; none where no such challenge is under way.
    Challenge(Option<String>),
    /// Something secret came in clear.
    Secret,
    /// A method that brings something.
    Method,
    /// It has no one reading, or is for somebody else.
    Bad,
}

impl Redirect {
    /// Counts by `outcome` into `answers`. Without `challenges` their place is like any other.
    pub fn new(challenges: Option<Arc<dyn Challenges>>, answers: IntCounterVec) -> Self {
        Self { challenges, answers }
    }

    fn judge(&self, head: &Parts, peer: &Peer) -> Verdict {
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let secret = head.headers.keys().any(|name| !is_harmless(name.as_str()));
        if secret || carries_secret(query) {
            return Verdict::Secret;
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Verdict::Method;
        }
        let Some(host) = host_of(head).filter(|_| is_small(head) && !has_body(&head.headers))
        else {
            return Verdict::Bad;
        };
        let graphic = query.bytes().all(|b| b.is_ascii_graphic());
        if head.uri.authority().is_some() || check_path(path).is_err() || !graphic {
            return Verdict::Bad;
        }
        let challenges = self.challenges.as_ref().filter(|challenges| challenges.are_expected());
        if let (Some(challenges), Some(token)) = (challenges, path.strip_prefix(CHALLENGES)) {
            return Verdict::Challenge(challenges.answer(token).filter(|_| is_token(token)));
        }
        if !peer.may_ask_for(host) {
            return Verdict::Bad;
        }
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let location = HeaderValue::try_from(format!("https://{open}{host}{close}{target}"));
        location.map_or(Verdict::Bad, Verdict::To)
    }
}

impl Handler for Redirect {
    type Body = Full<Bytes>;

    async fn handle(
        &self,
        head: Box<Parts>,
        _: Arriving,
        peer: &Rc<Peer>,
    ) -> Response<Full<Bytes>> {
        let verdict = self.judge(&head, peer);
        self.answers.with_label_values(&[outcome(&verdict)]).inc();
        answer(verdict)
    }
}

fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::To(_) => "redirected",
        Verdict::Challenge(Some(_)) => "challenge",
        Verdict::Secret => "secret",
        Verdict::Challenge(None) | Verdict::Method | Verdict::Bad => "refused",
    }
}

fn answer(verdict: Verdict) -> Response<Full<Bytes>> {
    match verdict {
        Verdict::To(location) => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
            answer.headers_mut().insert(LOCATION, location);
            answer
        }
        Verdict::Challenge(Some(text)) => {
            let mut answer = Response::new(Full::from(text));
            let kind = HeaderValue::from_static("application/octet-stream");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        }
        Verdict::Challenge(None) => {
            problem(StatusCode::NOT_FOUND, "no_route", "No such challenge is under way")
        }
        Verdict::Secret => problem(
            StatusCode::FORBIDDEN,
            "https_required",
            "Use https: what may be a credential came in clear, and should be replaced",
        ),
        Verdict::Method => {
            problem(StatusCode::FORBIDDEN, "https_required", "Use https: this port only redirects")
        }
        Verdict::Bad => {
            problem(StatusCode::BAD_REQUEST, "bad_request", "Use https: this cannot be redirected")
        }
    }
}

fn problem(status: StatusCode, code: &str, title: &str) -> Response<Full<Bytes>> {
    let text = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "forwarded": "no",
    });
    let mut answer = Response::new(Full::from(text.to_string()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The one host, without port.
fn host_of(head: &Parts) -> Option<&str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let single = hosts.next().is_some() && hosts.next().is_none();
    host_named(&head.uri, head.version, &head.headers).filter(|_| single)
}

fn is_small(head: &Parts) -> bool {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    target + fields.sum::<usize>() <= HEAD_BYTES_MAX
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    length || headers.contains_key(TRANSFER_ENCODING)
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.binary_search(&name).is_ok() || name.starts_with("sec-") || name == "transfer-encoding"
}

fn carries_secret(query: &str) -> bool {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.into_iter().any(|name| {
        let name = name.to_ascii_lowercase();
        // An escape could hide a word, and no plain name needs one.
        name.contains('%') || SECRET_WORDS.iter().any(|word| name.contains(word))
    })
}

fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use prometheus::Opts;

    use super::*;
    use crate::peer::CertNames;

    struct One;

    impl Challenges for One {
        fn are_expected(&self) -> bool {
            true
        }

        fn answer(&self, token: &str) -> Option<String> {
            (token == "abc_-1").then(|| "abc_-1.thumb".to_owned())
        }
    }

    fn judge(challenges: bool, target: &str, headers: &[(&str, &str)]) -> Verdict {
        let challenges = challenges.then(|| -> Arc<dyn Challenges> { Arc::new(One) });
        let answers = IntCounterVec::new(Opts::new("answers", "Answers"), &["outcome"]).unwrap();
        let peer = Peer {
            address: "203.0.113.7:5".parse().unwrap(),
            ip: "203.0.113.7".parse().unwrap(),
            socket: "203.0.113.7".parse().unwrap(),
            unclear: false,
            server_name: None,
            names: CertNames::new(vec!["api.example.com".into(), "::1".into()]),
            certificate: None,
            forwarded_for: HeaderValue::from_static("203.0.113.7"),
        };
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Redirect::new(challenges, answers).judge(&head, &peer)
    }

    #[test]
    fn harmless_names_are_sorted() {
        assert!(HARMLESS.is_sorted());
    }

    #[test]
    fn the_place_is_that_of_the_request_without_its_port() {
        let to = |host: &str, target: &str| judge(false, target, &[("host", host)]);
        let location = |text| Verdict::To(HeaderValue::from_static(text));
        assert_eq!(
            to("API.example.com:80", "/a?b=c&d"),
            location("https://API.example.com/a?b=c&d")
        );
        assert_eq!(to("[::1]:8080", "/"), location("https://[::1]/"));
        for host in ["evil.example", "api.example.com@evil.example", "", "api.example.com/"] {
            assert_eq!(to(host, "/"), Verdict::Bad, "{host}");
        }
        assert_eq!(to("api.example.com", "/a/../b"), Verdict::Bad);
        assert_eq!(to("api.example.com", "//evil.example/"), Verdict::Bad);
    }

    #[test]
    fn whatever_may_be_secret_is_not_sent_on() {
        for name in ["authorization", "cookie", "x-api-key", "signature", "x-anything"] {
            let headers = [("host", "api.example.com"), (name, "x")];
            assert_eq!(judge(false, "/", &headers), Verdict::Secret, "{name}");
        }
        for query in
            ["signature=1", "a=1&X-Amz-Signature=2", "API_KEY=1", "%6bey=1", "access_token"]
        {
            let verdict = judge(false, &format!("/?{query}"), &[("host", "api.example.com")]);
            assert_eq!(verdict, Verdict::Secret, "{query}");
        }
    }

    #[test]
    fn an_authority_is_answered_whatever_name_it_asks_for() {
        let ask = |path: &str| judge(true, path, &[("host", "new.example.com")]);
        let known = Verdict::Challenge(Some("abc_-1.thumb".to_owned()));
        assert_eq!(ask("/.well-known/acme-challenge/abc_-1"), known);
        for other in ["x", "abc_-1/x", ""] {
            let path = format!("/.well-known/acme-challenge/{other}");
            assert_eq!(ask(&path), Verdict::Challenge(None), "{other}");
        }
        let elsewhere =
            judge(false, "/.well-known/acme-challenge/x", &[("host", "api.example.com")]);
        assert!(matches!(elsewhere, Verdict::To(_)), "nobody here asks for certificates");
    }
}
