//! The requests that the demo sends: what each of them is, and what the gate must do with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use countersign::client::{Client, Options, Protocol};
use countersign::clock::Timestamp;
use countersign::config::scheme::builtin;
use countersign::scheme::{Outgoing, VerifyingKey};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};

use super::super::failure::chain;
use super::echo::Echo;
use super::scene::{ACME, BAZAAR, BODY_BYTES_MAX, BURST, Secrets};

/// Requests that are sent at most until the limit of a credential shows.
const ATTEMPTS_MAX: u32 = 40;
const JSON: &str = "application/json";
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// An address that `bazaar` may not call from.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// One request, or several of a kind, and what must come of it.
pub(super) struct Step {
    pub(super) sent: &'static str,
    pub(super) expected: Expected,
    shots: Vec<Shot>,
}

/// What must come of a step.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Status of the last answer.
    pub(super) status: u16,
    /// The code in it; none: the service's own answer.
    pub(super) code: Option<&'static str>,
    /// How many of the requests reach the service.
    pub(super) forwarded: RangeInclusive<u64>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Status of the last answer, or why there is none.
    pub(super) status: Result<u16, String>,
    /// The code in it.
    pub(super) code: Option<String>,
    /// The merchant as whom the service saw it.
    pub(super) merchant: Option<String>,
    /// How many requests were sent.
    pub(super) requests: u64,
    /// How many of them the service has seen.
    pub(super) forwarded: u64,
}

impl Expected {
    fn passes() -> Self {
        Self { status: 200, code: None, forwarded: 1..=1 }
    }

    fn refused(status: u16, code: &'static str) -> Self {
        Self { status, code: Some(code), forwarded: 0..=0 }
    }

    /// Whether an outcome is as it must be.
    pub(super) fn is(&self, outcome: &Outcome) -> bool {
        outcome.status == Ok(self.status)
            && outcome.code.as_deref() == self.code
            && self.forwarded.contains(&outcome.forwarded)
    }
}

/// One signed request, and what is done to it after it was signed.
#[derive(Clone)]
struct Shot {
    key_id: &'static str,
    key: VerifyingKey,
    at: Timestamp,
    method: Method,
    target: &'static str,
    body: Bytes,
    change: Change,
    from: IpAddr,
    protocol: Protocol,
}

/// What an attacker, or a client at fault, does to a signed request.
#[derive(Clone)]
enum Change {
    Nothing,
    Body(&'static str),
    Without(HeaderName),
    Twice(HeaderName),
    Host(&'static str),
}

/// The tour, for credentials with these secrets, signed at `now`.
pub(super) fn steps(secrets: &Secrets, now: Timestamp) -> Vec<Step> {
    let one = |sent, shot, expected| Step { sent, expected, shots: vec![shot] };
    let order = post(secrets, now, r#"{"order_id":"A-1","amount":500}"#);
    let read =
        Shot { method: Method::GET, target: "/v1/orders/A-1", body: Bytes::new(), ..order.clone() };
    let http2 = post(secrets, now, r#"{"order_id":"A-2","amount":700}"#);
    let mut all = vec![
        one("an order, signed", order.clone(), Expected::passes()),
        one("a read, signed", read, Expected::passes()),
        one("an order over HTTP/2", over_http2(http2), Expected::passes()),
        one("the first order once more", order.clone(), Expected::refused(409, "replayed")),
    ];
    all.extend(forged(secrets, now));
    all.extend(out_of_time(secrets, now));
    all.extend(not_permitted(secrets, now));
    all.extend(malformed(secrets, now));
    all
}

fn post(secrets: &Secrets, now: Timestamp, body: &'static str) -> Shot {
    Shot {
        key_id: ACME,
        key: secrets.acme.clone(),
        at: now,
        method: Method::POST,
        target: "/v1/orders",
        body: Bytes::from_static(body.as_bytes()),
        change: Change::Nothing,
        from: HOME,
        protocol: Protocol::Http1,
    }
}

fn over_http2(shot: Shot) -> Shot {
    Shot { protocol: Protocol::Http2, ..shot }
}

fn forged(secrets: &Secrets, now: Timestamp) -> Vec<Step> {
    let base = post(secrets, now, r#"{"order_id":"A-3","amount":500}"#);
    let tampered = Change::Body(r#"{"order_id":"A-3","amount":5}"#);
    [
        ("its amount changed on the way", Shot { change: tampered, ..base.clone() }),
        ("signed with another secret", Shot { key: secrets.stranger.clone(), ..base.clone() }),
        ("a key id that nobody has", Shot { key_id: "pk_test_nobody", ..base }),
    ]
    .map(|(sent, shot)| Step {
        sent,
        expected: Expected::refused(401, "invalid_signature"),
        shots: vec![shot],
    })
    .into()
}

fn out_of_time(secrets: &Secrets, now: Timestamp) -> Vec<Step> {
    let base = post(secrets, now, r#"{"order_id":"A-4","amount":500}"#);
    let span = Duration::from_secs(600);
    [
        ("signed ten minutes ago", Shot { at: now.saturating_sub(span), ..base.clone() }),
        ("signed ten minutes ahead", Shot { at: now.saturating_add(span), ..base }),
    ]
    .map(|(sent, shot)| Step {
        sent,
        expected: Expected::refused(401, "stale_timestamp"),
        shots: vec![shot],
    })
    .into()
}

fn not_permitted(secrets: &Secrets, now: Timestamp) -> Vec<Step> {
    let base = post(secrets, now, r#"{"order_id":"B-1","amount":500}"#);
    let bazaar = Shot { key_id: BAZAAR, key: secrets.bazaar.clone(), ..base.clone() };
    let delete = Shot { method: Method::DELETE, target: "/v1/orders/A-1", ..base };
    let from_elsewhere = Shot { from: ELSEWHERE, ..bazaar.clone() };
    // Each with a body of its own: the same one would be a replay.
    let numbered =
        |n| Shot { body: format!("{{\"order_id\":\"B-{n}\"}}").into(), ..bazaar.clone() };
    let burst = u64::from(BURST);
    vec![
        Step {
            sent: "a method outside its scopes",
            expected: Expected::refused(403, "not_in_scope"),
            shots: vec![delete],
        },
        Step {
            sent: "from an address not allowed",
            expected: Expected::refused(403, "address_not_allowed"),
            shots: vec![from_elsewhere],
        },
        Step {
            sent: "more at once than its limit",
            expected: Expected {
                // A slow machine takes so long that more than the burst are due.
                forwarded: burst..=u64::from(ATTEMPTS_MAX),
                ..Expected::refused(429, "rate_limited")
            },
            shots: (1..=ATTEMPTS_MAX).map(numbered).collect(),
        },
    ]
}

fn malformed(secrets: &Secrets, now: Timestamp) -> Vec<Step> {
    let base = post(secrets, now, r#"{"order_id":"A-5","amount":500}"#);
    let large = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    let get = |target| Shot { method: Method::GET, target, body: Bytes::new(), ..base.clone() };
    let with = |change| Shot { change, ..base.clone() };
    let refused = Expected::refused;
    [
        (
            "a body over the limit",
            Shot { body: large, ..base.clone() },
            refused(413, "body_too_large"),
        ),
        ("without a signature", with(Change::Without(X_SIGNATURE)), refused(401, "missing_header")),
        ("with two key ids", with(Change::Twice(X_API_KEY)), refused(401, "malformed_header")),
        ("a path that climbs", get("/v1/%2e%2e/admin"), refused(400, "bad_request")),
        (
            "for a host of someone else",
            with(Change::Host("api.example.com")),
            refused(421, "misdirected"),
        ),
        ("a path that no route has", get("/admin"), refused(404, "no_route")),
    ]
    .map(|(sent, shot, expected)| Step { sent, expected, shots: vec![shot] })
    .into()
}

impl Step {
    /// Method and path of its requests.
    pub(super) fn line(&self) -> String {
        let first = self.shots.first();
        first.map(|shot| format!("{} {}", shot.method, shot.target)).unwrap_or_default()
    }

    /// Sends its requests one after another, until one of them is refused.
    pub(super) async fn take(&self, client: &Client, gate: SocketAddr, echo: &Echo) -> Outcome {
        let before = echo.received();
        let mut outcome = Outcome {
            status: Err("nothing was sent".to_owned()),
            code: None,
            merchant: None,
            requests: 0,
            forwarded: 0,
        };
        for shot in &self.shots {
            outcome.requests += 1;
            match shot.fire(client, gate).await {
                Ok(answer) => {
                    outcome.read(&answer);
                    if !answer.status().is_success() {
                        break;
                    }
                }
                Err(why) => {
                    outcome.status = Err(why);
                    break;
                }
            }
        }
        outcome.forwarded = echo.received().saturating_sub(before);
        outcome
    }
}

impl Outcome {
    fn read(&mut self, answer: &Response<Bytes>) {
        let json: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let text = |pointer| json.pointer(pointer).and_then(|v| v.as_str()).map(str::to_owned);
        self.status = Ok(answer.status().as_u16());
        self.code = text("/code");
        self.merchant = text("/identity/x-countersign-merchant");
    }
}

impl Shot {
    async fn fire(&self, client: &Client, gate: SocketAddr) -> Result<Response<Bytes>, String> {
        let request = self.request(gate.port()).map_err(|e| chain(&*e))?;
        let options = Options {
            protocol: self.protocol,
            connect: Some(gate),
            local: Some(self.from),
            deadline: Duration::from_secs(10),
            ..Options::default()
        };
        client.send(request, &options).await.map_err(|e| chain(&e))
    }

    fn request(&self, port: u16) -> Result<Request<Bytes>, Box<dyn std::error::Error>> {
        let authority = format!("localhost:{port}");
        let scheme = builtin("kwikpaisa").ok_or("the scheme is missing")?;
        let outgoing = Outgoing {
            key_id: self.key_id,
            timestamp: self.at,
            method: &self.method,
            authority: &authority,
            target: self.target,
            content_type: JSON,
            headers: &HeaderMap::new(),
            body: &self.body,
        };
        let url: Uri = format!("https://{authority}{}", self.target).parse()?;
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        headers.extend(scheme.sign(&self.key, &outgoing)?);
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        match &self.change {
            Change::Nothing => {}
            Change::Without(name) => drop(headers.remove(name)),
            Change::Twice(name) => {
                if let Some(value) = headers.get(name).cloned() {
                    headers.append(name, value);
                }
            }
            Change::Host(host) => drop(headers.insert(HOST, HeaderValue::from_static(host))),
            Change::Body(other) => *request.body_mut() = Bytes::from_static(other.as_bytes()),
        }
        Ok(request)
    }
}
