//! One budget for all request bodies in memory, from the first byte received until the body has
//! left for its upstream.
//!
//! Half is kept for addresses that verified a request of late; strangers share the rest, and each
//! of them gets at most 1/64 of it. What is counted is bytes received, or the room made for them
//! where they are copied, never bytes promised.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::limit::KIB;
use crate::peer::network_of;

/// The strangers' part of the budget: one in so many.
const STRANGERS_PART: usize = 2;
/// A stranger's part of that.
const STRANGER_PART: usize = 64;
/// A core keeps up to twice this part of the budget in its purse: one in so many.
const STEP_PART: usize = 4096;
/// That part at most, in bytes.
const STEP_BYTES_MAX: usize = 64 * KIB;

/// What all strangers together may hold of a budget, in bytes.
pub fn strangers_bytes_max(bytes_max: usize) -> usize {
    bytes_max / STRANGERS_PART
}

/// What one stranger may hold of a budget, in bytes: no longer body of one is read.
pub fn stranger_bytes_max(bytes_max: usize) -> usize {
    strangers_bytes_max(bytes_max) / STRANGER_PART
}

/// Memory for request bodies, shared by all cores.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
    strangers_held: AtomicUsize,
    /// Bytes held by each stranger; an entry goes when its last byte does, so that there are never
    /// more entries than connections.
    strangers: DashMap<IpAddr, usize>,
}

/// What a core holds of the budget in advance, so that most requests touch nothing that other cores
/// write. Given back when dropped.
#[derive(Debug)]
pub struct Purse {
    budget: Arc<Budget>,
    step: usize,
    spare: Cell<usize>,
}

/// Bytes held on behalf of one request; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    purse: Rc<Purse>,
    stranger: Option<IpAddr>,
    bytes: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        let (held, strangers_held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bytes_max, held, strangers_held, strangers: DashMap::new() })
    }

    /// An empty purse, for all requests of a core.
    pub fn purse(self: &Arc<Self>) -> Rc<Purse> {
        self.purse_of((self.bytes_max / STEP_PART).min(STEP_BYTES_MAX))
    }

    /// Opens an account that takes nothing in advance, for a request without a purse of its core.
    pub fn open(self: &Arc<Self>, ip: IpAddr, trusted: bool) -> Reservation {
        self.purse_of(0).open(ip, trusted)
    }

    fn purse_of(self: &Arc<Self>, step: usize) -> Rc<Purse> {
        Rc::new(Purse { budget: Arc::clone(self), step, spare: Cell::new(0) })
    }

    /// Bytes held now, those in purses included.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn take(&self, stranger: Option<IpAddr>, bytes: usize) -> bool {
        if !add_below(&self.held, bytes, self.bytes_max) {
            return false;
        }
        let Some(group) = stranger else { return true };
        let strangers_max = strangers_bytes_max(self.bytes_max);
        if add_below(&self.strangers_held, bytes, strangers_max) {
            let mut own = self.strangers.entry(group).or_insert(0);
            if *own + bytes <= stranger_bytes_max(self.bytes_max) {
                *own += bytes;
                return true;
            }
            let unused = *own == 0;
            drop(own);
            if unused {
                self.strangers.remove_if(&group, |_, own| *own == 0);
            }
            self.strangers_held.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    fn give_back(&self, stranger: Option<IpAddr>, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        let Some(group) = stranger else { return };
        self.strangers_held.fetch_sub(bytes, Ordering::Relaxed);
        self.strangers.remove_if_mut(&group, |_, own| {
            *own = own.saturating_sub(bytes);
            *own == 0
        });
    }
}

fn add_below(counter: &AtomicUsize, bytes: usize, bytes_max: usize) -> bool {
    if counter.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= bytes_max {
        return true;
    }
    counter.fetch_sub(bytes, Ordering::Relaxed);
    false
}

impl Purse {
    /// Opens an account for a request, with nothing on it yet.
    pub fn open(self: &Rc<Self>, ip: IpAddr, trusted: bool) -> Reservation {
        let stranger = (!trusted).then(|| network_of(ip));
        Reservation { purse: Rc::clone(self), stranger, bytes: 0 }
    }

    /// Gives back what nobody holds.
    pub fn empty(&self) {
        self.budget.give_back(None, self.spare.take());
    }

    fn take(&self, stranger: Option<IpAddr>, bytes: usize) -> bool {
        if stranger.is_some() {
            return self.budget.take(stranger, bytes);
        }
        let spare = self.spare.get();
        let lacks = bytes.saturating_sub(spare);
        if lacks == 0 {
            self.spare.set(spare - bytes);
        } else if self.budget.take(None, lacks + self.step) {
            self.spare.set(self.step);
        } else if self.budget.take(None, lacks) {
            self.spare.set(0);
        } else {
            return false;
        }
        true
    }

    fn give_back(&self, stranger: Option<IpAddr>, bytes: usize) {
        if stranger.is_some() {
            return self.budget.give_back(stranger, bytes);
        }
        self.spare.set(self.spare.get() + bytes);
        let above = self.spare.get().saturating_sub(2 * self.step);
        if above > 0 {
            self.spare.set(self.step);
            self.budget.give_back(None, above + self.step);
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.empty();
    }
}

impl Reservation {
    /// Holds so many bytes in all, not fewer than before, and says whether that is granted.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = more == 0 || self.purse.take(self.stranger, more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.purse.give_back(self.stranger, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

    #[test]
    fn a_stranger_gets_a_small_part_and_gives_it_back() {
        let budget = Budget::new(128 * 1024);
        let purse = budget.purse();
        let mut first = purse.open(IP, false);
        assert!(first.hold(1024));
        assert!(!first.hold(1025), "1/64 of half of 128 KiB is 1 KiB");
        assert!(!purse.open(IP, false).hold(1), "the same address under another request");
        drop(first);
        assert_eq!((budget.held(), budget.strangers.len()), (0, 0));
        assert!(purse.open(IP, false).hold(1024));
    }

    #[test]
    fn strangers_together_leave_half_to_known_addresses() {
        let budget = Budget::new(128 * 1024);
        let purse = budget.purse();
        let address = |n: u8| IpAddr::from([198, 51, 100, n]);
        let mut strangers: Vec<_> = (0..80).map(|n| purse.open(address(n), false)).collect();
        let granted = strangers.iter_mut().filter_map(|one| one.hold(1024).then_some(())).count();
        assert_eq!(granted, 64);
        assert!(purse.open(IP, true).hold(64 * 1024));
        let mut known = purse.open(IP, true);
        assert!(known.hold(64 * 1024) && !known.hold(64 * 1024 + 1));
    }

    #[test]
    fn a_purse_holds_a_little_in_advance_and_gives_all_of_it_back() {
        let budget = Budget::new(4096 * 1024);
        let (purse, other) = (budget.purse(), budget.purse());
        let mut known = purse.open(IP, true);
        assert!(known.hold(10));
        assert_eq!(budget.held(), 10 + 1024);
        assert!(known.hold(1000));
        assert_eq!(budget.held(), 10 + 1024, "the purse had it");
        drop(known);
        assert_eq!(budget.held(), 10 + 1024);
        let mut long = other.open(IP, true);
        assert!(!long.hold(4096 * 1024 - 1000), "the other purse has some of it");
        purse.empty();
        assert!(long.hold(4096 * 1024), "near the end no purse takes more than it is asked for");
        assert!(!purse.open(IP, true).hold(1));
        drop(long);
        assert_eq!(budget.held(), 1024);
        drop((purse, other));
        assert_eq!(budget.held(), 0);
        let mut known = budget.open(IP, true);
        assert!(known.hold(10));
        assert_eq!(budget.held(), 10, "without a purse nothing is taken in advance");
        drop(known);
        assert_eq!(budget.held(), 0);
    }
}
