//! Verbs about the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::form::{Moment, Page, limit};
use super::verb::{Verb, verb};
use super::{Code, Office, Problem};
use crate::crypto::hex;
use crate::store::Actor;
use crate::store::row::AuditRow;

/// Verbs about the audit log.
pub(super) const VERBS: &[Verb] =
    &[verb!("audit list", Get "/admin/v1/audit", Auditor, "List what was done, the newest first", list)
        .columns(&["sequence", "at", "actor", "action", "object", "reason", "detail"])];

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

fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Event>, Problem> {
    let limit = limit(input.limit);
    let before = input.after.as_deref().map(str::parse).transpose();
    let before = before.map_err(|_| {
        Problem::new(Code::InvalidInput, "after is what next was on the page before")
    })?;
    let object = input.object.as_deref();
    let rows = office.store.read(|view| view.audit(object, before, limit + 1))?;
    let items = rows.into_iter().map(Event::from).collect();
    Ok(Page::cut(items, limit, |one: &Event| one.sequence.to_string()))
}
