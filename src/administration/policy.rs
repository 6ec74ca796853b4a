//! Verbs about policies: by which rules secrets are rotated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::clearable::Clearable;
use super::credential::{self, Credential};
use super::form::{CutoverText, Moment, Page, Span};
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem, name};
use crate::keyring::lifecycle::OVERLAP;
use crate::store::row::{Cutover, PolicyRow};
use crate::store::{Actor, StoreFault, View};

/// Verbs about policies.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "policy create",
        Post "/admin/v1/policies",
        Admin,
        "Make a policy by which secrets are rotated",
        create
    ),
    verb!("policy list", Get "/admin/v1/policies", Auditor, "List policies", list).columns(&[
        "policy",
        "max_age",
        "max_messages",
        "rotate_at",
        "overlap",
        "cutover",
        "automatic",
    ]),
    verb!("policy show", Get "/admin/v1/policies/{policy}", Auditor, "Show a policy", show),
    verb!(
        "policy update",
        Patch "/admin/v1/policies/{policy}",
        Admin,
        "Change a policy",
        update
    ),
    verb!(
        "policy delete",
        Delete "/admin/v1/policies/{policy}",
        Admin,
        "Remove a policy that no credential has",
        delete
    )
    .drastic(),
    verb!(
        "policy assign",
        Post "/admin/v1/credentials/{key_id}:assign-policy",
        Admin,
        "Give a credential a policy, or none",
        assign
    ),
];

/// Days before the end at which a policy reminds, where it does not say.
const REMIND_DAYS: [u16; 4] = [30, 14, 7, 1];

/// By which rules secrets are rotated.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Policy {
    /// Its name.
    pub policy: String,
    /// The oldest that an active version may become.
    pub max_age: Option<Span>,
    /// The most messages that it may sign.
    pub max_messages: Option<u64>,
    /// The date at which it is replaced.
    pub rotate_at: Option<Moment>,
    /// How long the version before stays.
    pub overlap: Span,
    /// When the new one takes over.
    pub cutover: CutoverText,
    /// Whether the gate rotates by itself; otherwise it reminds.
    pub automatic: bool,
    /// How many days before the end it reminds.
    pub remind_days: Vec<u16>,
    /// Rises with each change.
    pub revision: u64,
}

impl Output for Policy {}

impl From<PolicyRow> for Policy {
    fn from(row: PolicyRow) -> Self {
        Self {
            policy: row.name,
            max_age: row.max_age_secs.map(Span),
            max_messages: row.max_messages,
            rotate_at: row.rotate_at.map(Moment),
            overlap: Span(row.overlap_secs),
            cutover: CutoverText(row.cutover),
            automatic: row.automatic,
            remind_days: row.remind_days,
            revision: row.revision,
        }
    }
}

/// What makes a policy.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub policy: String,
    /// The oldest that an active version may become, such as `365d`.
    pub max_age: Option<Span>,
    /// The most messages that it may sign.
    pub max_messages: Option<u64>,
    /// The date at which it is replaced.
    pub rotate_at: Option<Moment>,
    /// How long the version before stays; without, 24 hours.
    pub overlap: Option<Span>,
    /// When the new one takes over; without, now.
    pub cutover: Option<CutoverText>,
    /// Let the gate rotate by itself; otherwise it reminds.
    #[serde(default)]
    pub automatic: bool,
    /// How many days before the end to remind; without, 30, 14, 7 and 1.
    pub remind_days: Option<Vec<u16>>,
}

fn create(office: &Office, actor: &Actor, input: Create) -> Result<Policy, Problem> {
    name::check("a policy's name", &input.policy)?;
    let row = PolicyRow {
        name: input.policy,
        max_age_secs: input.max_age.map(|span| span.0),
        max_messages: input.max_messages,
        rotate_at: input.rotate_at.map(|at| at.0),
        overlap_secs: input.overlap.map_or(OVERLAP.as_secs(), |span| span.0),
        cutover: input.cutover.map_or(Cutover::Now, |cutover| cutover.0),
        automatic: input.automatic,
        remind_days: input.remind_days.unwrap_or_else(|| REMIND_DAYS.to_vec()),
        revision: 0,
    };
    check(&row)?;
    office.store()?.change(actor, |change| {
        if change.policies()?.iter().any(|own| own.name == row.name) {
            let detail = format!("the policy {} exists already", row.name);
            return Err(Problem::new(Code::Exists, detail));
        }
        change.put_policy(&row)?;
        let made: Policy = find(change, &row.name)?.into();
        change.audit("policy.changed", &row.name, json!(made), None)?;
        Ok(made)
    })
}

/// A policy asks for something, and something that can be done.
fn check(row: &PolicyRow) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(Code::InvalidInput, detail));
    if row.max_age_secs.or(row.max_messages).is_none() && row.rotate_at.is_none() {
        return refuse("a policy says when: max_age, max_messages or rotate_at");
    }
    if row.max_age_secs == Some(0) || row.max_messages == Some(0) {
        return refuse("zero does not mean unlimited: leave it out");
    }
    if row.max_age_secs.is_some_and(|age| row.overlap_secs >= age) {
        return refuse("the overlap is as long as a version may live: make it shorter");
    }
    if row.remind_days.len() > 16 {
        return refuse("a policy reminds at most 16 times");
    }
    Ok(())
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {}

fn list(office: &Office, _: &Actor, _: List) -> Result<Page<Policy>, Problem> {
    let rows = office.store()?.read(|view| view.policies())?;
    Ok(Page { items: rows.into_iter().map(Policy::from).collect(), next: None })
}

/// A policy that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Its name.
    pub policy: String,
}

fn show(office: &Office, _: &Actor, input: Show) -> Result<Policy, Problem> {
    office.store()?.read(|view| Ok(find(view, &input.policy)?.into()))
}

/// What changes of a policy. What is not given stays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Its name.
    pub policy: String,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// The oldest that an active version may become, such as `365d`; empty: any.
    #[serde(default, skip_serializing_if = "Clearable::stays")]
    pub max_age: Clearable<Span>,
    /// The most messages that it may sign; empty: any number.
    #[serde(default, skip_serializing_if = "Clearable::stays")]
    pub max_messages: Clearable<u64>,
    /// The date at which it is replaced; empty: none.
    #[serde(default, skip_serializing_if = "Clearable::stays")]
    pub rotate_at: Clearable<Moment>,
    /// How long the version before stays.
    pub overlap: Option<Span>,
    /// When the new one takes over.
    pub cutover: Option<CutoverText>,
    /// Whether the gate rotates by itself.
    pub automatic: Option<bool>,
    /// How many days before the end to remind.
    pub remind_days: Option<Vec<u16>>,
}

fn update(office: &Office, actor: &Actor, input: Update) -> Result<Policy, Problem> {
    office.store()?.change(actor, |change| {
        let row = find(change, &input.policy)?;
        let row = PolicyRow {
            max_age_secs: input.max_age.over(row.max_age_secs, |span| span.0),
            max_messages: input.max_messages.over(row.max_messages, |most| most),
            rotate_at: input.rotate_at.over(row.rotate_at, |at| at.0),
            overlap_secs: input.overlap.map_or(row.overlap_secs, |span| span.0),
            cutover: input.cutover.map_or(row.cutover, |cutover| cutover.0),
            automatic: input.automatic.unwrap_or(row.automatic),
            remind_days: input.remind_days.unwrap_or(row.remind_days),
            revision: input.revision.unwrap_or(row.revision),
            name: row.name,
        };
        check(&row)?;
        change.put_policy(&row)?;
        let made: Policy = find(change, &row.name)?.into();
        change.audit("policy.changed", &row.name, json!(made), None)?;
        Ok(made)
    })
}

fn delete(office: &Office, actor: &Actor, input: Show) -> Result<Policy, Problem> {
    office.store()?.change(actor, |change| {
        let row = find(change, &input.policy)?;
        change.remove_policy(&row.name).map_err(|fault| match fault {
            StoreFault::Refused(detail) => Problem::new(Code::InUse, detail),
            fault => fault.into(),
        })?;
        change.audit("policy.removed", &row.name, json!({}), None)?;
        Ok(row.into())
    })
}

/// Which credential gets which policy.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The credential.
    pub key_id: String,
    /// The policy; without, none.
    pub policy: Option<String>,
    /// The revision of the credential that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
}

fn assign(office: &Office, actor: &Actor, input: Assign) -> Result<Credential, Problem> {
    credential::edit(office, actor, &input.key_id, input.revision, |row| {
        row.policy = input.policy;
        ("credential.changed", json!({ "policy": row.policy }), None)
    })
}

fn find(view: &View<'_>, name: &str) -> Result<PolicyRow, Problem> {
    let found = view.policies()?.into_iter().find(|row| row.name == name);
    found.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no policy {name}")))
}
