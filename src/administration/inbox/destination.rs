//! Destinations that are stopped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{desk, note};
use crate::administration::form::Page;
use crate::administration::verb::Output;
use crate::administration::{Code, Office, Problem};
use crate::store::Actor;

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A destination that gets nothing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Stopped {
    /// Its name.
    pub destination: String,
    /// Why.
    pub why: String,
}

pub(super) fn list(office: &Office, _: &Actor, _: Nothing) -> Result<Page<Stopped>, Problem> {
    let stopped = desk(office)?.stopped()?.into_iter();
    let items = stopped.map(|(destination, why)| Stopped { destination, why }).collect();
    Ok(Page { items, next: None })
}

/// Which destination.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Its name.
    pub destination: String,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

/// A destination that gets deliveries again.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Resumed {
    /// Its name.
    pub destination: String,
    /// Whether it was stopped.
    pub resumed: bool,
}

impl Output for Resumed {}

pub(super) fn resume(office: &Office, actor: &Actor, input: Resume) -> Result<Resumed, Problem> {
    let desk = desk(office)?;
    let Resume { destination, reason } = input;
    if !desk.stopped()?.contains_key(&destination) {
        return Err(Problem::new(Code::NotFound, format!("{destination} is not stopped")));
    }
    note(office, actor, ("inbox.resumed", &destination), json!({}), reason.as_deref())?;
    let resumed = desk.resume(&destination)?;
    Ok(Resumed { destination, resumed })
}
