//! A core's own handle on what all cores share and somebody replaces as a whole.
//!
//! To count a reference where others count theirs takes its memory away from them, and what lies
//! next to it. So a core counts its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

/// A core's view `V` of a shared `T`, made anew whenever `T` was replaced.
pub struct Local<T, V> {
    held: RefCell<Held<T, V>>,
    make: Make<T, V>,
}

type Make<T, V> = Box<dyn Fn(&Arc<T>) -> V>;

struct Held<T, V> {
    cache: Cache<Arc<ArcSwap<T>>, Arc<T>>,
    /// What the view was made of.
    of: Arc<T>,
    view: Rc<V>,
}

impl<T, V> Local<T, V> {
    /// A view of what is in force now, made by `make`, and of what will be.
    pub fn new(shared: Arc<ArcSwap<T>>, make: impl Fn(&Arc<T>) -> V + 'static) -> Self {
        let mut cache = Cache::new(shared);
        let of = Arc::clone(cache.load());
        let view = Rc::new(make(&of));
        Self { held: RefCell::new(Held { cache, of, view }), make: Box::new(make) }
    }

    /// The view of what is in force. What was before stays with the core until it asks here, which
    /// it therefore does once a second at least.
    pub fn current(&self) -> Rc<V> {
        let Held { cache, of, view } = &mut *self.held.borrow_mut();
        let now = cache.load();
        if !Arc::ptr_eq(now, of) {
            (*of, *view) = (Arc::clone(now), Rc::new((self.make)(now)));
        }
        Rc::clone(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_seen_and_held_no_longer() {
        let shared = Arc::new(ArcSwap::from_pointee(1));
        let first = Arc::downgrade(&shared.load_full());
        let own = Local::new(Arc::clone(&shared), |number| **number * 10);
        let before = own.current();
        assert!(Rc::ptr_eq(&before, &own.current()));
        shared.store(Arc::new(2));
        assert_eq!((*before, *own.current()), (10, 20));
        assert_eq!(first.strong_count(), 0);
    }
}
