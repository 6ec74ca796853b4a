//! How fast a lane may go.

use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::limit::Rate;

/// How often a lane may begin something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tempo {
    /// So many a second.
    Rate(Rate),
    /// One in this time.
    Every(Duration),
}

/// Says it of millions a second where no time is asked for between two.
const UNPACED: Duration = Duration::from_nanos(1);

type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>;

/// What a lane may still begin.
pub(super) struct Pace {
    pub(super) tempo: Tempo,
    limiter: Limiter,
    /// What was left the last time; meanwhile it is that or more.
    left: u32,
}

impl Pace {
    pub(super) fn new(tempo: Tempo) -> Self {
        let quota = match tempo {
            Tempo::Rate(rate) => Quota::per_second(rate.per_second).allow_burst(rate.burst),
            Tempo::Every(time) => Quota::with_period(time.max(UNPACED))
                .unwrap_or(Quota::per_second(std::num::NonZeroU32::MIN)),
        };
        let limiter = RateLimiter::direct_with_clock(quota, MonotonicClock)
            .with_middleware::<StateInformationMiddleware>();
        Self { tempo, limiter, left: quota.burst_size().get() }
    }

    /// How many can be begun at once: at least one is worth a try.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).max(1)
    }

    /// Begins one.
    ///
    /// # Errors
    /// When nothing is left: until when to wait.
    pub(super) fn spend(&mut self) -> Result<(), Instant> {
        match self.limiter.check() {
            Ok(state) => {
                self.left = state.remaining_burst_capacity();
                Ok(())
            }
            Err(later) => {
                self.left = 0;
                let now = MonotonicClock.now();
                Err(now + later.wait_time_from(now))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_waits() {
        let [per_second, burst] = [1, 3].map(|n| NonZeroU32::new(n).unwrap());
        let mut pace = Pace::new(Tempo::Rate(Rate { per_second, burst }));
        let lefts: Vec<usize> = (0..3)
            .map(|_| {
                let left = pace.left();
                pace.spend().unwrap();
                left
            })
            .collect();
        assert_eq!(lefts, [3, 2, 1]);
        let begun = Instant::now();
        let until = pace.spend().unwrap_err();
        let wait = until - begun;
        assert!(wait > Duration::from_millis(500) && wait < Duration::from_secs(2), "{wait:?}");
        assert_eq!(pace.left(), 1);
    }

    #[test]
    fn one_in_a_time_is_one_in_that_time() {
        let mut pace = Pace::new(Tempo::Every(Duration::from_secs(60)));
        pace.spend().unwrap();
        assert!(pace.spend().unwrap_err() > Instant::now() + Duration::from_secs(50));
        let mut unpaced = Pace::new(Tempo::Every(Duration::ZERO));
        let begun = Instant::now();
        for _ in 0..10 {
            while unpaced.spend().is_err() {}
        }
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
