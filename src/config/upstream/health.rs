//! `health` of an upstream.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;
use http::uri::PathAndQuery;

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::upstream::Health;

const EVERY: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(2);
const HEALTHY: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
const UNHEALTHY: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
const IN_A_ROW_MAX: u32 = 1000;

pub(super) fn health(table: &mut Table<'_>) -> Option<Health> {
    let path = table.required("path", path);
    let every = table.optional("every", value::duration);
    let within = table.optional("within", value::duration);
    let healthy = table.optional("healthy", value::count_u32(IN_A_ROW_MAX));
    let unhealthy = table.optional("unhealthy", value::count_u32(IN_A_ROW_MAX));
    let mut statuses = table.list("status", status);
    if table.node("status").is_none() {
        statuses.push(StatusCode::OK);
    } else if table.items("status", "an array").is_empty() {
        table.refuse("status", "without a status no address is ever healthy", None);
    }
    Some(Health {
        path: path?,
        every: every.unwrap_or(EVERY),
        within: within.unwrap_or(WITHIN),
        healthy: healthy.unwrap_or(HEALTHY),
        unhealthy: unhealthy.unwrap_or(UNHEALTHY),
        statuses,
    })
}

fn status(node: &Node<'_>) -> Result<StatusCode, Mismatch> {
    let number = value::number(node, 200..=599)?;
    let status = u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| node.wrong_type("a status"))
}

fn path(node: &Node<'_>) -> Result<PathAndQuery, Mismatch> {
    let expected = "a path such as \"/healthz\"";
    let text = node.str(expected)?;
    let path = Some(text).filter(|text| text.starts_with('/') && !text.contains('#'));
    let path = path.and_then(|text| text.parse().ok());
    path.ok_or_else(|| Mismatch::text(expected, text))
}
