//! What all cores write for every request, in as many pieces as cores write at the same time: a
//! piece that another core wrote last must be fetched from it, which takes longer than to count.

use std::array;
use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pieces. Beyond so many cores, some of them share one.
const STRIPES: usize = 16;

/// Has lines of the processor's cache to itself, so that nothing beside it is taken along: two of
/// 64 bytes, which processors fetch in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(T);

impl<T> Apart<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Which piece a thread uses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stripe(usize);

impl Stripe {
    /// The piece of this thread.
    pub(super) fn of_thread() -> Self {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static OWN: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let own = OWN.get().unwrap_or_else(|| {
            let own = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
            OWN.set(Some(own));
            own
        });
        Self(own)
    }
}

/// A value in pieces.
pub(super) struct Striped<T> {
    first: T,
    others: [T; STRIPES - 1],
}

impl<T> Striped<T> {
    pub(super) fn new(mut make: impl FnMut() -> T) -> Self {
        Self { first: make(), others: array::from_fn(|_| make()) }
    }

    /// One piece.
    pub(super) fn of(&self, stripe: Stripe) -> &T {
        stripe.0.checked_sub(1).and_then(|at| self.others.get(at)).unwrap_or(&self.first)
    }

    /// All pieces.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn threads_have_pieces_of_their_own() {
        let pieces = Striped::new(|| Apart::new(AtomicUsize::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..3 * STRIPES {
                scope.spawn(|| {
                    assert_eq!(Stripe::of_thread().0, Stripe::of_thread().0);
                    pieces.of(Stripe::of_thread()).fetch_add(1, Ordering::Relaxed)
                });
            }
        });
        let all: Vec<_> = pieces.iter().map(|piece| piece.load(Ordering::Relaxed)).collect();
        assert_eq!((all.len(), all.iter().sum::<usize>()), (STRIPES, 3 * STRIPES));
        let places: HashSet<_> =
            pieces.iter().map(|piece| std::ptr::from_ref(piece).addr() / 128).collect();
        assert_eq!(places.len(), STRIPES);
    }
}
