//! Verbs about webhooks: what was taken, what came of it, what was refused, and what is to be done
//! once more.
//!
//! What an operator decides here, and whose body he reads, is in the audit log before it happens:
//! journal and store are two databases, and nothing may be done that is not noted.

pub mod destination;
pub mod refusal;
pub mod replay;
pub mod show;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{Moment, Page, as_word, limit};
use super::verb::{Verb, verb};
use super::{Code, Office, Problem};
use crate::clock::Timestamp;
use crate::journal::{Confirmation, Delivery, Desk, Filter, JournalFault, State};
use crate::store::Actor;

/// Verbs about webhooks.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "inbox list",
        Get "/admin/v1/deliveries",
        Auditor,
        "List webhooks that were taken, the newest first",
        list
    )
    .columns(&[
        "delivery",
        "received_at",
        "source",
        "destination",
        "state",
        "order",
        "confirmed",
    ]),
    verb!(
        "inbox show",
        Get "/admin/v1/deliveries/{delivery}",
        Security,
        "Show a webhook with all that happened to it, and its body if asked for",
        show::show
    ),
    verb!(
        "inbox replay",
        Post "/admin/v1/deliveries:replay",
        Admin,
        "Deliver webhooks once more, under the same ids",
        replay::replay
    )
    .drastic(),
    verb!(
        "inbox refusals",
        Get "/admin/v1/refusals",
        Auditor,
        "List webhooks that were refused, the newest first",
        refusal::list
    )
    .columns(&["at", "source", "reason", "address", "head_bytes", "body_bytes"]),
    verb!(
        "inbox destinations",
        Get "/admin/v1/destinations",
        Auditor,
        "List destinations that get nothing until they are resumed",
        destination::list
    )
    .columns(&["destination", "why"]),
    verb!(
        "inbox resume",
        Post "/admin/v1/destinations/{destination}:resume",
        Admin,
        "Let a stopped destination have deliveries again",
        destination::resume
    ),
];

as_word! {
    /// How far a webhook is.
    StateWord of State:
    "confirming" = State::Confirming,
    "delivering" = State::Delivering,
    "delivered" = State::Delivered,
    "disagreed" = State::Disagreed,
    "dead" = State::Dead,
    "held" = State::Held,
}

/// A webhook that was taken, in a line.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Item {
    /// Its id, which the merchant's service sees as `webhook-id`.
    pub delivery: String,
    /// Its place in the journal.
    pub sequence: i64,
    /// When it came.
    pub received_at: Moment,
    /// The source that it came to.
    pub source: String,
    /// The destination that it goes to.
    pub destination: String,
    /// How far it is.
    pub state: StateWord,
    /// What it is about.
    pub order: Option<String>,
    /// What came of asking: `agreed`, `disagreed`, or `by-operator`; nothing where nobody was
    /// asked.
    pub confirmed: Option<String>,
}

impl From<&Delivery> for Item {
    fn from(one: &Delivery) -> Self {
        Self {
            delivery: one.id.to_string(),
            sequence: one.sequence,
            received_at: moment(one.received_millis),
            source: one.source.to_string(),
            destination: one.destination.to_string(),
            state: StateWord(one.state),
            order: one.order_key.clone(),
            confirmed: one.confirmation.as_ref().map(|found| came_of(found).to_owned()),
        }
    }
}

fn came_of(found: &Confirmation) -> &'static str {
    match (found.agreed, found.asked.as_str()) {
        (true, "operator") => "by-operator",
        (true, _) => "agreed",
        (false, _) => "disagreed",
    }
}

/// A time of the journal, to the second.
fn moment(millis: u64) -> Moment {
    Moment(Timestamp::from_secs(millis / 1000))
}

fn desk(office: &Office) -> Result<Desk, Problem> {
    Desk::open(&office.state, office.clock.clone()).map_err(Problem::from)
}

impl From<JournalFault> for Problem {
    fn from(fault: JournalFault) -> Self {
        match &fault {
            JournalFault::File { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
                let detail = "there is no journal of webhooks: no gate with a source has run here";
                Self::new(Code::NotFound, detail)
            }
            _ => Self::new(Code::Store, fault.to_string()),
        }
    }
}

/// A place where a page ended.
fn place(after: Option<&str>) -> Result<Option<i64>, Problem> {
    let wrong = |_| Problem::new(Code::InvalidInput, "after is what next was on the page before");
    after.map(str::parse).transpose().map_err(wrong)
}

/// Which webhooks to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
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
    /// Where the page before ended.
    pub after: Option<String>,
    /// The most items, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Item>, Problem> {
    let limit = limit(input.limit);
    let filter = Filter {
        before: place(input.after.as_deref())?,
        source: input.source,
        destination: input.destination,
        state: input.state.map(|word| word.0),
        order: input.order,
        since_millis: input.since.map(millis),
        until_millis: input.until.map(millis),
        ..Filter::default()
    };
    let found = desk(office)?.list(&filter, limit + 1)?;
    let items = found.iter().map(Item::from).collect();
    Ok(Page::cut(items, limit, |one: &Item| one.sequence.to_string()))
}

fn millis(moment: Moment) -> u64 {
    moment.0.secs().saturating_mul(1000)
}

/// Writes into the audit log what is about to be done, and to what. A gate without managed keys has
/// none.
fn note(
    office: &Office,
    actor: &Actor,
    (action, object): (&'static str, &str),
    detail: Value,
    reason: Option<&str>,
) -> Result<(), Problem> {
    reason.map(super::name::check_label).transpose()?;
    let Some(store) = &office.keys else { return Ok(()) };
    store
        .change(actor, |change| change.audit(action, object, detail, reason).map_err(Problem::from))
}
