//! Verbs about the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{Moment, PAGE_MAX, Page, limit};
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem};
use crate::crypto::hex;
use crate::store::Actor;
use crate::store::row::AuditRow;

/// Verbs about the audit log.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "audit list",
        Get "/admin/v1/audit",
        Auditor,
        "List what was done, the newest first",
        list
    )
    .columns(COLUMNS),
    verb!(
        "audit verify",
        Post "/admin/v1/audit:verify",
        Auditor,
        "Walk the whole log: no row was changed, taken out or cut off",
        verify
    ),
    verb!(
        "audit export",
        Get "/admin/v1/audit:export",
        Auditor,
        "Give the log with the digest of its newest row, to be kept elsewhere",
        export
    )
    .columns(COLUMNS),
];

/// What people read of it.
const COLUMNS: &[&str] = &["sequence", "at", "actor", "action", "object", "reason", "detail"];

/// One thing that was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Its place in the log.
    pub sequence: u64,
    /// When.
    pub at: Moment,
    /// By which way: `cli`, `api` or `system`.
    pub actor_kind: String,
    /// Who.
    pub actor: String,
    /// From where.
    pub address: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// How.
    pub detail: Value,
    /// Why.
    pub reason: Option<String>,
    /// The digest of this row and of the one before: SHA-256, hexadecimal.
    pub digest: String,
}

impl From<AuditRow> for Event {
    fn from(row: AuditRow) -> Self {
        Self {
            sequence: row.sequence,
            at: Moment(row.at),
            actor_kind: row.actor_kind,
            actor: row.actor,
            address: row.address.map(|address| address.to_string()),
            request_id: row.request_id,
            action: row.action,
            object: row.object,
            detail: row.detail,
            reason: row.reason,
            digest: String::from_utf8_lossy(&hex(&row.digest)).into_owned(),
        }
    }
}

/// Which part of the log to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What was done to this object: a merchant, a key id, a policy, a token.
    pub object: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// The most items, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

/// Lists the newest rows, and those before them page by page.
fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Event>, Problem> {
    let limit = limit(input.limit);
    let before = input.after.as_deref().map(str::parse).transpose();
    let before = before.map_err(|_| {
        Problem::new(Code::InvalidInput, "after is what next was on the page before")
    })?;
    let object = input.object.as_deref();
    let rows = office.store()?.read(|view| view.audit(object, before, limit + 1))?;
    let items = rows.into_iter().map(Event::from).collect();
    Ok(Page::cut(items, limit, |one: &Event| one.sequence.to_string()))
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What the log ends with.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Head {
    /// How many rows it has.
    pub rows: u64,
    /// The digest of its newest row: SHA-256, hexadecimal. Who keeps it elsewhere can tell later
    /// that no row before was changed.
    pub digest: Option<String>,
}

impl Output for Head {}

fn verify(office: &Office, _: &Actor, _: Nothing) -> Result<Head, Problem> {
    office.store()?.read(|view| {
        let rows = view.verify_audit()?;
        let newest = view.audit(None, None, 1)?.pop().map(Event::from);
        Ok(Head { rows, digest: newest.map(|event| event.digest) })
    })
}

/// A part of the log, and what all of it ends with.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Export {
    /// The digest of the newest row when this was read: SHA-256, hexadecimal.
    pub newest_digest: Option<String>,
    /// The rows, the newest first.
    pub items: Vec<Event>,
    /// Where the next page begins, as `after`; none where this is the last.
    pub next: Option<String>,
}

impl Output for Export {}

/// Which part of the log to export.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Where the page before ended.
    pub after: Option<String>,
    /// The most items, 1 to 1000; without, 1000.
    pub limit: Option<u32>,
}

fn export(office: &Office, actor: &Actor, input: Part) -> Result<Export, Problem> {
    let newest = office.store()?.read(|view| view.audit(None, None, 1))?.pop().map(Event::from);
    let limit = input.limit.or(u32::try_from(PAGE_MAX).ok());
    let page = list(office, actor, List { object: None, after: input.after, limit })?;
    let newest_digest = newest.map(|event| event.digest);
    Ok(Export { newest_digest, items: page.items, next: page.next })
}
