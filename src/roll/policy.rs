//! How long keys roll: three presets, and nothing in between.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;

use super::kid::Kid;

/// How far a clock of ours may be behind that of the replica that made a key set.
pub const AHEAD: Duration = Duration::from_secs(30);

/// A preset by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For first integrations: the anchor alone is enough.
    Compat,
    /// For production.
    Standard,
    /// One chain a worker.
    Strict,
}

/// The numbers of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which preset it is.
    pub preset: Preset,
    /// Whether the anchor seals any message, and not only the session call.
    pub anchor_everywhere: bool,
    /// How long a key set is good.
    pub ttl: Duration,
    /// How long a chain is.
    pub chain_ttl: Duration,
    /// How long the sets before a newer one stay good once that was used.
    pub grace: Duration,
    /// How many messages a set seals.
    pub uses_max: u32,
}

const MINUTE: u64 = 60;
const DAY: Duration = Duration::from_secs(24 * 60 * MINUTE);

impl Preset {
    /// Every preset by its name in configuration.
    pub const NAMES: [(&str, Self); 3] =
        [("compat", Self::Compat), ("standard", Self::Standard), ("strict", Self::Strict)];

    /// The name in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compat => "compat",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }

    /// Its numbers.
    pub const fn policy(self) -> Policy {
        let (anchor_everywhere, ttl, chain_ttl, grace, uses_max) = match self {
            Self::Compat => (true, DAY, DAY, DAY, 65_536),
            Self::Standard => {
                let (ttl, chain_ttl) = (15 * MINUTE, 60 * MINUTE);
                let (ttl, chain_ttl) = (Duration::from_secs(ttl), Duration::from_secs(chain_ttl));
                (false, ttl, chain_ttl, Duration::from_secs(60), 128)
            }
            Self::Strict => {
                let (ttl, chain_ttl) = (5 * MINUTE, 15 * MINUTE);
                let (ttl, chain_ttl) = (Duration::from_secs(ttl), Duration::from_secs(chain_ttl));
                (false, ttl, chain_ttl, Duration::from_secs(5), 3)
            }
        };
        Policy { preset: self, anchor_everywhere, ttl, chain_ttl, grace, uses_max }
    }
}

impl FromStr for Preset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, preset)| *preset).ok_or(())
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Policy {
    /// The last second in which a key set is good.
    pub fn expiry(&self, kid: Kid) -> Timestamp {
        kid.issued_at()
            .saturating_add(self.ttl)
            .min(kid.chain.start().saturating_add(self.chain_ttl))
    }

    /// Whether a key set is good at a time, as far as its name tells.
    pub fn is_current(&self, kid: Kid, now: Timestamp) -> bool {
        kid.issued_at() <= now.saturating_add(AHEAD) && now <= self.expiry(kid)
    }

    /// How far apart first uses are that are remembered.
    pub(super) fn apart(&self) -> Duration {
        Duration::from_secs((self.grace.as_secs() / 60).max(1))
    }
}
