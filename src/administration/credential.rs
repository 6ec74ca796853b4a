//! Verbs about credentials.

pub mod create;
pub mod rotation;
pub mod usage;
pub mod value;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clearable::Clearable;
use super::disclosure::Shown;
use super::form::{Moment, Network, Page, RateText, as_word, limit};
use super::material::Readers;
use super::verb::{Output, Verb, verb};
use super::version::Version;
use super::{Code, Office, Problem, merchant, name};
use crate::keyring::Scope;
use crate::store::row::{CredentialRow, MerchantRow, MerchantStatus};
use crate::store::{Actor, View};

/// Verbs about credentials.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "credential create",
        Post "/admin/v1/credentials",
        Admin,
        "Make a credential of a merchant, and show its secret once",
        create::create
    )
    .discloses(),
    verb!("credential list", Get "/admin/v1/credentials", Auditor, "List credentials", list)
        .columns(&["key_id", "merchant", "environment", "name", "scheme", "suspended", "policy"]),
    verb!(
        "credential show",
        Get "/admin/v1/credentials/{key_id}",
        Auditor,
        "Show a credential and the versions of its secrets",
        show
    ),
    verb!(
        "credential update",
        Patch "/admin/v1/credentials/{key_id}",
        Admin,
        "Change a credential's name, rate, addresses, scopes or end",
        update
    ),
    verb!(
        "credential suspend",
        Post "/admin/v1/credentials/{key_id}:suspend",
        Security,
        "Refuse every request of a credential until it is resumed",
        suspend
    )
    .drastic(),
    verb!(
        "credential resume",
        Post "/admin/v1/credentials/{key_id}:resume",
        Admin,
        "Take requests of a suspended credential again",
        resume
    ),
    verb!(
        "credential rotate",
        Post "/admin/v1/credentials/{key_id}:rotate",
        Admin,
        "Give a credential a new secret in the place of its active one",
        rotation::rotate
    )
    .discloses(),
    verb!(
        "credential set-value",
        Post "/admin/v1/credentials/{key_id}:set-value",
        Admin,
        "Set a value that scheme or envelope read beside the secret",
        value::set
    ),
    verb!(
        "credential usage",
        Get "/admin/v1/credentials/{key_id}/usage",
        Auditor,
        "Show who uses which version: is anyone still on the old secret?",
        usage::usage
    )
    .columns(usage::COLUMNS),
];

as_word! {
    /// Test and live never mix.
    EnvironmentWord of bool:
    "test" = false,
    "live" = true,
}

/// A credential.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Credential {
    /// Its public key id.
    pub key_id: String,
    /// Whose it is.
    pub merchant: String,
    /// Test or live; never changes.
    pub environment: EnvironmentWord,
    /// Its name for people.
    pub name: String,
    /// What its secrets sign by.
    pub scheme: String,
    /// What its bodies are sealed in.
    pub envelope: Option<String>,
    /// What it may do by itself; none: as much as its merchant.
    pub rate: Option<RateText>,
    /// Networks that it may call from; none: as its merchant.
    pub addresses: Vec<Network>,
    /// What it may call, such as `POST /v1/orders`; none: everything.
    pub scopes: Vec<String>,
    /// Whether reads may repeat under one MAC, where the scheme signs neither method nor target.
    pub repeatable_reads: bool,
    /// The last second in which it is good.
    pub expires_at: Option<Moment>,
    /// Out of use for now.
    pub suspended: bool,
    /// The policy by which its secrets are rotated.
    pub policy: Option<String>,
    /// When it was made.
    pub created_at: Moment,
    /// Rises with each change.
    pub revision: u64,
}

impl Output for Credential {}

impl From<CredentialRow> for Credential {
    fn from(row: CredentialRow) -> Self {
        Self {
            key_id: row.key_id,
            merchant: row.merchant,
            environment: EnvironmentWord(row.live),
            name: row.name,
            scheme: row.scheme,
            envelope: row.envelope,
            rate: row.rate.map(RateText),
            addresses: row.addresses.into_iter().map(Network).collect(),
            scopes: row.scopes,
            repeatable_reads: row.repeatable_reads,
            expires_at: row.expires_at.map(Moment),
            suspended: row.suspended,
            policy: row.policy,
            created_at: Moment(row.created_at),
            revision: row.revision,
        }
    }
}

/// A credential and the versions of its secrets.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Detail {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// Every version of every kind.
    pub versions: Vec<Version>,
    /// The secret that was made, shown this once; none where it was brought, or was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Shown>,
}

impl Output for Detail {
    fn secret(&self) -> Option<&Shown> {
        self.secret.as_ref()
    }
}

impl Detail {
    fn of(view: &View<'_>, key_id: &str, secret: Option<Shown>) -> Result<Self, Problem> {
        let credential = find(view, key_id)?.into();
        let versions = view.versions(key_id)?.iter().map(Version::from).collect();
        Ok(Self { credential, versions, secret })
    }
}

/// What must hold of a credential whenever it is written.
fn check(
    view: &View<'_>,
    owner: &MerchantRow,
    readers: &Readers,
    row: &CredentialRow,
) -> Result<(), Problem> {
    let unfit = |detail: String| Err(Problem::new(Code::Unfit, detail));
    for scope in &row.scopes {
        if let Err(fault) = scope.parse::<Scope>() {
            let detail = format!("the scope \"{scope}\": {fault}");
            return Err(Problem::new(Code::InvalidInput, detail));
        }
    }
    if row.scopes.is_empty() && readers.scheme().coverage().leaves_target_open() {
        return unfit(format!(
            "{} does not sign method and target, so scopes are needed, such as \"POST /v1/orders\"",
            row.scheme
        ));
    }
    let within = |own: &ipnet::IpNet| {
        owner.addresses.iter().any(|outer| outer.contains(own) || own.contains(outer))
    };
    if let Some(own) = row.addresses.iter().find(|own| !owner.addresses.is_empty() && !within(own))
    {
        return unfit(format!("{own} is not within the addresses of the merchant"));
    }
    if let Some(policy) = &row.policy
        && view.policies()?.iter().all(|known| known.name != *policy)
    {
        return Err(Problem::new(Code::NotFound, format!("there is no policy {policy}")));
    }
    Ok(())
}

/// Which credentials to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Of this merchant; without, of all.
    pub merchant: Option<String>,
    /// Where the page before ended.
    #[serde(default)]
    pub after: String,
    /// The most items, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

/// Lists credentials by key id.
fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Credential>, Problem> {
    let limit = limit(input.limit);
    let merchant = input.merchant.as_deref();
    let rows = office.store()?.read(|view| {
        if let Some(merchant) = merchant {
            merchant::find(view, merchant)?;
        }
        Ok::<_, Problem>(view.credentials(merchant, &input.after, limit + 1)?)
    })?;
    let items = rows.into_iter().map(Credential::from).collect();
    Ok(Page::cut(items, limit, |one: &Credential| one.key_id.clone()))
}

/// A credential that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Its public key id.
    pub key_id: String,
}

fn show(office: &Office, _: &Actor, input: Show) -> Result<Detail, Problem> {
    office.store()?.read(|view| Detail::of(view, &input.key_id, None))
}

/// What changes of a credential. What is not given stays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Its public key id.
    pub key_id: String,
    /// The revision that this is meant for; without, whatever stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do by itself, such as `50/100`; empty: as much as its merchant.
    #[serde(default, skip_serializing_if = "Clearable::stays")]
    pub rate: Clearable<RateText>,
    /// Networks that it may call from, instead of those that stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<Network>>,
    /// What it may call, instead of what stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Whether reads may repeat under one MAC, where the scheme signs neither method nor target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeatable_reads: Option<bool>,
    /// The last second in which it is good; empty: no end.
    #[serde(default, skip_serializing_if = "Clearable::stays")]
    pub expires_at: Clearable<Moment>,
}

fn update(office: &Office, actor: &Actor, input: Update) -> Result<Credential, Problem> {
    if let Some(name) = &input.name {
        name::check_label(name)?;
    }
    let detail = serde_json::to_value(&input).unwrap_or_default();
    edit(office, actor, &input.key_id, input.revision, |row| {
        row.name = input.name.unwrap_or_else(|| row.name.clone());
        row.rate = input.rate.over(row.rate, |rate| rate.0);
        if let Some(addresses) = input.addresses {
            row.addresses = addresses.iter().map(|one| one.0).collect();
        }
        row.scopes = input.scopes.unwrap_or_else(|| row.scopes.clone());
        row.repeatable_reads = input.repeatable_reads.unwrap_or(row.repeatable_reads);
        row.expires_at = input.expires_at.over(row.expires_at, |end| end.0);
        ("credential.changed", detail, None)
    })
}

/// A credential that is put out of use, or into use again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Its public key id.
    pub key_id: String,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

fn suspend(office: &Office, actor: &Actor, input: Turn) -> Result<Credential, Problem> {
    edit(office, actor, &input.key_id, input.revision, |row| {
        row.suspended = true;
        ("credential.disabled", json!({}), input.reason)
    })
}

fn resume(office: &Office, actor: &Actor, input: Turn) -> Result<Credential, Problem> {
    edit(office, actor, &input.key_id, input.revision, |row| {
        row.suspended = false;
        ("credential.enabled", json!({}), input.reason)
    })
}

/// Changes a credential; nothing is written where nothing differs.
pub(super) fn edit(
    office: &Office,
    actor: &Actor,
    key_id: &str,
    revision: Option<u64>,
    turn: impl FnOnce(&mut CredentialRow) -> (&'static str, Value, Option<String>),
) -> Result<Credential, Problem> {
    office.store()?.change(actor, |change| {
        let before = find_open(change, key_id)?;
        let mut row = before.clone();
        row.revision = revision.unwrap_or(row.revision);
        let (action, detail, reason) = turn(&mut row);
        let owner = merchant::find_open(change, &row.merchant)?;
        let names = (row.scheme.as_str(), row.envelope.as_deref());
        check(change, &owner, &Readers::find(office, names, row.live)?, &row)?;
        if row != before {
            change.set_credential(&row)?;
            change.audit(action, key_id, detail, reason.as_deref())?;
        }
        Ok(find(change, key_id)?.into())
    })
}

/// A credential of the store.
pub(super) fn find(view: &View<'_>, key_id: &str) -> Result<CredentialRow, Problem> {
    let missing = || Problem::new(Code::NotFound, format!("there is no credential {key_id}"));
    view.credential(key_id)?.ok_or_else(missing)
}

/// A credential whose merchant is not closed.
pub(super) fn find_open(view: &View<'_>, key_id: &str) -> Result<CredentialRow, Problem> {
    let row = find(view, key_id)?;
    let owner = merchant::find(view, &row.merchant)?;
    if owner.status == MerchantStatus::Closed {
        let detail = format!("the merchant {} is closed for good", owner.id);
        return Err(Problem::new(Code::WrongState, detail));
    }
    Ok(row)
}
