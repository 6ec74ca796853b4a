//! A client of rolling keys, as partners are asked to write one: it seals, signs and sends, takes
//! up the keys that answers bring, and asks for fresh ones once when its own are refused.
//!
//! It books nothing as failed on an answer that is not sealed: such an answer proves nothing.

pub mod wallet;

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::{Client, ClientFault, Options};
use crate::clock::{Clock, Timestamp};
use crate::roll::sealing::NoRandom;
use crate::roll::session;
use crate::scheme::{Outgoing, Scheme, VerifyingKey};

pub use wallet::{Sealed, Unproved, Wallet};

/// The type of a body that is sealed bytes.
const SEALED: &str = "application/vnd.countersign.sealed";

/// Refusals on which fresh keys help.
const RESYNC: [&str; 6] = [
    "key_expired",
    "key_superseded",
    "unknown_epoch",
    "chain_revoked",
    "key_exhausted",
    "cannot_open",
];
/// How long a limit of session calls is waited out, at most.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Who sends, and how.
#[derive(Clone, Copy)]
pub struct Partner<'a> {
    /// The way to the gate.
    pub client: &'a Client,
    /// How each request is sent.
    pub options: &'a Options,
    /// What requests are signed by.
    pub scheme: &'a Scheme,
    /// The secret that signs them.
    pub key: &'a VerifyingKey,
    /// The key id.
    pub key_id: &'a str,
    /// The time that is signed.
    pub clock: &'a Clock,
    /// How often a request is sent for which no answer comes. It is sealed anew each time.
    pub attempts: NonZeroU32,
}

/// A request before it is sealed.
#[derive(Clone, Debug)]
pub struct Plain {
    /// The method.
    pub method: Method,
    /// A whole `https://` URL.
    pub url: Uri,
    /// Header fields that are sent as they are. A payment has its `Idempotency-Key` here, which
    /// stays the same when the request is sealed anew.
    pub headers: HeaderMap,
    /// The body; none: there is none.
    pub body: Option<Bytes>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The answer; its body as it was before it was sealed.
    pub answer: Response<Bytes>,
    /// Whether it was sealed. One that was not proves nothing: it is a refusal before the message
    /// opened, or not from the gate.
    pub sealed: bool,
    /// Whether fresh keys had to be asked for, other than to begin.
    pub resynced: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RollFault {
    /// The network, on the last attempt.
    #[error(transparent)]
    Client(#[from] ClientFault),
    /// The session call was refused with this answer.
    #[error("no fresh keys: the session call was answered {}: {}", .0.status(), shown(.0.body()))]
    NoSession(Box<Response<Bytes>>),
    /// The answer does not prove that it is the gate's.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// The request cannot be signed or sent.
    #[error("the request cannot be signed or sent: {0}")]
    Unfit(String),
}

fn shown(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

impl Partner<'_> {
    /// Sends a request and takes up the keys that its answer brings.
    ///
    /// # Errors
    /// Why there is no answer; the request may have arrived all the same.
    pub async fn send(&self, wallet: &mut Wallet, plain: &Plain) -> Result<Answer, RollFault> {
        let answer = self.until_answered(wallet, plain).await?;
        if answer.sealed || !asks_for_fresh_keys(&answer.answer) {
            return Ok(answer);
        }
        self.begin(wallet, &plain.url).await?;
        let answer = self.until_answered(wallet, plain).await?;
        Ok(Answer { resynced: true, ..answer })
    }

    /// Asks for a fresh chain in the place of the one that is held, and waits a limit out.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn begin(&self, wallet: &mut Wallet, url: &Uri) -> Result<(), RollFault> {
        let url = beside(url)?;
        let mut fault = None;
        for _ in 0..self.attempts.get() {
            let at = self.clock.now();
            let sealed = wallet.seal_call(at, session::PATH)?;
            let request =
                self.request(&Method::POST, &url, &HeaderMap::new(), &sealed, true, at)?;
            match self.client.send(request, self.options).await {
                Ok(answer) => {
                    let (status, headers) = (answer.status(), answer.headers());
                    match wallet.begin(&sealed, status.as_u16(), headers, answer.body()) {
                        Ok(()) => return Ok(()),
                        Err(Unproved) => {
                            tokio::time::sleep(wait(&answer)).await;
                            fault = Some(RollFault::NoSession(Box::new(answer)));
                        }
                    }
                }
                Err(none) => fault = Some(none.into()),
            }
        }
        Err(fault.unwrap_or(RollFault::Unproved(Unproved)))
    }

    /// Sends a request until there is an answer: sealed anew under the newest set, never the same
    /// bytes.
    async fn until_answered(
        &self,
        wallet: &mut Wallet,
        plain: &Plain,
    ) -> Result<Answer, RollFault> {
        let mut fault = RollFault::Unproved(Unproved);
        for _ in 0..self.attempts.get() {
            // Lost answers use a set up as well.
            if wallet.needs_session(self.clock.now()) {
                self.begin(wallet, &plain.url).await?;
            }
            match self.once(wallet, plain).await {
                Ok(answer) => return Ok(answer),
                Err(none @ (RollFault::Client(_) | RollFault::Unproved(_))) => fault = none,
                Err(other) => return Err(other),
            }
        }
        Err(fault)
    }

    async fn once(&self, wallet: &mut Wallet, plain: &Plain) -> Result<Answer, RollFault> {
        let (at, target) = (self.clock.now(), target(&plain.url));
        let text = plain.body.as_deref().unwrap_or_default();
        let sealed = wallet.seal(at, plain.method.as_str(), target, text)?.ok_or(Unproved)?;
        let has_body = plain.body.is_some();
        let (method, url) = (&plain.method, &plain.url);
        let request = self.request(method, url, &plain.headers, &sealed, has_body, at)?;
        let answer = self.client.send(request, self.options).await?;
        let (head, body) = answer.into_parts();
        if !head.headers.contains_key("x-seal-kid") {
            let answer = Response::from_parts(head, body);
            // A success that nobody vouches for is none.
            let refusal = answer.status().is_client_error() || answer.status().is_server_error();
            let plain = Answer { answer, sealed: false, resynced: false };
            return if refusal { Ok(plain) } else { Err(Unproved.into()) };
        }
        let text = wallet.open(&sealed, head.status.as_u16(), &head.headers, &body)?;
        let answer = Response::from_parts(head, Bytes::from_owner(text));
        Ok(Answer { answer, sealed: true, resynced: false })
    }

    fn request(
        &self,
        method: &Method,
        url: &Uri,
        extra: &HeaderMap,
        sealed: &Sealed,
        has_body: bool,
        at: Timestamp,
    ) -> Result<Request<Bytes>, RollFault> {
        let unfit = |fault: &dyn std::fmt::Display| RollFault::Unfit(fault.to_string());
        let mut headers = extra.clone();
        let header = |text: &str| HeaderValue::from_str(text).map_err(|fault| unfit(&fault));
        headers.insert("x-seal-kid", header(&sealed.label().to_string())?);
        let body = match has_body {
            true => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(SEALED));
                sealed.bytes()
            }
            false => {
                headers.insert("x-seal-proof", header(&sealed.text())?);
                headers.remove(CONTENT_TYPE);
                &[]
            }
        };
        let outgoing = Outgoing {
            key_id: self.key_id,
            timestamp: at,
            method,
            authority: url.authority().map_or("", |authority| authority.as_str()),
            target: target(url),
            content_type: if has_body { SEALED } else { "" },
            headers: &headers,
            body,
        };
        for (name, value) in self.scheme.sign(self.key, &outgoing).map_err(|fault| unfit(&fault))? {
            headers.insert(name, value);
        }
        let mut request = Request::new(Bytes::copy_from_slice(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn target(url: &Uri) -> &str {
    url.path_and_query().map_or("/", |target| target.as_str())
}

/// Where session calls go: to the same host.
fn beside(url: &Uri) -> Result<Uri, RollFault> {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let url = format!("https://{authority}{}", session::PATH);
    url.parse().map_err(|fault: http::uri::InvalidUri| RollFault::Unfit(fault.to_string()))
}

/// The code of a refusal.
fn asks_for_fresh_keys(answer: &Response<Bytes>) -> bool {
    let problem: Result<serde_json::Value, _> = serde_json::from_slice(answer.body());
    let code = problem.ok();
    let code = code.as_ref().and_then(|problem| problem.get("code")?.as_str());
    code.is_some_and(|code| RESYNC.contains(&code))
}

/// How long a limit asks to wait; no time at all where there is none.
fn wait(answer: &Response<Bytes>) -> Duration {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    Duration::from_secs(seconds).min(WAIT_MAX)
}
