//! Verbs about merchants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::form::{Moment, Network, Page, RateText, as_word, limit};
use super::name;
use super::repeat::Call;
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem};
use crate::store::row::{MerchantRow, MerchantStatus};
use crate::store::{Actor, Change, View};

/// Verbs about merchants.
pub(super) const VERBS: &[Verb] =
    &[
        verb!(
            "merchant create",
            Post "/admin/v1/merchants",
            Admin,
            "Make a merchant, and the key that keeps its secrets",
            create
        ),
        verb!("merchant list", Get "/admin/v1/merchants", Auditor, "List merchants", list)
            .columns(&["merchant", "name", "status", "rate", "addresses", "created_at"]),
        verb!(
            "merchant show",
            Get "/admin/v1/merchants/{merchant}",
            Auditor,
            "Show a merchant",
            show
        ),
        verb!(
            "merchant update",
            Patch "/admin/v1/merchants/{merchant}",
            Admin,
            "Change a merchant's name, rate, addresses or contacts",
            update
        ),
        verb!(
            "merchant suspend",
            Post "/admin/v1/merchants/{merchant}:suspend",
            Security,
            "Refuse every request of a merchant until it is resumed",
            suspend
        )
        .drastic(),
        verb!(
            "merchant resume",
            Post "/admin/v1/merchants/{merchant}:resume",
            Admin,
            "Take requests of a suspended merchant again",
            resume
        ),
        verb!(
            "merchant close",
            Post "/admin/v1/merchants/{merchant}:close",
            Owner,
            "Destroy the key that keeps a merchant's secrets, and all of them with it, for good",
            close
        )
        .drastic(),
    ];

as_word! {
    /// Whether a merchant's credentials may be used.
    Status of MerchantStatus:
    "active" = MerchantStatus::Active,
    "suspended" = MerchantStatus::Suspended,
    "closed" = MerchantStatus::Closed,
}

/// A merchant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Merchant {
    /// Its id.
    pub merchant: String,
    /// Its name for people.
    pub name: String,
    /// Whether its credentials may be used.
    pub status: Status,
    /// What all its credentials may do together: requests a second, and at once after a pause.
    pub rate: RateText,
    /// Networks that its credentials may call from; none: any.
    pub addresses: Vec<Network>,
    /// Whom to write to before something ends.
    pub contacts: Vec<String>,
    /// When it was made.
    pub created_at: Moment,
    /// Rises with each change.
    pub revision: u64,
}

impl Output for Merchant {}

impl From<MerchantRow> for Merchant {
    fn from(row: MerchantRow) -> Self {
        Self {
            merchant: row.id,
            name: row.name,
            status: Status(row.status),
            rate: RateText(row.rate),
            addresses: row.addresses.into_iter().map(Network).collect(),
            contacts: row.contacts,
            created_at: Moment(row.created_at),
            revision: row.revision,
        }
    }
}

/// What makes a merchant.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its id, 1 to 64 of `A-Z a-z 0-9 . _ -`; without, one is made.
    pub merchant: Option<String>,
    /// Its name for people.
    pub name: String,
    /// What all its credentials may do together, such as `50/100`: requests a second, and at once.
    pub rate: RateText,
    /// Networks that its credentials may call from; none: any.
    #[serde(default)]
    pub addresses: Vec<Network>,
    /// Whom to write to before something ends.
    #[serde(default)]
    pub contacts: Vec<String>,
    /// The same key with the same input makes nothing twice.
    pub idempotency_key: Option<String>,
}

/// Makes a merchant.
fn create(office: &Office, actor: &Actor, input: Create) -> Result<Merchant, Problem> {
    let call = Call::of("merchant create", actor, input.idempotency_key.as_deref(), &input)?;
    if let Some(own) = &input.merchant {
        name::check("a merchant's id", own)?;
    }
    name::check_label(&input.name)?;
    contacts(&input.contacts)?;
    office.store()?.change(actor, |change| {
        if let Some(earlier) = Call::earlier::<String>(call.as_ref(), change)? {
            return Ok(find(change, &earlier)?.into());
        }
        let id = input.merchant.map_or_else(|| name::merchant_id(change.now()), Ok)?;
        if office.catalogue.stated_merchants.contains(&id) {
            let detail =
                format!("{id} stands in the merchants file: a merchant lives in one place");
            return Err(Problem::new(Code::Exists, detail));
        }
        let row = MerchantRow {
            id: id.clone(),
            name: input.name,
            status: MerchantStatus::Active,
            rate: input.rate.0,
            addresses: input.addresses.iter().map(|one| one.0).collect(),
            contacts: input.contacts,
            created_at: change.now(),
            revision: 0,
        };
        change.add_merchant(&row)?;
        change.audit("merchant.created", &id, json!({ "name": row.name }), None)?;
        Call::note(call.as_ref(), change, &id)?;
        Ok(find(change, &id)?.into())
    })
}

/// Which merchants to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Where the page before ended.
    #[serde(default)]
    pub after: String,
    /// The most items, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

/// Lists merchants by id.
fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Merchant>, Problem> {
    let limit = limit(input.limit);
    let rows = office.store()?.read(|view| view.merchants(&input.after, limit + 1))?;
    let items = rows.into_iter().map(Merchant::from).collect();
    Ok(Page::cut(items, limit, |one: &Merchant| one.merchant.clone()))
}

/// A merchant that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Its id.
    pub merchant: String,
}

/// Shows a merchant.
fn show(office: &Office, _: &Actor, input: Show) -> Result<Merchant, Problem> {
    office.store()?.read(|view| Ok(find(view, &input.merchant)?.into()))
}

/// What changes of a merchant. What is not given stays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Its id.
    pub merchant: String,
    /// The revision that this is meant for; without, whatever stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What all its credentials may do together, such as `50/100`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateText>,
    /// Networks that its credentials may call from, instead of those that stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<Network>>,
    /// Whom to write to before something ends, instead of those that stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
}

/// Changes a merchant.
fn update(office: &Office, actor: &Actor, input: Update) -> Result<Merchant, Problem> {
    if let Some(name) = &input.name {
        name::check_label(name)?;
    }
    contacts(input.contacts.as_deref().unwrap_or_default())?;
    let detail = serde_json::to_value(&input).unwrap_or_default();
    office.store()?.change(actor, |change| {
        let mut row = find_open(change, &input.merchant)?;
        row.revision = input.revision.unwrap_or(row.revision);
        row.name = input.name.unwrap_or(row.name);
        row.rate = input.rate.map_or(row.rate, |rate| rate.0);
        if let Some(addresses) = input.addresses {
            row.addresses = addresses.iter().map(|one| one.0).collect();
        }
        row.contacts = input.contacts.unwrap_or(row.contacts);
        change.set_merchant(&row)?;
        change.audit("merchant.changed", &row.id, detail, None)?;
        Ok(find(change, &row.id)?.into())
    })
}

/// A merchant that is put out of use, or into use again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Its id.
    pub merchant: String,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

fn suspend(office: &Office, actor: &Actor, input: Turn) -> Result<Merchant, Problem> {
    turn(office, actor, input, MerchantStatus::Suspended, "merchant.suspended")
}

fn resume(office: &Office, actor: &Actor, input: Turn) -> Result<Merchant, Problem> {
    turn(office, actor, input, MerchantStatus::Active, "merchant.resumed")
}

fn close(office: &Office, actor: &Actor, input: Turn) -> Result<Merchant, Problem> {
    turn(office, actor, input, MerchantStatus::Closed, "merchant.closed")
}

fn turn(
    office: &Office,
    actor: &Actor,
    input: Turn,
    status: MerchantStatus,
    action: &'static str,
) -> Result<Merchant, Problem> {
    office.store()?.change(actor, |change| {
        let mut row = find_open(change, &input.merchant)?;
        row.revision = input.revision.unwrap_or(row.revision);
        if row.status != status {
            row.status = status;
            change.set_merchant(&row)?;
            change.audit(action, &row.id, json!({}), input.reason.as_deref())?;
        }
        Ok(find(change, &row.id)?.into())
    })
}

/// A merchant of the store.
pub(super) fn find(view: &View<'_>, id: &str) -> Result<MerchantRow, Problem> {
    let missing = || Problem::new(Code::NotFound, format!("there is no merchant {id}"));
    view.merchant(id)?.ok_or_else(missing)
}

/// A merchant that is not closed.
pub(super) fn find_open(change: &Change<'_>, id: &str) -> Result<MerchantRow, Problem> {
    let row = find(change, id)?;
    if row.status == MerchantStatus::Closed {
        return Err(Problem::new(
            Code::WrongState,
            format!("the merchant {id} is closed for good"),
        ));
    }
    Ok(row)
}

/// Contacts are short lines of text, and not many.
fn contacts(contacts: &[String]) -> Result<(), Problem> {
    if contacts.len() > 20 {
        return Err(Problem::new(Code::InvalidInput, "a merchant has at most 20 contacts"));
    }
    contacts.iter().try_for_each(|one| name::check_label(one))
}
