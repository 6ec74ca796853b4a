//! Names and ids: what they may be, and how one is made.

use super::{Code, Problem};
use crate::clock::Timestamp;
use crate::crypto::random;

/// The digits of ids and secrets, in the order of their values and of their bytes.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Checks a name that others refer to: 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(super) fn check(what: &str, name: &str) -> Result<(), Problem> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(letter) {
        return Ok(());
    }
    let detail = format!("{what} is 1 to 64 letters, digits, '.', '_' or '-'");
    Err(Problem::new(Code::InvalidInput, detail))
}

/// Checks a name for people: 1 to 200 characters on one line.
pub(super) fn check_label(text: &str) -> Result<(), Problem> {
    let good = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if good {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidInput, "a name for people is 1 to 200 characters on one line"))
}

/// A new id: the prefix, seven digits that rise with time, and 16 random ones.
pub(super) fn id(prefix: &str, now: Timestamp) -> Result<String, Problem> {
    let mut rising: Vec<char> = Vec::new();
    let mut rest = now.secs();
    for _ in 0..7 {
        rising.extend(digit(rest % 62));
        rest /= 62;
    }
    rising.reverse();
    Ok(format!("{prefix}{}{}", rising.into_iter().collect::<String>(), letters::<16>()?))
}

/// A new public key id.
pub(super) fn key_id(live: bool) -> Result<String, Problem> {
    Ok(format!("{}{}", if live { "pk_live_" } else { "pk_test_" }, letters::<20>()?))
}

/// Random digits of base 62.
fn letters<const N: usize>() -> Result<String, Problem> {
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // Bytes from 248 on would make some digits likelier than others.
        let bytes = random::<32>()?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        text.extend(fair.filter_map(|byte| digit(u64::from(*byte) % 62)).take(N - text.len()));
    }
    Ok(text)
}

fn digit(value: u64) -> Option<char> {
    let at = usize::try_from(value).ok()?;
    BASE62.get(at).map(|byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_with_time_and_never_meet() {
        let at = |secs| id("mer_", Timestamp::from_secs(secs)).unwrap();
        assert!(at(1_700_000_000) < at(1_700_000_001) && at(61) < at(62));
        assert_ne!(at(5), at(5));
        assert_eq!(at(5).len(), "mer_".len() + 23);
        check("an id", &at(5)).unwrap();
        let key_id = key_id(true).unwrap();
        assert!(key_id.starts_with("pk_live_") && key_id.len() == 28);
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check("a name", bad).is_err(), "{bad}");
        }
        assert!(check_label("Ärger & Söhne").is_ok());
        assert!(check_label("two\nlines").is_err() && check_label("").is_err());
    }
}
