//! Report-only: a refusal that is only watched, on a route that says so, until the day that it
//! names. [`Observed`] was refused and goes on all the same, as nobody's, as it came.
//!
//! Only a step that knows the route can have its refusal watched, by the value that it refused.
//! What guards framing, memory and the gate always ends a request: intake, routing, body, `busy`.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use http_body::Body;

use crate::gateway::admission::OwnRoute;
use crate::gateway::admission::View;
use crate::gateway::admission::body::{Held, Received};
use crate::gateway::admission::claims::Claimed;
use crate::gateway::admission::intake::Visit;
use crate::gateway::admission::permission::Permitted;
use crate::gateway::admission::reading;
use crate::gateway::admission::rolling::message::Presented;
use crate::gateway::admission::routing::Routed;
use crate::gateway::admission::signature::Verified;
use crate::gateway::admission::stated::Stated;
use crate::gateway::rejection::Rejection;
use crate::keyring::KeyId;
use crate::telemetry::{Code, Stage};

/// Why a request was not admitted.
pub enum Refused {
    /// It ends here.
    Rejected(Rejection),
    /// Its route only watches: it goes on, marked as refused.
    Observed(Box<Observed>),
}

/// A request that was refused, with all of its body, on its way to its upstream.
#[must_use]
pub struct Observed {
    routed: Routed,
    body: Held,
    verdict: Code,
}

/// An observed request taken apart for its way.
pub struct Watched {
    /// The head as received.
    pub head: Box<Parts>,
    /// Host or `:authority` as received.
    pub authority: HeaderValue,
    /// The body as received.
    pub body: Held,
    /// Where it goes.
    pub route: Rc<OwnRoute>,
    /// Where it came from.
    pub visit: Visit,
    /// Why it was refused.
    pub verdict: Code,
}

/// A step said no.
pub(super) enum Stopped {
    /// It ends here.
    Rejected(Rejection),
    /// On a route that watches: to be looked at by [`settle`].
    Watchable(Box<Watchable>),
}

/// A refused request with what its step had of it.
pub(super) struct Watchable {
    refused: TakenApart,
    rejection: Rejection,
}

impl From<Rejection> for Stopped {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Stops a request. Where its route watches, all of it is kept.
#[cold]
pub(super) fn stop(stage: impl Refusable, rejection: Rejection) -> Stopped {
    if stage.routed().route().spec.observe.is_none() || !WATCHABLE.contains(&rejection.code()) {
        return Stopped::Rejected(rejection);
    }
    Stopped::Watchable(Box::new(Watchable { refused: stage.take_apart(), rejection }))
}

/// What somebody did wrong, or did not do yet. The gate's own trouble is none of it.
pub const WATCHABLE: [Code; 9] = [
    Code::MissingHeader,
    Code::MalformedHeader,
    Code::StaleTimestamp,
    Code::InvalidSignature,
    Code::AddressNotAllowed,
    Code::CertificateNotAllowed,
    Code::NotInScope,
    Code::Replayed,
    Code::RateLimited,
];

/// Says what becomes of a request that a step stopped. One that is watched is read whole first, by
/// the rules for every body.
pub(super) async fn settle<B: Body<Data = Bytes> + Unpin>(
    view: &View,
    stopped: Stopped,
    incoming: &mut B,
) -> Refused {
    match stopped {
        Stopped::Rejected(rejection) => Refused::Rejected(rejection),
        // Boxed, because most requests do not come here.
        Stopped::Watchable(watchable) => {
            match Box::pin(observe(view, *watchable, incoming)).await {
                Ok(observed) => Refused::Observed(Box::new(observed)),
                Err(rejection) => Refused::Rejected(rejection),
            }
        }
    }
}

async fn observe<B: Body<Data = Bytes> + Unpin>(
    view: &View,
    watchable: Watchable,
    incoming: &mut B,
) -> Result<Observed, Rejection> {
    let Watchable { refused: TakenApart { routed, key_id, body }, rejection } = watchable;
    let spec = &routed.route().spec;
    let observe = spec.observe.as_ref().filter(|observe| observe.lasts(routed.now()));
    let observe = observe.ok_or(rejection)?;
    if !observe.merchants.is_empty() {
        let keyring = view.keyring();
        let key_id = key_id.as_deref().or(spec.credential.as_ref().map(KeyId::as_str));
        let keys = keyring.verifying_keys(key_id.unwrap_or_default(), &spec.scheme, routed.now());
        if !observe.covers(keys.credential().map(|credential| &*credential.merchant.id)) {
            return Err(rejection);
        }
    }
    let record = Rc::clone(&routed.record);
    let body = match body {
        Some(held) => held,
        None => {
            record.passed(Stage::Head);
            let memory = view.reserve(routed.peer.ip, routed.standing().trusted);
            let bytes_max = spec.body_bytes_max.get();
            let deadlines = spec.body_deadlines(view.body);
            let whole = reading::read(incoming, memory, bytes_max, deadlines).await;
            let whole = whole.map_err(|broken| broken.why)?;
            record.passed(Stage::Body);
            Held::of(whole, routed.head())
        }
    };
    record.passed(Stage::Decide);
    let verdict = rejection.code();
    record.observed(verdict);
    Ok(Observed { routed, body, verdict })
}

impl Refused {
    /// The refusal that the caller gets; none where it goes on.
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Rejected(rejection) => Some(*rejection),
            Self::Observed(_) => None,
        }
    }
}

impl Observed {
    /// Takes the request apart; only forwarding has use for it.
    pub fn into_watched(self) -> Watched {
        let Self { routed, body, verdict } = self;
        let (entered, route) = routed.into_entered();
        let (head, authority, _, visit) = entered.into_parts();
        Watched { head, authority, body, route, visit, verdict }
    }
}

/// What a step had of a request: its body where it was read, and the key id where it was told.
pub(super) struct TakenApart {
    routed: Routed,
    key_id: Option<Box<str>>,
    body: Option<Held>,
}

/// A stage that knows where its request goes.
pub(super) trait Refusable {
    /// The request with its route.
    fn routed(&self) -> &Routed;
    /// The request as it came.
    fn take_apart(self) -> TakenApart;
}

impl Refusable for Routed {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        TakenApart { routed: self, key_id: None, body: None }
    }
}

impl Refusable for Claimed {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        let key_id = self.early_claims().and_then(|claims| claims.key_id()).map(Box::from);
        TakenApart { key_id, ..self.into_routed().take_apart() }
    }
}

impl Refusable for Received {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        let (fresh, body) = self.into_fresh();
        TakenApart { body: Some(body), ..fresh.into_claimed().take_apart() }
    }
}

impl Refusable for Stated {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        let key_id = Some(Box::from(self.key_id()));
        TakenApart { key_id, ..self.into_received().take_apart() }
    }
}

impl Refusable for Verified {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        let key_id = Some(Box::from(self.key_id()));
        TakenApart { key_id, ..self.into_received().0.take_apart() }
    }
}

impl Refusable for Permitted {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        self.into_verified().take_apart()
    }
}

impl Refusable for Presented {
    fn routed(&self) -> &Routed {
        self
    }

    fn take_apart(self) -> TakenApart {
        self.into_permitted().take_apart()
    }
}
