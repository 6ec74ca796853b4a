//! What must not happen twice on a route: its keys `unique_order` and `remember`.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::config::fault::{Note, Weight};
use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value::{self, DAY};
use crate::gateway::route::{RouteSpec, UniqueOrder};
use crate::scheme::place_name;

/// After these the service has made no order.
const RELEASE: [StatusCode; 3] =
    [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY];
/// The shortest period that is of any use, and the longest.
const PERIOD_MIN: Duration = Duration::from_secs(60);
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn unique_order(table: &mut Table<'_>, route: Option<&str>) -> Option<UniqueOrder> {
    let read = table.table("unique_order", |table| {
        let field = table.required("field", pointer);
        let period = table.optional("period", period).unwrap_or(DAY);
        let group = table.optional("group", value::name).or(route);
        let release = match table.node("release") {
            Some(_) => table.list("release", status),
            None => RELEASE.to_vec(),
        };
        let (field, place) = field?;
        let (group, release) = (Arc::from(group?), Arc::from(release));
        Some(UniqueOrder { field, place, period, group, release })
    });
    read.flatten()
}

/// The names of members and indices of items on the way to a value.
type Steps = Box<[Box<str>]>;

/// A JSON pointer (RFC 6901) to a member: its steps, and what refusals call it.
fn pointer(node: &Node<'_>) -> Result<(Steps, &'static str), Mismatch> {
    let expected = "a JSON pointer such as \"/order_id\" or \"/data/order/0/id\"";
    let text = node.str(expected)?;
    let Some(steps) = text.strip_prefix('/') else {
        let hint = format!("it begins with a slash: \"/{}\"", text.replace('.', "/"));
        return Err(Mismatch::text(expected, text).hint(hint));
    };
    let steps = steps.split('/').map(unescape).collect::<Option<_>>();
    let hint = "a tilde is written ~0, a slash in a name ~1";
    let steps = steps.ok_or_else(|| Mismatch::text(expected, text).hint(hint))?;
    Ok((steps, place_name(&format!("json:{text}"))))
}

fn unescape(step: &str) -> Option<Box<str>> {
    let escapes = step.matches('~').count();
    let good = step.matches("~0").count() + step.matches("~1").count();
    (escapes == good).then(|| step.replace("~1", "/").replace("~0", "~").into())
}

fn period(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration from 1m to 366d in whole seconds, such as \"24h\" or \"7d\"";
    value::duration_within(node, expected, PERIOD_MIN..=PERIOD_MAX)
}

fn status(node: &Node<'_>) -> Result<StatusCode, Mismatch> {
    let number = value::number(node, 400..=599)?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| node.wrong_type("a status"))
}

/// What a right configuration still leaves open.
pub(super) fn notes(routes: &[RouteSpec]) -> Vec<Note> {
    let mut notes = Vec::new();
    for route in routes {
        let mut say = |weight, key: &str, text: String| {
            notes.push(Note { weight, key: format!("routes.{}.{key}", route.name), text });
        };
        if let Some(unique) = &route.unique_order {
            let reads = [Method::GET, Method::HEAD];
            if route.methods.is_empty() || route.methods.iter().any(|one| reads.contains(one)) {
                let text = "requests without a body name no order and get bad_request, reads among \
                            them; state the methods that make orders: methods = [\"POST\"]";
                say(Weight::Warning, "unique_order", text.to_owned());
            }
            let doubtful = |status: &&StatusCode| {
                status.is_server_error() || **status == StatusCode::REQUEST_TIMEOUT
            };
            for status in unique.release.iter().filter(doubtful) {
                let text = format!(
                    "after {} the order may come again, though the service may have made it",
                    status.as_u16()
                );
                say(Weight::Warning, "unique_order.release", text);
            }
        }
        if route.remember && route.scheme.unfit_for_routes().is_empty() {
            let text = format!(
                "{} signs its time, so nothing passes twice without this either; every request \
                 now waits for the disk",
                route.scheme.name()
            );
            say(Weight::Information, "remember", text);
        } else if route.remember {
            let text = format!(
                "{} signs no time: each signature passes once for the life of its secret, and \
                 may come at any time until then",
                route.scheme.name()
            );
            say(Weight::Warning, "remember", text);
        }
    }
    notes
}
