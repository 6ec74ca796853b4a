//! Which secret versions are in use: each core tallies for itself, and hands its tally over once a
//! second. It holds what was used since the last time, however many credentials there are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;

/// A version of a credential, as it is tallied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UsedVersion {
    /// The key id of the credential.
    pub key_id: Arc<str>,
    /// The number of the version.
    pub number: u32,
    /// Whether it was pending, and this use is to make it the active one.
    pub pending: bool,
}

/// The version of a secret that verified a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifiedBy {
    /// Its number in the store; 0 for one that configuration states.
    pub number: u32,
    /// Whether it was pending.
    pub pending: bool,
}

/// What a version did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Requests that it verified.
    pub requests: u64,
    /// When the last one did.
    pub last_at: Timestamp,
    /// Where that came from.
    pub last_address: IpAddr,
}

/// The tallies of all cores, until somebody takes them.
#[derive(Clone, Debug, Default)]
pub struct Uses(Arc<Mutex<HashMap<UsedVersion, Use>>>);

/// The tally of one core.
#[derive(Debug)]
pub(super) struct Tally {
    own: RefCell<HashMap<UsedVersion, Use>>,
    all: Uses,
}

impl Uses {
    /// Takes what was handed over since the last time.
    pub fn take(&self) -> HashMap<UsedVersion, Use> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what could not be kept, to be taken again.
    pub fn give_back(&self, uses: HashMap<UsedVersion, Use>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.into_iter().for_each(|(version, more)| add(&mut all, version, more));
    }
}

impl Tally {
    pub(super) fn new(all: Uses) -> Self {
        Self { own: RefCell::default(), all }
    }

    pub(super) fn count(&self, key_id: &Arc<str>, by: VerifiedBy, at: Timestamp, address: IpAddr) {
        let VerifiedBy { number, pending } = by;
        let version = UsedVersion { key_id: Arc::clone(key_id), number, pending };
        let once = Use { requests: 1, last_at: at, last_address: address };
        add(&mut self.own.borrow_mut(), version, once);
    }

    pub(super) fn hand_over(&self) {
        let own = std::mem::take(&mut *self.own.borrow_mut());
        if !own.is_empty() {
            self.all.give_back(own);
        }
    }
}

fn add(uses: &mut HashMap<UsedVersion, Use>, version: UsedVersion, more: Use) {
    let so_far = uses.entry(version).or_insert(Use { requests: 0, ..more });
    so_far.requests += more.requests;
    if more.last_at >= so_far.last_at {
        (so_far.last_at, so_far.last_address) = (more.last_at, more.last_address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_add_up_and_the_last_use_is_the_latest() {
        let all = Uses::default();
        let (one, other) = (Tally::new(all.clone()), Tally::new(all.clone()));
        let by = |number| VerifiedBy { number, pending: false };
        let (key_id, at) = (Arc::from("pk_live_1"), Timestamp::from_secs);
        one.count(&key_id, by(2), at(20), IpAddr::from([192, 0, 2, 1]));
        one.count(&key_id, by(2), at(30), IpAddr::from([192, 0, 2, 2]));
        other.count(&key_id, by(2), at(25), IpAddr::from([192, 0, 2, 3]));
        other.count(&key_id, by(1), at(25), IpAddr::from([192, 0, 2, 3]));
        one.hand_over();
        other.hand_over();
        let uses = all.take();
        let both = uses[&UsedVersion { key_id: Arc::clone(&key_id), number: 2, pending: false }];
        assert_eq!(both.requests, 3);
        assert_eq!((both.last_at, both.last_address), (at(30), IpAddr::from([192, 0, 2, 2])));
        assert_eq!(uses[&UsedVersion { key_id, number: 1, pending: false }].requests, 1);
        assert!(all.take().is_empty());
    }
}
