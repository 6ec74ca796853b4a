//! Room for entries in the whole memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::stripe::{Apart, Stripe, Striped};

/// Each piece keeps up to twice this part of all room in advance: one in so many.
const STEP_PART: usize = 4096;
/// That part at most, in entries.
const STEP_MAX: usize = 64;

/// How many entries there are, and may be.
pub(super) struct Room {
    capacity: usize,
    step: usize,
    /// Entries that have room, and what is taken in advance.
    taken: Apart<AtomicUsize>,
    /// What is taken in advance, so that most claims need not ask for more.
    spare: Striped<Apart<AtomicUsize>>,
}

impl Room {
    pub(super) fn new(capacity: usize) -> Self {
        let step = (capacity / STEP_PART).min(STEP_MAX);
        Self { capacity, step, taken: Apart::default(), spare: Striped::new(Apart::default) }
    }

    /// Entries that there may be.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Entries that have room.
    pub(super) fn used(&self) -> usize {
        let spare: usize = self.spare.iter().map(|one| one.load(Ordering::SeqCst)).sum();
        self.taken.load(Ordering::SeqCst).saturating_sub(spare)
    }

    /// Takes room for `entries`; false when there is none.
    pub(super) fn take(&self, stripe: Stripe, entries: usize) -> bool {
        let spare = self.spare.of(stripe);
        let less = |kept: usize| kept.checked_sub(entries);
        if spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return true;
        }
        if self.step > 0 && self.grow(entries + self.step) {
            spare.fetch_add(self.step, Ordering::SeqCst);
            return true;
        }
        self.grow(entries)
    }

    fn grow(&self, entries: usize) -> bool {
        let before = self.taken.fetch_add(entries, Ordering::SeqCst);
        let fits = before.saturating_add(entries) <= self.capacity;
        if !fits {
            self.taken.fetch_sub(entries, Ordering::SeqCst);
        }
        fits
    }

    /// Counts an entry that was saved, for which there was room.
    pub(super) fn restore(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives room back that a piece took.
    pub(super) fn give_back(&self, stripe: Stripe, entries: usize) {
        let spare = self.spare.of(stripe);
        spare.fetch_add(entries, Ordering::SeqCst);
        let more = |kept: usize| (kept > 2 * self.step).then_some(self.step);
        if let Ok(kept) = spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            self.free(kept - self.step);
        }
    }

    /// Gives back the room of entries that are gone.
    pub(super) fn free(&self, entries: usize) {
        self.taken.fetch_sub(entries, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_counted_to_the_entry() {
        let (room, one, other) = (Room::new(3), Stripe::default(), Stripe::of_thread());
        assert!(room.take(one, 2) && !room.take(other, 2) && room.take(other, 1));
        assert!(!room.take(one, 1));
        room.give_back(other, 1);
        assert_eq!((room.used(), room.take(one, 1)), (2, true));
        room.free(3);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn of_much_room_a_little_is_taken_in_advance_and_never_too_much() {
        let (room, stripe) = (Room::new(4096 * 64), Stripe::of_thread());
        assert!(room.take(stripe, 1));
        assert_eq!((room.used(), room.taken.load(Ordering::SeqCst)), (1, 65));
        assert!((1..64).all(|_| room.take(stripe, 1)));
        assert_eq!((room.used(), room.taken.load(Ordering::SeqCst)), (64, 65));
        (0..64).for_each(|_| room.give_back(stripe, 1));
        assert_eq!(room.used(), 0);
        assert!(room.taken.load(Ordering::SeqCst) <= 2 * 64);
        let all = room.capacity();
        let fits = (0..all).filter(|_| room.take(stripe, 1)).count();
        assert_eq!((fits, room.used()), (all, all));
    }
}
