//! Values that are new in every sealed message: random bytes, random text, the time.

use super::CannotOpen;
use super::definition::Reading;
use crate::clock::Clock;
use crate::crypto::random_bytes;
use crate::recipe::value::Type;

/// The most random bytes or letters.
const LENGTH_MAX: usize = 256;
/// 32 characters: five random bits make one, each as likely as the others.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How a value comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// Random bytes, this many.
    Random(usize),
    /// Random letters and digits (base32), this many.
    Letters(usize),
    /// The time as text: seconds since 1970, or milliseconds.
    Time {
        /// In milliseconds.
        milliseconds: bool,
    },
    /// Always the same text.
    Fixed(String),
}

impl Fresh {
    /// Reads `seal.fresh.NAME`: `{ random = 16 }`, `{ letters = 12 }`, `{ time = "s" }` or a text.
    pub(super) fn compile(reading: &Reading<'_>, name: &str) -> Option<Self> {
        let key = format!("seal.fresh.{name}");
        let below = |word: &str| format!("{key}.{word}");
        if reading.has(&below("random")) {
            return reading.number(&below("random"), LENGTH_MAX).map(Self::Random);
        }
        if reading.has(&below("letters")) {
            return reading.number(&below("letters"), LENGTH_MAX).map(Self::Letters);
        }
        if reading.has(&below("time")) {
            let unit = |unit: &str| match unit {
                "s" => Some(false),
                "ms" => Some(true),
                _ => None,
            };
            let milliseconds = reading.choice(&below("time"), &["s", "ms"], unit)?;
            return Some(Self::Time { milliseconds });
        }
        reading.text(&key).map(|text| Self::Fixed(text.to_owned()))
    }

    pub(super) fn kind(&self) -> Type {
        if matches!(self, Self::Random(_)) { Type::Bytes } else { Type::Text }
    }

    /// A new value.
    pub(super) fn draw(&self, clock: &Clock) -> Result<Vec<u8>, CannotOpen> {
        Ok(match self {
            Self::Random(length) => random_bytes(*length).map_err(|_| CannotOpen)?,
            Self::Letters(length) => {
                let random = random_bytes(*length).map_err(|_| CannotOpen)?;
                let letter = |byte: &u8| LETTERS.get(usize::from(byte & 31)).copied();
                random.iter().filter_map(letter).collect()
            }
            Self::Time { milliseconds } => {
                let now = clock.now_millis();
                let time = if *milliseconds { now } else { now / 1000 };
                time.to_string().into_bytes()
            }
            Self::Fixed(text) => text.clone().into_bytes(),
        })
    }
}
