//! Webhooks that were refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{desk, moment, place};
use crate::administration::form::{Moment, Page, limit};
use crate::administration::{Office, Problem};
use crate::journal::RefusalRow;
use crate::store::Actor;

/// Which refused webhooks to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Those of this source.
    pub source: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// The most items, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

/// A webhook that was refused. Nothing of its content is kept.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Refusal {
    /// Its place among all that were refused.
    pub sequence: i64,
    /// When it came.
    pub at: Moment,
    /// The source that it came to.
    pub source: String,
    /// Why it was refused: a code.
    pub reason: String,
    /// From where it came.
    pub address: String,
    /// Bytes of its head.
    pub head_bytes: u64,
    /// Bytes of its body that were read.
    pub body_bytes: u64,
}

impl From<RefusalRow> for Refusal {
    fn from(row: RefusalRow) -> Self {
        Self {
            sequence: row.sequence,
            at: moment(row.at_millis),
            source: row.source,
            reason: row.reason,
            address: row.address,
            head_bytes: row.head_bytes,
            body_bytes: row.body_bytes,
        }
    }
}

pub(super) fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Refusal>, Problem> {
    let limit = limit(input.limit);
    let before = place(input.after.as_deref())?;
    let rows = desk(office)?.refusals(input.source.as_deref(), before, limit + 1)?;
    let items = rows.into_iter().map(Refusal::from).collect();
    Ok(Page::cut(items, limit, |one: &Refusal| one.sequence.to_string()))
}
