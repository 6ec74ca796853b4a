//! The verb that makes a credential.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Detail, EnvironmentWord, check};
use crate::administration::disclosure::Given;
use crate::administration::form::{Moment, Network, RateText};
use crate::administration::material::{Encoding, Material, Readers, decode};
use crate::administration::repeat::Call;
use crate::administration::version::{self, Draft};
use crate::administration::{Code, Office, Problem, merchant, name};
use crate::keyring::KeyId;
use crate::keyring::lifecycle::{self, OVERLAP};
use crate::secret::Secret;
use crate::store::row::{CredentialRow, Cutover, Kind, SecretOrigin};
use crate::store::{Actor, Change};

/// What makes a credential.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Whose it is.
    pub merchant: String,
    /// Test or live; never changes.
    pub environment: EnvironmentWord,
    /// Its name for people.
    pub name: String,
    /// What its secrets sign by: `countersign scheme list`.
    pub scheme: String,
    /// What its bodies are sealed in: `countersign envelope list`.
    pub envelope: Option<String>,
    /// Its public key id, where the partner brings one; without, one is made.
    pub key_id: Option<String>,
    /// What it may do by itself, such as `50/100`; without, as much as its merchant.
    pub rate: Option<RateText>,
    /// Networks that it may call from; none: as its merchant.
    #[serde(default)]
    pub addresses: Vec<Network>,
    /// What it may call, such as `POST /v1/orders`; needed where the scheme does not sign that.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Refuse reads that repeat under one MAC, where the scheme signs neither method nor target.
    #[serde(default)]
    pub strict_reads: bool,
    /// The last second in which it is good.
    pub expires_at: Option<Moment>,
    /// The policy by which its secrets are rotated.
    pub policy: Option<String>,
    /// Its secret or public key, where the partner brings one; without, one is made.
    #[serde(skip_serializing)]
    pub secret: Option<Given>,
    /// How the text of the secret stands for its bytes; without, as text.
    pub secret_encoding: Option<Encoding>,
    /// Take a secret whose length is not that of the envelope's key.
    #[serde(default)]
    pub fitted: bool,
    /// Values that scheme and envelope read beside the secret, by name.
    #[serde(default, skip_serializing)]
    pub values: BTreeMap<String, Given>,
    /// The last second in which the secret may verify.
    pub secret_expires_at: Option<Moment>,
    /// Keep the secret for `secret reveal`, instead of showing it now.
    #[serde(default)]
    pub reveal_later: bool,
    /// The same key with the same input makes nothing twice.
    pub idempotency_key: Option<String>,
}

/// Makes a credential whose first version is active at once.
pub(super) fn create(office: &Office, actor: &Actor, input: Create) -> Result<Detail, Problem> {
    let call = Call::of("credential create", actor, input.idempotency_key.as_deref(), &input)?;
    name::check_label(&input.name)?;
    let names = (input.scheme.as_str(), input.envelope.as_deref());
    let mut readers = Readers::find(office, names, input.environment.0)?;
    for (name, given) in &input.values {
        readers.set_value(name, decode(given, input.secret_encoding)?)?;
    }
    office.store()?.change(actor, |change| {
        if let Some(earlier) = Call::earlier::<String>(call.as_ref(), change)? {
            return Detail::of(change, &earlier, None);
        }
        let owner = merchant::find_open(change, &input.merchant)?;
        let key_id = new_key_id(office, change, &input)?;
        let row = CredentialRow {
            key_id: key_id.clone(),
            merchant: owner.id.clone(),
            live: input.environment.0,
            name: input.name.clone(),
            scheme: input.scheme.clone(),
            envelope: input.envelope.clone(),
            rate: input.rate.map(|rate| rate.0),
            addresses: input.addresses.iter().map(|one| one.0).collect(),
            scopes: input.scopes.clone(),
            repeatable_reads: !input.strict_reads,
            expires_at: input.expires_at.map(|end| end.0),
            suspended: false,
            policy: input.policy.clone(),
            created_at: change.now(),
            revision: 0,
        };
        check(change, &owner, &readers, &row)?;
        change.add_credential(&row)?;
        let detail = json!({ "merchant": row.merchant, "scheme": row.scheme, "live": row.live });
        change.audit("credential.created", &key_id, detail, None)?;
        for (name, given) in &input.values {
            let secret = Secret::of_any_length(decode(given, input.secret_encoding)?);
            let material = Material { secret, shown: None, origin: SecretOrigin::Imported };
            put_first(change, actor, &row, (&Kind::Value(name.clone()), &material), None, true)?;
        }
        let material = match &input.secret {
            Some(given) => {
                readers.import(&Kind::Signing, (given, input.secret_encoding), input.fitted)?
            }
            None => readers.generate(&Kind::Signing)?,
        };
        let shown = material.shown.clone().filter(|_| !input.reveal_later);
        let known = shown.is_some() || material.origin == SecretOrigin::Imported;
        let expires_at = input.secret_expires_at;
        put_first(change, actor, &row, (&Kind::Signing, &material), expires_at, known)?;
        Call::note(call.as_ref(), change, &key_id)?;
        Detail::of(change, &key_id, shown)
    })
}

/// The key id of a new credential: nobody else's, in the store or in the merchants file.
fn new_key_id(office: &Office, change: &Change<'_>, input: &Create) -> Result<String, Problem> {
    let Some(own) = &input.key_id else { return name::key_id(input.environment.0) };
    if let Err(fault) = own.parse::<KeyId>() {
        return Err(Problem::new(Code::InvalidInput, fault.to_string()));
    }
    let other = if input.environment.0 { "pk_test_" } else { "pk_live_" };
    if own.starts_with(other) {
        let detail = format!("{own} names the other environment: test and live never mix");
        return Err(Problem::new(Code::InvalidInput, detail));
    }
    if office.catalogue.stated_key_ids.contains(own) {
        let detail = format!("{own} stands in the merchants file: a credential lives in one place");
        return Err(Problem::new(Code::Exists, detail));
    }
    match change.credential(own)? {
        Some(_) => Err(Problem::new(Code::Exists, format!("the credential {own} exists already"))),
        None => Ok(own.clone()),
    }
}

/// Adds the first version of a kind, active at once.
fn put_first(
    change: &mut Change<'_>,
    actor: &Actor,
    credential: &CredentialRow,
    (kind, material): (&Kind, &Material),
    expires_at: Option<Moment>,
    shown: bool,
) -> Result<(), Problem> {
    let key_id = credential.key_id.as_str();
    let expires_at = expires_at.map(|end| end.0);
    let draft = Draft { key_id, kind, overlap_secs: OVERLAP.as_secs(), expires_at, shown };
    let now = change.now();
    let row = draft.row(&[], material, actor, now);
    let turn = lifecycle::rotate(&[], row, Cutover::Now, None, now)?;
    version::write(change, &[], &turn, Some(material))
}
