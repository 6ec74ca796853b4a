//! Names of key sets: `rk1_…`, which says where a set stands in its chain, and `ak_…` for anchors.
//!
//! A name is public and proves nothing: what it says is bound into the keys that are derived for it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::clock::Timestamp;

/// Bytes of a key set's name before they are written as text.
pub const KID_BYTES: usize = 22;
const VERSION: u8 = 1;
const PREFIX: &str = "rk1_";
const ANCHOR_PREFIX: &str = "ak_";

/// Which chain a key set belongs to: its start in Unix seconds, then four random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub [u8; 8]);

impl ChainId {
    /// A chain that starts now, told apart from others of this second by four random bytes.
    pub fn starting(now: Timestamp, random: [u8; 4]) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (seconds(now).to_be_bytes(), random);
        Self([a, b, c, d, e, f, g, h])
    }

    /// When it started.
    pub fn start(self) -> Timestamp {
        let [a, b, c, d, ..] = self.0;
        Timestamp::from_secs(u32::from_be_bytes([a, b, c, d]).into())
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A time as key ids write it: good until 2106, and the last second of that from then on.
pub fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.secs()).unwrap_or(u32::MAX)
}

/// The name of a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid {
    /// The epoch that its keys are derived from.
    pub epoch: u32,
    /// Its chain.
    pub chain: ChainId,
    /// Its place in the chain, from 1.
    pub generation: u32,
    /// When it was made, in Unix seconds.
    pub issued: u32,
}

/// Text that names no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id of roll.v1 is rk1_ and 30 characters of base64url, or ak_ and a number")]
pub struct NoKid;

impl Kid {
    /// The name as it is derived from and authenticated.
    pub fn to_bytes(self) -> [u8; KID_BYTES] {
        let [a, b, c, d] = self.epoch.to_be_bytes();
        let ChainId([e, f, g, h, i, j, k, l]) = self.chain;
        let [m, n, o, p] = self.generation.to_be_bytes();
        let [q, r, s, t] = self.issued.to_be_bytes();
        // The last byte are flags, of which there are none.
        [VERSION, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, 0]
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [VERSION, rest @ .., 0] = bytes else { return None };
        let (epoch, rest) = rest.split_first_chunk()?;
        let (chain, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let issued = rest.try_into().ok()?;
        let kid = Self {
            epoch: u32::from_be_bytes(*epoch),
            chain: ChainId(*chain),
            generation: u32::from_be_bytes(*generation),
            issued: u32::from_be_bytes(issued),
        };
        (kid.chain.start() <= kid.issued_at()).then_some(kid)
    }

    /// When it was made.
    pub fn issued_at(self) -> Timestamp {
        Timestamp::from_secs(self.issued.into())
    }
}

impl FromStr for Kid {
    type Err = NoKid;

    /// One text a name: other spellings of the same bytes are none.
    fn from_str(text: &str) -> Result<Self, NoKid> {
        let text = text.strip_prefix(PREFIX).ok_or(NoKid)?;
        let mut bytes = [0; KID_BYTES + 2];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| NoKid)?;
        bytes.get(..length).and_then(Self::from_bytes).ok_or(NoKid)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; (KID_BYTES * 4).div_ceil(3)];
        let encoded = BASE64_URL_SAFE_NO_PAD.encode_slice(self.to_bytes(), &mut text);
        let text = encoded.ok().and_then(|length| text.get(..length));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        write!(f, "{PREFIX}{}", text.ok_or(fmt::Error)?)
    }
}

/// What a message names the keys by that it is sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A key set of a chain.
    Rolled(Kid),
    /// A version of the anchor.
    Anchor(u32),
}

impl Label {
    /// Adds the label to what is authenticated: a kid's bytes, or an anchor's text with its length.
    pub(super) fn bind(self, aad: &mut Vec<u8>) {
        match self {
            Self::Rolled(kid) => aad.extend_from_slice(&kid.to_bytes()),
            Self::Anchor(_) => super::sealing::lp(aad, self.to_string().as_bytes()),
        }
    }
}

impl FromStr for Label {
    type Err = NoKid;

    fn from_str(text: &str) -> Result<Self, NoKid> {
        let Some(number) = text.strip_prefix(ANCHOR_PREFIX) else {
            return text.parse().map(Self::Rolled);
        };
        let plain = number.bytes().all(|digit| digit.is_ascii_digit()) && !number.starts_with('0');
        number.parse().ok().filter(|_| plain).map(Self::Anchor).ok_or(NoKid)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolled(kid) => kid.fmt(f),
            Self::Anchor(version) => write!(f, "{ANCHOR_PREFIX}{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let kid = Kid {
            epoch: 20000,
            chain: ChainId([0x65, 0x53, 0xf0, 0xfc, 0xa5, 0xa6, 0xa7, 0xa8]),
            generation: 7,
            issued: 1_700_000_000,
        };
        let text = kid.to_string();
        assert_eq!(text, "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAAA");
        assert_eq!(text.parse(), Ok(kid));
        assert_eq!(text.parse(), Ok(Label::Rolled(kid)));
        for bad in [
            "",
            "rk1_",
            "AQAATiBlU_D8paanqAAAAAdlU_EAAA",
            "rk2_AQAATiBlU_D8paanqAAAAAdlU_EAAA",
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAAA=",
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAAAAA",
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAA",
            // Bits behind the last byte, another version, flags, and a chain that starts later.
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAAB",
            "rk1_AgAATiBlU_D8paanqAAAAAdlU_EAAA",
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_EAAQ",
            "rk1_AQAATiBlU_D8paanqAAAAAdlU_AAAA",
        ] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }

    #[test]
    fn anchors_are_numbers() {
        assert_eq!("ak_12".parse(), Ok(Label::Anchor(12)));
        assert_eq!(Label::Anchor(12).to_string(), "ak_12");
        for bad in ["ak_", "ak_0", "ak_01", "ak_+1", "ak_1 ", "ak_4294967296", "AK_1"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }
}
