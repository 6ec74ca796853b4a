//! What the gate does to keys by itself: by use, by time, by policy.

pub mod epochs;
mod retention;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::material::{Material, Readers};
use super::version::{self, Draft};
use super::{Office, Problem};
use crate::clock::Timestamp;
use crate::keyring::lifecycle::{self, PENDING_KEPT, State};
use crate::store::row::{CredentialRow, Cutover, Kind, PolicyRow, UsageRow, VersionRow};
use crate::store::{Actor, ActorKind, Change, Store, StoreFault, View};
use crate::telemetry::{Level, Use, UsedVersion};
use retention::Retention;

/// The length of what usage is summed over, in seconds.
const HOUR: u64 = 3600;
const DAY: Duration = Duration::from_secs(86_400);

/// Something that was done, for log and metrics.
#[derive(Debug)]
pub struct Done {
    /// Its name.
    pub event: &'static str,
    /// How much it matters.
    pub level: Level,
    /// To what, and how.
    pub fields: Value,
}

/// The gate, as the audit log names it.
pub fn gate() -> Actor {
    let name = "countersign".to_owned();
    Actor { kind: ActorKind::System, name, address: None, request_id: None }
}

/// Writes down which versions were used, and makes a pending one that was the active one.
fn write_uses(store: &Store, uses: &HashMap<UsedVersion, Use>) -> Result<Vec<Done>, Problem> {
    store.change(&gate(), |change| {
        let mut done = Vec::new();
        for (version, used) in uses {
            change.add_usage(&UsageRow {
                key_id: version.key_id.to_string(),
                kind: Kind::Signing,
                number: version.number,
                hour: Timestamp::from_secs(used.last_at.secs() / HOUR * HOUR),
                requests: used.requests,
                last_at: used.last_at,
                last_address: used.last_address,
            })?;
            if version.pending {
                done.extend(first_use(change, version)?);
            }
        }
        Ok(done)
    })
}

fn first_use(change: &mut Change<'_>, version: &UsedVersion) -> Result<Option<Done>, Problem> {
    let key_id = &*version.key_id;
    let versions = signing(&change.versions(key_id)?);
    // Whoever removed the version meanwhile was right to do so.
    let Ok(turn) = lifecycle::first_use(&versions, version.number, change.now()) else {
        return Ok(None);
    };
    version::write(change, &versions, &turn, None)?;
    let activated = turn.changed.iter().any(|row| row.number == version.number);
    let fields = json!({ "credential": key_id, "secret_version": version.number });
    Ok(activated.then_some(Done { event: "secret_activated", level: Level::Info, fields }))
}

fn of_kind(versions: &[VersionRow], kind: &Kind) -> Vec<VersionRow> {
    versions.iter().filter(|row| row.kind == *kind).cloned().collect()
}

/// Those that requests are signed with, in any state.
fn signing(versions: &[VersionRow]) -> Vec<VersionRow> {
    of_kind(versions, &Kind::Signing)
}

/// What time and policies bring about, pass by pass. A pass reads every credential, and is made
/// when the store has changed or something is due.
#[derive(Debug, Default)]
pub struct Upkeep {
    sequence: Option<u64>,
    due: Option<Timestamp>,
    /// When the first active secret ends, by its expiry or its policy.
    next_end: Option<Timestamp>,
    /// Reminders that were given: key id, version, days.
    reminded: HashSet<(String, u32, u16)>,
    /// What credentials have signed whose policy counts messages, by key id.
    meters: HashMap<String, Meter>,
    retention: Retention,
}

/// How much the active version of a credential has signed.
#[derive(Debug)]
struct Meter {
    number: u32,
    requests: u64,
    most: u64,
    automatic: bool,
}

/// What a pass found.
#[derive(Default)]
struct Found {
    due: Option<Timestamp>,
    next_end: Option<Timestamp>,
    /// Credentials that something is to be done to.
    ripe: Vec<String>,
    /// Those whose active secret has signed all that it may.
    spent: Vec<String>,
    meters: HashMap<String, Meter>,
    reminders: Vec<(Ending, u16)>,
}

/// An active secret that ends.
struct Ending {
    key_id: String,
    number: u32,
    at: Timestamp,
}

impl Upkeep {
    /// When the first active secret ends, by its expiry or its policy.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.next_end
    }

    /// Writes down which versions were used. The first use of a pending version makes it the active
    /// one, and the last message that a policy allows brings the next one.
    ///
    /// # Errors
    /// The store. Nothing was written then.
    pub fn note_uses(
        &mut self,
        office: &Office,
        uses: &HashMap<UsedVersion, Use>,
    ) -> Result<Vec<Done>, Problem> {
        let mut done = write_uses(office.store()?, uses)?;
        for (version, used) in uses {
            let meter = self.meters.get_mut(&*version.key_id);
            let Some(meter) = meter.filter(|meter| meter.number == version.number) else {
                continue;
            };
            let before = meter.requests;
            meter.requests = before.saturating_add(used.requests);
            let reaches = |mark: u64| before < mark && mark <= meter.requests;
            if reaches(meter.most) && meter.automatic {
                match replace_spent(office, &version.key_id) {
                    Ok(replaced) => done.extend(replaced),
                    // What was used is written down; the next pass finds what is due.
                    Err(_) => self.sequence = None,
                }
            } else if reaches(meter.most) || reaches(meter.most / 10 * 8) {
                done.push(nearly_spent(version, meter));
            }
        }
        Ok(done)
    }

    /// Does what is due. Rows of the audit log are kept for so long.
    ///
    /// # Errors
    /// The store. What was done until then stays done.
    pub fn run(&mut self, office: &Office, audit_kept: Duration) -> Result<Vec<Done>, Problem> {
        let found = office.store()?.read(|view| {
            let (now, sequence) = (view.now(), view.sequence()?);
            let idle = self.sequence == Some(sequence) && self.due.is_none_or(|due| now < due);
            if idle {
                return Ok::<_, Problem>(None);
            }
            self.sequence = Some(sequence);
            Ok(Some(look(view)?))
        })?;
        let mut done = Vec::from_iter(self.retention.run(office, audit_kept)?);
        let Some(found) = found else { return Ok(done) };
        (self.due, self.next_end, self.meters) = (found.due, found.next_end, found.meters);
        for key_id in &found.ripe {
            done.extend(office.store()?.change(&gate(), |change| ripen(office, change, key_id))?);
        }
        for key_id in &found.spent {
            done.extend(replace_spent(office, key_id)?);
        }
        for (ending, days) in found.reminders {
            if self.reminded.insert((ending.key_id.clone(), ending.number, days)) {
                done.push(reminder(&ending, days));
            }
        }
        Ok(done)
    }
}

/// Warns of a version that has signed most of what it may.
fn nearly_spent(version: &UsedVersion, meter: &Meter) -> Done {
    let fields = json!({
        "credential": &*version.key_id,
        "secret_version": version.number,
        "messages": meter.requests,
        "messages_max": meter.most,
    });
    Done { event: "secret_ends_soon", level: Level::Warn, fields }
}

fn reminder(ending: &Ending, days: u16) -> Done {
    let fields = json!({
        "credential": ending.key_id,
        "secret_version": ending.number,
        "ends_at": ending.at.secs(),
        "within_days": days,
    });
    Done { event: "secret_ends_soon", level: Level::Warn, fields }
}

/// Reads every credential and finds out what is due, now and next.
fn look(view: &View<'_>) -> Result<Found, StoreFault> {
    let policies: HashMap<String, PolicyRow> =
        view.policies()?.into_iter().map(|policy| (policy.name.clone(), policy)).collect();
    let (mut found, now, mut fault) = (Found::default(), view.now(), None);
    view.everyone_sealed(|holding| {
        // One that was tampered with is out of service, and told of when it is loaded.
        let Ok(holding) = holding else { return };
        for held in &holding.credentials {
            let policy = held.row.policy.as_ref().and_then(|name| policies.get(name));
            let versions: Vec<_> = held.versions.iter().map(|(row, _)| row.clone()).collect();
            found.add(&held.row, &versions, policy, now);
            let metered = policy.map_or(Ok(()), |policy| found.meter(view, &versions, policy));
            fault = fault.take().or(metered.err());
        }
    })?;
    fault.map_or(Ok(found), Err)
}

impl Found {
    fn add(
        &mut self,
        credential: &CredentialRow,
        versions: &[VersionRow],
        policy: Option<&PolicyRow>,
        now: Timestamp,
    ) {
        let moments = versions.iter().filter(|row| !row.is_over()).flat_map(moments);
        let mut ripe = false;
        for at in moments {
            ripe |= at <= now;
            self.is_due(at, now);
        }
        if let Some(active) = versions.iter().find(is_signing)
            && let Some(at) = end_of(active, policy)
        {
            self.next_end = self.next_end.into_iter().chain([at]).min();
            self.is_due(at, now);
            if let Some(policy) = policy {
                ripe |= policy.automatic
                    && lifecycle::due(policy, &signing(versions), 0, now).is_some();
                self.remind(active, at, policy, now);
            }
        }
        if ripe {
            self.ripe.push(credential.key_id.clone());
        }
    }

    /// Reads how much the active version has signed, where its policy counts that.
    fn meter(
        &mut self,
        view: &View<'_>,
        versions: &[VersionRow],
        policy: &PolicyRow,
    ) -> Result<(), StoreFault> {
        let active = versions.iter().find(is_signing);
        let Some((active, most)) = active.zip(policy.max_messages) else { return Ok(()) };
        let (requests, automatic) = (signed_by(view, active)?, policy.automatic);
        if requests >= most && automatic {
            self.spent.push(active.key_id.clone());
        }
        let meter = Meter { number: active.number, requests, most, automatic };
        self.meters.insert(active.key_id.clone(), meter);
        Ok(())
    }

    fn is_due(&mut self, at: Timestamp, now: Timestamp) {
        if at > now {
            self.due = self.due.into_iter().chain([at]).min();
        }
    }

    /// Reminds by the nearest day that has come, and knows when the next one comes.
    fn remind(&mut self, active: &VersionRow, at: Timestamp, policy: &PolicyRow, now: Timestamp) {
        for days in &policy.remind_days {
            self.is_due(at.saturating_sub(DAY * u32::from(*days)), now);
        }
        if let Some(days) = lifecycle::reminder(policy, active, now) {
            let ending = Ending { key_id: active.key_id.clone(), number: active.number, at };
            self.reminders.push((ending, days));
        }
    }
}

/// The active version that requests are signed with.
fn is_signing(row: &&VersionRow) -> bool {
    row.kind == Kind::Signing && row.state == State::Active
}

/// How many requests a version has signed since it is the active one.
fn signed_by(view: &View<'_>, active: &VersionRow) -> Result<u64, StoreFault> {
    let since = active.activated_at.unwrap_or(active.created_at);
    let hour = Timestamp::from_secs(since.secs() / HOUR * HOUR);
    let rows = view.usage(&active.key_id, hour)?;
    let own = rows.iter().filter(|row| row.kind == Kind::Signing && row.number == active.number);
    Ok(own.map(|row| row.requests).sum())
}

/// When time alone changes a version.
fn moments(row: &VersionRow) -> impl Iterator<Item = Timestamp> {
    let unused = row.created_at.saturating_add(PENDING_KEPT);
    let unused = (row.state == State::Pending && row.activate_at.is_none()).then_some(unused);
    let takes_over = row.activate_at.filter(|_| row.state == State::Pending);
    // Its last second is still its own.
    let over = row.until().map(|until| until.saturating_add(Duration::from_secs(1)));
    [unused, takes_over, over].into_iter().flatten()
}

/// When an active version is to be replaced by its policy, or without one ends.
fn end_of(active: &VersionRow, policy: Option<&PolicyRow>) -> Option<Timestamp> {
    match policy {
        Some(policy) => lifecycle::replaced_at(policy, active),
        None => active.expires_at,
    }
}

/// Does what is due to one credential.
fn ripen(office: &Office, change: &mut Change<'_>, key_id: &str) -> Result<Vec<Done>, Problem> {
    let Some(credential) = change.credential(key_id)? else { return Ok(Vec::new()) };
    let (all, now) = (change.versions(key_id)?, change.now());
    let kinds: HashSet<Kind> = all.iter().map(|row| row.kind.clone()).collect();
    let mut done = Vec::new();
    for kind in kinds {
        let versions = of_kind(&all, &kind);
        let turn = lifecycle::tick(&versions, now);
        version::write(change, &versions, &turn, None)?;
        done.extend(turn.changed.iter().map(|row| changed(&credential, row)));
    }
    let policies = change.policies()?;
    let policy = policies.iter().find(|one| Some(&one.name) == credential.policy.as_ref());
    if let Some(policy) = policy.filter(|policy| policy.automatic) {
        let versions = signing(&change.versions(key_id)?);
        if lifecycle::due(policy, &versions, 0, now).is_some() {
            done.push(rotate(office, change, &credential, policy));
        }
    }
    Ok(done)
}

/// Rotates a secret that has signed all that its policy allows.
fn replace_spent(office: &Office, key_id: &str) -> Result<Option<Done>, Problem> {
    office.store()?.change(&gate(), |change| {
        let Some(credential) = change.credential(key_id)? else { return Ok(None) };
        let policies = change.policies()?;
        let policy = policies.iter().find(|one| Some(&one.name) == credential.policy.as_ref());
        let Some(policy) = policy.filter(|policy| policy.automatic) else { return Ok(None) };
        let versions = signing(&change.versions(key_id)?);
        let due = lifecycle::due(policy, &versions, u64::MAX, change.now());
        Ok(due.map(|_| rotate(office, change, &credential, policy)))
    })
}

fn changed(credential: &CredentialRow, row: &VersionRow) -> Done {
    let fields = json!({
        "credential": credential.key_id,
        "kind": row.kind.to_string(),
        "secret_version": row.number,
        "state": row.state.name(),
    });
    Done { event: "secret_changed", level: Level::Info, fields }
}

/// Rotates by policy. The new secret waits to be revealed, once, to whoever hands it on.
fn rotate(
    office: &Office,
    change: &mut Change<'_>,
    credential: &CredentialRow,
    policy: &PolicyRow,
) -> Done {
    match try_rotate(office, change, credential, policy) {
        Ok(number) => {
            let fields = json!({
                "credential": credential.key_id,
                "secret_version": number,
                "policy": policy.name,
            });
            Done { event: "secret_rotated", level: Level::Warn, fields }
        }
        Err(problem) => {
            let fields = json!({
                "credential": credential.key_id,
                "policy": policy.name,
                "code": problem.code.as_str(),
                "cause": problem.detail,
            });
            Done { event: "secret_not_rotated", level: Level::Error, fields }
        }
    }
}

fn try_rotate(
    office: &Office,
    change: &mut Change<'_>,
    credential: &CredentialRow,
    policy: &PolicyRow,
) -> Result<u32, Problem> {
    let (key_id, now) = (credential.key_id.as_str(), change.now());
    let all = change.versions(key_id)?;
    let readers = Readers::of(office, change, credential, &all)?;
    let material: Material = readers.generate(&Kind::Signing)?;
    let versions = signing(&all);
    let draft = Draft {
        key_id,
        kind: &Kind::Signing,
        overlap_secs: policy.overlap_secs,
        expires_at: None,
        shown: false,
    };
    let new = draft.row(&versions, &material, &gate(), now);
    let number = new.number;
    let cutover: Cutover = policy.cutover;
    let turn = lifecycle::rotate(&versions, new, cutover, None, now)?;
    version::write(change, &versions, &turn, Some(&material))?;
    Ok(number)
}
