//! Paths that two could match. A request of one source must never be another's, nor a route's:
//! what is overlapped is refused, whichever would win.

use crate::config::reader::Table;
use crate::gateway::route::RouteSpec;
use crate::roll::session;
use crate::target::PathPattern;

/// A source that was read, and where it stands.
pub(super) struct Place {
    name: String,
    hosts: Vec<String>,
    path: PathPattern,
    place: String,
}

/// Refuses the path of a source that a route, another source or the gate itself could match.
pub(super) fn refuse(
    table: &Table<'_>,
    name: &str,
    (hosts, path): (&[String], &PathPattern),
    routes: &[(RouteSpec, String)],
    taken: &mut Vec<Place>,
) {
    if path.matches(session::PATH) {
        let problem = "this is where the gate itself answers session calls";
        table.refuse("path", problem, Some("choose another path".to_owned()));
    }
    let own = table.document().place(table.span_of("path").start);
    let both = |what: &str, other: &str, place: &str, theirs: &PathPattern| {
        let problem = format!(
            "{path} of the source \"{name}\" (at {own}) and {theirs} of the {what} \"{other}\" \
             (at {place}) could match the same request"
        );
        let hint = "keep webhooks apart: a path or a host that nothing else takes";
        table.refuse("path", problem, Some(hint.to_owned()));
    };
    for (route, place) in routes {
        if share_host(&route.hosts, hosts) && overlap(&route.path, path) {
            both("route", &route.name, place, &route.path);
        }
    }
    for other in &*taken {
        if share_host(&other.hosts, hosts) && overlap(&other.path, path) {
            both("source", &other.name, &other.place, &other.path);
        }
    }
    taken.push(Place {
        name: name.to_owned(),
        hosts: hosts.to_vec(),
        path: path.clone(),
        place: own,
    });
}

fn share_host(a: &[String], b: &[String]) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|host| b.contains(host))
}

/// Whether some path falls under both patterns.
fn overlap(a: &PathPattern, b: &PathPattern) -> bool {
    match (a, b) {
        (PathPattern::Exact(own), other) | (other, PathPattern::Exact(own)) => other.matches(own),
        (PathPattern::Below(a), PathPattern::Below(b)) => {
            a.starts_with(&**b) || b.starts_with(&**a)
        }
    }
}
