//! What is sealed by rolling keys, taken out of a request before it is claimed. [`Presented`] shows
//! it where its route asks for that; nothing in it is proved but that its owner signed it.

use std::ops::Deref;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::gateway::admission::permission::Permitted;
use crate::gateway::rejection::Rejection;
use crate::gateway::reply::{Form, SEALED, X_SEAL_KID, X_SEAL_PROOF};
use crate::roll::sealing::P_BYTES;

/// A permitted request, with what is sealed in it taken out.
#[must_use]
pub(in crate::gateway::admission) struct Presented {
    permitted: Permitted,
    sealed: Option<Box<Sealed>>,
}

/// What is sealed, as it was sent.
pub(super) struct Sealed {
    /// The name of its keys.
    pub(super) label: Box<str>,
    /// `p || ciphertext || tag`; none where it is not of its form, which opening will tell.
    pub(super) bytes: Option<Bytes>,
    pub(super) form: Form,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'a> {
    sealed: &'a str,
}

/// Takes out what is sealed, on a route on which keys roll.
///
/// # Errors
/// `missing_header` or `malformed_header` for what must be there once.
pub(in crate::gateway::admission) fn read(permitted: Permitted) -> Result<Presented, Rejection> {
    let sealed = match permitted.route().spec.rolling {
        Some(_) => Some(Box::new(Sealed::of(&permitted)?)),
        None => None,
    };
    Ok(Presented { permitted, sealed })
}

impl Sealed {
    fn of(permitted: &Permitted) -> Result<Self, Rejection> {
        let label = single(permitted, &X_SEAL_KID, "X-SEAL-KID")?;
        let label = label.ok_or(Rejection::MissingHeader("X-SEAL-KID"))?;
        // A name that is no text is none that is supported.
        let label = label.to_str().unwrap_or_default().into();
        let proof = single(permitted, &X_SEAL_PROOF, "X-SEAL-PROOF")?;
        let (bytes, form) = match (permitted.body_bytes(), proof) {
            (0, None) => return Err(Rejection::MissingHeader("X-SEAL-PROOF")),
            (0, Some(proof)) => (decoded(proof.as_bytes()), Form::Proof),
            // Two things sealed: nobody can say which of them counts.
            (_, Some(_)) => (None, Form::Raw),
            (_, None) => {
                let body = whole(permitted.body());
                let kind = permitted.head().headers.get(CONTENT_TYPE);
                match kind.is_some_and(is_sealed) {
                    true => (Some(body), Form::Raw),
                    false => (unwrapped(&body), Form::Json),
                }
            }
        };
        Ok(Self { label, bytes, form })
    }
}

/// The one value of a header, where it is there.
fn single<'p>(
    permitted: &'p Permitted,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<&'p HeaderValue>, Rejection> {
    let mut values = permitted.head().headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejection::MalformedHeader(shown, None));
    }
    Ok(first)
}

fn is_sealed(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(SEALED.as_bytes())
}

fn decoded(text: &[u8]) -> Option<Bytes> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok().map(Bytes::from)
}

/// An object with one member: the library would take an array for it as well.
fn unwrapped(body: &[u8]) -> Option<Bytes> {
    body.trim_ascii_start().starts_with(b"{").then_some(())?;
    let wrapped: Wrapped<'_> = serde_json::from_slice(body).ok()?;
    decoded(wrapped.sealed.as_bytes())
}

/// The body in one piece, copied only where it is in several.
fn whole(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [one] => one.clone(),
        several => Bytes::from(several.concat()),
    }
}

impl Presented {
    /// What is sealed, on a route on which keys roll.
    pub(super) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_deref()
    }

    /// What makes a sealed message one of its kind, beside its signature: its keys and the random
    /// bytes in front of it. Nobody takes it for a MAC or a nonce: neither holds a zero byte there.
    pub(in crate::gateway::admission) fn sealed_proof(&self) -> Option<Vec<u8>> {
        let sealed = self.sealed()?;
        let p = sealed.bytes.as_ref()?.get(..P_BYTES)?;
        Some([b"roll.v1\0", sealed.label.as_bytes(), b"\0", p].concat())
    }

    pub(in crate::gateway::admission) fn into_permitted(self) -> Permitted {
        self.permitted
    }
}

impl Deref for Presented {
    type Target = Permitted;

    fn deref(&self) -> &Permitted {
        &self.permitted
    }
}
