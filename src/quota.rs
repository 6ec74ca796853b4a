//! How often a credential and a merchant may send, and which addresses keep failing.
//!
//! Promises a memory that does not grow with what callers send: allowances exist for names that
//! configuration knows, and addresses share a table of fixed size. It refuses to know requests.
//! Must never be done here: counting anything against a credential before its signature verified.

mod addresses;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::limit::Rate;

pub use addresses::{Addresses, Standing};

/// What one credential or merchant may still send. Clones share it.
#[derive(Clone)]
pub struct Allowance(Arc<Inner>);

struct Inner {
    rate: Rate,
    limiter: Limiter,
}

/// On the clock of the system: the default one is calibrated for each limiter, which would take a
/// second for ten thousand merchants.
type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

impl Allowance {
    /// A full allowance.
    pub fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = RateLimiter::direct_with_clock(quota, MonotonicClock);
        Self(Arc::new(Inner { rate, limiter }))
    }

    /// The rate it grants.
    pub fn rate(&self) -> Rate {
        self.0.rate
    }

    /// Spends one request.
    ///
    /// # Errors
    /// The time after which one more may be sent, when there is nothing left.
    pub fn spend(&self) -> Result<(), Duration> {
        self.0.limiter.check().map_err(|later| later.wait_time_from(MonotonicClock.now()))
    }
}

impl fmt::Debug for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Allowance").field(&self.0.rate).finish()
    }
}

/// Spends one request of a credential and of its merchant, in this order: a credential beyond its
/// own rate costs its merchant nothing, while one within it that meets a merchant beyond its rate
/// has spent its own. That errs towards less, and only for who is over a limit anyway.
///
/// # Errors
/// The time after which one more may be sent, when either has nothing left.
pub fn spend(credential: &Allowance, merchant: &Allowance) -> Result<(), Duration> {
    credential.spend()?;
    merchant.spend()
}

/// The allowances in use, by name: a reload finds those whose rate did not change as they are.
#[derive(Default)]
pub struct Quotas {
    credentials: Names,
    merchants: Names,
}

impl Quotas {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The allowance of a credential: the one in use when it has this rate, else a full one.
    pub fn credential(&self, key_id: impl Into<Arc<str>>, rate: Rate) -> Allowance {
        self.credentials.find_or_new(key_id.into(), rate)
    }

    /// The allowance of a merchant: the one in use when it has this rate, else a full one.
    pub fn merchant(&self, merchant_id: impl Into<Arc<str>>, rate: Rate) -> Allowance {
        self.merchants.find_or_new(merchant_id.into(), rate)
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas").finish_non_exhaustive()
    }
}

/// Allowances by name. Weak, so that the list holds nothing that configuration dropped: the old
/// snapshot keeps its allowances alive until the new one has taken them over.
#[derive(Default)]
struct Names(Mutex<Listed>);

#[derive(Default)]
struct Listed {
    by_name: HashMap<Arc<str>, Weak<Inner>>,
    /// Names after which those without an allowance are looked for.
    tidy_at: usize,
}

impl Names {
    fn find_or_new(&self, name: Arc<str>, rate: Rate) -> Allowance {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = listed.by_name.get(&name).and_then(Weak::upgrade).map(Allowance);
        if let Some(allowance) = found.filter(|found| found.rate() == rate) {
            return allowance;
        }
        if listed.by_name.len() >= listed.tidy_at {
            listed.by_name.retain(|_, allowance| allowance.strong_count() > 0);
            listed.tidy_at = listed.by_name.len().saturating_mul(2).max(64);
        }
        let allowance = Allowance::new(rate);
        listed.by_name.insert(name, Arc::downgrade(&allowance.0));
        allowance
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).unwrap());
        Rate { per_second, burst }
    }

    fn spent(allowance: &Allowance) -> u32 {
        let mut spent = 0;
        while allowance.spend().is_ok() {
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_burst_passes_and_the_next_is_told_when() {
        let allowance = Allowance::new(rate(1, 10));
        assert_eq!(spent(&allowance), 10);
        let later = allowance.spend().unwrap_err();
        assert!(later > Duration::from_millis(500) && later <= Duration::from_secs(1), "{later:?}");
    }

    #[test]
    fn it_comes_back_at_its_rate_and_never_beyond_the_burst() {
        let allowance = Allowance::new(rate(20, 5));
        let start = Instant::now();
        let mut passed = 0;
        while start.elapsed() < Duration::from_millis(500) {
            passed += spent(&allowance);
            std::thread::sleep(Duration::from_millis(5));
        }
        let most = 5 + 20 * u32::try_from(start.elapsed().as_millis()).unwrap() / 1000 + 1;
        assert!((10..=most).contains(&passed), "{passed} of {most}");
    }

    #[test]
    fn threads_together_get_no_more_than_the_burst() {
        let allowance = Allowance::new(rate(1, 100));
        let passed: u32 = std::thread::scope(|scope| {
            let each = || scope.spawn(|| spent(&allowance));
            let all = [each(), each(), each(), each()];
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }

    #[test]
    fn a_credential_beyond_its_rate_costs_its_merchant_nothing() {
        let (credential, merchant) = (Allowance::new(rate(1, 2)), Allowance::new(rate(1, 5)));
        for n in 0..10 {
            assert_eq!(spend(&credential, &merchant).is_ok(), n < 2);
        }
        assert_eq!(spent(&merchant), 3);
    }

    #[test]
    fn a_reload_keeps_what_was_spent_unless_the_rate_is_another() {
        let quotas = Quotas::new();
        let first = quotas.credential("pk_1", rate(1, 5));
        assert_eq!(spent(&first), 5);
        assert_eq!(spent(&quotas.credential("pk_1", rate(1, 5))), 0);
        assert_eq!(spent(&quotas.credential("pk_2", rate(1, 5))), 5);
        assert_eq!(spent(&quotas.merchant("pk_1", rate(1, 5))), 5);
        assert_eq!(spent(&quotas.credential("pk_1", rate(1, 6))), 6);
    }

    #[test]
    fn names_that_nobody_uses_do_not_pile_up() {
        let quotas = Quotas::new();
        for n in 0..100_000 {
            quotas.credential(n.to_string(), rate(1, 1));
        }
        assert!(quotas.credentials.0.lock().unwrap().by_name.len() <= 64);
    }
}
