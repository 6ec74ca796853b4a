//! The verb that sets a value beside the secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::administration::disclosure::Given;
use crate::administration::material::{Encoding, Material, Readers, decode};
use crate::administration::version::{self, Draft, Version};
use crate::administration::{Office, Problem, credential};
use crate::keyring::lifecycle;
use crate::secret::Secret;
use crate::store::Actor;
use crate::store::row::{Cutover, Kind, SecretOrigin, VersionRow, VersionState};

/// A value beside the secret.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetValue {
    /// The credential.
    pub key_id: String,
    /// The value's name, as scheme or envelope read it.
    pub name: String,
    /// The value.
    #[serde(skip_serializing)]
    pub secret: Given,
    /// How the text of the value stands for its bytes; without, as text.
    pub secret_encoding: Option<Encoding>,
}

/// Sets a value: it takes the place of the one before at once.
pub(super) fn set(office: &Office, actor: &Actor, input: SetValue) -> Result<Version, Problem> {
    let kind = Kind::Value(input.name.clone());
    let bytes = decode(&input.secret, input.secret_encoding)?;
    office.store()?.change(actor, |change| {
        let owner = credential::find_open(change, &input.key_id)?;
        let all = change.versions(&input.key_id)?;
        let mut readers = Readers::of(office, change, &owner, &all)?;
        readers.set_value(&input.name, bytes.clone())?;
        let active =
            |row: &&VersionRow| row.kind == Kind::Signing && row.state == VersionState::Active;
        if let Some(row) = all.iter().find(active) {
            readers.check(&Kind::Signing, &change.secret(row)?, true)?;
        }
        let secret = Secret::of_any_length(bytes.clone());
        let material = Material { secret, shown: None, origin: SecretOrigin::Imported };
        let versions: Vec<VersionRow> =
            all.iter().filter(|row| row.kind == kind).cloned().collect();
        let (key_id, now) = (input.key_id.as_str(), change.now());
        let draft = Draft { key_id, kind: &kind, overlap_secs: 0, expires_at: None, shown: true };
        let row = draft.row(&versions, &material, actor, now);
        let number = row.number;
        let turn = lifecycle::rotate(&versions, row, Cutover::Now, None, now)?;
        version::write(change, &versions, &turn, Some(&material))?;
        Ok(Version::from(&version::find(change, key_id, &kind, number)?))
    })
}
