//! Verbs about epochs of rolling keys, and about chains that are to end.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::credential::{self, rotation};
use super::form::{Moment, Page, Span};
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem};
use crate::store::row::{EpochRow, KillRow, Kind};
use crate::store::{Actor, View};

/// Verbs about epochs and chains.
pub(super) const VERBS: &[Verb] = &[
    verb!("epoch list", Get "/admin/v1/epochs", Auditor, "List epochs of rolling keys", list)
        .columns(&["epoch", "not_before", "not_after", "destroy_at", "destroyed_at"]),
    verb!(
        "epoch show",
        Get "/admin/v1/epochs/{epoch}",
        Auditor,
        "Show an epoch of rolling keys",
        show
    ),
    verb!(
        "epoch create",
        Post "/admin/v1/epochs",
        Owner,
        "Make the epoch that follows the last one, ahead of its time",
        create
    ),
    verb!(
        "epoch destroy",
        Post "/admin/v1/epochs/{epoch}:destroy",
        Owner,
        "Overwrite the secret of an epoch: none of its keys opens any more",
        destroy
    )
    .drastic(),
    verb!(
        "chain kill",
        Post "/admin/v1/credentials/{key_id}/chains:kill",
        Security,
        "End one chain of rolling keys, or all of a credential",
        kill
    )
    .drastic(),
];

/// How long an epoch is, where nothing is said.
const LENGTH: Duration = Duration::from_secs(86_400);
/// How long an epoch's keys may still be presented after its end, where nothing is said.
const KEPT: Duration = Duration::from_secs(86_400 + 300);
/// The longest that a chain may live: how long a kill is remembered.
const CHAIN_LIFE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// An epoch of rolling keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Epoch {
    /// Which one.
    pub epoch: u32,
    /// The first second in which new keys are derived from it.
    pub not_before: Moment,
    /// The last one.
    pub not_after: Moment,
    /// When its secret is overwritten.
    pub destroy_at: Moment,
    /// When that was done.
    pub destroyed_at: Option<Moment>,
}

impl Output for Epoch {}

impl From<EpochRow> for Epoch {
    fn from(row: EpochRow) -> Self {
        Self {
            epoch: row.number,
            not_before: Moment(row.not_before),
            not_after: Moment(row.not_after),
            destroy_at: Moment(row.destroy_at),
            destroyed_at: row.destroyed_at.map(Moment),
        }
    }
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {}

fn list(office: &Office, _: &Actor, _: List) -> Result<Page<Epoch>, Problem> {
    let rows = office.store()?.read(|view| view.epochs())?;
    Ok(Page { items: rows.into_iter().map(Epoch::from).collect(), next: None })
}

/// An epoch that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Which one.
    pub epoch: u32,
}

fn show(office: &Office, _: &Actor, input: Show) -> Result<Epoch, Problem> {
    office.store()?.read(|view| Ok(find(view, input.epoch)?.into()))
}

/// What makes an epoch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// How long it is; without, 24 hours.
    pub length: Option<Span>,
    /// How long its keys may still be presented after its end; without, 24 hours and 5 minutes.
    pub kept: Option<Span>,
}

fn create(office: &Office, actor: &Actor, input: Create) -> Result<Epoch, Problem> {
    let length = input.length.map_or(LENGTH, |span| Duration::from_secs(span.0));
    let kept = input.kept.map_or(KEPT, |span| Duration::from_secs(span.0));
    if length.is_zero() {
        return Err(Problem::new(Code::InvalidInput, "an epoch is longer than nothing"));
    }
    office.store()?.change(actor, |change| {
        let last = change.epochs()?.into_iter().max_by_key(|row| row.number);
        let second = Duration::from_secs(1);
        let follows = last.as_ref().map(|row| row.not_after.saturating_add(second));
        let not_before = follows.map_or(change.now(), |at| at.max(change.now()));
        let not_after = not_before.saturating_add(length).saturating_sub(second);
        let row = EpochRow {
            number: last.map_or(1, |row| row.number.saturating_add(1)),
            not_before,
            not_after,
            destroy_at: not_after.saturating_add(kept),
            destroyed_at: None,
        };
        change.add_epoch(&row)?;
        let made = Epoch::from(row);
        change.audit("epoch.created", &format!("epoch {}", made.epoch), json!(made), None)?;
        Ok(made)
    })
}

/// An epoch whose secret is overwritten.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    /// Which one.
    pub epoch: u32,
    /// Do not wait until none of its keys may be presented: they end now.
    #[serde(default)]
    pub now: bool,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

fn destroy(office: &Office, actor: &Actor, input: Destroy) -> Result<Epoch, Problem> {
    office.store()?.change(actor, |change| {
        let row = find(change, input.epoch)?;
        if row.destroyed_at.is_none() {
            if change.now() < row.destroy_at && !input.now {
                let detail = "keys of this epoch may still be presented; now: true ends them";
                let problem = Problem::new(Code::TooEarly, detail);
                return Err(Problem { at: Some(row.destroy_at), ..problem });
            }
            change.destroy_epoch(row.number)?;
            let object = format!("epoch {}", row.number);
            change.audit("epoch.destroyed", &object, json!({}), input.reason.as_deref())?;
        }
        Ok(find(change, input.epoch)?.into())
    })
}

fn find(view: &View<'_>, number: u32) -> Result<EpochRow, Problem> {
    let found = view.epochs()?.into_iter().find(|row| row.number == number);
    found.ok_or_else(|| Problem::new(Code::NotFound, format!("there is no epoch {number}")))
}

/// Chains that end.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// The credential.
    pub key_id: String,
    /// The chain, 16 hexadecimal digits; without, all of them.
    pub chain: Option<String>,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

/// What has ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Killed {
    /// The credential.
    pub key_id: String,
    /// The chain; none: all of them.
    pub chain: Option<String>,
    /// Where all ended: the version of the root that new chains are derived from.
    pub root_version: Option<u32>,
}

impl Output for Killed {}

/// Ends one chain by name, or all by another root.
fn kill(office: &Office, actor: &Actor, input: Kill) -> Result<Killed, Problem> {
    let chain = input.chain.as_deref().map(chain_of).transpose()?;
    let key_id = input.key_id.as_str();
    office.store()?.change(actor, |change| {
        credential::find_open(change, key_id)?;
        let root = |one: &crate::store::row::VersionRow| one.kind == Kind::Root;
        if !change.versions(key_id)?.iter().any(root) {
            let detail = format!("{key_id} has no rolling keys: it has no root");
            return Err(Problem::new(Code::NotFound, detail));
        }
        let root_version = match chain {
            Some(chain) => {
                let at = change.now();
                let until = at.saturating_add(CHAIN_LIFE_MAX);
                change.add_kill(&KillRow { key_id: key_id.to_owned(), chain, at, until })?;
                None
            }
            None => Some(rotation::renew(office, change, actor, (key_id, &Kind::Root))?),
        };
        let detail = json!({ "chain": input.chain, "root_version": root_version });
        change.audit("chain.killed", key_id, detail, input.reason.as_deref())?;
        Ok(Killed { key_id: key_id.to_owned(), chain: input.chain, root_version })
    })
}

fn chain_of(text: &str) -> Result<[u8; 8], Problem> {
    let good = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = good.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    let refuse = || Problem::new(Code::InvalidInput, "a chain is 16 hexadecimal digits");
    number.map(u64::to_be_bytes).ok_or_else(refuse)
}
