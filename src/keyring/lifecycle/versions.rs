//! All versions of one credential and kind, in the middle of a change.

use std::time::Duration;

use super::{
    DESTROY_AFTER, DISCARDED, EXPIRED, PENDING_KEPT, PENDING_MAX, RETIRED, RETIRING_MAX, UNUSED,
};
use super::{Refusal, State, Turn};
use crate::clock::Timestamp;
use crate::store::row::VersionRow;

/// The versions as they were, and as they are by now.
pub(super) struct Versions<'v> {
    before: &'v [VersionRow],
    rows: Vec<VersionRow>,
    now: Timestamp,
}

impl<'v> Versions<'v> {
    /// The versions at a time: what time alone changes is settled.
    pub(super) fn at(before: &'v [VersionRow], now: Timestamp) -> Self {
        let mut all = Self { before, rows: before.to_vec(), now };
        all.end_what_is_over();
        all.start_what_is_due();
        all
    }

    /// What differs from before.
    pub(super) fn into_turn(self) -> Turn {
        let Self { before, rows, .. } = self;
        let mut changed: Vec<VersionRow> =
            rows.into_iter().filter(|row| !before.contains(row)).collect();
        // Who becomes active comes last: the one before has left that state by then.
        changed.sort_by_key(|row| row.state == State::Active);
        Turn { changed }
    }

    fn end_what_is_over(&mut self) {
        let now = self.now;
        let unused = |row: &VersionRow| {
            row.activate_at.is_none() && now > row.created_at.saturating_add(PENDING_KEPT)
        };
        for row in self.rows.iter_mut().filter(|row| !row.is_over()) {
            let suspended = row.state == State::Suspended;
            let state = row.suspended_from.filter(|_| suspended).unwrap_or(row.state);
            let retires = row.retire_at.filter(|_| state == State::Retiring);
            if row.expires_at.is_some_and(|end| now > end) {
                end(row, EXPIRED, now);
            } else if retires.is_some_and(|end| now > end) {
                end(row, RETIRED, now);
            } else if state == State::Pending && unused(row) {
                // A suspended one is kept for whoever looks into it.
                let forgotten = if suspended { end } else { give_up };
                forgotten(row, UNUSED, now);
            }
        }
    }

    fn start_what_is_due(&mut self) {
        let due = |row: &&VersionRow| {
            row.state == State::Pending && row.activate_at.is_some_and(|at| at <= self.now)
        };
        let due = self.rows.iter().find(due).map(|row| (row.number, row.overlap_secs));
        if let Some((number, overlap_secs)) = due
            && self.check_slot(overlap_secs, self.now).is_ok()
        {
            // It is pending, in time, and there is a slot: nothing is left to refuse.
            let _ = self.take_over(number);
        }
    }

    pub(super) fn find(&mut self, number: u32) -> Result<&mut VersionRow, Refusal> {
        let found = self.rows.iter_mut().find(|row| row.number == number);
        found.ok_or(Refusal::Missing { number })
    }

    fn active(&mut self) -> Option<&mut VersionRow> {
        self.rows.iter_mut().find(|row| row.state == State::Active)
    }

    /// The version of a number, in a state that a verb takes.
    fn in_state(
        &mut self,
        number: u32,
        state: State,
        done: &'static str,
    ) -> Result<&mut VersionRow, Refusal> {
        let row = self.find(number)?;
        if row.state == state {
            return Ok(row);
        }
        let takes = match state {
            State::Pending => "a pending one",
            State::Active => "the active one",
            State::Retiring => "a retiring one",
            State::Suspended => "a suspended one",
            State::Revoked => "a revoked one",
            State::Destroyed => "a destroyed one",
        };
        Err(Refusal::WrongState { number, state: row.state, takes, done })
    }

    /// Whether the active version could retire at a time, with such an overlap.
    pub(super) fn check_slot(&self, overlap_secs: u64, at: Timestamp) -> Result<(), Refusal> {
        let active = self.rows.iter().any(|row| row.state == State::Active);
        let ends = self.rows.iter().filter(|row| row.state == State::Retiring);
        let ends = ends.map(|row| row.until().unwrap_or(Timestamp::MAX));
        let taken: Vec<Timestamp> = ends.filter(|end| *end >= at).collect();
        if !active || overlap_secs == 0 || taken.len() < RETIRING_MAX {
            return Ok(());
        }
        let second = Duration::from_secs(1);
        let frees_at = taken.into_iter().min().unwrap_or(at).saturating_add(second);
        Err(Refusal::SlotsFull { frees_at })
    }

    /// Adds a pending version.
    pub(super) fn add(&mut self, new: VersionRow) -> Result<(), Refusal> {
        if new.expires_at.is_some_and(|end| self.now > end) {
            return Err(Refusal::Expired { number: new.number });
        }
        self.check_pending(new.on_first_use || new.activate_at.is_some())?;
        self.rows.push(VersionRow { state: State::Pending, ..new });
        Ok(())
    }

    /// Whether one more may be pending, and wait to take over by itself.
    fn check_pending(&self, scheduled: bool) -> Result<(), Refusal> {
        let pending = self.rows.iter().filter(|row| row.state == State::Pending);
        let waits = |row: &&VersionRow| row.on_first_use || row.activate_at.is_some();
        if let Some(row) = pending.clone().find(waits).filter(|_| scheduled) {
            return Err(Refusal::Scheduled { number: row.number });
        }
        if pending.count() >= PENDING_MAX {
            return Err(Refusal::TooManyPending);
        }
        Ok(())
    }

    /// A pending version becomes the active one.
    pub(super) fn take_over(&mut self, number: u32) -> Result<(), Refusal> {
        let overlap_secs = self.in_state(number, State::Pending, "activated")?.overlap_secs;
        self.check_slot(overlap_secs, self.now)?;
        self.replace_active(overlap_secs);
        let now = self.now;
        let row = self.find(number)?;
        row.state = State::Active;
        row.activated_at = Some(now);
        (row.activate_at, row.on_first_use) = (None, false);
        Ok(())
    }

    /// The active version retires, or is over where nothing overlaps.
    fn replace_active(&mut self, overlap_secs: u64) {
        let now = self.now;
        if let Some(row) = self.active() {
            retire_for(row, overlap_secs, now);
        }
    }

    pub(super) fn promote(
        &mut self,
        number: u32,
        overlap_secs: Option<u64>,
    ) -> Result<(), Refusal> {
        self.in_state(number, State::Retiring, "promoted")?;
        let own = self.active().map_or(0, |row| row.overlap_secs);
        // The slot that the promoted one leaves is the one that the active one takes.
        self.replace_active(overlap_secs.unwrap_or(own));
        let now = self.now;
        let row = self.find(number)?;
        row.state = State::Active;
        row.activated_at = Some(now);
        row.retire_at = None;
        Ok(())
    }

    pub(super) fn suspend(&mut self, number: u32, reason: &str) -> Result<(), Refusal> {
        let row = self.find(number)?;
        if row.is_over() || row.state == State::Suspended {
            let takes = "one that is pending, active or retiring";
            let state = row.state;
            return Err(Refusal::WrongState { number, state, takes, done: "suspended" });
        }
        row.suspended_from = Some(row.state);
        row.state = State::Suspended;
        row.reason = Some(reason.to_owned());
        Ok(())
    }

    pub(super) fn resume(&mut self, number: u32) -> Result<(), Refusal> {
        let row = self.in_state(number, State::Suspended, "resumed")?;
        let from = row.suspended_from.unwrap_or(State::Pending);
        let scheduled = row.on_first_use || row.activate_at.is_some();
        let now = self.now;
        let overlap_secs = match from {
            State::Active => self.active().map(|row| row.overlap_secs),
            _ => None,
        };
        match from {
            State::Pending => self.check_pending(scheduled)?,
            State::Retiring => self.check_retiring()?,
            _ if overlap_secs.is_some_and(|secs| secs > 0) => self.check_retiring()?,
            _ => {}
        }
        let row = self.find(number)?;
        row.state = from;
        row.suspended_from = None;
        row.reason = None;
        if let Some(overlap_secs) = overlap_secs {
            retire_for(row, overlap_secs, now);
        }
        self.start_what_is_due();
        Ok(())
    }

    /// Whether one more may retire.
    fn check_retiring(&self) -> Result<(), Refusal> {
        let ends = self.rows.iter().filter(|row| row.state == State::Retiring);
        let ends: Vec<Timestamp> = ends.map(|row| row.until().unwrap_or(Timestamp::MAX)).collect();
        match ends.iter().min() {
            Some(first) if ends.len() >= RETIRING_MAX => {
                Err(Refusal::SlotsFull { frees_at: first.saturating_add(Duration::from_secs(1)) })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn retire(&mut self, number: u32) -> Result<(), Refusal> {
        let now = self.now;
        end(self.in_state(number, State::Retiring, "retired")?, RETIRED, now);
        Ok(())
    }

    pub(super) fn revoke(
        &mut self,
        number: u32,
        reason: &str,
        compromised_since: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let now = self.now;
        let row = self.find(number)?;
        if row.state == State::Destroyed {
            let (state, takes) = (row.state, "one that is not destroyed");
            return Err(Refusal::WrongState { number, state, takes, done: "revoked" });
        }
        end(row, reason, now);
        row.compromised_since = compromised_since.or(row.compromised_since);
        Ok(())
    }

    pub(super) fn destroy(&mut self, number: u32, at_once: bool) -> Result<(), Refusal> {
        let now = self.now;
        let row = self.in_state(number, State::Revoked, "destroyed")?;
        let at = row.revoked_at.unwrap_or(now).saturating_add(DESTROY_AFTER);
        if !at_once && now < at {
            return Err(Refusal::TooEarly { at });
        }
        row.state = State::Destroyed;
        row.destroyed_at = Some(now);
        Ok(())
    }

    pub(super) fn discard(&mut self, number: u32) -> Result<(), Refusal> {
        let now = self.now;
        give_up(self.in_state(number, State::Pending, "discarded")?, DISCARDED, now);
        Ok(())
    }
}

/// A version is out of use for good.
fn end(row: &mut VersionRow, reason: &str, now: Timestamp) {
    row.state = State::Revoked;
    row.suspended_from = None;
    (row.activate_at, row.on_first_use) = (None, false);
    row.revoked_at = row.revoked_at.or(Some(now));
    row.reason = Some(reason.to_owned());
}

/// A version that was never in use is over, and its secret with it.
fn give_up(row: &mut VersionRow, reason: &str, now: Timestamp) {
    end(row, reason, now);
    row.state = State::Destroyed;
    row.destroyed_at = Some(now);
}

/// A version verifies for a while yet, never past its own end.
fn retire_for(row: &mut VersionRow, overlap_secs: u64, now: Timestamp) {
    if overlap_secs == 0 {
        return end(row, RETIRED, now);
    }
    let end = now.saturating_add(Duration::from_secs(overlap_secs));
    row.state = State::Retiring;
    row.retire_at = Some(row.expires_at.map_or(end, |expires| expires.min(end)));
}
