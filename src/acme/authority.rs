//! What stands between an authority and the library that speaks its protocol: every call goes out
//! by the gate's own rules and is bounded, every answer that is none ends as a fault of ours, and
//! nothing comes in that the library could not bear.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use instant_acme::{Account, AccountBuilder, BodyWrapper, BytesResponse, Error, HttpClient};
use serde_json::Value;

use super::Spec;
use super::fault::{Fault, Reason};
use super::plan::ASK_AGAIN;
use crate::clock::Clock;
use crate::limit::KIB;
use crate::outbound::{Caller, retry_after};

/// How long one call may take.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer: chains have a few KiB.
const ANSWER_BYTES_MAX: usize = 256 * KIB;
/// The longest wait between two looks at an order, whatever the authority says.
const LOOK_MAX: Duration = Duration::from_secs(30);
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("countersign/", env!("CARGO_PKG_VERSION")));

/// The way to an authority.
#[derive(Clone)]
struct Authority {
    caller: Caller,
    clock: Clock,
}

/// Begins to speak with an authority.
pub(super) fn speak(spec: &Spec, clock: &Clock) -> AccountBuilder {
    let (caller, clock) = (spec.caller.clone(), clock.clone());
    Account::builder_with_http(Box::new(Authority { caller, clock }))
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let own = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let answer = own.call(Request::from_parts(head, body.to_bytes())).await;
            let (parts, body) = answer.map_err(|fault| Error::Other(fault.into()))?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

impl Authority {
    async fn call(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        if request.uri().scheme() != Some(&Scheme::HTTPS) {
            return Err(Fault::unreadable("the authority names a place without https"));
        }
        request.headers_mut().insert(USER_AGENT, AGENT);
        let method = request.method().clone();
        let mut answer = self.caller.call(request, CALL_DEADLINE, ANSWER_BYTES_MAX).await?;
        let wait = retry_after(answer.headers(), self.clock.now());
        match (!answer.status().is_success()).then(|| refusal(&answer, wait)) {
            // With that the library sends its message again (RFC 8555, section 6.5).
            Some(fault) if fault.is("badNonce") => {}
            Some(fault) => return Err(fault),
            // The library takes no other success where nonces come from.
            None => *answer.status_mut() = StatusCode::OK,
        }
        let wait = match method {
            Method::GET if !is_bearable(answer.body()) => {
                return Err(Fault::unreadable("the authority's answer cannot be used"));
            }
            // Nor renewal information that does not say when to ask again.
            Method::GET => Some(wait.unwrap_or(ASK_AGAIN)),
            _ => wait.map(|wait| wait.min(LOOK_MAX)),
        };
        // It adds this to the time, and panics where nothing can hold the sum.
        answer.headers_mut().remove(RETRY_AFTER);
        if let Some(wait) = wait {
            answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        Ok(answer)
    }
}

/// What an answer without success says.
fn refusal(answer: &Response<Bytes>, wait: Option<Duration>) -> Fault {
    let status = answer.status();
    let reason = match status {
        StatusCode::TOO_MANY_REQUESTS => Reason::RateLimited,
        _ if status.is_server_error() => Reason::ServerError,
        _ => Reason::Refused,
    };
    // What is no problem document has at least a status.
    let told = serde_json::from_slice(answer.body()).map(|problem| Fault::told(&problem, reason));
    let mut fault = told.unwrap_or_else(|_| Fault::new(reason, ""));
    fault.detail = match fault.detail.as_str() {
        "" => format!("status {}", status.as_u16()),
        detail => format!("{detail} ({})", status.as_u16()),
    };
    fault.wait = wait;
    fault
}

/// Whether the library can bear a document: it panics where nonces come from no place at all.
fn is_bearable(document: &[u8]) -> bool {
    serde_json::from_slice::<Value>(document).is_ok_and(|document| {
        let place = document.get("newNonce").and_then(Value::as_str);
        place.is_none_or(|place| place.parse::<Uri>().is_ok())
    })
}
