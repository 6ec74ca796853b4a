//! The life of a secret: the states of its versions, what each allows, and what changes them.
//!
//! Pure rules over all versions of one credential and kind. Each verb settles first what time alone
//! has changed ([`tick`]), so that nothing is in a state whose time is over. What time or a person
//! has ended never comes back.

mod due;
mod versions;

use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::row::{Cutover, VersionRow};

pub use crate::store::row::VersionState as State;
pub use due::{Due, due, reminder, replaced_at};
use versions::Versions;

/// Versions that may retire at a time: each costs every bad request one more MAC.
pub const RETIRING_MAX: usize = 2;
/// Versions that may be pending at a time.
pub const PENDING_MAX: usize = 2;
/// How long a pending version is kept that nobody uses.
pub const PENDING_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How long a revoked version is kept before its secret may be overwritten.
pub const DESTROY_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// How long the version before stays, where nothing else is said.
pub const OVERLAP: Duration = Duration::from_secs(86_400);

/// Why a version was revoked that was replaced, and whose time is over.
pub const RETIRED: &str = "retired";
/// Why a version was revoked that has expired.
pub const EXPIRED: &str = "expired";
/// Why a version is over that was pending, and that nobody used in time.
pub const UNUSED: &str = "unused";
/// Why a version is over that was pending, and thought better of.
pub const DISCARDED: &str = "discarded";

impl State {
    /// Every state that configuration can state, by its name there.
    pub const NAMES: [(&str, Self); 5] = [
        ("pending", Self::Pending),
        ("active", Self::Active),
        ("retiring", Self::Retiring),
        ("suspended", Self::Suspended),
        ("revoked", Self::Revoked),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether a version in this state verifies requests at `now`; `until` is inclusive. A pending
    /// one may do so too: see [`VersionRow::verifies`].
    pub fn verifies(self, now: Timestamp, until: Option<Timestamp>) -> bool {
        let in_time = until.is_none_or(|until| now <= until);
        match self {
            Self::Active | Self::Retiring => in_time,
            Self::Pending | Self::Suspended | Self::Revoked | Self::Destroyed => false,
        }
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, state)| *state).ok_or(())
    }
}

impl VersionRow {
    /// The last second in which it verifies, as it stands; none: no end.
    pub fn until(&self) -> Option<Timestamp> {
        let retires = self.retire_at.filter(|_| self.state == State::Retiring);
        retires.into_iter().chain(self.expires_at).min()
    }

    /// Whether it verifies requests at `now`.
    pub fn verifies(&self, now: Timestamp) -> bool {
        let first_use = self.state == State::Pending && self.on_first_use;
        let state = if first_use { State::Active } else { self.state };
        state.verifies(now, self.until())
    }

    /// Whether it can never verify again, whatever anybody does.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Revoked | State::Destroyed)
    }
}

/// What a verb writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Versions as they are from now on: first those that leave a state, so that at no moment two
    /// are active. A new one is among them.
    pub changed: Vec<VersionRow>,
}

/// Why a verb cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No version has this number.
    #[error("there is no version {number}")]
    Missing {
        /// The number.
        number: u32,
    },
    /// The version is in another state than the verb asks for.
    #[error("version {number} is {}, and only {takes} can be {done}", .state.name())]
    WrongState {
        /// Which version.
        number: u32,
        /// Its state.
        state: State,
        /// What the verb takes.
        takes: &'static str,
        /// What the verb does to it.
        done: &'static str,
    },
    /// Its time is over.
    #[error("version {number} has expired: make a new one")]
    Expired {
        /// Which version.
        number: u32,
    },
    /// Another version waits to take over already.
    #[error("version {number} waits to take over already: activate or discard it first")]
    Scheduled {
        /// Which one.
        number: u32,
    },
    /// As many versions retire as may.
    #[error("{RETIRING_MAX} versions retire already: retire one of them now, or wait")]
    SlotsFull {
        /// When the next of them is over.
        frees_at: Timestamp,
    },
    /// As many versions are pending as may be.
    #[error("{PENDING_MAX} versions are pending already: activate or discard one of them first")]
    TooManyPending,
    /// A revoked version is kept for a while.
    #[error("a revoked version is kept for {} days", DESTROY_AFTER.as_secs() / 86_400)]
    TooEarly {
        /// When it may be destroyed.
        at: Timestamp,
    },
}

/// The number of the next version.
pub fn next_number(versions: &[VersionRow]) -> u32 {
    versions.iter().map(|one| one.number).max().unwrap_or(0).saturating_add(1)
}

/// What time alone changes: what is due takes over, what has retired or expired is revoked, what
/// nobody used is destroyed. Where no slot is free, what is due waits for one.
pub fn tick(versions: &[VersionRow], now: Timestamp) -> Turn {
    Versions::at(versions, now).into_turn()
}

/// Adds a pending version.
///
/// # Errors
/// [`Refusal::TooManyPending`], [`Refusal::Scheduled`], [`Refusal::Expired`].
pub fn add(versions: &[VersionRow], new: VersionRow, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.add(new)?;
    Ok(all.into_turn())
}

/// Makes a pending version the active one; the active one retires for the new one's overlap.
///
/// # Errors
/// [`Refusal::SlotsFull`], and as for all verbs on a version that is not pending.
pub fn activate(versions: &[VersionRow], number: u32, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.take_over(number)?;
    Ok(all.into_turn())
}

/// Gives a secret a new version in the place of the active one, now or later. `again` names a
/// version that an earlier call of the same rotation made: if it is still pending, it is discarded
/// and `new` stands in its place; if it is not, nothing changes.
///
/// # Errors
/// [`Refusal::Scheduled`], [`Refusal::SlotsFull`], [`Refusal::TooManyPending`],
/// [`Refusal::Expired`].
pub fn rotate(
    versions: &[VersionRow],
    new: VersionRow,
    cutover: Cutover,
    again: Option<u32>,
    now: Timestamp,
) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    if let Some(earlier) = again {
        if all.find(earlier)?.state != State::Pending {
            return Ok(all.into_turn());
        }
        all.discard(earlier)?;
    }
    let number = new.number;
    let takes_over = match cutover {
        Cutover::Now => now,
        Cutover::OnFirstUse => now,
        Cutover::After(secs) => now.saturating_add(Duration::from_secs(secs)),
    };
    all.check_slot(new.overlap_secs, takes_over)?;
    all.add(VersionRow {
        on_first_use: cutover == Cutover::OnFirstUse,
        activate_at: matches!(cutover, Cutover::After(_)).then_some(takes_over),
        ..new
    })?;
    if cutover == Cutover::Now {
        all.take_over(number)?;
    }
    Ok(all.into_turn())
}

/// Somebody signed with a pending version that takes over on its first use. Nothing changes where
/// another process was told before, or where no slot is free: it verifies all the same.
///
/// # Errors
/// [`Refusal::Missing`].
pub fn first_use(versions: &[VersionRow], number: u32, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    let version = all.find(number)?;
    let overlap_secs = version.overlap_secs;
    let due = version.state == State::Pending && version.on_first_use;
    if due && all.check_slot(overlap_secs, now).is_ok() {
        all.take_over(number)?;
    }
    Ok(all.into_turn())
}

/// Takes a rotation back: a retiring version is the active one again, and the active one retires,
/// for `overlap_secs` or its own overlap.
///
/// # Errors
/// For a version that is not retiring.
pub fn promote(
    versions: &[VersionRow],
    number: u32,
    overlap_secs: Option<u64>,
    now: Timestamp,
) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.promote(number, overlap_secs)?;
    Ok(all.into_turn())
}

/// Takes a version out of use until it is resumed.
///
/// # Errors
/// For a version that is suspended or over.
pub fn suspend(
    versions: &[VersionRow],
    number: u32,
    reason: &str,
    now: Timestamp,
) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.suspend(number, reason)?;
    Ok(all.into_turn())
}

/// Puts a suspended version back to where it was. Where another is active meanwhile, it retires for
/// that one's overlap.
///
/// # Errors
/// For a version that is not suspended; [`Refusal::SlotsFull`], [`Refusal::TooManyPending`],
/// [`Refusal::Scheduled`].
pub fn resume(versions: &[VersionRow], number: u32, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.resume(number)?;
    Ok(all.into_turn())
}

/// Ends the time of a retiring version.
///
/// # Errors
/// For a version that is not retiring.
pub fn retire(versions: &[VersionRow], number: u32, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.retire(number)?;
    Ok(all.into_turn())
}

/// Takes a version out of use for good. A revoked one may be given another reason, and a time since
/// when somebody else may have had it; it stays revoked since it was.
///
/// # Errors
/// For a destroyed version.
pub fn revoke(
    versions: &[VersionRow],
    number: u32,
    reason: &str,
    compromised_since: Option<Timestamp>,
    now: Timestamp,
) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.revoke(number, reason, compromised_since)?;
    Ok(all.into_turn())
}

/// Lets the secret of a revoked version be overwritten, once it was kept for [`DESTROY_AFTER`], or
/// at once.
///
/// # Errors
/// For a version that is not revoked; [`Refusal::TooEarly`].
pub fn destroy(
    versions: &[VersionRow],
    number: u32,
    at_once: bool,
    now: Timestamp,
) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.destroy(number, at_once)?;
    Ok(all.into_turn())
}

/// Gives up a pending version: its secret is overwritten. Its number stays taken, since audit rows
/// and counts of use go by it.
///
/// # Errors
/// For a version that is not pending.
pub fn discard(versions: &[VersionRow], number: u32, now: Timestamp) -> Result<Turn, Refusal> {
    let mut all = Versions::at(versions, now);
    all.discard(number)?;
    Ok(all.into_turn())
}

#[cfg(test)]
mod tests;
