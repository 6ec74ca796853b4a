//! Names and ids: what they may be, and how one is made.

use super::{Code, Problem};
use crate::clock::Timestamp;
use crate::crypto::random;
use crate::secret::text;

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

/// A new id of a merchant.
pub(super) fn merchant_id(now: Timestamp) -> Result<String, Problem> {
    Ok(text::merchant_id(now.secs(), &random()?))
}

/// A new id of an API token.
pub(super) fn token_id(now: Timestamp) -> Result<String, Problem> {
    Ok(text::token_id(now.secs(), &random()?))
}

/// A new public key id.
pub(super) fn key_id(live: bool) -> Result<String, Problem> {
    Ok(text::key_id(live, &random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check("a name", bad).is_err(), "{bad}");
        }
        assert!(check_label("Ärger & Söhne").is_ok());
        assert!(check_label("two\nlines").is_err() && check_label("").is_err());
    }
}
