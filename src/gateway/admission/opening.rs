//! Last step: [`Admitted`], the only thing that can be forwarded.
//!
//! Bodies travel in clear here: a route that names an envelope does not load, so nothing sealed
//! ever comes this far.

use std::sync::Arc;

use http::HeaderValue;
use http::request::Parts;

use crate::clock::Timestamp;
use crate::gateway::admission::body::Held;
use crate::gateway::admission::intake::Visit;
use crate::gateway::admission::quota::Granted;
use crate::gateway::route::Route;
use crate::keyring::Credential;

/// A request that passed every step.
#[must_use]
pub struct Admitted {
    granted: Granted,
}

/// A request taken apart for its way to the upstream.
pub struct Outbound {
    /// The head as received.
    pub head: Parts,
    /// Host or `:authority` as received.
    pub authority: HeaderValue,
    /// The gate's time at which it was verified.
    pub now: Timestamp,
    /// The body as received.
    pub body: Held,
    /// Where it goes.
    pub route: Arc<Route>,
    /// Who sent it.
    pub credential: Arc<Credential>,
    /// Where it came from.
    pub visit: Visit,
}

/// Admits a request.
pub(super) fn open(granted: Granted) -> Admitted {
    Admitted { granted }
}

impl Admitted {
    /// Takes the request apart; only forwarding has use for it.
    pub fn into_outbound(self) -> Outbound {
        let (received, credential) = self.granted.into_permitted().into_verified().into_received();
        let (fresh, body) = received.into_fresh();
        let (entered, route) = fresh.into_claimed().into_routed().into_entered();
        let (head, authority, now, visit) = entered.into_parts();
        Outbound { head, authority, now, body, route, credential, visit }
    }
}
