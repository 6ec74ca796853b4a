//! Third step: what the head says of the request. [`Claimed`] has each claim once and well formed,
//! and none of them proved. Under a scheme whose claims lie in the body it has none yet: they are
//! read by [`super::stated`].

use std::ops::Deref;

use bytes::Bytes;
use http::HeaderValue;

use crate::doctor;
use crate::gateway::admission::intake::Entered;
use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::routing::Routed;
use crate::gateway::rejection::Rejection;
use crate::recipe::Subject;
use crate::scheme::{ClaimFault, Claims, Scheme};
use crate::secret::NamedSecrets;

/// A request with the claims of its head.
#[must_use]
pub(super) struct Claimed {
    routed: Routed,
    /// Boxed, so that a step passes on a pointer.
    claims: Option<Box<Claims>>,
}

/// Reads the claims that the route's scheme asks for, unless they lie in the body.
///
/// # Errors
/// `missing_header` or `malformed_header` for the first that is absent, repeated or malformed.
pub(super) fn read(routed: Routed) -> Result<Claimed, Stopped> {
    let scheme = &routed.route().spec.scheme;
    let claims = match scheme.reads_body() {
        true => None,
        false => match of(scheme, &routed, &[]) {
            Ok(claims) => Some(Box::new(claims)),
            Err(rejection) => return Err(observed::stop(routed, rejection)),
        },
    };
    Ok(Claimed { routed, claims })
}

/// The claims of a request with as much of its body as is there.
///
/// # Errors
/// As [`read`].
pub(super) fn of(scheme: &Scheme, routed: &Routed, body: &[Bytes]) -> Result<Claims, Rejection> {
    let public_url = routed.route().spec.public_url.as_deref();
    let claims = scheme.claims(&subject(routed, body, public_url, &NamedSecrets::default()));
    claims.map_err(|fault| match fault {
        ClaimFault::Missing(name) => Rejection::MissingHeader(name),
        ClaimFault::Malformed(name) => {
            let sent = routed.head().headers.get(name).map(HeaderValue::as_bytes);
            let mistake = sent.and_then(|sent| doctor::malformed(scheme, name, sent));
            Rejection::MalformedHeader(name, mistake)
        }
    })
}

/// A request as schemes look at it.
pub(super) fn subject<'a>(
    entered: &'a Entered,
    body: &'a [Bytes],
    public_url: Option<&'a str>,
    values: &'a NamedSecrets,
) -> Subject<'a> {
    let head = entered.head();
    Subject {
        method: head.method.as_str(),
        scheme: "https",
        authority: entered.authority().to_str().unwrap_or_default(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &head.headers,
        body,
        status: None,
        public_url,
        secret: None,
        values,
    }
}

impl Claimed {
    /// What the head says of the request; nothing where its claims lie in the body.
    pub(super) fn early_claims(&self) -> Option<&Claims> {
        self.claims.as_deref()
    }

    /// The same, taken out for the step that has all claims.
    pub(super) fn take_claims(&mut self) -> Option<Box<Claims>> {
        self.claims.take()
    }

    pub(super) fn into_routed(self) -> Routed {
        self.routed
    }
}

impl Deref for Claimed {
    type Target = Routed;

    fn deref(&self) -> &Routed {
        &self.routed
    }
}
