//! How keys roll on a route: its key `rolling`, and what does not go with it.

use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::route::{Rolling, RouteSpec};
use crate::roll::{Preset, session};

/// The preset of a route, where it has one.
pub(super) fn rolling(table: &mut Table<'_>) -> Option<Rolling> {
    let preset = table.optional("rolling", value::choice(&Preset::NAMES))?;
    for (key, why) in [
        ("envelope", "a body is sealed once: by rolling keys or in an envelope"),
        ("seal_answers", "rolling keys seal every answer already"),
        ("remember", "rolling keys need a scheme that signs a time, which is enough"),
        ("sign_answers", "an answer that rolling keys seal vouches for itself"),
    ] {
        if table.node(key).is_some() {
            table.refuse(key, why, Some("remove the key, or rolling".to_owned()));
        }
    }
    Some(Rolling { policy: preset.policy(), session: false })
}

/// Refuses what would leave a session call without one meaning: routes of a scheme that roll
/// unlike, two schemes that roll on one host, and a route in its place.
pub(super) fn refuse_unlike(table: &Table<'_>, route: &RouteSpec, taken: &[(RouteSpec, String)]) {
    if route.path.to_string() == session::PATH {
        let problem = "this is where the gate itself answers session calls";
        table.refuse("path", problem, Some("choose another path".to_owned()));
    }
    let Some(own) = route.rolling else { return };
    for (other, place) in taken {
        let Some(rolling) = other.rolling else { continue };
        if other.scheme == route.scheme && rolling != own {
            let problem = format!(
                "keys of {} roll by \"{}\" on the route \"{}\" (at {place}); a scheme rolls in \
                 one way",
                route.scheme.name(),
                rolling.policy.preset,
                other.name
            );
            table.refuse("rolling", problem, None);
        }
        if other.scheme != route.scheme && share_host(other, route) {
            let problem = format!(
                "keys of {} roll on this host already, on the route \"{}\" (at {place}): nobody \
                 could say whose a session call is",
                other.scheme.name(),
                other.name
            );
            table.refuse("rolling", problem, Some("give the routes different hosts".to_owned()));
        }
    }
}

fn share_host(a: &RouteSpec, b: &RouteSpec) -> bool {
    a.hosts.is_empty() || b.hosts.is_empty() || a.hosts.iter().any(|host| b.hosts.contains(host))
}
