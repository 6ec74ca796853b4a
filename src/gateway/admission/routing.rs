//! Second step: the route. [`Routed`] is a request that is going somewhere.

use std::ops::Deref;
use std::rc::Rc;

use crate::gateway::admission::intake::Entered;
use crate::gateway::admission::{OwnRoute, View};
use crate::gateway::rejection::Rejection;

/// A request with its route.
#[must_use]
pub(super) struct Routed {
    entered: Entered,
    route: Rc<OwnRoute>,
}

/// Finds the route of a request.
///
/// # Errors
/// `no_route` when nothing is configured for its host, method and path; `headers_too_large` where
/// its target would be too long as the route changes it; `unsupported_encoding` for a body that is
/// sealed by a content coding where the route opens none.
pub(super) fn find(view: &View, entered: Entered) -> Result<Routed, Rejection> {
    let head = entered.head();
    let route = view.route(entered.host(), &head.method, head.uri.path());
    let route = Rc::clone(route.ok_or(Rejection::NoRoute)?);
    entered.record.is_for(Rc::clone(route.metrics()));
    if let Some(change) = &route.spec.changes.path
        && !change.fits(head.uri.path_and_query())
    {
        return Err(Rejection::HeadersTooLarge);
    }
    if entered.is_coded() && !route.spec.opener.as_ref().is_some_and(|one| one.opens_codings()) {
        return Err(Rejection::UnsupportedEncoding);
    }
    Ok(Routed { entered, route })
}

impl Routed {
    /// The route.
    pub(super) fn route(&self) -> &Rc<OwnRoute> {
        &self.route
    }

    pub(super) fn into_entered(self) -> (Entered, Rc<OwnRoute>) {
        (self.entered, self.route)
    }
}

impl Deref for Routed {
    type Target = Entered;

    fn deref(&self) -> &Entered {
        &self.entered
    }
}
