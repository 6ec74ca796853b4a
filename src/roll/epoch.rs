//! Epochs: secrets that change every day. When one is gone, nobody can derive its keys any more,
//! and what was derived from it here goes with it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::secret::Secret;

use super::keys::{Root, Source};

/// An epoch whose secret is still held.
#[derive(Clone, Debug)]
pub struct EpochSpec {
    /// Which one.
    pub number: u32,
    /// The first second in which new keys are derived from it.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
    /// Its 32 random bytes.
    pub secret: Secret,
}

/// Every epoch whose secret is held, shared by all cores and replaced as a whole.
#[derive(Default)]
pub struct Epochs(ArcSwap<Vec<Arc<Epoch>>>);

/// An epoch in use.
pub struct Epoch {
    spec: EpochSpec,
    /// By key id: what its sets are expanded from, and the root that this was made of.
    sources: DashMap<Arc<str>, (Secret, Source)>,
}

impl Epochs {
    /// Puts a list in the place of the one before. Epochs that stay keep what was derived.
    pub fn replace(&self, epochs: Vec<EpochSpec>) {
        let before = self.0.load_full();
        let same = |spec: &EpochSpec| {
            before
                .iter()
                .find(|own| own.spec.number == spec.number && own.spec.secret.equals(&spec.secret))
        };
        let kept = epochs.into_iter().map(|spec| match same(&spec) {
            Some(own) if own.spec.not_before == spec.not_before => Arc::clone(own),
            _ => Arc::new(Epoch { spec, sources: DashMap::new() }),
        });
        self.0.store(Arc::new(kept.collect()));
    }

    /// The epoch of a number, while its secret is held.
    pub fn held(&self, number: u32) -> Option<Arc<Epoch>> {
        self.0.load().iter().find(|own| own.spec.number == number).cloned()
    }

    /// The epoch that new keys are derived from: the newest that has begun. One whose end is past
    /// goes on until the next is there, for keys that end early are better than none.
    pub fn current(&self, now: Timestamp) -> Option<Arc<Epoch>> {
        let epochs = self.0.load();
        let begun = epochs.iter().filter(|own| own.spec.not_before <= now);
        begun.max_by_key(|own| (own.spec.not_before, own.spec.number)).cloned()
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.load().iter().map(|own| own.spec.number)).finish()
    }
}

impl Epoch {
    /// Which one.
    pub fn number(&self) -> u32 {
        self.spec.number
    }

    /// What the key sets of a credential are expanded from.
    pub fn source(&self, key_id: &Arc<str>, root: &Root) -> Source {
        let own = self.sources.get(key_id);
        if let Some(own) = own.as_deref().filter(|(made_of, _)| made_of.equals(&root.secret)) {
            return own.1.clone();
        }
        drop(own);
        let source = Source::extract(&self.spec.secret, &root.secret);
        self.sources.insert(Arc::clone(key_id), (root.secret.clone(), source.clone()));
        source
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Epoch").field(&self.spec.number).finish()
    }
}
