//! Report-only: a route's key `observe`, and what does not go with it.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::de::DeValue;

use crate::clock::Timestamp;
use crate::config::fault::{Note, Weight};
use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::route::{Observe, RouteSpec};

/// How far ahead its end may be: nobody forgets a route for longer.
const AHEAD_MAX: Duration = Duration::from_secs(90 * 24 * 3600);

/// Until when a route only watches, where it does.
pub(super) fn observe(table: &mut Table<'_>, now: Timestamp) -> Option<Observe> {
    let read = table.table("observe", |table| {
        let until = table.required("until", |node| until(node, now));
        let merchants = table.list("merchants", value::name);
        if table.node("merchants").is_some() && merchants.is_empty() {
            let hint = "name merchants, or leave the key out: then everybody's";
            table.refuse("merchants", "nobody is named", Some(hint.to_owned()));
        }
        let merchants = merchants.into_iter().map(Box::from).collect();
        Some(Observe { until: until?, merchants })
    });
    let observe = read.flatten()?;
    for (key, why) in [
        ("envelope", "a body is not opened for whoever was refused"),
        ("rolling", "a body is not opened for whoever was refused"),
        ("unique_order", "an order is not taken from whoever was refused"),
        ("remember", "a request is not remembered for whoever was refused"),
        ("sign_answers", "no answer can be signed for whoever was refused"),
    ] {
        if table.node(key).is_some() {
            table.refuse(key, why, Some("remove the key, or observe".to_owned()));
        }
    }
    Some(observe)
}

/// The last second: of a day in UTC, or a time as it is written.
fn until(node: &Node<'_>, now: Timestamp) -> Result<Timestamp, Mismatch> {
    let expected = "a day at most 90 days ahead, such as \"2027-01-31\"";
    let text = match node.value() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        _ => return Err(node.wrong_type(expected)),
    };
    let mismatch = || Mismatch::text(expected, &text);
    let (begin, end) = match text.len() {
        10 => (time(&format!("{text}T00:00:00Z")), time(&format!("{text}T23:59:59Z"))),
        _ => {
            let time = value::timestamp(node).ok();
            (time, time)
        }
    };
    let (begin, end) = begin.zip(end).ok_or_else(mismatch)?;
    if begin > now.saturating_add(AHEAD_MAX) {
        return Err(mismatch().hint("a route that lets refused requests through must end soon"));
    }
    Ok(end)
}

fn time(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok().map(Timestamp::from_secs)
}

/// That a route only watches, or did.
pub(super) fn notes(routes: &[RouteSpec], now: Timestamp) -> Vec<Note> {
    let note = |route: &RouteSpec| {
        let observe = route.observe.as_ref()?;
        let whose = match &*observe.merchants {
            [] => "refused requests".to_owned(),
            merchants => format!("refused requests that name {}", merchants.join(", ")),
        };
        let (weight, text) = match observe.lasts(now) {
            true => (
                Weight::Warning,
                format!(
                    "REPORT-ONLY for {} more days: {whose} are forwarded all the same, unverified, \
                     with X-Countersign-Verdict: refused",
                    observe.days_left(now)
                ),
            ),
            false => (
                Weight::Information,
                "this is over and the route enforces; remove the key".to_owned(),
            ),
        };
        Some(Note { weight, key: format!("routes.{}.observe", route.name), text })
    };
    routes.iter().filter_map(note).collect()
}
