//! What the store holds, as credentials of the keyring.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::lifecycle::State;
use super::merchant::{CredentialSpec, Environment, MerchantSpec, VersionSpec};
use crate::envelope::Envelope;
use crate::roll::{AnchorSpec, KeySet, Material, Root};
use crate::scheme::{Scheme, VerifyingKey};
use crate::secret::{NamedSecrets, Secret};
use crate::store::row::{CredentialRow, Kind, MerchantStatus, VersionRow};
use crate::store::{HeldCredential, Holding};

/// The schemes and envelopes that a credential may name.
#[derive(Clone, Copy)]
pub struct Recipes<'r> {
    /// A scheme by its name.
    pub scheme: &'r dyn Fn(&str) -> Option<Arc<Scheme>>,
    /// An envelope by its name.
    pub envelope: &'r dyn Fn(&str) -> Option<Arc<Envelope>>,
}

/// A credential of the store that cannot be in service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential {key_id} is out of service: {cause}")]
pub struct OutOfService {
    /// Its key id.
    pub key_id: String,
    /// Why.
    pub cause: String,
}

/// A merchant of the store with everything of its that can be in service, and what cannot.
pub fn merchant(holding: Holding, recipes: Recipes<'_>) -> (MerchantSpec, Vec<OutOfService>) {
    let row = holding.merchant;
    let (mut credentials, mut out) = (Vec::new(), Vec::new());
    for held in holding.credentials {
        let key_id = held.row.key_id.clone();
        match credential(held, row.status, recipes) {
            Ok(spec) => credentials.extend(spec),
            Err(cause) => out.push(OutOfService { key_id, cause }),
        }
    }
    let spec =
        MerchantSpec { id: row.id.into(), rate: row.rate, addresses: row.addresses, credentials };
    (spec, out)
}

/// A credential; nothing for one whose merchant left, or that has no secret yet.
fn credential(
    HeldCredential { row, versions: held }: HeldCredential,
    status: MerchantStatus,
    recipes: Recipes<'_>,
) -> Result<Option<CredentialSpec>, String> {
    let named = |what: &str, name: &str| format!("there is no {what} {name} any more");
    let scheme = (recipes.scheme)(&row.scheme).ok_or_else(|| named("scheme", &row.scheme))?;
    let envelope = match &row.envelope {
        Some(name) => Some((recipes.envelope)(name).ok_or_else(|| named("envelope", name))?),
        None => None,
    };
    let values = values(&held);
    let key = |secret: &Secret| {
        scheme.key(secret, values.clone()).map_err(|fault| format!("{}: {fault}", scheme.name()))
    };
    let mut versions = Vec::new();
    for (version, secret) in &held {
        let may_verify = matches!(version.state, State::Pending | State::Active | State::Retiring);
        if let (Kind::Signing, true, Some(secret)) = (&version.kind, may_verify, secret) {
            let (number, on_first_use) = (version.number, version.on_first_use);
            let (state, until) = (version.state, version.until());
            versions.push(VersionSpec { key: key(secret)?, number, state, on_first_use, until });
        }
    }
    if versions.is_empty() || status == MerchantStatus::Closed {
        return Ok(None);
    }
    let answer_key = answer_key(&held, &scheme, &values)?;
    let rolling = rolling(&held);
    spec(row, status, Parts { scheme, envelope, answer_key, rolling, versions }).map(Some)
}

/// What a credential is made of beside its row.
struct Parts {
    scheme: Arc<Scheme>,
    envelope: Option<Arc<Envelope>>,
    answer_key: Option<VerifyingKey>,
    rolling: Option<Material>,
    versions: Vec<VersionSpec>,
}

fn spec(
    row: CredentialRow,
    status: MerchantStatus,
    parts: Parts,
) -> Result<CredentialSpec, String> {
    let key_id = row.key_id.parse().map_err(|fault: super::KeyIdFault| fault.to_string())?;
    let scopes = row.scopes.iter().map(|scope| scope.parse());
    let scopes: Result<Vec<_>, super::ScopeFault> = scopes.collect();
    Ok(CredentialSpec {
        key_id,
        environment: if row.live { Environment::Live } else { Environment::Test },
        scheme: parts.scheme,
        envelope: parts.envelope,
        answer_key: parts.answer_key,
        rolling: parts.rolling,
        rate: row.rate,
        addresses: row.addresses,
        scopes: scopes.map_err(|fault| fault.to_string())?,
        repeatable_reads: row.repeatable_reads,
        expires: row.expires_at,
        suspended: row.suspended || status != MerchantStatus::Active,
        versions: parts.versions,
    })
}

/// The named values that are in force.
fn values(versions: &[(VersionRow, Option<Secret>)]) -> NamedSecrets {
    let mut values = NamedSecrets::default();
    for (version, secret) in versions {
        if let (Kind::Value(name), State::Active, Some(secret)) =
            (&version.kind, version.state, secret)
        {
            values.insert(name, secret.expose().to_vec());
        }
    }
    values
}

fn answer_key(
    versions: &[(VersionRow, Option<Secret>)],
    scheme: &Scheme,
    values: &NamedSecrets,
) -> Result<Option<VerifyingKey>, String> {
    let active = |(version, _): &&(VersionRow, Option<Secret>)| {
        version.kind == Kind::Answer && version.state == State::Active
    };
    let Some((_, Some(secret))) = versions.iter().find(active) else { return Ok(None) };
    let key = scheme.signing_key(secret, values.clone());
    key.map(Some).map_err(|fault| format!("{} cannot sign answers: {fault}", scheme.name()))
}

/// What its keys roll by: its root, and every version of its anchor that is good.
fn rolling(versions: &[(VersionRow, Option<Secret>)]) -> Option<Material> {
    let is_root = |row: &VersionRow| row.kind == Kind::Root && row.state == State::Active;
    let (row, secret) = versions.iter().find(|(row, _)| is_root(row))?;
    let since = row.activated_at.unwrap_or(row.created_at);
    let root = Root { secret: secret.clone()?, since };
    let is_anchor = |row: &VersionRow| {
        let good = matches!(row.state, State::Active | State::Retiring)
            || (row.state == State::Pending && row.on_first_use);
        row.kind == Kind::Anchor && good
    };
    let anchors = versions.iter().filter(|(row, _)| is_anchor(row));
    let anchors = anchors.filter_map(|(row, secret)| {
        let version = NonZeroU32::new(row.number)?;
        Some(AnchorSpec { version, keys: KeySet::of(secret.as_ref()?)?, until: row.until() })
    });
    Some(Material { root, anchors: anchors.collect() })
}
