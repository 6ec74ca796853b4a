//! `application/x-www-form-urlencoded` text, read as the WHATWG URL standard says, but for text
//! that is no UTF-8: a stand-in for bad bytes would make different messages the same.

use std::borrow::Cow;

use crate::recipe::fault::Fault;
use crate::recipe::value::{ITEMS_MAX, Pairs, Value, utf8};
use crate::secret::wipe;

/// The fields in their order, names and values decoded.
///
/// # Errors
/// [`Fault::NotText`] where a decoded part is no UTF-8, [`Fault::TooLong`] for too many fields.
pub fn parse(text: &[u8]) -> Result<Pairs<'_>, Fault> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A field may be long: what is encoded in it is looked for on the way to its end.
        let plain = memchr::memchr3(b'&', b'%', b'+', rest).unwrap_or(rest.len());
        let (field, after) = split(rest, b'&', plain);
        rest = after;
        if field.is_empty() {
            continue;
        }
        if pairs.len() == ITEMS_MAX {
            return Err(Fault::too_long());
        }
        let (name, value) = split(field, b'=', 0);
        let plain_value = plain.saturating_sub(name.len() + 1);
        let decode = |text, plain| decode_from(text, Plus::Space, plain);
        pairs.push((decode(name, plain)?, decode(value, plain_value)?));
    }
    Ok(pairs)
}

/// What stands before the first `byte`, which is not among the first `without`, and what behind it.
fn split(text: &[u8], byte: u8, without: usize) -> (&[u8], &[u8]) {
    let found = memchr::memchr(byte, text.get(without..).unwrap_or_default());
    let at = found.map_or(text.len(), |at| without + at);
    let (before, after) = text.split_at_checked(at).unwrap_or((text, &[]));
    (before, after.get(1..).unwrap_or_default())
}

/// What a plus sign stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// Itself, as in paths.
    Itself,
    /// A space, as in forms.
    Space,
}

impl Plus {
    /// The place of the first byte that may stand for another, which is not among the first
    /// `plain`.
    fn find_encoded(self, text: &[u8], plain: usize) -> Option<usize> {
        let rest = text.get(plain..)?;
        let found = match self {
            Self::Itself => memchr::memchr(b'%', rest),
            Self::Space => memchr::memchr2(b'%', b'+', rest),
        };
        found.map(|at| plain + at)
    }
}

/// Percent-decoded text. A percent sign without two digits stands for itself.
///
/// # Errors
/// [`Fault::NotText`] for what is no UTF-8 then.
pub fn decode(text: &[u8], plus: Plus) -> Result<Cow<'_, str>, Fault> {
    decode_from(text, plus, 0)
}

/// The same for text of which the first `plain` bytes stand for themselves.
fn decode_from(text: &[u8], plus: Plus, plain: usize) -> Result<Cow<'_, str>, Fault> {
    let Ok(known) = utf8(text) else { return decode_bytes(text, plus).map(Cow::Owned) };
    let Some(mut length) = plus.find_encoded(text, plain) else { return Ok(Cow::Borrowed(known)) };
    let mut decoded = String::with_capacity(text.len());
    let mut rest = known;
    // Long runs of plain text are copied whole, and what was UTF-8 stays so with ASCII between.
    while let Some((run, encoded)) = rest.split_at_checked(length) {
        decoded.push_str(run);
        let Some((byte, encoded_bytes)) = first_byte(encoded.as_bytes()) else { break };
        if !byte.is_ascii() {
            wipe(&mut decoded.into_bytes());
            return decode_bytes(text, plus).map(Cow::Owned);
        }
        decoded.push(char::from(byte));
        rest = encoded.get(encoded_bytes..).unwrap_or_default();
        length = plus.find_encoded(rest.as_bytes(), 0).unwrap_or(rest.len());
    }
    Ok(Cow::Owned(decoded))
}

/// The same for text that is UTF-8 only when it is decoded.
fn decode_bytes(text: &[u8], plus: Plus) -> Result<String, Fault> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let length = plus.find_encoded(rest, 0).unwrap_or(rest.len());
        let (run, encoded) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        decoded.extend_from_slice(run);
        let Some((byte, encoded_bytes)) = first_byte(encoded) else { break };
        decoded.push(byte);
        rest = encoded.get(encoded_bytes..).unwrap_or_default();
    }
    Value::from(decoded).into_text().map(Cow::into_owned)
}

/// The byte that stands encoded at the beginning, and how long it is there.
fn first_byte(encoded: &[u8]) -> Option<(u8, usize)> {
    match encoded {
        [b'%', high, low, ..] => match (value_of(*high), value_of(*low)) {
            (Some(high), Some(low)) => Some((high << 4 | low, 3)),
            _ => Some((b'%', 1)),
        },
        [b'+', ..] => Some((b' ', 1)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn value_of(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text.as_bytes()).unwrap();
        pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The cases of the standard's own tests for its parser, as far as they are UTF-8.
    #[test]
    fn fields_are_read_as_the_standard_says() {
        let cases: [(&str, &[(&str, &str)]); 12] = [
            ("test", &[("test", "")]),
            ("\u{feff}test=\u{feff}", &[("\u{feff}test", "\u{feff}")]),
            ("%EF%BB%BFtest=%EF%BB%BF", &[("\u{feff}test", "\u{feff}")]),
            ("", &[]),
            ("a", &[("a", "")]),
            ("a=b&c=d&", &[("a", "b"), ("c", "d")]),
            ("&&&a=b&&&&c=d&", &[("a", "b"), ("c", "d")]),
            ("a=a&a=b&a=c", &[("a", "a"), ("a", "b"), ("a", "c")]),
            ("a==a", &[("a", "=a")]),
            ("a=a+b+c+d", &[("a", "a b c d")]),
            ("%=a&%a=a&%a_=a", &[("%", "a"), ("%a", "a"), ("%a_", "a")]),
            ("%61=a&%61+%4d%4D=", &[("a", "a"), ("a MM", "")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pairs(text), owned(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_refused() {
        assert_eq!(parse(b"a=%ff"), Err(Fault::not_text()));
        assert_eq!(parse(b"\xff=a"), Err(Fault::not_text()));
        assert_eq!(parse("a=ä%20%ff".as_bytes()), Err(Fault::not_text()));
    }

    #[test]
    fn characters_may_be_encoded_in_part() {
        for text in [&b"\xc3\xa4+x"[..], b"%c3%a4+x", b"\xc3%a4+x", b"%c3\xa4+x"] {
            assert_eq!(decode(text, Plus::Space).unwrap(), "ä x");
            assert_eq!(decode(text, Plus::Itself).unwrap(), "ä+x");
        }
    }

    #[test]
    fn fields_are_bounded() {
        assert_eq!(parse("a&".repeat(ITEMS_MAX).as_bytes()).unwrap().len(), ITEMS_MAX);
        assert_eq!(parse("a&".repeat(ITEMS_MAX + 1).as_bytes()), Err(Fault::too_long()));
    }

    #[test]
    fn plain_text_stays_borrowed() {
        let pairs = parse(b"a=b").unwrap();
        assert!(matches!(pairs[..], [(Cow::Borrowed("a"), Cow::Borrowed("b"))]));
        assert_eq!(decode(b"a+b%20c", Plus::Itself).unwrap(), "a+b c");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a%+&=0-9f]{0,40}", bytes in any::<Vec<u8>>()) {
            let _ = parse(text.as_bytes());
            let _ = parse(&bytes);
        }
    }
}
