//! The verb that gives a credential a new secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::administration::disclosure::Given;
use crate::administration::form::{CutoverText, KindText, Moment, Span};
use crate::administration::material::{Encoding, Readers};
use crate::administration::repeat::Call;
use crate::administration::version::{self, Draft, MadeVersion};
use crate::administration::{Office, Problem, credential};
use crate::keyring::lifecycle::{self, OVERLAP};
use crate::store::row::{Cutover, Kind, SecretOrigin, VersionRow, VersionState};
use crate::store::{Actor, Change};

/// A new secret in the place of the active one.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// The credential.
    pub key_id: String,
    /// What the secret is for.
    #[serde(default)]
    pub kind: KindText,
    /// When the new one takes over: `now`, `on_first_use`, or after a span; without, as the policy
    /// says, or now.
    pub cutover: Option<CutoverText>,
    /// How long the one before stays; without, as the policy says, or 24 hours. `0s`: not at all.
    pub overlap: Option<Span>,
    /// The new secret, where the partner brings one; without, one is made.
    #[serde(skip_serializing)]
    pub secret: Option<Given>,
    /// How the text of the secret stands for its bytes; without, as text.
    pub secret_encoding: Option<Encoding>,
    /// Take a secret whose length is not that of the envelope's key.
    #[serde(default)]
    pub fitted: bool,
    /// The last second in which the new one may verify.
    pub expires_at: Option<Moment>,
    /// Keep the secret for `secret reveal`, instead of showing it now.
    #[serde(default)]
    pub reveal_later: bool,
    /// Why, for the audit log.
    pub reason: Option<String>,
    /// The same key with the same input makes nothing twice. A version that is still pending is
    /// discarded and made anew, since its secret may have been lost.
    pub idempotency_key: Option<String>,
}

/// Rotates a secret.
pub(super) fn rotate(
    office: &Office,
    actor: &Actor,
    input: Rotate,
) -> Result<MadeVersion, Problem> {
    let call = Call::of("credential rotate", actor, input.idempotency_key.as_deref(), &input)?;
    let (key_id, kind) = (input.key_id.as_str(), &input.kind.0);
    office.store()?.change(actor, |change| {
        let credential = credential::find_open(change, key_id)?;
        let all = change.versions(key_id)?;
        let versions: Vec<VersionRow> =
            all.iter().filter(|row| row.kind == *kind).cloned().collect();
        let again = Call::earlier::<u32>(call.as_ref(), change)?;
        if let Some(number) = again {
            let row = version::find(change, key_id, kind, number)?;
            if row.state != VersionState::Pending {
                return Ok(MadeVersion::new(&row, None));
            }
        }
        let readers = Readers::of(office, change, &credential, &all)?;
        let material = match &input.secret {
            Some(given) => readers.import(kind, (given, input.secret_encoding), input.fitted)?,
            None => readers.generate(kind)?,
        };
        let policies = change.policies()?;
        let policy = policies.iter().find(|own| Some(&own.name) == credential.policy.as_ref());
        let cutover = input.cutover.map(|one| one.0).or(policy.map(|own| own.cutover));
        let cutover = cutover.unwrap_or(Cutover::Now);
        let overlap = input.overlap.map(|span| span.0).or(policy.map(|own| own.overlap_secs));
        let overlap_secs = overlap.unwrap_or(OVERLAP.as_secs());
        let shown = material.shown.clone().filter(|_| !input.reveal_later);
        let known = shown.is_some() || material.origin == SecretOrigin::Imported;
        let expires_at = input.expires_at.map(|end| end.0);
        let now = change.now();
        let draft = Draft { key_id, kind, overlap_secs, expires_at, shown: known };
        let row = draft.row(&versions, &material, actor, now);
        let number = row.number;
        let turn = lifecycle::rotate(&versions, row, cutover, again, now)?;
        version::write(change, &versions, &turn, Some(&material))?;
        let detail = json!({
            "kind": KindText(kind.clone()),
            "version": number,
            "cutover": CutoverText(cutover),
            "overlap": Span(overlap_secs),
        });
        change.audit("secret.rotated", key_id, detail, input.reason.as_deref())?;
        give_root(office, change, actor, (key_id, kind))?;
        Call::note(call.as_ref(), change, number)?;
        Ok(MadeVersion::new(&version::find(change, key_id, kind, number)?, shown))
    })
}

/// An anchor is of no use without a root, so the first one brings it.
pub(in crate::administration) fn give_root(
    office: &Office,
    change: &mut Change<'_>,
    actor: &Actor,
    (key_id, kind): (&str, &Kind),
) -> Result<(), Problem> {
    let is_root = |row: &VersionRow| row.kind == Kind::Root;
    if *kind == Kind::Anchor && !change.versions(key_id)?.iter().any(is_root) {
        renew(office, change, actor, (key_id, &Kind::Root))?;
    }
    Ok(())
}

/// Gives a credential's kind of secret a new version at once, by what another verb needs: nobody is
/// shown it.
pub(crate) fn renew(
    office: &Office,
    change: &mut Change<'_>,
    actor: &Actor,
    (key_id, kind): (&str, &Kind),
) -> Result<u32, Problem> {
    let credential = credential::find_open(change, key_id)?;
    let all = change.versions(key_id)?;
    let versions: Vec<VersionRow> = all.iter().filter(|row| row.kind == *kind).cloned().collect();
    let material = Readers::of(office, change, &credential, &all)?.generate(kind)?;
    let draft = Draft { key_id, kind, overlap_secs: 0, expires_at: None, shown: true };
    let now = change.now();
    let row = draft.row(&versions, &material, actor, now);
    let number = row.number;
    let turn = lifecycle::rotate(&versions, row, Cutover::Now, None, now)?;
    version::write(change, &versions, &turn, Some(&material))?;
    Ok(number)
}
