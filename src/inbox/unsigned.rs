//! How many unsigned messages a source may bring. Anybody can send one, and for each the provider
//! is asked.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::journal::Journal;
use crate::limit::Rate;
use crate::quota::Allowance;

/// Unsigned messages of one source: ten a second, and a hundred at once.
const RATE: Rate = Rate {
    per_second: NonZeroU32::MIN.saturating_add(9),
    burst: NonZeroU32::MIN.saturating_add(99),
};

/// Unsigned messages of one source that are kept and not done with.
const OPEN_MAX: u64 = 10_000;
/// How long their sender is to wait when there are that many.
const PAUSE: Duration = Duration::from_secs(60);

/// What sources may still bring unsigned, shared by all cores. It outlives every reload, and knows
/// the names that configuration gave.
#[derive(Debug, Default)]
pub struct Unsigned(Mutex<HashMap<Arc<str>, Allowance>>);

impl Unsigned {
    /// Takes one more message of a source, unless too many are still to be asked about.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn take(&self, source: &Arc<str>, journal: &Journal) -> Result<(), Duration> {
        if journal.open_unsigned(source) >= OPEN_MAX {
            return Err(PAUSE);
        }
        self.spend(source)
    }

    fn spend(&self, source: &Arc<str>) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(Arc::clone(source)).or_insert_with(|| Allowance::new(RATE)).spend()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_burst() {
        let (unsigned, one, other) = (Unsigned::default(), Arc::from("one"), Arc::from("other"));
        let taken = (0..150).filter(|_| unsigned.spend(&one).is_ok()).count();
        assert!((100..110).contains(&taken), "{taken}");
        assert!(unsigned.spend(&other).is_ok());
    }
}
