//! The answer to a message that opened by rolling keys: sealed as the request was, with the next key
//! set beside it, whatever its status. Every other answer is plain and proves nothing.

use std::cell::OnceCell;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::crypto::NoRandom;
use crate::roll::Reply;

/// The name of the keys that a message is sealed with.
pub const X_SEAL_KID: HeaderName = HeaderName::from_static("x-seal-kid");
/// What seals a message without a body.
pub const X_SEAL_PROOF: HeaderName = HeaderName::from_static("x-seal-proof");
/// The next key set.
pub const X_SEAL_NEXT: HeaderName = HeaderName::from_static("x-seal-next");
/// The type of a body that is sealed bytes.
pub const SEALED: HeaderValue = HeaderValue::from_static("application/vnd.countersign.sealed");

/// Digests of another body than the one that is sent.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// How a message is put up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The body is the sealed bytes.
    Raw,
    /// The body is `{"sealed": …}` with base64url.
    Json,
    /// There is no body, and a header has what is sealed.
    Proof,
}

/// Where admission leaves how an answer is sealed, as soon as a message opened.
#[derive(Default)]
pub struct ReplySlot(OnceCell<(Reply, Form)>);

/// The answer cannot be sealed as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer cannot be sealed")]
pub struct Unsealable;

impl From<NoRandom> for Unsealable {
    fn from(_: NoRandom) -> Self {
        Self
    }
}

impl ReplySlot {
    /// A message opened: its answer is sealed so. The first word counts.
    pub fn fill(&self, reply: Reply, form: Form) {
        let _ = self.0.set((reply, form));
    }

    /// Whether the answer must be sealed.
    pub fn is_filled(&self) -> bool {
        self.0.get().is_some()
    }

    /// Seals a whole answer, where a message opened; every other goes on as it is.
    ///
    /// # Errors
    /// When it has a content coding that sealing would hide, or there are no random bytes.
    pub fn seal(&self, head: &mut Parts, body: Bytes, to_head: bool) -> Result<Bytes, Unsealable> {
        let Some((reply, form)) = self.0.get() else { return Ok(body) };
        let headers = &mut head.headers;
        let bodiless = to_head
            || body.is_empty()
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        if headers.contains_key(CONTENT_ENCODING) && !bodiless {
            return Err(Unsealable);
        }
        for name in DIGESTS.iter().chain(&[CONTENT_LENGTH, X_SEAL_KID, X_SEAL_PROOF, X_SEAL_NEXT]) {
            headers.remove(name);
        }
        let status = head.status.as_u16();
        let sealed = reply.seal(status, if bodiless { &[] } else { &body })?;
        headers.insert(X_SEAL_KID, value(&reply.label().to_string())?);
        headers.insert(X_SEAL_NEXT, encoded(&reply.seal_next()?)?);
        if bodiless {
            headers.insert(X_SEAL_PROOF, encoded(&sealed)?);
            return Ok(Bytes::new());
        }
        let sealed = match form {
            Form::Json => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                format!("{{\"sealed\":\"{}\"}}", BASE64_URL_SAFE_NO_PAD.encode(sealed)).into()
            }
            Form::Raw | Form::Proof => {
                headers.insert(CONTENT_TYPE, SEALED);
                Bytes::from(sealed)
            }
        };
        headers.insert(CONTENT_LENGTH, HeaderValue::from(sealed.len()));
        Ok(sealed)
    }
}

impl fmt::Debug for ReplySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplySlot").field(&self.is_filled()).finish()
    }
}

fn encoded(sealed: &[u8]) -> Result<HeaderValue, Unsealable> {
    value(&BASE64_URL_SAFE_NO_PAD.encode(sealed))
}

fn value(text: &str) -> Result<HeaderValue, Unsealable> {
    HeaderValue::from_str(text).map_err(|_| Unsealable)
}
