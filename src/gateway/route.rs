//! Which route a request takes: by host, method and path, over raw bytes.
//!
//! Of several that fit, the one with the more telling path counts: exact before prefix, long before
//! short; and one with hosts before one without.

mod changes;
mod observe;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::gateway::opener::Opener;
use crate::gateway::upstream::Upstream;
use crate::keyring::{Environment, KeyId};
use crate::limit::{ANSWER_BYTES_MAX, BodyDeadlines, KIB, Window};
use crate::roll::{Policy, session};
use crate::scheme::Scheme;
use crate::store::ledger::Ledger;
use crate::target::PathPattern;
use crate::telemetry::RouteMetrics;

pub use changes::{Changes, HeaderChange, PathChange};
pub use observe::Observe;

/// What the gate's own routes for session calls are named by, in logs and metrics.
const KEY_SESSION: &str = "key-session";
/// The longest session call, in bytes: names of chains that it replaces, sealed.
const SESSION_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16 * KIB - 1);

/// One route as configuration states it.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Its name in logs and metrics: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: Arc<str>,
    /// Hosts in lower case, without port, IPv6 addresses without brackets; empty: any.
    pub hosts: Vec<String>,
    /// Its paths.
    pub path: PathPattern,
    /// Its methods; empty: any.
    pub methods: Vec<Method>,
    /// The name of the upstream that its requests go to.
    pub upstream: Arc<str>,
    /// The scheme that its requests are signed by.
    pub scheme: Arc<Scheme>,
    /// How far a timestamp may lie from now.
    pub window: Window,
    /// The largest body, in bytes.
    pub body_bytes_max: NonZeroUsize,
    /// How long one may take; none: as the listener says.
    pub body_deadline: Option<Duration>,
    /// How its bodies are opened; none: they travel in clear.
    pub opener: Option<Arc<Opener>>,
    /// What is done to its answers.
    pub answers: Answers,
    /// How its keys roll; none: they do not.
    pub rolling: Option<Rolling>,
    /// Whose credentials it takes: test, live, or without a word both.
    pub environment: Option<Environment>,
    /// The one credential that may use it, where the scheme says nothing of who signs.
    pub credential: Option<KeyId>,
    /// The address under which clients know it, where the scheme signs that.
    pub public_url: Option<Arc<str>>,
    /// What of an order must be new; none: orders are not looked at.
    pub unique_order: Option<UniqueOrder>,
    /// Whether every request is remembered for the life of the secret that signed it.
    pub remember: bool,
    /// How long the upstream may be silent in an answer; none: as long as before it.
    pub answer_idle: Option<Duration>,
    /// Whether its refusals are only watched, and until when; none: they count.
    pub observe: Option<Observe>,
    /// What it changes of paths and headers.
    pub changes: Changes,
}

impl RouteSpec {
    /// How long its bodies may take, where those of the listener are so.
    pub fn body_deadlines(&self, of_listener: BodyDeadlines) -> BodyDeadlines {
        let total = self.body_deadline.unwrap_or(of_listener.total);
        BodyDeadlines { total, ..of_listener }
    }

    /// Whether its requests are noted in the ledger.
    pub fn needs_ledger(&self) -> bool {
        self.remember || self.unique_order.is_some()
    }
}

/// What of an order must be new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueOrder {
    /// Where the order number is: the steps of a JSON pointer (RFC 6901), unescaped.
    pub field: Box<[Box<str>]>,
    /// What refusals call that place.
    pub place: &'static str,
    /// For how long it must be new.
    pub period: Duration,
    /// What it must be new in: the route's name, or one that several routes share.
    pub group: Arc<str>,
    /// The statuses of an answer after which it may come again.
    pub release: Arc<[StatusCode]>,
}

/// How keys roll on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    /// For how long, and for how many messages.
    pub policy: Policy,
    /// Whether this is the gate's own route, on which clients ask for fresh keys.
    pub session: bool,
}

/// What is done to the answers of a route. Where neither is asked for, they go on as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whether they are signed, by the scheme of the route.
    pub sign: bool,
    /// Whether they are sealed, in the envelope of the route.
    pub seal: bool,
    /// The longest body of one that is signed or sealed, in bytes.
    pub bytes_max: NonZeroUsize,
}

impl Default for Answers {
    fn default() -> Self {
        Self { sign: false, seal: false, bytes_max: ANSWER_BYTES_MAX }
    }
}

/// A route in service.
#[derive(Debug)]
pub struct Route {
    /// What configuration states.
    pub spec: RouteSpec,
    /// Where its requests go; none: the gate answers them.
    pub upstream: Option<Arc<Upstream>>,
    /// How its requests end.
    pub metrics: RouteMetrics,
    /// Where its requests are noted; none where nothing asks for it.
    pub ledger: Option<Arc<Ledger>>,
}

impl RouteSpec {
    /// Whether this is the gate's own route for session calls.
    pub fn is_session(&self) -> bool {
        self.rolling.is_some_and(|rolling| rolling.session)
    }
}

/// The gate's own routes for session calls: one for each scheme with routes on which keys roll, for
/// the hosts of these. Configuration sees to it that they roll alike, and that a host has one.
pub fn key_sessions(routes: &[RouteSpec]) -> Vec<RouteSpec> {
    let mut own: Vec<RouteSpec> = Vec::new();
    let Ok(path) = session::PATH.parse::<PathPattern>() else { return own };
    for route in routes {
        let Some(rolling) = route.rolling else { continue };
        if let Some(same) = own.iter_mut().find(|own| own.scheme == route.scheme) {
            match route.hosts.is_empty() || same.hosts.is_empty() {
                true => same.hosts.clear(),
                false => same.hosts.extend(route.hosts.iter().cloned()),
            }
            continue;
        }
        own.push(RouteSpec {
            name: format!("{KEY_SESSION}.{}", route.scheme.name()).into(),
            path: path.clone(),
            methods: vec![Method::POST],
            body_bytes_max: SESSION_BYTES_MAX,
            body_deadline: None,
            opener: None,
            answers: Answers::default(),
            rolling: Some(Rolling { session: true, ..rolling }),
            environment: None,
            observe: None,
            changes: Changes::default(),
            ..route.clone()
        });
    }
    own
}

/// All routes, the most telling first.
#[derive(Debug, Default)]
pub struct Routes(Vec<Arc<Route>>);

impl Routes {
    /// Puts routes in the order in which they are tried.
    pub fn new(mut routes: Vec<Arc<Route>>) -> Self {
        let rank = |route: &Arc<Route>| {
            let spec = &route.spec;
            (spec.path.precedence(), !spec.hosts.is_empty(), !spec.methods.is_empty())
        };
        routes.sort_by_key(|route| std::cmp::Reverse(rank(route)));
        Self(routes)
    }

    /// Which route is for a host (without port, any case), method and raw path, counted as
    /// [`Routes::iter`] gives them.
    pub fn position(&self, host: &str, method: &Method, path: &str) -> Option<usize> {
        self.0.iter().position(|route| {
            let spec = &route.spec;
            spec.path.matches(path)
                && (spec.methods.is_empty() || spec.methods.contains(method))
                && (spec.hosts.is_empty()
                    || spec.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
        })
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.0.iter()
    }
}
