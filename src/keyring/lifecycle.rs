//! The states of a secret version and what each of them allows.

use std::str::FromStr;

use crate::clock::Timestamp;

/// State of one secret version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, not yet in use.
    Pending,
    /// Verifies and signs.
    Active,
    /// Verifies until its end, signs nothing.
    Retiring,
    /// Out of use for now.
    Suspended,
    /// Out of use for good.
    Revoked,
}

impl State {
    /// Every state by its name in configuration.
    pub const NAMES: [(&str, Self); 5] = [
        ("pending", Self::Pending),
        ("active", Self::Active),
        ("retiring", Self::Retiring),
        ("suspended", Self::Suspended),
        ("revoked", Self::Revoked),
    ];

    /// Whether a version in this state verifies requests at `now`; `until` is inclusive.
    pub fn verifies(self, now: Timestamp, until: Option<Timestamp>) -> bool {
        let in_time = until.is_none_or(|until| now <= until);
        match self {
            Self::Active | Self::Retiring => in_time,
            Self::Pending | Self::Suspended | Self::Revoked => false,
        }
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, state)| *state).ok_or(())
    }
}
