//! The gate's time.

use std::fmt;
use std::time::Duration;

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
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
