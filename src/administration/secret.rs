//! Verbs about the versions of a credential's secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::credential::{self, rotation};
use super::disclosure::Given;
use super::form::{KindText, Moment, Page, Span};
use super::material::{self, Encoding, Material, Readers};
use super::repeat::Call;
use super::verb::{Verb, verb};
use super::version::{self, Draft, MadeVersion, Version};
use super::{Code, Office, Problem};
use crate::clock::Timestamp;
use crate::keyring::lifecycle::{self, OVERLAP, Refusal, Turn};
use crate::store::Actor;
use crate::store::row::{Kind, VersionRow, VersionState};

/// Verbs about secrets.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "secret list",
        Get "/admin/v1/credentials/{key_id}/secrets",
        Auditor,
        "List the versions of a credential's secrets",
        list
    )
    .columns(&[
        "kind",
        "version",
        "state",
        "until",
        "check_value",
        "origin",
        "shown",
        "created_at",
    ]),
    verb!(
        "secret show",
        Get "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}",
        Auditor,
        "Show one version of a secret, without the secret",
        show
    ),
    verb!(
        "secret generate",
        Post "/admin/v1/credentials/{key_id}/secrets",
        Admin,
        "Make a new version, pending, and show its secret once",
        generate
    )
    .discloses(),
    verb!(
        "secret import",
        Post "/admin/v1/credentials/{key_id}/secrets:import",
        Admin,
        "Take a secret that the partner made, as a pending version",
        import
    ),
    verb!(
        "secret reveal",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:reveal",
        Admin,
        "Show a secret that was never shown, once",
        reveal
    )
    .discloses(),
    verb!(
        "secret activate",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:activate",
        Admin,
        "Make a pending version the active one; the active one retires",
        activate
    ),
    verb!(
        "secret promote",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:promote",
        Admin,
        "Take a rotation back: a retiring version is the active one again",
        promote
    ),
    verb!(
        "secret suspend",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:suspend",
        Security,
        "Take a version out of use until it is resumed",
        suspend
    )
    .drastic(),
    verb!(
        "secret resume",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:resume",
        Admin,
        "Put a suspended version back to where it was",
        resume
    ),
    verb!(
        "secret retire",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:retire",
        Security,
        "End the time of a retiring version now",
        retire
    )
    .drastic(),
    verb!(
        "secret revoke",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:revoke",
        Security,
        "Take a version out of use for good",
        revoke
    )
    .drastic(),
    verb!(
        "secret destroy",
        Post "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}:destroy",
        Owner,
        "Overwrite the secret of a revoked version",
        destroy
    )
    .drastic(),
    verb!(
        "secret discard",
        Delete "/admin/v1/credentials/{key_id}/secrets/{kind}/{version}",
        Admin,
        "Give up a pending version: its secret is overwritten, its number stays taken",
        discard
    )
    .drastic(),
];

/// Whose secrets to list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The credential.
    pub key_id: String,
}

/// Lists every version of every kind.
fn list(office: &Office, _: &Actor, input: List) -> Result<Page<Version>, Problem> {
    office.store()?.read(|view| {
        credential::find(view, &input.key_id)?;
        let items = view.versions(&input.key_id)?.iter().map(Version::from).collect();
        Ok(Page { items, next: None })
    })
}

/// A version that is looked at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
}

fn show(office: &Office, _: &Actor, input: Show) -> Result<Version, Problem> {
    let Show { key_id, kind: KindText(kind), version } = input;
    office.store()?.read(|view| {
        credential::find(view, &key_id)?;
        Ok(Version::from(&version::find(view, &key_id, &kind, version)?))
    })
}

/// What makes a version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The credential.
    pub key_id: String,
    /// What it is for.
    #[serde(default)]
    pub kind: KindText,
    /// How long the version before stays, once this one is active; without, 24 hours.
    pub overlap: Option<Span>,
    /// When it becomes the active one by itself.
    pub activate_at: Option<Moment>,
    /// Whether it verifies at once, and its first use makes it the active one.
    #[serde(default)]
    pub on_first_use: bool,
    /// The last second in which it may verify.
    pub expires_at: Option<Moment>,
    /// Keep the secret for `secret reveal`, instead of showing it now.
    #[serde(default)]
    pub reveal_later: bool,
    /// The same key with the same input makes nothing twice. A version that is still pending is
    /// discarded and made anew, since its secret may have been lost.
    pub idempotency_key: Option<String>,
}

/// A secret that is brought.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The credential.
    pub key_id: String,
    /// What it is for.
    #[serde(default)]
    pub kind: KindText,
    /// The secret.
    #[serde(skip_serializing)]
    pub secret: Given,
    /// How the text of the secret stands for its bytes; without, as text.
    pub secret_encoding: Option<Encoding>,
    /// Take a secret whose length is not that of the envelope's key.
    #[serde(default)]
    pub fitted: bool,
    /// How long the version before stays, once this one is active; without, 24 hours.
    pub overlap: Option<Span>,
    /// When it becomes the active one by itself.
    pub activate_at: Option<Moment>,
    /// Whether it verifies at once, and its first use makes it the active one.
    #[serde(default)]
    pub on_first_use: bool,
    /// The last second in which it may verify.
    pub expires_at: Option<Moment>,
    /// The same key with the same input makes nothing twice.
    pub idempotency_key: Option<String>,
}

/// How a version comes into use.
struct Start {
    overlap: Option<Span>,
    activate_at: Option<Moment>,
    on_first_use: bool,
    expires_at: Option<Moment>,
}

fn generate(office: &Office, actor: &Actor, input: Generate) -> Result<MadeVersion, Problem> {
    let call = Call::of("secret generate", actor, input.idempotency_key.as_deref(), &input)?;
    let Generate { overlap, activate_at, on_first_use, expires_at, .. } = input;
    let start = Start { overlap, activate_at, on_first_use, expires_at };
    let target = (input.key_id.as_str(), &input.kind.0);
    add(office, actor, call.as_ref(), target, &start, !input.reveal_later, |readers| {
        readers.generate(&input.kind.0)
    })
}

fn import(office: &Office, actor: &Actor, input: Import) -> Result<MadeVersion, Problem> {
    let call = Call::of("secret import", actor, input.idempotency_key.as_deref(), &input)?;
    let Import { overlap, activate_at, on_first_use, expires_at, .. } = input;
    let start = Start { overlap, activate_at, on_first_use, expires_at };
    let target = (input.key_id.as_str(), &input.kind.0);
    add(office, actor, call.as_ref(), target, &start, true, |readers| {
        readers.import(&input.kind.0, (&input.secret, input.secret_encoding), input.fitted)
    })
}

/// Adds a pending version. Where the same call made one before that is still pending, it is made
/// anew.
fn add(
    office: &Office,
    actor: &Actor,
    call: Option<&Call>,
    (key_id, kind): (&str, &Kind),
    start: &Start,
    show: bool,
    make: impl FnOnce(&Readers) -> Result<Material, Problem>,
) -> Result<MadeVersion, Problem> {
    office.store()?.change(actor, |change| {
        let credential = credential::find_open(change, key_id)?;
        let all = change.versions(key_id)?;
        let mut versions: Vec<VersionRow> =
            all.iter().filter(|row| row.kind == *kind).cloned().collect();
        let now = change.now();
        if let Some(number) = Call::earlier::<u32>(call, change)? {
            let row = version::find(change, key_id, kind, number)?;
            if row.state != VersionState::Pending {
                return Ok(MadeVersion::new(&row, None));
            }
            let turn = lifecycle::discard(&versions, number, now)?;
            version::write(change, &versions, &turn, None)?;
            versions = version::of_kind(change, key_id, kind)?;
        }
        let material = make(&Readers::of(office, change, &credential, &all)?)?;
        let draft = Draft {
            key_id,
            kind,
            overlap_secs: start.overlap.map_or(OVERLAP.as_secs(), |span| span.0),
            expires_at: start.expires_at.map(|end| end.0),
            shown: show && *kind != Kind::Root,
        };
        let row = VersionRow {
            on_first_use: start.on_first_use,
            activate_at: start.activate_at.map(|at| at.0),
            ..draft.row(&versions, &material, actor, now)
        };
        let turn = lifecycle::add(&versions, row.clone(), now)?;
        version::write(change, &versions, &turn, Some(&material))?;
        rotation::give_root(office, change, actor, (key_id, kind))?;
        Call::note(call, change, row.number)?;
        let row = version::find(change, key_id, kind, row.number)?;
        Ok(MadeVersion::new(&row, material.shown.filter(|_| show)))
    })
}

/// A version that something is done to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
}

/// Shows a secret once. That it was shown is durable before anybody sees it.
fn reveal(office: &Office, actor: &Actor, input: Target) -> Result<MadeVersion, Problem> {
    let Target { key_id, kind: KindText(kind), version, revision } = input;
    office.store()?.change(actor, |change| {
        let credential = credential::find_open(change, &key_id)?;
        let row = version::find(change, &key_id, &kind, version)?;
        version::check_revision(&row, revision)?;
        if row.shown {
            let detail = format!("the secret of {kind} version {version} was shown already");
            return Err(Problem::new(Code::AlreadyShown, detail));
        }
        if row.is_over() {
            let (state, takes) = (row.state, "one that is in use");
            let done = "revealed";
            return Err(Refusal::WrongState { number: version, state, takes, done }.into());
        }
        let secret = change.secret(&row)?;
        let shown = material::shown(&kind, credential.live, &secret);
        let never = || Problem::new(Code::WrongState, format!("a {kind} is shown to nobody"));
        let shown = shown.ok_or_else(never)?;
        change.set_version(&VersionRow { shown: true, ..row })?;
        let detail = json!({ "kind": KindText(kind.clone()), "version": version });
        change.audit("secret.revealed", &key_id, detail, None)?;
        let row = version::find(change, &key_id, &kind, version)?;
        Ok(MadeVersion::new(&row, Some(shown)))
    })
}

/// Does one thing to one version, by a rule of its life.
fn turn(
    office: &Office,
    actor: &Actor,
    target: &Target,
    rule: impl FnOnce(&[VersionRow], u32, Timestamp) -> Result<Turn, Refusal>,
) -> Result<Version, Problem> {
    let Target { key_id, kind: KindText(kind), version, revision } = target;
    office.store()?.change(actor, |change| {
        credential::find_open(change, key_id)?;
        let versions = version::of_kind(change, key_id, kind)?;
        let row = version::find(change, key_id, kind, *version)?;
        version::check_revision(&row, *revision)?;
        let turn = rule(&versions, *version, change.now())?;
        version::write(change, &versions, &turn, None)?;
        Ok(Version::from(&version::find(change, key_id, kind, *version)?))
    })
}

fn activate(office: &Office, actor: &Actor, input: Target) -> Result<Version, Problem> {
    turn(office, actor, &input, lifecycle::activate)
}

/// A rotation that is taken back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// How long the version that is active now stays; without, as long as its own overlap.
    pub overlap: Option<Span>,
}

fn promote(office: &Office, actor: &Actor, input: Promote) -> Result<Version, Problem> {
    let Promote { key_id, kind, version, revision, overlap } = input;
    let target = Target { key_id, kind, version, revision };
    turn(office, actor, &target, |versions, number, now| {
        lifecycle::promote(versions, number, overlap.map(|span| span.0), now)
    })
}

/// A version that is taken out of use, and why.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// Why.
    pub reason: String,
}

fn suspend(office: &Office, actor: &Actor, input: Suspend) -> Result<Version, Problem> {
    let Suspend { key_id, kind, version, revision, reason } = input;
    super::name::check_label(&reason)?;
    let target = Target { key_id, kind, version, revision };
    turn(office, actor, &target, |versions, number, now| {
        lifecycle::suspend(versions, number, &reason, now)
    })
}

fn resume(office: &Office, actor: &Actor, input: Target) -> Result<Version, Problem> {
    turn(office, actor, &input, lifecycle::resume)
}

fn retire(office: &Office, actor: &Actor, input: Target) -> Result<Version, Problem> {
    turn(office, actor, &input, lifecycle::retire)
}

/// A version that is taken out of use for good, and why.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// Why.
    pub reason: String,
    /// Since when somebody else may have had it.
    pub compromised_since: Option<Moment>,
}

fn revoke(office: &Office, actor: &Actor, input: Revoke) -> Result<Version, Problem> {
    let Revoke { key_id, kind, version, revision, reason, compromised_since } = input;
    super::name::check_label(&reason)?;
    let target = Target { key_id, kind, version, revision };
    let since = compromised_since.map(|since| since.0);
    turn(office, actor, &target, |versions, number, now| {
        lifecycle::revoke(versions, number, &reason, since, now)
    })
}

/// A revoked version whose secret is overwritten.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    /// The credential.
    pub key_id: String,
    /// What the version is for.
    pub kind: KindText,
    /// Which version.
    pub version: u32,
    /// The revision that this is meant for; without, whatever stands there.
    pub revision: Option<u64>,
    /// Do not wait until it was revoked for 30 days.
    #[serde(default)]
    pub now: bool,
}

fn destroy(office: &Office, actor: &Actor, input: Destroy) -> Result<Version, Problem> {
    let Destroy { key_id, kind, version, revision, now: at_once } = input;
    let target = Target { key_id, kind, version, revision };
    turn(office, actor, &target, |versions, number, now| {
        lifecycle::destroy(versions, number, at_once, now)
    })
}

fn discard(office: &Office, actor: &Actor, input: Target) -> Result<Version, Problem> {
    turn(office, actor, &input, lifecycle::discard)
}
