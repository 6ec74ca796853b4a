//! What is done to an answer before it leaves: it is sealed in the caller's envelope, then signed
//! as it is sent. Settled for each request when it is admitted, so that what a route promises of
//! its answers is not found to be impossible after the service has acted.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::clock::Timestamp;
use crate::gateway::opener::Opener;
use crate::scheme::{Answer, Scheme, VerifyingKey};

/// Digests of another body than the one that is sent.
const DIGESTS: [HeaderName; 4] = [
    CONTENT_DIGEST,
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// How the answer to one request is sealed and signed.
pub struct Protection {
    /// Which request it answers.
    pub request: Asked,
    /// By what it is sealed, and the key that verified the request.
    pub sealing: Option<(Arc<Opener>, Arc<VerifyingKey>)>,
    /// By what it is signed, and with which key.
    pub signing: Option<(Arc<Scheme>, Arc<VerifyingKey>)>,
}

/// What of a request goes into the signature of its answer.
pub struct Asked {
    /// The key id.
    pub key_id: String,
    /// The nonce; empty where it has none.
    pub nonce: String,
    /// The method.
    pub method: Method,
    /// Host or `:authority` as sent.
    pub authority: String,
    /// Path and query as sent.
    pub target: String,
    /// The header fields as sent.
    pub headers: HeaderMap,
}

/// The answer cannot be sealed or signed as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer cannot be sealed or signed")]
pub struct Unfit;

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹protection of an answer›")
    }
}

impl Protection {
    /// Seals and signs a whole answer, which is sent at `now`.
    ///
    /// # Errors
    /// When it has a content coding that sealing would hide, or lacks something that is signed.
    pub async fn protect(
        &self,
        answer: Response<Bytes>,
        now: Timestamp,
    ) -> Result<Response<Bytes>, Unfit> {
        let (mut head, mut body) = answer.into_parts();
        let bodiless = self.request.method == Method::HEAD
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        if let Some((opener, key)) = &self.sealing {
            if head.headers.contains_key(CONTENT_ENCODING) {
                return Err(Unfit);
            }
            DIGESTS.iter().for_each(|name| drop(head.headers.remove(name)));
            // What a HEAD would be told of is not sealed here, so its length is not known.
            head.headers.remove(CONTENT_LENGTH);
            if !bodiless || head.headers.contains_key(CONTENT_TYPE) {
                head.headers.insert(CONTENT_TYPE, opener.envelope().sealed_content_type());
            }
            if !bodiless {
                let mut sealed = opener.seal(key, body).await.map_err(|_| Unfit)?;
                head.headers.extend(sealed.headers);
                body = Bytes::from(std::mem::take(&mut *sealed.body));
            }
        }
        if !bodiless {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if let Some((scheme, key)) = &self.signing {
            // A scheme that signs a digest makes its own, of the body as it is sent.
            head.headers.remove(CONTENT_DIGEST);
            let pieces = [body.clone()];
            let signed = Answer {
                key_id: &self.request.key_id,
                nonce: &self.request.nonce,
                method: self.request.method.as_str(),
                authority: &self.request.authority,
                target: &self.request.target,
                request_headers: &self.request.headers,
                status: head.status.as_u16(),
                headers: &head.headers,
                body: if body.is_empty() { &[] } else { &pieces },
            };
            for (name, value) in scheme.sign_answer(key, &signed, now).map_err(|_| Unfit)? {
                head.headers.insert(name, value);
            }
        }
        Ok(Response::from_parts(head, body))
    }
}
