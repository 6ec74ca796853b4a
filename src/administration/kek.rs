//! Verbs about the keys that keep keys: master keys and KEKs.
//!
//! The words: `rotate` makes a new key that wraps from now on, `rewrap` moves what earlier ones
//! wrapped to it, `remove` destroys an earlier one that nothing depends on any more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::form::{Moment, Page};
use super::verb::{Output, Verb, verb};
use super::{Code, Office, Problem};
use crate::custody::{CustodyFault, Masters};
use crate::store::row::KekRow;
use crate::store::{Actor, StoreFault};

/// Verbs about keys that keep keys.
pub(super) const VERBS: &[Verb] = &[
    verb!("kek list", Get "/admin/v1/keks", Auditor, "List the keys that wrap data keys", list)
        .columns(&["kek", "current", "master", "wraps", "created_at"]),
    verb!(
        "kek rotate",
        Post "/admin/v1/keks:rotate",
        Owner,
        "Make a new KEK, which wraps from now on",
        rotate
    ),
    verb!(
        "kek rewrap",
        Post "/admin/v1/keks:rewrap",
        Owner,
        "Move every data key to the current KEK; can be stopped and begun again",
        rewrap
    ),
    verb!(
        "kek remove",
        Delete "/admin/v1/keks/{kek}",
        Owner,
        "Destroy an earlier KEK that wraps nothing any more",
        remove
    )
    .drastic(),
    verb!(
        "master status",
        Get "/admin/v1/master",
        Auditor,
        "Show where the master keys are, and what each of them wraps",
        status
    ),
    verb!(
        "master rotate",
        Post "/admin/v1/master:rotate",
        Owner,
        "Make a new master key, and wrap every KEK by it",
        rotate_master
    ),
    verb!(
        "master remove",
        Delete "/admin/v1/masters/{master}",
        Owner,
        "Destroy an earlier master key that wraps nothing any more",
        remove_master
    )
    .drastic(),
];

/// A key that wraps data keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Kek {
    /// Its version.
    pub kek: u32,
    /// Whether it is one that wraps now.
    pub current: bool,
    /// The master key that wraps it.
    pub master: String,
    /// How many keys and secrets it wraps.
    pub wraps: u64,
    /// When it was made.
    pub created_at: Moment,
}

impl Output for Kek {}

impl From<KekRow> for Kek {
    fn from(row: KekRow) -> Self {
        Self {
            kek: row.version,
            current: row.current,
            master: row.master,
            wraps: row.wraps,
            created_at: Moment(row.created_at),
        }
    }
}

/// Nothing but who asks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

fn list(office: &Office, _: &Actor, _: Nothing) -> Result<Page<Kek>, Problem> {
    let rows = office.store()?.read(|view| view.keks())?;
    Ok(Page { items: rows.into_iter().map(Kek::from).collect(), next: None })
}

fn rotate(office: &Office, actor: &Actor, _: Nothing) -> Result<Kek, Problem> {
    let version = office.store()?.rotate_kek(actor)?;
    find(office, version)
}

fn find(office: &Office, version: u32) -> Result<Kek, Problem> {
    let rows = office.store()?.read(|view| view.keks())?;
    let found = rows.into_iter().find(|row| row.version == version);
    let missing = || Problem::new(Code::NotFound, format!("there is no KEK {version}"));
    found.map(Kek::from).ok_or_else(missing)
}

/// What a rewrap did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rewrap {
    /// Data keys that moved to the current KEK.
    pub moved: u64,
    /// Why others could not: they were tampered with, and their KEK is still needed.
    pub refused: Vec<String>,
}

impl Output for Rewrap {}

fn rewrap(office: &Office, actor: &Actor, _: Nothing) -> Result<Rewrap, Problem> {
    let done = office.store()?.rewrap(actor, |done, of| (office.progress)(done, of))?;
    let refused = done.refused.iter().map(ToString::to_string).collect();
    Ok(Rewrap { moved: done.moved, refused })
}

/// A KEK that goes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Its version.
    pub kek: u32,
}

fn remove(office: &Office, actor: &Actor, input: Remove) -> Result<Kek, Problem> {
    let row = find(office, input.kek)?;
    office.store()?.remove_kek(actor, input.kek).map_err(in_use)?;
    Ok(row)
}

/// What depends on a key is told by its own code.
fn in_use(fault: StoreFault) -> Problem {
    match fault {
        StoreFault::Refused(detail) => Problem::new(Code::InUse, detail),
        fault => fault.into(),
    }
}

/// Where the master keys are.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// In which file, variable or token.
    pub place: String,
    /// Every master key at hand, the one that wraps first.
    pub masters: Vec<Master>,
}

/// A master key at hand.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Master {
    /// Its name.
    pub master: String,
    /// Whether it is the one that wraps.
    pub current: bool,
    /// How many KEKs it wraps.
    pub wraps: u64,
}

impl Output for Status {}

fn status(office: &Office, _: &Actor, _: Nothing) -> Result<Status, Problem> {
    let masters = Masters::open(&office.master)?;
    let keks = office.store()?.read(|view| view.keks())?;
    let of = |id: &crate::custody::MasterId| {
        let wraps = keks.iter().filter(|kek| kek.master == id.as_str()).count();
        Master {
            master: id.as_str().to_owned(),
            current: id == masters.current(),
            wraps: u64::try_from(wraps).unwrap_or(u64::MAX),
        }
    };
    let at_hand = masters.ids().iter().map(of).collect();
    Ok(Status { place: masters.describe(), masters: at_hand })
}

/// A master key that the operator made, or that is to be made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateMaster {
    /// Only wrap by the key that is the current one now: the operator has made it.
    #[serde(default)]
    pub made: bool,
}

fn rotate_master(office: &Office, actor: &Actor, input: RotateMaster) -> Result<Status, Problem> {
    if !input.made {
        let mut masters = Masters::open(&office.master)?;
        // What the operator is to do instead is in the text.
        masters.rotate().map_err(by_hand)?;
    }
    office.store()?.rewrap_masters(actor)?;
    status(office, actor, Nothing {})
}

/// Where a key is not for the program to make or to destroy.
fn by_hand(fault: CustodyFault) -> Problem {
    match fault {
        CustodyFault::Master(detail) => Problem::new(Code::ByHand, detail),
        fault => fault.into(),
    }
}

/// A master key that goes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveMaster {
    /// Its name.
    pub master: String,
}

fn remove_master(office: &Office, actor: &Actor, input: RemoveMaster) -> Result<Status, Problem> {
    let mut masters = Masters::open(&office.master)?;
    if masters.ids().iter().all(|id| id.as_str() != input.master) {
        let detail = format!("there is no master key {} at hand", input.master);
        return Err(Problem::new(Code::NotFound, detail));
    }
    office.store()?.release_master(&input.master).map_err(in_use)?;
    masters.remove(&input.master).map_err(by_hand)?;
    office.store()?.change(actor, |change| {
        change.audit("master.removed", &input.master, json!({}), None)?;
        Ok::<_, Problem>(())
    })?;
    status(office, actor, Nothing {})
}
