//! The verb that says who uses which version of a secret.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::administration::credential;
use crate::administration::form::{KindText, Moment, Page};
use crate::administration::version::StateWord;
use crate::administration::{Office, Problem};
use crate::store::Actor;
use crate::store::row::{UsageRow, VersionState};

/// What people read of it.
pub(super) const COLUMNS: &[&str] =
    &["kind", "version", "state", "until", "last_at", "last_address", "last_hour", "last_day"];

/// How far back the last use of a version is looked for.
const LOOKED_BACK: Duration = Duration::from_secs(400 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Whose use is asked for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The credential.
    pub key_id: String,
}

/// The use of one version.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Use {
    /// What it is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// Its state.
    pub state: StateWord,
    /// The last second in which it verifies; none: no end.
    pub until: Option<Moment>,
    /// Its last use, within 400 days.
    pub last_at: Option<Moment>,
    /// Where that came from.
    pub last_address: Option<String>,
    /// Requests that it verified in this hour and the one before.
    pub last_hour: u64,
    /// Requests that it verified in this hour and the 24 before.
    pub last_day: u64,
}

/// Says of each version that is not over, or was used of late, who uses it.
pub(super) fn usage(office: &Office, _: &Actor, input: Asked) -> Result<Page<Use>, Problem> {
    office.store()?.read(|view| {
        credential::find(view, &input.key_id)?;
        let now = view.now();
        let used = view.usage(&input.key_id, now.saturating_sub(LOOKED_BACK))?;
        let items = view.versions(&input.key_id)?.into_iter().filter_map(|row| {
            let own = |one: &&UsageRow| one.kind == row.kind && one.number == row.number;
            let own: Vec<&UsageRow> = used.iter().filter(own).collect();
            let last = own.iter().max_by_key(|one| one.last_at);
            let since = |span| {
                let since = now.saturating_sub(span);
                let whole = |one: &&&UsageRow| one.hour.saturating_add(HOUR) > since;
                own.iter().filter(whole).map(|one| one.requests).sum()
            };
            let over = matches!(row.state, VersionState::Revoked | VersionState::Destroyed);
            (!over || last.is_some()).then(|| Use {
                kind: KindText(row.kind.clone()),
                version: row.number,
                state: StateWord(row.state),
                until: row.until().filter(|_| !over).map(Moment),
                last_at: last.map(|one| Moment(one.last_at)),
                last_address: last.map(|one| one.last_address.to_string()),
                last_hour: since(HOUR),
                last_day: since(DAY),
            })
        });
        Ok(Page { items: items.collect(), next: None })
    })
}
