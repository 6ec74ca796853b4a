//! The gate's time.
//!
//! Promises a time that never runs back and that no single wrong clock reading can throw forward.
//! It alone reads the wall clock; deadlines elsewhere run on the runtime's own timers.
//! Must never be done here: waiting, locking in [`Clock::now`], or guessing which clock is right.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A jump of the wall clock against the monotonic clock that is more than drift, in milliseconds.
const STEP_MS: i64 = 60_000;
/// How long a forward step must stand before it counts, in milliseconds of the monotonic clock.
const STEP_STANDS_MS: i64 = 60_000;

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// How far two times are apart, whichever is the later.
    pub const fn apart(self, other: Self) -> Duration {
        Duration::from_secs(self.0.abs_diff(other.0))
    }

    /// A time from Unix seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Unix seconds.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// This time and `span` (whole seconds) more.
    #[must_use]
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// This time less `span` (whole seconds).
    #[must_use]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether the gate's time can be relied on. Anything but `Good` means: not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Wall clock and gate time agree.
    Good,
    /// The wall clock jumped ahead and the jump does not count yet.
    SteppedAhead {
        /// How far the wall clock is ahead of the gate's time.
        by: Duration,
    },
    /// The wall clock is more than a minute behind the gate's time, which stands still meanwhile.
    Behind {
        /// How far the wall clock is behind.
        by: Duration,
    },
}

/// The gate's time: the wall clock, except that it never runs back, and that a forward step of more
/// than 60 s counts only after it stood for 60 s or an operator confirmed it.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    /// Newest gate time told, in ms. Only ever raised.
    gate_ms: AtomicU64,
    /// Wall clock less monotonic clock at the last reading that counted, in ms.
    anchor_ms: AtomicI64,
    /// A forward step that does not count yet. Never locked by `now`.
    step: Mutex<Option<Step>>,
}

#[derive(Clone, Copy)]
struct Step {
    /// Wall clock less monotonic clock when the step was seen, in ms.
    offset_ms: i64,
    /// Monotonic time at which it was seen, in ms.
    since_ms: i64,
}

/// One look at both clocks, in ms.
#[derive(Clone, Copy)]
struct Reading {
    wall_ms: i64,
    monotonic_ms: i64,
}

enum Source {
    System,
    Hand(Hand),
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self::from_source(Source::System)
    }

    /// A clock that only moves when its [`Hand`] does, for tests and examples.
    pub fn by_hand(start: Timestamp) -> (Self, Hand) {
        let hand = Hand(Arc::new(HandTime {
            wall_ms: AtomicI64::new(to_signed(start.secs().saturating_mul(1000))),
            monotonic_ms: AtomicI64::new(0),
        }));
        (Self::from_source(Source::Hand(hand.clone())), hand)
    }

    fn from_source(source: Source) -> Self {
        let reading = source.read();
        Self(Arc::new(Inner {
            source,
            gate_ms: AtomicU64::new(to_unsigned(reading.wall_ms)),
            anchor_ms: AtomicI64::new(reading.offset_ms()),
            step: Mutex::new(None),
        }))
    }

    /// The gate's time in whole seconds. It never runs back, on any thread.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_millis() / 1000)
    }

    /// The gate's time in milliseconds since 1970.
    pub fn now_millis(&self) -> u64 {
        self.0.gate_at(self.0.source.read())
    }

    /// The wall clock as it is, in milliseconds since 1970, up to 10 ms late: for log lines and
    /// certificates only.
    pub fn wall_millis(&self) -> u64 {
        to_unsigned(self.0.source.wall_ms())
    }

    /// The same in nanoseconds, and not late.
    pub fn wall_nanos(&self) -> u64 {
        match &self.0.source {
            Source::System => u64::try_from(system_since_1970().as_nanos()).unwrap_or(u64::MAX),
            Source::Hand(_) => self.wall_millis().saturating_mul(1_000_000),
        }
    }

    /// Follows drift and settles steps. To be called once a second.
    pub fn tick(&self) {
        let inner = &*self.0;
        let mut step = inner.step.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = inner.source.read();
        if inner.ahead_ms(reading).is_none() {
            *step = None;
            // While the wall clock is behind the gate's time the old anchor stays, so that a wall
            // clock that is put right again is not taken for a step.
            if inner.gate_at(reading) <= to_unsigned(reading.wall_ms) {
                inner.anchor_ms.store(reading.offset_ms(), Ordering::Release);
            }
            return;
        }
        let offset_ms = reading.offset_ms();
        match *step {
            Some(seen) if seen.offset_ms.abs_diff(offset_ms) <= STEP_MS.unsigned_abs() => {
                if reading.monotonic_ms.saturating_sub(seen.since_ms) >= STEP_STANDS_MS {
                    inner.anchor_ms.store(offset_ms, Ordering::Release);
                    *step = None;
                }
            }
            // A new step, or the wall clock jumped once more: it has not stood yet.
            _ => *step = Some(Step { offset_ms, since_ms: reading.monotonic_ms }),
        }
    }

    /// Counts a forward step of the wall clock now: an operator has looked and says it is right.
    pub fn confirm_step(&self) {
        let inner = &*self.0;
        let mut step = inner.step.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = inner.source.read();
        if inner.ahead_ms(reading).is_some() {
            inner.anchor_ms.store(reading.offset_ms(), Ordering::Release);
        }
        *step = None;
    }

    /// Whether the gate's time can be relied on.
    pub fn state(&self) -> ClockState {
        let reading = self.0.source.read();
        let gate_ms = to_signed(self.0.gate_at(reading));
        let by = Duration::from_millis(reading.wall_ms.abs_diff(gate_ms));
        if self.0.ahead_ms(reading).is_some() {
            ClockState::SteppedAhead { by }
        } else if gate_ms.saturating_sub(reading.wall_ms) > STEP_MS {
            ClockState::Behind { by }
        } else {
            ClockState::Good
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Inner {
    /// The gate's time for one reading, in ms.
    fn gate_at(&self, reading: Reading) -> u64 {
        let by_monotonic = self.by_monotonic_ms(reading);
        let counts = if reading.wall_ms.saturating_sub(by_monotonic) > STEP_MS {
            by_monotonic
        } else {
            reading.wall_ms
        };
        let counts = to_unsigned(counts);
        // Most calls within one millisecond find the time already told and write nothing.
        let told = self.gate_ms.load(Ordering::Acquire);
        if counts <= told {
            return told;
        }
        self.gate_ms.fetch_max(counts, Ordering::AcqRel).max(counts)
    }

    /// How far the wall clock is ahead of what counts, when that is a step.
    fn ahead_ms(&self, reading: Reading) -> Option<i64> {
        let ahead = reading.wall_ms.saturating_sub(self.by_monotonic_ms(reading));
        (ahead > STEP_MS).then_some(ahead)
    }

    fn by_monotonic_ms(&self, reading: Reading) -> i64 {
        reading.monotonic_ms.saturating_add(self.anchor_ms.load(Ordering::Acquire))
    }
}

impl Reading {
    fn offset_ms(self) -> i64 {
        self.wall_ms.saturating_sub(self.monotonic_ms)
    }
}

impl Source {
    /// The wall clock first: a thread held up between the two sees a wall clock that is late, which
    /// can never look like a forward step.
    fn read(&self) -> Reading {
        let wall_ms = self.wall_ms();
        let monotonic_ms = match self {
            Self::System => coarse_ms(ClockId::MonotonicCoarse),
            Self::Hand(hand) => hand.0.monotonic_ms.load(Ordering::SeqCst),
        };
        Reading { wall_ms, monotonic_ms }
    }

    fn wall_ms(&self) -> i64 {
        match self {
            Self::System => coarse_ms(ClockId::RealtimeCoarse),
            Self::Hand(hand) => hand.0.wall_ms.load(Ordering::SeqCst),
        }
    }
}

/// A clock of the kernel as of its last tick, 10 ms ago at most: at an eighth of the cost, and the
/// gate's time counts seconds.
fn coarse_ms(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn system_since_1970() -> Duration {
    // A wall clock before 1970 is as good as one in 1970: it is not set.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn to_unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

fn to_signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Moves a clock made by [`Clock::by_hand`].
#[derive(Clone)]
pub struct Hand(Arc<HandTime>);

struct HandTime {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl Hand {
    /// Lets `span` pass on both clocks.
    pub fn advance(&self, span: Duration) {
        let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        // In this order: no reader may see the wall clock moved and the other not.
        self.0.monotonic_ms.fetch_add(span_ms, Ordering::SeqCst);
        self.0.wall_ms.fetch_add(span_ms, Ordering::SeqCst);
    }

    /// Sets the wall clock forward or back by `seconds`, and only it.
    pub fn step_wall(&self, seconds: i64) {
        self.0.wall_ms.fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
    }
}

impl fmt::Debug for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hand").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
