//! Which signed messages have passed: each of them passes once.
//!
//! Promises that nothing passes twice while its timestamp can be fresh, across reloads, restarts
//! and crashes. It refuses to know requests, schemes and policies: it takes bytes and times. Must
//! never be done here: evicting a live entry, reading a clock, or waiting on a disk in a claim.

mod bucket;
mod claim;
mod fingerprint;
mod folder;
mod mark;
mod room;
mod saved;
mod share;
mod stripe;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

use bucket::Buckets;
use fingerprint::FingerprintKey;
use mark::Settled;
use room::Room;
use share::Shares;

pub use claim::{Claim, Kind, Refusal, Stamped};
pub use folder::{FolderFault, StateFolder};
pub use mark::Marker;
pub use saved::{OpenFault, Opening, OpeningNote, Past};
pub use share::{MERCHANT_PART, Share, TEST_PART};

/// Bytes that one entry may take, all overhead included: memory is sized by it.
pub const ENTRY_BYTES: usize = 40;

/// How much longer than its route's window and time ahead an entry may be held: its bucket ends
/// later than itself, and the sweep comes once a second. For computing how much memory rates need;
/// a message sent once takes one entry, a [`Kind::Read`] one and another for the first of its
/// proof.
pub const HELD_LONGER: Duration = Duration::from_secs(bucket::SECONDS + 1);

/// The replay memory: a set of keyed fingerprints of claims, by the time that is signed in them.
///
/// It is shared by all cores through one `Arc`; nothing in it is locked for longer than one look-up
/// or insertion takes.
pub struct Memory {
    key: FingerprintKey,
    buckets: Buckets,
    /// Entries in all buckets.
    room: Room,
    /// The newest stamp, in seconds plus one, that is no longer remembered; 0 is none. Only raised.
    forgotten: AtomicU64,
    /// Until the gate's time is past this many seconds the past is not fully known.
    known_after: u64,
    /// Admission is over: whatever is claimed from now on would not be saved.
    closed: AtomicBool,
    settled: Settled,
    shares: Shares,
}

/// What the memory holds, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Entries held.
    pub entries: usize,
    /// Entries that may be held.
    pub capacity: usize,
    /// Time buckets.
    pub buckets: usize,
    /// Entries held for test credentials.
    pub test_entries: usize,
}

/// Why the memory cannot vouch for requests yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// What was accepted before the start is not known for stamps up to this one.
    #[error("what was accepted up to {until} is not known; ready when that time is past")]
    PastUnknown {
        /// The last stamp that is refused for it.
        until: Timestamp,
    },
    /// The mark in the state folder could not be written for this long.
    #[error("the mark in the state folder could not be written for {} ms", .since.as_millis())]
    MarkOverdue {
        /// Time since the mark was last in order.
        since: Duration,
    },
    /// The memory was closed to be saved.
    #[error("the replay memory is closed")]
    Closed,
}

impl Memory {
    /// A memory of at most `bytes` that knows of nothing before and that no folder keeps: for
    /// demonstrations and tests.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn without_past(bytes: NonZeroUsize) -> io::Result<Self> {
        Ok(Self::new(FingerprintKey::random()?, bytes, Settled::always()))
    }

    fn new(key: FingerprintKey, bytes: NonZeroUsize, settled: Settled) -> Self {
        let capacity = (bytes.get() / ENTRY_BYTES).max(1);
        Self {
            key,
            buckets: Buckets::default(),
            room: Room::new(capacity),
            forgotten: AtomicU64::new(0),
            known_after: 0,
            closed: AtomicBool::new(false),
            settled,
            shares: Shares::new(capacity),
        }
    }

    /// The share of a merchant: at most a quarter of the memory. The same name gives the same
    /// share, whatever is reloaded in between.
    pub fn share(&self, merchant_id: impl Into<Arc<str>>) -> Share {
        self.shares.of_merchant(merchant_id.into())
    }

    /// The share of all test credentials together: at most an eighth of the memory.
    pub fn test_share(&self) -> Share {
        self.shares.of_tests()
    }

    /// Drops what is older than `longest_window` before `now`, a whole bucket at a time. To be
    /// called once a second, off the path, with the longest window configured anywhere.
    pub fn sweep(&self, now: Timestamp, longest_window: Duration) {
        self.settled.check();
        let oldest_fresh = now.saturating_sub(longest_window);
        let Some(newest) = self.buckets.newest_before(oldest_fresh) else { return };
        // Raised before the buckets go; `claim` looks at it after its insertion (see there).
        self.raise_forgotten(bucket::last_stamp(newest));
        for bucket in self.buckets.remove_up_to(newest) {
            self.room.free(bucket.close());
        }
        self.shares.forget_up_to(newest);
    }

    /// Whether the memory can vouch for what comes in at `now`.
    ///
    /// # Errors
    /// What is in the way, in words for an operator.
    pub fn ready(&self, now: Timestamp) -> Result<(), NotReady> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(NotReady::Closed);
        }
        if now.secs() < self.known_after {
            let until = Timestamp::from_secs(self.known_after.saturating_sub(1));
            return Err(NotReady::PastUnknown { until });
        }
        match self.settled.check() {
            Some(since) => Err(NotReady::MarkOverdue { since }),
            None => Ok(()),
        }
    }

    /// How much is held.
    pub fn usage(&self) -> Usage {
        Usage {
            entries: self.room.used(),
            capacity: self.room.capacity(),
            buckets: self.buckets.count(),
            test_entries: self.shares.of_tests().used(),
        }
    }

    /// The newest stamp that is refused whatever window a route has, if there is one.
    pub fn forgotten(&self) -> Option<Timestamp> {
        self.forgotten.load(Ordering::SeqCst).checked_sub(1).map(Timestamp::from_secs)
    }

    fn raise_forgotten(&self, stamp: Timestamp) {
        self.forgotten.fetch_max(stamp.secs().saturating_add(1), Ordering::SeqCst);
    }

    fn has_forgotten(&self, stamp: Timestamp) -> bool {
        stamp.secs() < self.forgotten.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
