//! The verb that lists every key there is: algorithm, strength, age, end and use (PCI DSS v4.0.1
//! asks for such an inventory).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::credential::EnvironmentWord;
use super::form::{KindText, Moment, Page, limit};
use super::verb::{Verb, verb};
use super::version::{OriginWord, StateWord};
use super::{Office, Problem};
use crate::secret::Secret;
use crate::secret::text::{self, Recognised, TextKind};
use crate::store::row::{CredentialRow, Kind, UsageRow, VersionRow};
use crate::store::{Actor, View};

/// The inventory.
pub(super) const VERBS: &[Verb] = &[verb!(
    "inventory",
    Get "/admin/v1/inventory",
    Auditor,
    "List every key: what it is for, algorithm, strength, age, end and last use",
    inventory
)
.columns(COLUMNS)];

/// What people and spreadsheets read of it.
const COLUMNS: &[&str] = &[
    "merchant",
    "key_id",
    "environment",
    "kind",
    "version",
    "state",
    "algorithm",
    "bits",
    "strength",
    "age_days",
    "until",
    "last_at",
];

/// Which part to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Of this merchant; without, of all.
    pub merchant: Option<String>,
    /// Where the page before ended.
    #[serde(default)]
    pub after: String,
    /// The most credentials of a page, 1 to 1000; without, 100.
    pub limit: Option<u32>,
}

/// A key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Item {
    /// Whose it is.
    pub merchant: String,
    /// The credential.
    pub key_id: String,
    /// Test or live.
    pub environment: EnvironmentWord,
    /// What it is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// Its state.
    pub state: StateWord,
    /// How it is used.
    pub algorithm: String,
    /// Its length, in bits; none once it is destroyed.
    pub bits: Option<u64>,
    /// How much a signature of its scheme proves.
    pub strength: Option<String>,
    /// Where it came from.
    pub origin: OriginWord,
    /// For two people to compare.
    pub check_value: String,
    /// When it was made.
    pub created_at: Moment,
    /// How old it is, in whole days.
    pub age_days: u64,
    /// The last second in which it verifies; none: no end.
    pub until: Option<Moment>,
    /// Its last use.
    pub last_at: Option<Moment>,
    /// The policy by which it is rotated.
    pub policy: Option<String>,
}

fn inventory(office: &Office, _: &Actor, input: Asked) -> Result<Page<Item>, Problem> {
    let limit = limit(input.limit);
    office.store()?.read(|view| {
        let merchant = input.merchant.as_deref();
        let mut credentials = view.credentials(merchant, &input.after, limit + 1)?;
        let more = credentials.len() > limit;
        credentials.truncate(limit);
        let next = credentials.last().filter(|_| more).map(|row| row.key_id.clone());
        let mut items = Vec::new();
        for credential in &credentials {
            let versions = view.versions(&credential.key_id)?;
            let first = versions.iter().map(|row| row.created_at).min();
            let used = match first {
                Some(first) => view.usage(&credential.key_id, first)?,
                None => Vec::new(),
            };
            for version in versions {
                items.push(item(office, view, credential, version, &used)?);
            }
        }
        Ok(Page { items, next })
    })
}

fn item(
    office: &Office,
    view: &View<'_>,
    credential: &CredentialRow,
    row: VersionRow,
    used: &[UsageRow],
) -> Result<Item, Problem> {
    let now = view.now();
    let bits = match row.destroyed_at {
        None => Some(length(&view.secret(&row)?)),
        Some(_) => None,
    };
    let scheme = office.catalogue.schemes.find(&credential.scheme);
    let signs = matches!(row.kind, Kind::Signing | Kind::Answer);
    let algorithm = match row.kind {
        Kind::Signing | Kind::Answer => match &credential.envelope {
            Some(envelope) => format!("{} and {envelope}", credential.scheme),
            None => credential.scheme.clone(),
        },
        Kind::Anchor | Kind::Root => "roll.v1 (HKDF-SHA256, AES-256-GCM)".to_owned(),
        Kind::Value(_) => "as scheme and envelope read it".to_owned(),
    };
    let own = |one: &&UsageRow| one.kind == row.kind && one.number == row.number;
    let last_at = used.iter().filter(own).map(|one| one.last_at).max();
    let strength = scheme.filter(|_| signs).map(|scheme| scheme.strength().as_str().to_owned());
    Ok(Item {
        merchant: credential.merchant.clone(),
        key_id: credential.key_id.clone(),
        environment: EnvironmentWord(credential.live),
        version: row.number,
        state: StateWord(row.state),
        algorithm,
        bits,
        strength,
        origin: OriginWord(row.origin),
        check_value: row.check_value.clone(),
        created_at: Moment(row.created_at),
        age_days: now.apart(row.created_at).as_secs() / 86_400,
        until: row.until().filter(|_| !row.is_over()).map(Moment),
        last_at: last_at.map(Moment),
        policy: credential.policy.clone(),
        kind: KindText(row.kind),
    })
}

/// The bits of a secret. Of the text of one of ours only 256 are random.
fn length(secret: &Secret) -> u64 {
    match text::recognise(secret.expose()) {
        Recognised::Whole(TextKind::Secret { .. }) => 256,
        _ => u64::try_from(secret.expose().len()).unwrap_or(u64::MAX).saturating_mul(8),
    }
}
