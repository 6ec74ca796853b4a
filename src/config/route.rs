//! `[[routes]]`: which requests are taken, how they are signed and where they go.

mod answers;
mod changes;
mod observe;
mod rolling;
pub(super) mod orders;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::envelope::{self, Envelopes};
use super::fault::{Note, Weight};
use super::listener::{BODY_BYTES_TOP, too_large};
use super::merchant::ENVIRONMENTS;
use super::node::{Mismatch, Node, nearest, one_of};
use super::reader::Table;
use super::scheme::{Schemes, builtin};
use super::value;
use crate::clock::Timestamp;
use crate::gateway::admission::budget::stranger_bytes_max;
use crate::gateway::route::RouteSpec;
use crate::gateway::upstream::UpstreamSpec;
use crate::keyring::{KeyId, KeyIdFault};
use crate::limit::Window;
use crate::recipe::value::VALUE_BYTES_MAX;
use crate::scheme::Scheme;
use crate::target::PathPattern;

/// The scheme of routes and credentials that name none.
const SCHEME_DEFAULT: &str = "kwikpaisa";

/// How far ahead a route may let timestamps be. The mark in the state folder follows the newest
/// accepted one, and a start with a mark over an hour ahead of the clock is refused, as the sign of
/// a wrong clock: what clients sign must stay far below that. No clock that is kept is so wrong.
const AHEAD_MAX: Duration = Duration::from_secs(600);

/// What routes refer to.
pub(super) struct Surroundings<'s> {
    /// Names of the upstreams as written, those at fault included.
    pub(super) upstreams: Vec<&'s str>,
    /// The schemes that may be named.
    pub(super) schemes: &'s Schemes,
    /// Every envelope that they may name.
    pub(super) envelopes: &'s Envelopes,
    /// The body limit of routes that state none.
    pub(super) body_bytes_max: NonZeroUsize,
    /// The memory of unverified bytes that bodies must fit into.
    pub(super) unverified_bytes_max: NonZeroUsize,
    /// Whether the listener traces.
    pub(super) trace: bool,
    /// The time at which it is read.
    pub(super) now: Timestamp,
}

/// Every route and where it stands. They may be absent where webhooks are taken: then all else is
/// refused.
pub(super) fn routes(
    table: &mut Table<'_>,
    surroundings: &Surroundings<'_>,
) -> Vec<(RouteSpec, String)> {
    let mut taken: Vec<(RouteSpec, String)> = Vec::new();
    table.tables("routes", "a table", |table| {
        let route = route(table, surroundings)?;
        refuse_twins(table, &route, &taken);
        rolling::refuse_unlike(table, &route, &taken);
        taken.push((route, table.document().place(table.span().start)));
        Some(())
    });
    if table.node("routes").is_none() && !table.stated("sources") {
        table.missing("routes");
    }
    taken
}

fn route(table: &mut Table<'_>, surroundings: &Surroundings<'_>) -> Option<RouteSpec> {
    let name = table.required("name", value::name);
    let hosts = table.list("hosts", value::host);
    let path = table.required("path", path);
    let methods = table.list("methods", method);
    let upstream = table.required("upstream", |node| upstream(node, surroundings));
    let scheme = scheme(table, surroundings.schemes);
    let window = window(table, scheme.as_deref());
    let body = table.optional("body", value::size(1..=BODY_BYTES_TOP));
    let too_large = body.and_then(|body| too_large(body, surroundings.unverified_bytes_max));
    if let Some((problem, hint)) = too_large {
        table.refuse("body", problem, Some(hint));
    }
    let body_deadline = table.optional("body_deadline", value::duration);
    let environment = table.optional("environment", value::choice(&ENVIRONMENTS));
    let credential = table.optional("credential", credential);
    let public_url = table.optional("public_url", public_url);
    require(table, scheme.as_deref());
    let remember = table.optional("remember", value::boolean).unwrap_or(false);
    if let Some(scheme) = &scheme {
        fits(table, scheme, remember);
        refuse_long_claims(table, scheme, body.unwrap_or(surroundings.body_bytes_max));
    }
    let unique_order = orders::unique_order(table, name);
    let opener = envelope::opener(table, surroundings.envelopes, scheme.as_deref());
    let rolling = rolling::rolling(table);
    let answers = answers::answers(table, scheme.as_deref(), opener.as_deref(), rolling.is_some());
    let answer_idle = answers::idle(table, &answers, rolling.is_some());
    let observe = observe::observe(table, surroundings.now);
    let changes = changes::changes(table, path.as_ref(), surroundings.trace);
    Some(RouteSpec {
        name: Arc::from(name?),
        hosts,
        path: path?,
        methods,
        upstream: Arc::from(upstream?),
        scheme: scheme?,
        window,
        body_bytes_max: body.unwrap_or(surroundings.body_bytes_max),
        body_deadline,
        environment,
        credential,
        public_url,
        opener,
        answers,
        rolling,
        unique_order,
        remember,
        answer_idle,
        observe,
        changes,
    })
}

/// Refuses a scheme that cannot guard a route, and keys that its scheme does not go with.
fn fits(table: &mut Table<'_>, scheme: &Scheme, remember: bool) {
    let unfit = scheme.unfit_for_routes().iter();
    for unfit in unfit.filter(|unfit| !(remember && unfit.mended_by_remembering)) {
        table.refuse(
            "scheme",
            format!("{} {}", scheme.name(), unfit.problem),
            Some(unfit.hint.clone()),
        );
    }
    let named = table.node("credential").is_some();
    if !scheme.names_key() && !named {
        let problem = format!("{} says nothing of who signs", scheme.name());
        let hint = "name the one credential that may use this route: credential = \"…\"";
        table.refuse("credential", problem, Some(hint.to_owned()));
    } else if scheme.names_key() && named {
        let problem = format!("under {} the request says whose it is", scheme.name());
        table.refuse("credential", problem, Some("remove the key".to_owned()));
    }
    if scheme.reads_public_url() && table.node("public_url").is_none() {
        let problem =
            format!("{} signs the address under which this route is known", scheme.name());
        let hint = "say which: public_url = \"https://pay.example.com\"";
        table.refuse("public_url", problem, Some(hint.to_owned()));
    }
}

/// Refuses bodies that are longer than a scheme looks at for its claims: none of them would pass.
fn refuse_long_claims(table: &Table<'_>, scheme: &Scheme, body_bytes_max: NonZeroUsize) {
    if body_bytes_max.get() > VALUE_BYTES_MAX && scheme.reads_body() {
        let most = value::bytes_text(VALUE_BYTES_MAX);
        let problem = format!("{} reads its claims in the body, of {most} at most", scheme.name());
        table.refuse("body", problem, Some(format!("say so: body = \"{most}\"")));
    }
}

pub(super) fn credential(node: &Node<'_>) -> Result<KeyId, Mismatch> {
    let expected = "the key id of a credential";
    let text = node.str(expected)?;
    text.parse().map_err(|fault: KeyIdFault| Mismatch::text(expected, text).hint(fault.to_string()))
}

pub(super) fn public_url(node: &Node<'_>) -> Result<Arc<str>, Mismatch> {
    let expected = "an address such as \"https://pay.example.com\"";
    let text = node.str(expected)?;
    let good = text.starts_with("https://") && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(Arc::from(text)) } else { Err(Mismatch::text(expected, text)) }
}

pub(super) fn window(table: &mut Table<'_>, scheme: Option<&Scheme>) -> Window {
    let default = scheme.map_or_else(Window::default, Scheme::window);
    Window {
        past: table.optional("window", value::seconds).unwrap_or(default.past),
        ahead: table.optional("ahead", ahead).unwrap_or(default.ahead),
    }
}

fn ahead(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let ahead = value::seconds(node)?;
    if ahead <= AHEAD_MAX {
        return Ok(ahead);
    }
    Err(Mismatch::text("a duration of whole seconds to 10m", node.str("")?))
}

pub(super) fn path(node: &Node<'_>) -> Result<PathPattern, Mismatch> {
    let expected = "a path such as \"/v1/orders\", or \"/v1/*\" for all below";
    let text = node.str(expected)?;
    let refuse = |why: String| Mismatch::text(expected, text).hint(why);
    let pattern: PathPattern = text.parse().map_err(|fault| refuse(format!("{fault}")))?;
    match text.strip_suffix("/*").unwrap_or(text).find(['*', '?', '#']) {
        Some(_) => Err(refuse("a star stands only at the end, after a slash".to_owned())),
        None => Ok(pattern),
    }
}

fn method(node: &Node<'_>) -> Result<Method, Mismatch> {
    let expected = "a method such as \"POST\"";
    let text = node.str(expected)?;
    let method = Method::from_bytes(text.as_bytes()).ok();
    let refused =
        matches!(text, "CONNECT" | "TRACE") || text.bytes().any(|b| b.is_ascii_lowercase());
    method.filter(|_| !refused).ok_or_else(|| {
        Mismatch::text(expected, text).hint("in upper case; CONNECT and TRACE are never served")
    })
}

fn upstream<'n>(node: &Node<'n>, surroundings: &Surroundings<'_>) -> Result<&'n str, Mismatch> {
    let expected = match surroundings.upstreams.as_slice() {
        [] => "the name of an upstream".to_owned(),
        names => format!("an upstream: {}", one_of(names)),
    };
    let text = node.str(&expected)?;
    if surroundings.upstreams.contains(&text) {
        return Ok(text);
    }
    Err(Mismatch::text(expected, text).hint(match nearest(text, &surroundings.upstreams) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "define it as a table [upstreams.NAME] with its url".to_owned(),
    }))
}

/// The scheme of a route or a credential.
pub(super) fn scheme(table: &mut Table<'_>, schemes: &Schemes) -> Option<Arc<Scheme>> {
    if table.node("scheme").is_none() {
        return builtin(SCHEME_DEFAULT);
    }
    table.optional("scheme", |node| schemes.find(node)).flatten()
}

/// What a route may insist on, as [`crate::scheme::Coverage::open_parts`] names it.
const PARTS: [(&str, &str); 5] = [
    ("method", "method"),
    ("target", "target"),
    ("body", "body"),
    ("time", "time"),
    ("nonce", "nonce"),
];

fn require(table: &mut Table<'_>, scheme: Option<&Scheme>) {
    let mut open = table.list("require", value::choice(&PARTS));
    let Some(scheme) = scheme else { return };
    let unsigned = scheme.coverage().open_parts();
    open.retain(|part| unsigned.contains(part));
    if !open.is_empty() {
        let problem = format!("the scheme {} does not sign the {}", scheme.name(), open.join(", "));
        let hint = "take a scheme that signs it, or do not require it";
        table.refuse("require", problem, Some(hint.to_owned()));
    }
}

fn refuse_twins(table: &Table<'_>, route: &RouteSpec, taken: &[(RouteSpec, String)]) {
    for (other, place) in taken {
        if other.name == route.name {
            let problem = format!("the name \"{}\" is taken by the route at {place}", route.name);
            table.refuse("name", problem, None);
        }
        if overlap(other, route) {
            let problem = format!(
                "the routes \"{}\" (at {place}) and \"{}\" match the same host, path and method",
                other.name, route.name
            );
            table.refuse("path", problem, Some("a request must have one route".to_owned()));
        }
    }
}

/// Whether nothing decides between two routes: of two paths the longer counts, and a named host
/// comes before any host.
fn overlap(a: &RouteSpec, b: &RouteSpec) -> bool {
    let hosts = match (a.hosts.as_slice(), b.hosts.as_slice()) {
        ([], []) => true,
        (a, b) => a.iter().any(|host| b.contains(host)),
    };
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    a.path == b.path && hosts && methods
}

/// What each route's scheme leaves open, routes whose longest bodies are for known addresses only,
/// and upstreams that no route uses.
pub(super) fn notes(
    routes: &[RouteSpec],
    upstreams: &[UpstreamSpec],
    unverified_bytes_max: NonZeroUsize,
    now: Timestamp,
) -> Vec<Note> {
    let mut notes = observe::notes(routes, now);
    notes.extend(long_bodies(routes, unverified_bytes_max));
    for route in routes {
        let open = route.scheme.coverage().unsigned_parts();
        if !open.is_empty() {
            notes.push(Note {
                weight: Weight::Warning,
                key: format!("routes.{}.scheme", route.name),
                text: format!(
                    "{} leaves the {} unsigned: whoever sees a request can change it before it \
                     arrives",
                    route.scheme.name(),
                    open.join(", ")
                ),
            });
        }
    }
    let unsigned = routes.iter().filter(|route| route.answers.seal && !route.answers.sign);
    notes.extend(unsigned.map(answers::unsigned));
    notes.extend(orders::notes(routes));
    for route in routes {
        // Of these parts some is signed: which, is worth knowing.
        let some = route.scheme.left_open().iter().filter(|open| open.starts_with("of the "));
        notes.extend(some.map(|open| Note {
            weight: Weight::Information,
            key: format!("routes.{}.scheme", route.name),
            text: format!("{}: {open}", route.scheme.name()),
        }));
    }
    for upstream in upstreams.iter().filter(|up| routes.iter().all(|r| r.upstream != up.name)) {
        notes.push(Note {
            weight: Weight::Information,
            key: format!("upstreams.{}", upstream.name),
            text: "no route uses this upstream".to_owned(),
        });
    }
    notes
}

fn long_bodies(routes: &[RouteSpec], unverified_bytes_max: NonZeroUsize) -> Vec<Note> {
    let one = stranger_bytes_max(unverified_bytes_max.get());
    let long = routes.iter().filter(|route| route.body_bytes_max.get() > one);
    let note = |route: &RouteSpec| Note {
        weight: Weight::Warning,
        key: format!("routes.{}.body", route.name),
        text: format!(
            "takes bodies of up to {}, but an address without a good request in the last ten \
             minutes may hold {} (1/128 of listener.limits.unverified, {}): its longer bodies get \
             busy. {} such bodies at the same time fill it",
            value::bytes_text(route.body_bytes_max.get()),
            value::bytes_text(one),
            value::bytes_text(unverified_bytes_max.get()),
            unverified_bytes_max.get() / route.body_bytes_max.get()
        ),
    };
    long.map(note).collect()
}
