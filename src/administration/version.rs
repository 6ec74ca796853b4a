//! Versions of secrets as outcomes show them, and how a turn of their life is written.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::disclosure::Shown;
use super::form::{KindText, Moment, as_word};
use super::material::{Material, check_value};
use super::verb::Output;
use super::{Code, Problem};
use crate::clock::Timestamp;
use crate::keyring::lifecycle::{Turn, next_number};
use crate::secret::Secret;
use crate::store::row::{Kind, SecretOrigin, VersionRow, VersionState};
use crate::store::{Actor, Change, View};

as_word! {
    /// The state of a version.
    StateWord of VersionState:
    "pending" = VersionState::Pending,
    "active" = VersionState::Active,
    "retiring" = VersionState::Retiring,
    "suspended" = VersionState::Suspended,
    "revoked" = VersionState::Revoked,
    "destroyed" = VersionState::Destroyed,
}

as_word! {
    /// Where a secret came from.
    OriginWord of SecretOrigin:
    "generated" = SecretOrigin::Generated,
    "imported" = SecretOrigin::Imported,
}

/// A version of a secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Version {
    /// What it is for.
    pub kind: KindText,
    /// Which one.
    pub version: u32,
    /// Its state.
    pub state: StateWord,
    /// The last second in which it verifies; none: no end.
    pub until: Option<Moment>,
    /// Whether it verifies although it is pending, and its first use makes it the active one.
    pub on_first_use: bool,
    /// The first 6 hexadecimal digits of HMAC-SHA256(secret, `kcv`), for two people to compare.
    pub check_value: String,
    /// Where it came from.
    pub origin: OriginWord,
    /// Whether its secret was handed out.
    pub shown: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Moment,
    /// When it becomes the active one by itself.
    pub activate_at: Option<Moment>,
    /// When it became the active one.
    pub activated_at: Option<Moment>,
    /// The last second in which it may verify in any state.
    pub expires_at: Option<Moment>,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Since when somebody else may have had it.
    pub compromised_since: Option<Moment>,
    /// Why it was suspended, revoked or destroyed.
    pub reason: Option<String>,
    /// When its secret was overwritten.
    pub destroyed_at: Option<Moment>,
    /// Rises with each change.
    pub revision: u64,
}

impl Output for Version {}

impl From<&VersionRow> for Version {
    fn from(row: &VersionRow) -> Self {
        Self {
            kind: KindText(row.kind.clone()),
            version: row.number,
            state: StateWord(row.state),
            until: row.until().filter(|_| !row.is_over()).map(Moment),
            on_first_use: row.on_first_use,
            check_value: row.check_value.clone(),
            origin: OriginWord(row.origin),
            shown: row.shown,
            created_by: row.created_by.clone(),
            created_at: Moment(row.created_at),
            activate_at: row.activate_at.map(Moment),
            activated_at: row.activated_at.map(Moment),
            expires_at: row.expires_at.map(Moment),
            revoked_at: row.revoked_at.map(Moment),
            compromised_since: row.compromised_since.map(Moment),
            reason: row.reason.clone(),
            destroyed_at: row.destroyed_at.map(Moment),
            revision: row.revision,
        }
    }
}

/// A version that was made, with its secret where it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MadeVersion {
    /// Whose it is.
    pub key_id: String,
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// Its secret, shown this once; none where it was brought, is kept for later, or was shown.
    pub secret: Option<Shown>,
}

impl MadeVersion {
    /// A version as it stands, and its secret where it is shown now.
    pub(super) fn new(row: &VersionRow, secret: Option<Shown>) -> Self {
        Self { key_id: row.key_id.clone(), version: Version::from(row), secret }
    }
}

impl Output for MadeVersion {
    fn secret(&self) -> Option<&Shown> {
        self.secret.as_ref()
    }
}

/// What is known of a version before it is there.
pub(super) struct Draft<'d> {
    pub(super) key_id: &'d str,
    pub(super) kind: &'d Kind,
    pub(super) overlap_secs: u64,
    pub(super) expires_at: Option<Timestamp>,
    /// Whether its secret is handed out now, or was before.
    pub(super) shown: bool,
}

impl Draft<'_> {
    /// The row of the next version.
    pub(super) fn row(
        self,
        versions: &[VersionRow],
        material: &Material,
        actor: &Actor,
        now: Timestamp,
    ) -> VersionRow {
        VersionRow {
            key_id: self.key_id.to_owned(),
            kind: self.kind.clone(),
            number: next_number(versions),
            state: VersionState::Pending,
            suspended_from: None,
            on_first_use: false,
            check_value: check_value(&material.secret),
            origin: material.origin,
            created_by: actor.name.clone(),
            created_at: now,
            activate_at: None,
            activated_at: None,
            overlap_secs: self.overlap_secs,
            retire_at: None,
            expires_at: self.expires_at,
            revoked_at: None,
            compromised_since: None,
            reason: None,
            destroyed_at: None,
            shown: self.shown,
            revision: 0,
        }
    }
}

/// The versions of a kind of a credential.
pub(super) fn of_kind(
    view: &View<'_>,
    key_id: &str,
    kind: &Kind,
) -> Result<Vec<VersionRow>, Problem> {
    Ok(view.versions(key_id)?.into_iter().filter(|row| row.kind == *kind).collect())
}

/// A version as it stands.
pub(super) fn find(
    view: &View<'_>,
    key_id: &str,
    kind: &Kind,
    number: u32,
) -> Result<VersionRow, Problem> {
    let found = of_kind(view, key_id, kind)?.into_iter().find(|row| row.number == number);
    let missing = || format!("{key_id} has no {kind} version {number}");
    found.ok_or_else(|| Problem::new(Code::NotFound, missing()))
}

/// Refuses an edit that was meant for another revision.
pub(super) fn check_revision(row: &VersionRow, meant: Option<u64>) -> Result<(), Problem> {
    if meant.is_none_or(|meant| meant == row.revision) {
        return Ok(());
    }
    let detail = format!("version {} was changed meanwhile: look at it again", row.number);
    Err(Problem::new(Code::Changed, detail))
}

/// Refuses a secret that is another's: the key id is unsigned in many schemes.
pub(super) fn check_unique(view: &View<'_>, kind: &Kind, secret: &Secret) -> Result<(), Problem> {
    if matches!(kind, Kind::Value(_)) {
        return Ok(());
    }
    match view.owner_of(secret)? {
        None => Ok(()),
        Some((key_id, kind, number)) => {
            let detail = format!("{kind} version {number} of {key_id} has this secret already");
            Err(Problem::new(Code::SecretTaken, detail))
        }
    }
}

/// Writes a turn, with the secret of what is new in it, and an audit row for each version.
pub(super) fn write(
    change: &mut Change<'_>,
    before: &[VersionRow],
    turn: &Turn,
    new: Option<&Material>,
) -> Result<(), Problem> {
    for row in &turn.changed {
        let old = before.iter().find(|old| old.number == row.number && row.revision > 0);
        match (old, new) {
            (Some(_), _) => change.set_version(row)?,
            (None, Some(material)) => {
                check_unique(change, &row.kind, &material.secret)?;
                change.add_version(row, &material.secret)?;
            }
            (None, None) => {
                let detail = format!("{} {}: a version without a secret", row.kind, row.number);
                return Err(Problem::new(Code::Store, detail));
            }
        }
        note(change, action(old, row), row)?;
    }
    Ok(())
}

fn action(old: Option<&VersionRow>, new: &VersionRow) -> &'static str {
    use VersionState::{Active, Destroyed, Pending, Retiring, Revoked, Suspended};
    match (old.map(|old| old.state), new.state) {
        (None, _) => match new.origin {
            SecretOrigin::Generated => "secret.generated",
            SecretOrigin::Imported => "secret.imported",
        },
        (Some(Pending), Destroyed) => "secret.discarded",
        (Some(Suspended), Pending | Active | Retiring) => "secret.resumed",
        (Some(Retiring), Active) => "secret.promoted",
        (_, Active) => "secret.activated",
        (_, Retiring) => "secret.retiring",
        (_, Suspended) => "secret.suspended",
        (_, Revoked) => "secret.revoked",
        (_, Destroyed) => "secret.destroyed",
        (_, Pending) => "secret.changed",
    }
}

fn note(change: &mut Change<'_>, action: &'static str, row: &VersionRow) -> Result<(), Problem> {
    let detail = json!({
        "kind": KindText(row.kind.clone()),
        "version": row.number,
        "state": StateWord(row.state),
        "until": row.until().map(Moment),
        "compromised_since": row.compromised_since.map(Moment),
    });
    Ok(change.audit(action, &row.key_id, detail, row.reason.as_deref())?)
}
