//! Padding of block ciphers: added when sealing, checked whole and in constant time when opening.
//!
//! How long a wrong padding is, or where it is wrong, shows neither in the answer nor in the time.

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _, ConstantTimeLess as _};

use crate::envelope::CannotOpen;

/// How the last block is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As many bytes of the value of their number as fill a block of this many bytes (RFC 5652,
    /// section 6.3). 32 is more than a block of AES: some vendors pad so.
    Pkcs7(u8),
    /// Zero bytes where the last block is not full. All zero bytes at the end go when opening.
    Zeros,
    /// At least one zero byte, at most a block.
    ZerosAlways,
    /// A byte 0x80, then zero bytes (ISO/IEC 7816-4).
    Iso7816,
    /// Zero bytes, then a byte with the number of all (ANSI X9.23).
    X923,
    /// None: the length of the text is a multiple of the block.
    None,
}

impl Padding {
    /// Every name, as configuration writes it.
    pub const NAMES: [&'static str; 7] =
        ["pkcs7", "pkcs7-32", "zeros", "zeros-always", "iso7816", "x923", "none"];

    /// The padding of a name, for blocks of `block` bytes.
    pub fn named(name: &str, block: u8) -> Option<Self> {
        Some(match name {
            "pkcs7" => Self::Pkcs7(block),
            "pkcs7-32" => Self::Pkcs7(32),
            "zeros" => Self::Zeros,
            "zeros-always" => Self::ZerosAlways,
            "iso7816" => Self::Iso7816,
            "x923" => Self::X923,
            "none" => Self::None,
            _ => return None,
        })
    }

    /// Fills the last block of `block` bytes.
    pub(super) fn add(self, text: &mut Vec<u8>, block: u8) {
        let unit = match self {
            Self::Pkcs7(unit) => unit,
            _ => block,
        };
        let used = u8::try_from(text.len() % usize::from(unit.max(1))).unwrap_or(0);
        let missing = unit.saturating_sub(used);
        let filled = text.len() + usize::from(missing);
        match self {
            Self::Pkcs7(_) => text.resize(filled, missing),
            Self::ZerosAlways => text.resize(filled, 0),
            Self::Zeros | Self::None if used == 0 => {}
            Self::Zeros | Self::None => text.resize(filled, 0),
            Self::Iso7816 => {
                text.push(0x80);
                text.resize(filled, 0);
            }
            Self::X923 => {
                text.resize(filled.saturating_sub(1), 0);
                text.push(missing);
            }
        }
    }

    /// Checks the padding and cuts it off.
    ///
    /// # Errors
    /// When any byte of it is not what it must be.
    pub(super) fn remove(self, text: &mut Vec<u8>, block: u8) -> Result<(), CannotOpen> {
        let length = match self {
            Self::Pkcs7(unit) => counted(text, unit, |count| count),
            Self::X923 => counted(text, block, |_| 0),
            Self::Zeros => Some(zeros(text)),
            Self::ZerosAlways => Some(zeros(text)).filter(|zeros| *zeros > 0),
            Self::Iso7816 => marked(text, block),
            Self::None => Some(0),
        };
        let length = length.ok_or(CannotOpen)?;
        text.truncate(text.len().checked_sub(length).ok_or(CannotOpen)?);
        Ok(())
    }
}

/// The length of a padding that tells it in its last byte; the bytes before it are `fill`. Looks at
/// `unit` bytes whatever the last one says.
fn counted(text: &[u8], unit: u8, fill: fn(u8) -> u8) -> Option<usize> {
    let count = *text.last()?;
    let longest = u8::try_from(text.len()).unwrap_or(u8::MAX).min(unit);
    let before = text.iter().rev().skip(1);
    let mut wrong = 0;
    for (position, byte) in (1..u16::from(longest)).zip(before) {
        // The high byte of a difference below zero has all its bits set.
        let inside = position.wrapping_sub(u16::from(count)) >> 8;
        wrong |= inside & u16::from(byte ^ fill(count));
    }
    let good = wrong.ct_eq(&0) & !count.ct_eq(&0) & !longest.ct_lt(&count);
    bool::from(good).then_some(usize::from(count))
}

/// Zero bytes at the end. The text itself may end with some: they cannot be told apart.
fn zeros(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| **byte == 0).count()
}

/// The length of a padding that begins with the last byte that is not zero.
fn marked(text: &[u8], block: u8) -> Option<usize> {
    let mut found = Choice::from(0);
    let mut good = Choice::from(0);
    let mut length = 0_u8;
    for (position, byte) in (1..=block).zip(text.iter().rev()) {
        let first = !found & !byte.ct_eq(&0);
        good |= first & byte.ct_eq(&0x80);
        length.conditional_assign(&position, first);
        found |= first;
    }
    bool::from(good).then_some(usize::from(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Padding; 6] = [
        Padding::Pkcs7(16),
        Padding::Pkcs7(32),
        Padding::Zeros,
        Padding::ZerosAlways,
        Padding::Iso7816,
        Padding::X923,
    ];

    fn removed(padding: Padding, text: &[u8]) -> Option<Vec<u8>> {
        let mut text = text.to_vec();
        padding.remove(&mut text, 16).ok().map(|()| text)
    }

    proptest! {
        #[test]
        fn what_was_added_comes_off(mut text in prop::collection::vec(any::<u8>(), 0..100)) {
            text.push(7);
            for padding in ALL {
                let mut padded = text.clone();
                padding.add(&mut padded, 16);
                prop_assert_eq!(padded.len() % 16, 0);
                prop_assert_eq!(removed(padding, &padded), Some(text.clone()));
            }
        }

        #[test]
        fn pkcs7_is_what_a_plain_reading_says(
            text in prop::collection::vec(prop_oneof![0..20_u8, Just(16), Just(255)], 0..40)
        ) {
            let plain = text.last().copied().filter(|n| (1..=16).contains(n)).and_then(|n| {
                let (body, end) = text.split_at_checked(text.len().checked_sub(n.into())?)?;
                end.iter().all(|byte| *byte == n).then(|| body.to_vec())
            });
            prop_assert_eq!(removed(Padding::Pkcs7(16), &text), plain);
        }
    }

    #[test]
    fn every_byte_of_the_padding_counts() {
        let mut text = b"sixteen bytes...".to_vec();
        Padding::Pkcs7(16).add(&mut text, 16);
        assert_eq!(text.len(), 32);
        for at in 16..32 {
            let mut altered = text.clone();
            altered[at] ^= 1;
            assert_eq!(removed(Padding::Pkcs7(16), &altered), None, "{at}");
        }
        assert_eq!(removed(Padding::Pkcs7(16), &[]), None);
        assert_eq!(removed(Padding::Pkcs7(16), &[17; 32]), None);
        assert_eq!(removed(Padding::Pkcs7(32), &[17; 32]), Some(vec![17; 15]));
        assert_eq!(removed(Padding::Pkcs7(16), &[0; 16]), None);
        assert_eq!(removed(Padding::Iso7816, &[0; 16]), None);
    }
}
