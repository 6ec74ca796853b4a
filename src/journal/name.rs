//! Names of deliveries: 48 bits of their time and 80 random ones, as letters and digits.
//!
//! The time goes first, so that new ones stand together in the database: it writes fewer pages.

use std::sync::Arc;

use crate::crypto::{NoRandom, random};

use super::DeliveryId;

const PREFIX: &str = "dlv_";
/// 32 digits, without those that are taken for others.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of 128 bits.
const LENGTH: u32 = 26;

/// A name as the database keeps it.
pub(super) type Bytes16 = [u8; 16];

/// A new name at a time in Unix milliseconds.
pub(super) fn fresh(now_millis: u64) -> Result<Bytes16, NoRandom> {
    let random = u128::from_be_bytes(random::<16>()?) >> 48;
    Ok(((u128::from(now_millis) << 80) | random).to_be_bytes())
}

/// A kept name as text.
pub(super) fn shown(bytes: Bytes16) -> DeliveryId {
    let number = u128::from_be_bytes(bytes);
    let digit = |place: u32| {
        let index = usize::try_from((number >> (5 * place)) & 31).unwrap_or(0);
        DIGITS.get(index).copied().map_or('0', char::from)
    };
    let text: String = PREFIX.chars().chain((0..LENGTH).rev().map(digit)).collect();
    DeliveryId(Arc::from(text))
}

/// A name as it is kept, of its text; none: it is none of ours.
pub(super) fn read(text: &str) -> Option<Bytes16> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != usize::try_from(LENGTH).ok()? {
        return None;
    }
    let mut number = 0_u128;
    for digit in digits {
        let value = DIGITS.iter().position(|known| known == digit)?;
        number = number.checked_mul(32)?.checked_add(u128::try_from(value).ok()?)?;
    }
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_shown() {
        for bytes in [[0; 16], [255; 16], fresh(1_764_000_000_123).unwrap()] {
            let text = shown(bytes);
            assert_eq!(text.as_str().len(), 30);
            assert!(text.as_str().starts_with("dlv_"));
            assert_eq!(read(text.as_str()), Some(bytes));
        }
    }

    #[test]
    fn later_names_stand_behind_earlier_ones_and_none_comes_twice() {
        let names: Vec<Bytes16> = (0..1000).map(|at| fresh(at / 2).unwrap()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable_by_key(|name| shown(*name));
        let time = |name: &Bytes16| name[..6].to_vec();
        assert!(sorted.iter().map(time).eq(names.iter().map(time)));
        sorted.dedup();
        assert_eq!(sorted.len(), 1000);
    }

    #[test]
    fn what_is_no_name_is_not_read() {
        let good = shown([255; 16]);
        let good = good.as_str();
        for bad in [
            "",
            "dlv_",
            &good[4..],
            &format!("{good}0"),
            &good[..29],
            &good.to_uppercase(),
            &good.replace("dlv_", "att_"),
            "dlv_80000000000000000000000000",
            "dlv_0000000000000000000000000u",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
