//! Time buckets: what was claimed with a stamp in the same ten seconds, dropped as a whole.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::clock::Timestamp;

use super::fingerprint::{BuildIdentity, Fingerprint, TABLES};
use super::stripe::{Apart, Stripe, Striped};

/// Seconds of signed time in one bucket. Longer ones keep entries longer than needed, shorter ones
/// make more tables, each with room to spare.
pub(super) const SECONDS: u64 = 10;
/// Set in every piece of a bucket's count once it is dropped.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// The bucket of a stamp; none for a stamp beyond the year 3300.
pub(super) fn number_of(stamp: Timestamp) -> Option<u32> {
    u32::try_from(stamp.secs() / SECONDS).ok()
}

/// The newest stamp of a bucket.
pub(super) fn last_stamp(number: u32) -> Timestamp {
    Timestamp::from_secs(u64::from(number) * SECONDS + (SECONDS - 1))
}

/// One bucket.
pub(super) struct Bucket {
    number: u32,
    entries: DashMap<Fingerprint, (), BuildIdentity>,
    /// Entries counted for this bucket, those promised to a claim in progress included.
    counted: Striped<Apart<AtomicUsize>>,
    /// Whether something was read under a claim here, so that most claims need not look.
    has_reads: AtomicBool,
}

impl Bucket {
    fn new(number: u32) -> Self {
        let tables = usize::try_from(TABLES).unwrap_or(1);
        Self {
            number,
            entries: DashMap::with_hasher_and_shard_amount(BuildIdentity::default(), tables),
            counted: Striped::new(Apart::default),
            has_reads: AtomicBool::new(false),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Puts an entry in; false when it was there.
    pub(super) fn insert(&self, entry: Fingerprint) -> bool {
        self.entries.insert(entry, ()).is_none()
    }

    pub(super) fn contains(&self, entry: &Fingerprint) -> bool {
        self.entries.contains_key(entry)
    }

    pub(super) fn remove(&self, entry: &Fingerprint) {
        self.entries.remove(entry);
    }

    /// Puts the entry in that says something was read; false when it was there.
    pub(super) fn insert_reads(&self, entry: Fingerprint) -> bool {
        // Before the look that follows: whoever sees no flag was in before it.
        self.has_reads.store(true, Ordering::SeqCst);
        self.insert(entry)
    }

    /// Whether something was read under the claim that `entry` stands for.
    pub(super) fn contains_reads(&self, entry: &Fingerprint) -> bool {
        self.has_reads.load(Ordering::SeqCst) && self.contains(entry)
    }

    /// Counts `entries` more; false when the bucket was dropped meanwhile.
    pub(super) fn count(&self, stripe: Stripe, entries: usize) -> bool {
        self.counted.of(stripe).fetch_add(entries, Ordering::SeqCst) & CLOSED == 0
    }

    /// Counts `entries` less in the piece that counted them; false when the bucket was dropped, and
    /// its count with it.
    pub(super) fn discount(&self, stripe: Stripe, entries: usize) -> bool {
        let less =
            |counted: usize| (counted & CLOSED == 0).then(|| counted.saturating_sub(entries));
        let counted = self.counted.of(stripe);
        counted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }

    /// Ends the count and tells it; 0 when it had ended before.
    pub(super) fn close(&self) -> usize {
        let ended = self.counted.iter().map(|piece| piece.fetch_or(CLOSED, Ordering::SeqCst));
        ended.filter(|counted| counted & CLOSED == 0).sum()
    }

    /// Hands every entry to `each`.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Fingerprint)) {
        for entry in &self.entries {
            each(entry.key());
        }
    }

    pub(super) fn has_reads(&self) -> bool {
        self.has_reads.load(Ordering::SeqCst)
    }

    /// Puts back what was saved.
    pub(super) fn restore(&self, entry: Fingerprint) -> bool {
        let new = self.insert(entry);
        if new {
            self.counted.of(Stripe::default()).fetch_add(1, Ordering::SeqCst);
        }
        new
    }

    pub(super) fn restore_has_reads(&self, has_reads: bool) {
        self.has_reads.store(has_reads, Ordering::SeqCst);
    }
}

/// A bucket in use. References to one are counted in pieces as well.
pub(super) type Handle = Arc<Apart<Arc<Bucket>>>;

/// The pieces.
type Handles = Arc<Striped<Handle>>;

/// All buckets, sorted by number; looked up without a lock, changed under one.
#[derive(Default)]
pub(super) struct Buckets {
    list: ArcSwap<Vec<(u32, Handles)>>,
    changing: Mutex<()>,
}

impl Buckets {
    /// The bucket of a number, opened when there is none.
    pub(super) fn find_or_open(&self, number: u32, stripe: Stripe) -> Handle {
        if let Some(handles) = find(&self.list.load(), number) {
            return Arc::clone(handles.of(stripe));
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let list = self.list.load();
        if let Some(handles) = find(&list, number) {
            return Arc::clone(handles.of(stripe));
        }
        let bucket = Arc::new(Bucket::new(number));
        let handles = Striped::new(|| Arc::new(Apart::new(Arc::clone(&bucket))));
        let own = Arc::clone(handles.of(stripe));
        let mut longer = Vec::with_capacity(list.len() + 1);
        longer.extend_from_slice(&list);
        longer.insert(list.partition_point(|(n, _)| *n < number), (number, Arc::new(handles)));
        self.list.store(Arc::new(longer));
        own
    }

    /// The number of the last bucket that ends before `stamp`.
    pub(super) fn newest_before(&self, stamp: Timestamp) -> Option<u32> {
        let list = self.list.load();
        list.iter().map(|(number, _)| *number).take_while(|n| last_stamp(*n) < stamp).last()
    }

    /// Takes the buckets up to a number off the list.
    pub(super) fn remove_up_to(&self, number: u32) -> Vec<Handle> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let list = self.list.load();
        let (old, kept) = list.split_at(list.partition_point(|(n, _)| *n <= number));
        self.list.store(Arc::new(kept.to_vec()));
        old.iter().map(|(_, handles)| Arc::clone(handles.of(Stripe::default()))).collect()
    }

    pub(super) fn all(&self) -> Vec<Handle> {
        let list = self.list.load();
        list.iter().map(|(_, handles)| Arc::clone(handles.of(Stripe::default()))).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.list.load().len()
    }
}

fn find(list: &[(u32, Handles)], number: u32) -> Option<&Striped<Handle>> {
    let at = list.binary_search_by_key(&number, |(n, _)| *n).ok()?;
    list.get(at).map(|(_, handles)| &**handles)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table has a byte beside each slot and room for seven entries in eight slots.
    #[test]
    fn an_entry_takes_well_under_forty_bytes_at_every_filling() {
        let bucket = Bucket::new(1);
        let mut worst = 0;
        for entry in 1..=200_000_u32 {
            // Any even spread will do.
            let spread = u128::from(entry).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            assert!(bucket.insert(Fingerprint::from_bytes(spread.to_be_bytes())));
            if entry >= 20_000 && entry % 500 == 0 {
                let slots = bucket.entries.capacity() * 8 / 7;
                worst = worst.max(slots * 17 / bucket.entries.len());
            }
        }
        assert!((20..=32).contains(&worst), "{worst}");
    }
}
