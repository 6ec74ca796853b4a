//! Speaking with an authority: its directory, signed messages with their nonces, and its problems
//! (RFC 8555, sections 6 and 7). Every answer is bounded, and believed only as far as it can be
//! read.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Spec;
use super::account::{AccountKey, SignedBy};
use super::fault::{Fault, Reason, cleaned};
use crate::clock::Clock;
use crate::limit::KIB;
use crate::outbound::{Caller, retry_after};

/// How long one call may take.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer: chains have a few KiB.
const ANSWER_BYTES_MAX: usize = 256 * KIB;
/// Times that a message is sent with another nonce.
const NONCES_MAX: usize = 4;
/// The longest nonce that is taken.
const NONCE_BYTES_MAX: usize = 512;
const NONCE: &str = "replay-nonce";
const AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// What an authority says of itself (RFC 8555, section 7.1.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    renewal_info: Option<String>,
}

/// What an authority says of what it did not do (RFC 9457).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct AccountDocument {
    #[serde(default)]
    contact: Vec<String>,
}

/// An authority whose directory was read.
pub(super) struct Authority<'a> {
    caller: &'a Caller,
    clock: &'a Clock,
    directory: Directory,
    nonce: Cell<Option<String>>,
}

/// An account with it.
pub(super) struct Account {
    pub(super) key: AccountKey,
    pub(super) url: String,
}

impl<'a> Authority<'a> {
    /// Reads its directory.
    pub(super) async fn meet(spec: &'a Spec, clock: &'a Clock) -> Result<Self, Fault> {
        let (caller, url) = (&spec.caller, &spec.directory);
        let answer = call(caller, clock, request(Method::GET, url, None)?).await?;
        let directory = parse(&answer)?;
        Ok(Self { caller, clock, directory, nonce: Cell::new(None) })
    }

    /// Where orders are made.
    pub(super) fn new_order(&self) -> &str {
        &self.directory.new_order
    }

    /// Whether it says when certificates are to be renewed.
    pub(super) fn knows_renewal(&self) -> bool {
        self.directory.renewal_info.is_some()
    }

    /// What it says of the renewal of a certificate (RFC 9773, section 4); none where it never
    /// says.
    pub(super) async fn renewal_info(
        &self,
        certificate: &str,
    ) -> Result<Option<Response<Bytes>>, Fault> {
        let Some(url) = &self.directory.renewal_info else { return Ok(None) };
        let url = format!("{}/{certificate}", url.trim_end_matches('/'));
        call(self.caller, self.clock, request(Method::GET, &url, None)?).await.map(Some)
    }

    /// The account of a key: the one that it has, or a new one.
    pub(super) async fn account(&self, key: AccountKey, spec: &Spec) -> Result<Account, Fault> {
        let url = self.directory.new_account.as_str();
        let asked = json!({ "onlyReturnExisting": true });
        match self.post(&key, SignedBy::Key, url, Some(&asked)).await {
            Ok(answer) => {
                let account = Account { url: location(&answer)?, key };
                self.correct_contacts(&account, &answer, spec).await;
                return Ok(account);
            }
            Err(fault) if fault.is("accountDoesNotExist") => {}
            Err(fault) => return Err(fault),
        }
        let mut wanted = json!({ "termsOfServiceAgreed": true, "contact": spec.contacts });
        if let (Some(external), Some(wanted)) = (&spec.external, wanted.as_object_mut()) {
            wanted.insert("externalAccountBinding".into(), key.bound_to(external, url));
        }
        let answer = self.post(&key, SignedBy::Key, url, Some(&wanted)).await?;
        Ok(Account { url: location(&answer)?, key })
    }

    /// Tells the authority of contacts that are others than it knows. One that keeps none may
    /// refuse, and issues certificates all the same.
    async fn correct_contacts(&self, account: &Account, answer: &Response<Bytes>, spec: &Spec) {
        let Ok(known) = parse::<AccountDocument>(answer) else { return };
        let same = known.contact.iter().map(String::as_str).eq(spec.contacts.iter().map(|c| &**c));
        if !same {
            let wanted = json!({ "contact": spec.contacts });
            drop(self.ask(account, &account.url, Some(&wanted)).await);
        }
    }

    /// Sends a message of an account; without a payload it only reads.
    pub(super) async fn ask(
        &self,
        account: &Account,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Response<Bytes>, Fault> {
        self.post(&account.key, SignedBy::Account(&account.url), url, payload).await
    }

    /// How long an answer asks to wait.
    pub(super) fn wait(&self, answer: &Response<Bytes>) -> Option<Duration> {
        retry_after(answer.headers(), self.clock.now())
    }

    async fn post(
        &self,
        key: &AccountKey,
        by: SignedBy<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Response<Bytes>, Fault> {
        let mut attempts = 1;
        loop {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.fresh_nonce().await?,
            };
            let message = key.sign(by, &nonce, url, payload)?;
            let request = request(Method::POST, url, Some(message))?;
            let answer = self.caller.call(request, CALL_DEADLINE, ANSWER_BYTES_MAX).await?;
            self.nonce.set(nonce_of(&answer));
            match judged(self.clock, answer) {
                // It was read by nobody: the nonce comes first (RFC 8555, section 6.5).
                Err(fault) if fault.is("badNonce") && attempts < NONCES_MAX => attempts += 1,
                outcome => return outcome,
            }
        }
    }

    async fn fresh_nonce(&self) -> Result<String, Fault> {
        let request = request(Method::HEAD, &self.directory.new_nonce, None)?;
        let answer = call(self.caller, self.clock, request).await?;
        nonce_of(&answer).ok_or_else(|| Fault::unreadable("the authority gives no nonce"))
    }
}

/// The document in an answer.
pub(super) fn parse<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, Fault> {
    serde_json::from_slice(answer.body()).map_err(|fault| {
        Fault::unreadable(format!("the authority's answer cannot be read: {}", why(&fault)))
    })
}

/// What is wrong with a document, without a word of it.
fn why(fault: &serde_json::Error) -> &'static str {
    if fault.is_data() { "not the document that belongs here" } else { "not JSON" }
}

/// Where an answer says that something is.
pub(super) fn location(answer: &Response<Bytes>) -> Result<String, Fault> {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    location.ok_or_else(|| Fault::unreadable("the authority does not say where it keeps it"))
}

/// The fault that a problem stands for.
pub(super) fn fault_of(problem: Problem, reason: Reason, wait: Option<Duration>) -> Fault {
    let detail = problem.detail.as_deref().map(cleaned).unwrap_or_default();
    Fault { reason, problem: problem.kind.as_deref().map(cleaned), detail, wait }
}

fn request(method: Method, url: &str, body: Option<String>) -> Result<Request<Bytes>, Fault> {
    let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
    let uri = uri.ok_or_else(|| Fault::unreadable("the authority names a place without https"))?;
    let mut request = Request::builder().method(method).uri(uri).header(USER_AGENT, AGENT);
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/jose+json");
    }
    let request = request.body(Bytes::from(body.unwrap_or_default()));
    request.map_err(|_| Fault::unreadable("the authority names a place that is none"))
}

async fn call(
    caller: &Caller,
    clock: &Clock,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Fault> {
    judged(clock, caller.call(request, CALL_DEADLINE, ANSWER_BYTES_MAX).await?)
}

/// An answer that is one, or the problem that stands in its place.
fn judged(clock: &Clock, answer: Response<Bytes>) -> Result<Response<Bytes>, Fault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    // What is no problem document has at least a status.
    let mut problem: Problem = serde_json::from_slice(answer.body()).unwrap_or_default();
    let limited = problem.kind.as_deref().is_some_and(|kind| kind.ends_with(":rateLimited"));
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => Reason::RateLimited,
        _ if limited => Reason::RateLimited,
        _ if status.is_server_error() => Reason::ServerError,
        _ => Reason::Refused,
    };
    let detail = problem.detail.take().map(|detail| format!("{detail} ({})", status.as_u16()));
    problem.detail = Some(detail.unwrap_or_else(|| format!("status {}", status.as_u16())));
    Err(fault_of(problem, reason, retry_after(answer.headers(), clock.now())))
}

/// The nonce in an answer: base64url, and short enough to send back.
fn nonce_of(answer: &Response<Bytes>) -> Option<String> {
    let nonce = answer.headers().get(NONCE)?.to_str().ok()?;
    let plain = nonce.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (plain && (1..=NONCE_BYTES_MAX).contains(&nonce.len())).then(|| nonce.to_owned())
}
