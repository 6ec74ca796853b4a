//! One budget for all request bodies in memory, from the first byte received until the body has
//! left for its upstream.
//!
//! Half is kept for addresses that verified a request of late; strangers share the rest, and each
//! of them gets at most 1/64 of it. What is counted is bytes received, or the room made for them
//! where they are copied, never bytes promised.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::peer::network_of;

/// The strangers' part of the budget: one in so many.
const STRANGERS_PART: usize = 2;
/// A stranger's part of that.
const STRANGER_PART: usize = 64;

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

/// Bytes held on behalf of one request; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    stranger: Option<IpAddr>,
    bytes: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        let (held, strangers_held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bytes_max, held, strangers_held, strangers: DashMap::new() })
    }

    /// Opens an account for a request, with nothing on it yet.
    pub fn open(self: &Arc<Self>, ip: IpAddr, trusted: bool) -> Reservation {
        let stranger = (!trusted).then(|| network_of(ip));
        Reservation { budget: Arc::clone(self), stranger, bytes: 0 }
    }

    /// Bytes held now.
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

impl Reservation {
    /// Holds so many bytes in all, not fewer than before, and says whether that is granted.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = more == 0 || self.budget.take(self.stranger, more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.stranger, self.bytes);
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
        let mut first = budget.open(IP, false);
        assert!(first.hold(1024));
        assert!(!first.hold(1025), "1/64 of half of 128 KiB is 1 KiB");
        assert!(!budget.open(IP, false).hold(1), "the same address under another request");
        drop(first);
        assert_eq!((budget.held(), budget.strangers.len()), (0, 0));
        assert!(budget.open(IP, false).hold(1024));
    }

    #[test]
    fn strangers_together_leave_half_to_known_addresses() {
        let budget = Budget::new(128 * 1024);
        let address = |n: u8| IpAddr::from([198, 51, 100, n]);
        let mut strangers: Vec<_> = (0..80).map(|n| budget.open(address(n), false)).collect();
        let granted = strangers.iter_mut().filter_map(|one| one.hold(1024).then_some(())).count();
        assert_eq!(granted, 64);
        assert!(budget.open(IP, true).hold(64 * 1024));
        let mut known = budget.open(IP, true);
        assert!(known.hold(64 * 1024) && !known.hold(64 * 1024 + 1));
    }
}
