//! Shares of the replay memory, so that no merchant and no test can fill it for the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A merchant may hold this part of the memory: one in so many.
pub const MERCHANT_PART: usize = 4;
/// All test credentials together may hold this part of the memory: one in so many.
pub const TEST_PART: usize = 8;

/// How much of the memory one merchant, or all tests together, hold and may hold. Clones are the
/// same share; it outlives reloads.
#[derive(Clone)]
pub struct Share(Arc<Inner>);

struct Inner {
    limit: usize,
    held: Mutex<Held>,
}

/// The numbers of buckets and entries held in each.
type ByBucket = Vec<(u32, u32)>;

/// Entries held, in all and by bucket, so that they go down when a bucket goes.
#[derive(Default)]
struct Held {
    total: usize,
    by_bucket: ByBucket,
}

impl Share {
    fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit: limit.max(1), held: Mutex::default() }))
    }

    /// Entries held.
    pub fn used(&self) -> usize {
        self.held().total
    }

    /// Entries that may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for `entries` in a bucket; false when the share has none left.
    pub(super) fn take(&self, bucket: u32, entries: u32) -> bool {
        let mut held = self.held();
        let more = usize::try_from(entries).unwrap_or(usize::MAX);
        if held.total.saturating_add(more) > self.0.limit {
            return false;
        }
        held.add(bucket, entries);
        true
    }

    /// Gives back room for `entries` in a bucket, unless the bucket went and its room with it.
    pub(super) fn give_back(&self, bucket: u32, entries: u32) {
        let mut held = self.held();
        let Some(at) = held.by_bucket.iter().position(|(number, _)| *number == bucket) else {
            return;
        };
        if let Some((_, count)) = held.by_bucket.get_mut(at) {
            let less = entries.min(*count);
            *count -= less;
            held.total = held.total.saturating_sub(usize::try_from(less).unwrap_or(0));
        }
    }

    fn forget_up_to(&self, bucket: u32) {
        let mut held = self.held();
        let mut gone = 0_usize;
        held.by_bucket.retain(|(number, count)| {
            let old = *number <= bucket;
            if old {
                gone = gone.saturating_add(usize::try_from(*count).unwrap_or(0));
            }
            !old
        });
        held.total = held.total.saturating_sub(gone);
    }
}

impl Held {
    fn add(&mut self, bucket: u32, entries: u32) {
        self.total = self.total.saturating_add(usize::try_from(entries).unwrap_or(0));
        // Newest last, and most claims are about now: the search from the end is short.
        match self.by_bucket.iter_mut().rev().find(|(number, _)| *number == bucket) {
            Some((_, count)) => *count = count.saturating_add(entries),
            None => {
                if self.by_bucket.len() == self.by_bucket.capacity() {
                    // A few at a time: there is one such list for each merchant.
                    self.by_bucket.reserve_exact(8);
                }
                self.by_bucket.push((bucket, entries));
            }
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of {})", self.used(), self.limit())
    }
}

/// Every share there is.
pub(super) struct Shares {
    merchants: Mutex<HashMap<Arc<str>, Share>>,
    merchant_limit: usize,
    tests: Share,
}

impl Shares {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            merchants: Mutex::default(),
            merchant_limit: capacity / MERCHANT_PART,
            tests: Share::new(capacity / TEST_PART),
        }
    }

    pub(super) fn of_merchant(&self, id: Arc<str>) -> Share {
        self.merchants().entry(id).or_insert_with(|| Share::new(self.merchant_limit)).clone()
    }

    pub(super) fn of_tests(&self) -> Share {
        self.tests.clone()
    }

    /// Lets go what was held in buckets up to this one, and shares that nobody holds any more.
    pub(super) fn forget_up_to(&self, bucket: u32) {
        self.tests.forget_up_to(bucket);
        self.merchants().retain(|_, share| {
            share.forget_up_to(bucket);
            share.used() > 0 || Arc::strong_count(&share.0) > 1
        });
    }

    /// What is held by whom: a name (none for tests) and its entries by bucket.
    pub(super) fn to_save(&self) -> Vec<(Option<Arc<str>>, ByBucket)> {
        let mut all = vec![(None, self.tests.held().by_bucket.clone())];
        for (name, share) in self.merchants().iter() {
            all.push((Some(name.clone()), share.held().by_bucket.clone()));
        }
        all.retain(|(_, by_bucket)| !by_bucket.is_empty());
        all
    }

    /// Counts what was saved, over the limit too.
    pub(super) fn restore(&self, name: Option<&str>, bucket: u32, entries: u32) {
        let share = name.map_or_else(|| self.of_tests(), |name| self.of_merchant(name.into()));
        share.held().add(bucket, entries);
    }

    fn merchants(&self) -> MutexGuard<'_, HashMap<Arc<str>, Share>> {
        self.merchants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
