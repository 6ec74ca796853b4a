//! Verbs about the store as a whole: that everything in it opens, and copies of it.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem, name};
use crate::store::{Actor, Trial};

/// Verbs about the store.
pub(super) const VERBS: &[Verb] = &[
    verb!(
        "store verify",
        Post "/admin/v1/store:verify",
        Auditor,
        "Open everything in the store, and check every row and the audit log",
        verify
    ),
    verb!(
        "store backup",
        Post "/admin/v1/store:backup",
        Owner,
        "Copy the store into a new file, without the secrets of epochs",
        backup
    ),
    verb!(
        "store confirm",
        Post "/admin/v1/store:confirm",
        Owner,
        "Use a store again that was restored without its file of what is dead",
        confirm
    )
    .drastic(),
];

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Whether nothing is wrong.
    pub good: bool,
    /// Merchants.
    pub merchants: u64,
    /// Credentials.
    pub credentials: u64,
    /// Versions of secrets.
    pub versions: u64,
    /// Secrets that opened.
    pub secrets: u64,
    /// Rows of the audit log.
    pub audit_rows: u64,
    /// What is dead by the file of tombstones, and not by the database.
    pub raised: u64,
    /// Why nothing may be used until the store is confirmed, if so.
    pub unconfirmed: Option<String>,
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

impl Output for Report {}

impl From<&Trial> for Report {
    fn from(trial: &Trial) -> Self {
        Self {
            good: trial.faults.is_empty(),
            merchants: trial.merchants,
            credentials: trial.credentials,
            versions: trial.versions,
            secrets: trial.secrets,
            audit_rows: trial.audits,
            raised: u64::try_from(trial.raised).unwrap_or(u64::MAX),
            unconfirmed: trial.unconfirmed.clone(),
            faults: trial.faults.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Tells what is wrong as an outcome: a report is what was asked for.
fn verify(office: &Office, actor: &Actor, _: Nothing) -> Result<Report, Problem> {
    let trial = office.store()?.verify_all(actor, |done| (office.progress)(done, 0))?;
    Ok(Report::from(&trial))
}

/// Where a copy goes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// A file that is not there yet, on the machine of the store. Over the API a name, of a file in
    /// the folder `backups` of the state folder.
    pub to: String,
}

/// A copy.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Copied {
    /// Where it is.
    pub to: String,
}

impl Output for Copied {}

fn backup(office: &Office, actor: &Actor, input: Backup) -> Result<Copied, Problem> {
    let to = match &office.copies {
        Some(folder) => within(folder, &input.to)?,
        None if input.to.is_empty() => {
            return Err(Problem::new(Code::InvalidInput, "name the file that the copy goes to"));
        }
        None => PathBuf::from(&input.to),
    };
    office.store()?.backup(actor, &to)?;
    Ok(Copied { to: to.display().to_string() })
}

/// A file in the folder for copies, which is made where it is not there: who asks from afar must
/// not write wherever the gate's user may.
fn within(folder: &Path, to: &str) -> Result<PathBuf, Problem> {
    let what = "the copy's name, of a file in the folder backups of the state folder,";
    name::check(what, to)?;
    if to.starts_with('.') {
        return Err(Problem::new(Code::InvalidInput, format!("{what} begins with no dot")));
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(fault) if fault.kind() != ErrorKind::AlreadyExists => {
            Err(Problem::new(Code::Store, format!("{}: {fault}", folder.display())))
        }
        _ => Ok(folder.join(to)),
    }
}

/// What was confirmed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Confirmed {
    /// Whether the store can be used.
    pub confirmed: bool,
}

impl Output for Confirmed {}

fn confirm(office: &Office, actor: &Actor, _: Nothing) -> Result<Confirmed, Problem> {
    office.store()?.confirm_restore(actor)?;
    Ok(Confirmed { confirmed: true })
}
