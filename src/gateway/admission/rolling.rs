//! Tenth step: rolling keys. [`Unrolled`] was opened by a key set that is good now, where its route
//! asks for that, and its answer will be sealed, whatever that is.

pub(super) mod message;

use std::ops::Deref;

use bytes::Bytes;
use http::HeaderValue;

use crate::envelope::Opened;
use crate::gateway::admission::quota::Granted;
use crate::gateway::admission::rolling::message::Presented;
use crate::gateway::rejection::Rejection;
use crate::gateway::reply::{Form, ReplySlot};
use crate::gateway::route::Rolling;
use crate::roll::{Message, Party, Roll};
use crate::store::ledger::Hold;

/// A granted request, opened where it was sealed by rolling keys.
#[must_use]
pub(super) struct Unrolled {
    granted: Granted,
    opened: Option<Box<Opened>>,
    ready: Option<Bytes>,
}

/// Opens what is sealed by rolling keys, and answers a session call. How the answer is sealed goes
/// into `slot` before anything else can go wrong.
///
/// # Errors
/// The first check of the protocol that says no, `cannot_open` for a credential without rolling
/// keys, and `bad_request` for a session call that is not of its form.
pub(super) fn open(granted: Granted, roll: &Roll, slot: &ReplySlot) -> Result<Unrolled, Rejection> {
    let Some((sealed, Rolling { policy, session })) =
        granted.sealed().zip(granted.route().spec.rolling)
    else {
        return Ok(Unrolled { granted, opened: None, ready: None });
    };
    let credential = granted.credential();
    let material = &credential.rolling().ok_or(Rejection::CannotOpen)?.material;
    let (merchant, key_id) = (&*credential.merchant.id, &credential.owner.key_id);
    let party = Party { merchant, key_id, material };
    let head = granted.head();
    let message = Message {
        label: &sealed.label,
        time: granted.claims().timestamp().ok_or(Rejection::CannotOpen)?,
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        sealed: sealed.bytes.as_deref(),
        session,
    };
    let now = granted.now();
    let opened = roll.open(&party, &policy, &message, now)?;
    slot.fill(opened.reply, sealed.form);
    let form = sealed.form;
    if session {
        let answer = roll.session(&party, &policy, &opened.text, now)?;
        return Ok(Unrolled { granted, opened: None, ready: Some(Bytes::from_owner(answer)) });
    }
    let opened = match form {
        // What proves that there is no body must not bring one.
        Form::Proof if !opened.text.is_empty() => return Err(Rejection::CannotOpen),
        Form::Proof => None,
        Form::Raw | Form::Json => {
            let content_type = kind_of(&opened.text);
            Some(Box::new(Opened { text: opened.text, content_type }))
        }
    };
    Ok(Unrolled { granted, opened, ready: None })
}

/// What a text says of itself: a seal has no place for its type.
fn kind_of(text: &[u8]) -> HeaderValue {
    HeaderValue::from_static(match text.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/octet-stream",
    })
}

impl Unrolled {
    /// Whether it was sealed by rolling keys.
    pub(super) fn is_rolled(&self) -> bool {
        self.granted.sealed().is_some()
    }

    /// The body that was sealed, taken out for the step that puts it in its place.
    pub(super) fn take_opened(&mut self) -> Option<Box<Opened>> {
        self.opened.take()
    }

    /// The ledger's hold on the request, where its route has it remembered.
    pub(super) fn take_remembered(&mut self) -> Option<Box<Hold>> {
        self.granted.take_remembered()
    }

    /// The request, and the gate's own answer where it has one.
    pub(super) fn into_parts(self) -> (Presented, Option<Bytes>) {
        (self.granted.into_presented(), self.ready)
    }
}

impl Deref for Unrolled {
    type Target = Granted;

    fn deref(&self) -> &Granted {
        &self.granted
    }
}
