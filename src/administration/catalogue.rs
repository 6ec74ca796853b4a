//! What a credential may name: schemes and envelopes, the built-in ones and the operator's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::scheme::Scheme;

/// Everything that credentials of the store can name, and what they must not be called.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Ways of signing.
    pub schemes: Shelf<Scheme>,
    /// Ways of sealing.
    pub envelopes: Shelf<Envelope>,
    /// The ids of merchants in the merchants file.
    pub stated_merchants: BTreeSet<String>,
    /// The key ids of credentials in the merchants file: one lives in one of the two places only.
    pub stated_key_ids: BTreeSet<String>,
}

/// Recipes by name.
pub struct Shelf<T> {
    /// The operator's own, which come first.
    pub own: BTreeMap<String, Arc<T>>,
    /// Finds a built-in one.
    pub builtin: fn(&str) -> Option<Arc<T>>,
    /// The names of the built-in ones.
    pub builtin_names: Vec<&'static str>,
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        let (own, builtin_names) = (self.own.clone(), self.builtin_names.clone());
        Self { own, builtin: self.builtin, builtin_names }
    }
}

impl<T> Shelf<T> {
    /// The one of a name.
    pub fn find(&self, name: &str) -> Option<Arc<T>> {
        self.own.get(name).cloned().or_else(|| (self.builtin)(name))
    }

    /// The name that a misspelt one most likely means.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let own = self.own.keys().map(String::as_str);
        let all = own.chain(self.builtin_names.iter().copied());
        let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
        all.min_by_key(distance).filter(|best| distance(best) <= (best.len() / 3).max(1))
    }
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.own.keys()).entries(&self.builtin_names).finish()
    }
}
