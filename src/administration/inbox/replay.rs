//! Delivering webhooks once more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StateWord, desk, millis, note};
use crate::administration::form::Moment;
use crate::administration::verb::Output;
use crate::administration::{Code, Office, Problem};
use crate::journal::Filter;
use crate::store::Actor;

/// Which webhooks to deliver once more. At least one of these is given, and all that are hold.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Those of these ids.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Those that came to this source.
    pub source: Option<String>,
    /// Those for this destination.
    pub destination: Option<String>,
    /// Those that are so far.
    pub state: Option<StateWord>,
    /// Those about this order.
    pub order: Option<String>,
    /// Those that came at this time or later.
    pub since: Option<Moment>,
    /// Those that came before this time.
    pub until: Option<Moment>,
    /// Deliver what is held, disagreed about or not confirmed yet: you answer for it being true.
    /// Without, it is confirmed anew.
    #[serde(default)]
    pub unconfirmed: bool,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

/// What was begun anew.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Replayed {
    /// How many webhooks.
    pub replayed: u64,
}

impl Output for Replayed {}

pub(super) fn replay(office: &Office, actor: &Actor, input: Replay) -> Result<Replayed, Problem> {
    let detail = serde_json::to_value(&input).unwrap_or_default();
    let Replay { ids, source, destination, state, order, since, until, unconfirmed, reason } =
        input;
    let filter = Filter {
        ids,
        source,
        destination,
        state: state.map(|word| word.0),
        order,
        since_millis: since.map(millis),
        until_millis: until.map(millis),
        ..Filter::default()
    };
    if filter == Filter::default() {
        let detail = "say which: ids, source, destination, state, order, since or until";
        return Err(Problem::new(Code::InvalidInput, detail));
    }
    let desk = desk(office)?;
    if desk.list(&filter, 1)?.is_empty() {
        return Err(Problem::new(Code::NotFound, "no webhook is meant by that"));
    }
    let object = match &*filter.ids {
        [only] => only.as_str(),
        _ => "deliveries",
    };
    note(office, actor, ("inbox.replayed", object), detail, reason.as_deref())?;
    Ok(Replayed { replayed: desk.replay(&filter, unconfirmed)? })
}
