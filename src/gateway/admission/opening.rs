//! Eleventh step: [`Readable`] has the body that the upstream gets. Where the route has an
//! envelope, the body in it is opened here, and what is forwarded is what was sealed: never a body
//! that did not open, be it clear.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::envelope::Opened;
use crate::gateway::admission::OwnRoute;
use crate::gateway::admission::body::Held;
use crate::gateway::admission::intake::Visit;
use crate::gateway::admission::rolling::Unrolled;
use crate::gateway::opener::Sealed;
use crate::gateway::protection::{Asked, Protection};
use crate::gateway::rejection::Rejection;
use crate::keyring::Credential;
use crate::scheme::AnswerSecret;
use crate::store::ledger::Hold;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// Digests of the body as it came: of another body than the upstream gets.
const DIGESTS: [HeaderName; 4] = [
    CONTENT_DIGEST,
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// A request whose body is as the upstream gets it.
#[must_use]
pub(super) struct Readable {
    unrolled: Unrolled,
    protection: Option<Box<Protection>>,
    opened: Option<Box<Opened>>,
}

/// A request taken apart for its way to the upstream.
pub struct Outbound {
    /// The head as received; where a body was opened, with what is true of that body.
    pub head: Box<Parts>,
    /// Host or `:authority` as received.
    pub authority: HeaderValue,
    /// The gate's time at which it was verified.
    pub now: Timestamp,
    /// The body as received, or what was sealed in it.
    pub body: Held,
    /// What is to be done to the answer; none: it goes on as it comes.
    pub protection: Option<Box<Protection>>,
    /// Whether the body was opened, or what is sealed proved that there is none.
    pub opened: bool,
    /// The gate's own answer, on a route that leads to no upstream.
    pub ready: Option<Bytes>,
    /// Where it goes.
    pub route: Rc<OwnRoute>,
    /// Who sent it.
    pub credential: Arc<Credential>,
    /// Where it came from.
    pub visit: Visit,
}

/// Opens the body of a request where it is sealed.
///
/// # Errors
/// `cannot_open`, whatever is wrong inside, and for a caller whose answers cannot be sealed; `busy`
/// where keys are about to change, and there is none to sign the answer with.
pub(super) async fn open(mut unrolled: Unrolled) -> Result<Readable, Rejection> {
    let protection = protection(&unrolled)?;
    let Some(opener) = unrolled.route().spec.opener.clone() else {
        let opened = unrolled.take_opened();
        return Ok(Readable { unrolled, protection, opened });
    };
    // A secret that was made for no envelope, or for another, opens nothing here.
    let own = unrolled.credential().envelope().map(|envelope| envelope.name());
    if own != Some(opener.envelope().name()) {
        // Nor is a body passed on as clear whose head says that it is coded.
        let must_open = opener.is_required() || unrolled.is_coded();
        let clear = Readable { unrolled, protection, opened: None };
        return if must_open { Err(Rejection::CannotOpen) } else { Ok(clear) };
    }
    let head = unrolled.head();
    let message = Sealed {
        method: head.method.as_str().to_owned(),
        authority: unrolled.authority().to_str().unwrap_or_default().to_owned(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: head.headers.clone(),
        body: unrolled.body().to_vec(),
    };
    let opened = opener.open(unrolled.key(), message).await;
    let opened = opened.map_err(|_| Rejection::CannotOpen)?;
    // Escapes can make a text longer than what it was sealed in; memory was counted for that only.
    let bytes_max = unrolled.route().spec.body_bytes_max.get();
    if opened.as_ref().is_some_and(|opened| opened.text.len() > bytes_max) {
        return Err(Rejection::CannotOpen);
    }
    if opened.is_none() && unrolled.is_coded() {
        return Err(Rejection::CannotOpen);
    }
    Ok(Readable { unrolled, protection, opened: opened.map(Box::new) })
}

/// What the route does to answers, for this request and the key that verified it.
fn protection(granted: &Unrolled) -> Result<Option<Box<Protection>>, Rejection> {
    let spec = &granted.route().spec;
    let answers = spec.answers;
    if !answers.sign && !answers.seal {
        return Ok(None);
    }
    let (credential, key) = (granted.credential(), granted.key());
    let signing = match (answers.sign, spec.scheme.answer_secret()) {
        (false, _) => None,
        (true, Some(AnswerSecret::Request)) => Some((Arc::clone(&spec.scheme), Arc::clone(key))),
        (true, _) => {
            let own = credential.answer_key().cloned().ok_or(Rejection::Busy)?;
            Some((Arc::clone(&spec.scheme), own))
        }
    };
    let own = credential.envelope().map(|envelope| envelope.name());
    let sealing = match (answers.seal, &spec.opener) {
        (false, _) => None,
        (true, Some(opener)) if own == Some(opener.envelope().name()) => {
            Some((Arc::clone(opener), Arc::clone(key)))
        }
        (true, _) => return Err(Rejection::CannotOpen),
    };
    let head = granted.head();
    let nonce = granted.claims().nonce().unwrap_or_default();
    let request = Asked {
        key_id: granted.key_id().to_owned(),
        nonce: String::from_utf8_lossy(nonce).into_owned(),
        method: head.method.clone(),
        authority: granted.authority().to_str().unwrap_or_default().to_owned(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: head.headers.clone(),
    };
    Ok(Some(Box::new(Protection { request, sealing, signing })))
}

impl Readable {
    /// The body as the upstream gets it.
    pub(super) fn text(&self) -> Cow<'_, [u8]> {
        match (&self.opened, self.unrolled.body()) {
            (Some(opened), _) => Cow::Borrowed(&opened.text),
            (None, [whole]) => Cow::Borrowed(whole),
            (None, pieces) => Cow::Owned(pieces.concat()),
        }
    }

    /// The ledger's hold on the request, where its route has it remembered.
    pub(super) fn take_remembered(&mut self) -> Option<Box<Hold>> {
        self.unrolled.take_remembered()
    }

    /// Takes the request apart.
    pub(super) fn into_outbound(self) -> Outbound {
        let (opened, protection) = (self.opened, self.protection);
        let was_rolled = self.unrolled.is_rolled();
        let (presented, ready) = self.unrolled.into_parts();
        let (received, credential) = presented.into_permitted().into_verified().into_received();
        let (fresh, body) = received.into_fresh();
        let (entered, route) = fresh.into_claimed().into_routed().into_entered();
        let (mut head, authority, now, visit) = entered.into_parts();
        let was_opened = opened.is_some();
        let body = match opened {
            Some(opened) => in_place(&mut head, body, *opened),
            None => body,
        };
        let opened = was_opened || was_rolled;
        Outbound { head, authority, now, body, protection, opened, ready, route, credential, visit }
    }
}

impl Deref for Readable {
    type Target = Unrolled;

    fn deref(&self) -> &Unrolled {
        &self.unrolled
    }
}

/// Puts a text in the place of what it was sealed in, with headers that are true of it. Its memory
/// is wiped when the last piece of it has left.
fn in_place(head: &mut Parts, sealed: Held, opened: Opened) -> Held {
    let headers = &mut head.headers;
    headers.insert(CONTENT_TYPE, opened.content_type);
    headers.remove(CONTENT_ENCODING);
    let digest = headers.contains_key(CONTENT_DIGEST).then(|| digest(&opened.text));
    DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    headers.extend(digest.flatten().map(|digest| (CONTENT_DIGEST, digest)));
    let bytes = opened.text.len();
    let pieces = vec![Bytes::from_owner(opened.text)];
    Held { pieces, bytes, present: true, reservation: sealed.reservation }
}

/// `sha-256=:…:` (RFC 9530, section 2).
fn digest(text: &[u8]) -> Option<HeaderValue> {
    use base64::Engine as _;
    let digest = base64::prelude::BASE64_STANDARD.encode(sha256(text));
    HeaderValue::from_str(&format!("sha-256=:{digest}:")).ok()
}
