//! One value as PHP's `serialize()` writes it, read strictly and turned into JSON.
//!
//! Strings, whole numbers, floats, booleans, null and arrays. Objects, references and everything
//! else that `unserialize()` would act on are refused: no class name is ever looked at. Each byte
//! is read once.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::envelope::CannotOpen;

/// Arrays within arrays.
const DEPTH_MAX: usize = 32;
/// Elements of all arrays together.
const ELEMENTS_MAX: usize = 65_536;

/// Whether bytes begin as a serialised value does. No text of `name::value;` pairs does.
pub(super) fn looks_serialized(text: &[u8]) -> bool {
    match text {
        [b'N', b';', ..] => true,
        [b'b' | b'r' | b'R', b':', rest @ ..] => rest.first().is_some_and(u8::is_ascii_digit),
        [b'i' | b'd', b':', rest @ ..] => {
            rest.first().is_some_and(|b| b.is_ascii_digit() || matches!(b, b'-' | b'I' | b'N'))
        }
        [b's' | b'S' | b'a' | b'O' | b'C' | b'E' | b'o', b':', rest @ ..] => {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            digits > 0 && rest.get(digits) == Some(&b':')
        }
        _ => false,
    }
}

/// A serialised value as what the service behind the gate gets: a string as its bytes, anything
/// else as JSON. An array whose keys are 0, 1, 2 … is a JSON array, every other one an object, as
/// PHP's own `json_encode()` has it. Floats keep their digits.
///
/// # Errors
/// When it is not exactly one value, or one of a kind that is refused, or too deep or too large.
pub(super) fn read(text: &[u8]) -> Result<Cow<'_, [u8]>, CannotOpen> {
    let mut reader = Reader { rest: text, elements: 0 };
    let value = reader.value(0)?;
    if !reader.rest.is_empty() {
        return Err(CannotOpen);
    }
    if let Value::Text(text) = value {
        return Ok(Cow::Borrowed(text));
    }
    let mut json = Vec::with_capacity(text.len());
    value.write(&mut json)?;
    Ok(Cow::Owned(json))
}

/// A string as `serialize()` writes it.
pub(super) fn write_string(text: &[u8]) -> Vec<u8> {
    let length = text.len().to_string();
    [b"s:", length.as_bytes(), b":\"", text, b"\";"].concat()
}

enum Value<'t> {
    Null,
    Truth(bool),
    Whole(i64),
    /// A number as JSON has it too.
    Float(&'t [u8]),
    Text(&'t [u8]),
    Array(Vec<(Key<'t>, Value<'t>)>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'t> {
    Whole(i64),
    Text(&'t [u8]),
}

struct Reader<'t> {
    rest: &'t [u8],
    elements: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Result<Value<'t>, CannotOpen> {
        let (kind, rest) = self.rest.split_at_checked(2).ok_or(CannotOpen)?;
        self.rest = rest;
        match kind {
            b"N;" => Ok(Value::Null),
            b"b:" => match self.until(b';')? {
                b"0" => Ok(Value::Truth(false)),
                b"1" => Ok(Value::Truth(true)),
                _ => Err(CannotOpen),
            },
            b"i:" => Ok(Value::Whole(whole(self.until(b';')?)?)),
            b"d:" => Ok(Value::Float(float(self.until(b';')?)?)),
            b"s:" => Ok(Value::Text(self.string()?)),
            b"a:" if depth < DEPTH_MAX => self.array(depth + 1),
            _ => Err(CannotOpen),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'t>, CannotOpen> {
        let count = self.length()?;
        self.elements = self.elements.saturating_add(count);
        // An element has at least six bytes: room is not made for what cannot be there.
        if self.elements > ELEMENTS_MAX || count > self.rest.len() / 6 {
            return Err(CannotOpen);
        }
        self.take(b"{")?;
        let mut pairs = Vec::with_capacity(count);
        let mut seen = HashSet::with_capacity(count);
        for _ in 0..count {
            let key = self.key()?;
            if !seen.insert(key) {
                return Err(CannotOpen);
            }
            pairs.push((key, self.value(depth)?));
        }
        self.take(b"}")?;
        Ok(Value::Array(pairs))
    }

    /// A whole number, or a string that is none: PHP turns `"7"` into 7 before it writes a key.
    fn key(&mut self) -> Result<Key<'t>, CannotOpen> {
        match self.value(DEPTH_MAX)? {
            Value::Whole(number) => Ok(Key::Whole(number)),
            Value::Text(text) if whole(text).is_err() => Ok(Key::Text(text)),
            _ => Err(CannotOpen),
        }
    }

    /// `LENGTH:"BYTES";`
    fn string(&mut self) -> Result<&'t [u8], CannotOpen> {
        let length = self.length()?;
        self.take(b"\"")?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(CannotOpen)?;
        self.rest = rest;
        self.take(b"\";")?;
        Ok(text)
    }

    /// A length and the colon behind it.
    fn length(&mut self) -> Result<usize, CannotOpen> {
        usize::try_from(whole(self.until(b':')?)?).map_err(|_| CannotOpen)
    }

    /// What stands before an end, which is near: numbers are short.
    fn until(&mut self, end: u8) -> Result<&'t [u8], CannotOpen> {
        let at = self.rest.iter().take(32).position(|byte| *byte == end).ok_or(CannotOpen)?;
        let (found, rest) = self.rest.split_at_checked(at).ok_or(CannotOpen)?;
        self.rest = rest;
        self.take(&[end])?;
        Ok(found)
    }

    fn take(&mut self, text: &[u8]) -> Result<(), CannotOpen> {
        self.rest = self.rest.strip_prefix(text).ok_or(CannotOpen)?;
        Ok(())
    }
}

/// A whole number as PHP writes it: no sign before a positive one, no zero before its digits.
fn whole(text: &[u8]) -> Result<i64, CannotOpen> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    let text = std::str::from_utf8(text).ok().filter(|_| plain).ok_or(CannotOpen)?;
    text.parse().map_err(|_| CannotOpen)
}

/// A float that JSON can say too: neither infinite nor no number.
fn float(text: &[u8]) -> Result<&[u8], CannotOpen> {
    let number = std::str::from_utf8(text).map_err(|_| CannotOpen)?;
    let good = number.bytes().all(|b| b.is_ascii_digit() || b"+-.E".contains(&b));
    let parsed: Result<f64, _> = serde_json::from_str(number);
    if good && parsed.is_ok() { Ok(text) } else { Err(CannotOpen) }
}

impl Value<'_> {
    fn write(&self, json: &mut Vec<u8>) -> Result<(), CannotOpen> {
        match self {
            Self::Null => json.extend_from_slice(b"null"),
            Self::Truth(true) => json.extend_from_slice(b"true"),
            Self::Truth(false) => json.extend_from_slice(b"false"),
            Self::Whole(number) => json.extend_from_slice(number.to_string().as_bytes()),
            Self::Float(digits) => json.extend_from_slice(digits),
            Self::Text(text) => write_text(text, json)?,
            Self::Array(pairs) => write_pairs(pairs, json)?,
        }
        Ok(())
    }
}

fn write_pairs(pairs: &[(Key<'_>, Value<'_>)], json: &mut Vec<u8>) -> Result<(), CannotOpen> {
    let mut numbers = (0_i64..).zip(pairs);
    let is_list = numbers.all(|(number, (key, _))| *key == Key::Whole(number));
    json.push(if is_list { b'[' } else { b'{' });
    for (position, (key, value)) in pairs.iter().enumerate() {
        if position > 0 {
            json.push(b',');
        }
        match key {
            _ if is_list => {}
            Key::Whole(number) => json.extend_from_slice(format!("\"{number}\":").as_bytes()),
            Key::Text(text) => {
                write_text(text, json)?;
                json.push(b':');
            }
        }
        value.write(json)?;
    }
    json.push(if is_list { b']' } else { b'}' });
    Ok(())
}

fn write_text(text: &[u8], json: &mut Vec<u8>) -> Result<(), CannotOpen> {
    let text = std::str::from_utf8(text).map_err(|_| CannotOpen)?;
    serde_json::to_writer(json, text).map_err(|_| CannotOpen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Option<String> {
        let read = read(text.as_bytes()).ok()?;
        Some(String::from_utf8(read.into_owned()).unwrap())
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let cases = [
            ("s:3:\"abc\";", "abc"),
            ("s:0:\"\";", ""),
            ("s:6:\"a\";b:1\";", "a\";b:1"),
            ("s:4:\"Zo\u{eb}\";", "Zo\u{eb}"),
            ("N;", "null"),
            ("b:1;", "true"),
            ("b:0;", "false"),
            ("i:0;", "0"),
            ("i:-17;", "-17"),
            ("i:-9223372036854775808;", "-9223372036854775808"),
            ("d:0.1;", "0.1"),
            ("d:-0;", "-0"),
            ("d:1.0E+25;", "1.0E+25"),
            ("a:0:{}", "[]"),
            ("a:2:{i:0;s:1:\"a\";i:1;N;}", "[\"a\",null]"),
            ("a:2:{i:0;i:1;i:2;i:2;}", "{\"0\":1,\"2\":2}"),
            ("a:1:{s:1:\"k\";a:1:{i:0;d:2.5;}}", "{\"k\":[2.5]}"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text).as_deref(), Some(expected), "{text}");
            assert!(looks_serialized(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        let cases = [
            "",
            "s:3:\"abcd\";",
            "s:3:\"ab\";",
            "s:03:\"abc\";",
            "s:+3:\"abc\";",
            "s:3:\"abc\"",
            "s:3:\"abc\"; ",
            "s:99999999999999999999:\"abc\";",
            "S:1:\"a\";",
            "i:01;",
            "i:+1;",
            "i:-0;",
            "i:9223372036854775808;",
            "b:2;",
            "d:INF;",
            "d:NAN;",
            "d:1e5;",
            "d: 1;",
            "N",
            "O:8:\"stdClass\":0:{}",
            "C:1:\"A\":0:{}",
            "E:5:\"A:One\";",
            "r:1;",
            "R:1;",
            "a:1:{i:0;R:1;}",
            "a:1:{i:0;O:8:\"stdClass\":0:{}}",
            "a:1:{N;N;}",
            "a:1:{b:1;N;}",
            "a:1:{a:0:{}N;}",
            "a:1:{s:1:\"7\";N;}",
            "a:2:{i:0;N;i:0;N;}",
            "a:1:{i:0;N;}}",
            "a:2:{i:0;N;}",
            "a:0:{i:0;N;}",
            "a:-1:{}",
            "a:99999999:{}",
            "N;N;",
        ];
        for text in cases {
            assert_eq!(said(text), None, "{text}");
        }
        assert!(read(b"a:1:{i:0;s:1:\"\xff\";}").is_err(), "JSON is UTF-8");
    }

    #[test]
    fn depth_and_number_of_elements_are_bounded() {
        let nested = |depth: usize| format!("{}N;{}", "a:1:{i:0;".repeat(depth), "}".repeat(depth));
        assert!(said(&nested(DEPTH_MAX)).is_some());
        assert!(said(&nested(DEPTH_MAX + 1)).is_none());
        assert!(said(&nested(100_000)).is_none());
        let wide = |count: usize| {
            let elements: String = (0..count).map(|n| format!("i:{n};N;")).collect();
            format!("a:{count}:{{{elements}}}")
        };
        assert!(said(&wide(ELEMENTS_MAX)).is_some());
        assert!(said(&wide(ELEMENTS_MAX + 1)).is_none());
    }

    #[test]
    fn what_is_no_serialised_value_does_not_look_like_one() {
        let plain = ["amount::10.00;currency::INR", "{\"a\":1}", "s::v;t::w", "N", "a:b:c", "b::1"];
        for text in plain {
            assert!(!looks_serialized(text.as_bytes()), "{text}");
        }
        for text in ["O:8:\"stdClass\":0:{}", "R:1;", "s:999:\"abc\";", "i:x", "C:3:x"] {
            assert_eq!(looks_serialized(text.as_bytes()), text != "i:x", "{text}");
        }
    }

    /// A value and how it is written both ways.
    fn value() -> impl Strategy<Value = (String, String)> {
        let text = |text: &str| serde_json::to_string(text).unwrap();
        let leaf = prop_oneof![
            Just(("N;".to_owned(), "null".to_owned())),
            any::<bool>().prop_map(|b| (format!("b:{};", u8::from(b)), b.to_string())),
            any::<i64>().prop_map(|n| (format!("i:{n};"), n.to_string())),
            any::<String>().prop_map(move |s| (format!("s:{}:\"{s}\";", s.len()), text(&s))),
        ];
        leaf.prop_recursive(8, 64, 8, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..8).prop_map(|items| {
                let body: String =
                    items.iter().enumerate().map(|(n, (php, _))| format!("i:{n};{php}")).collect();
                let json: Vec<&str> = items.iter().map(|(_, json)| json.as_str()).collect();
                (format!("a:{}:{{{body}}}", items.len()), format!("[{}]", json.join(",")))
            });
            let map = prop::collection::btree_map("[a-z]{1,4}", inner, 1..8).prop_map(|pairs| {
                let php = pairs.iter().map(|(k, (php, _))| format!("s:{}:\"{k}\";{php}", k.len()));
                let json: Vec<String> =
                    pairs.iter().map(|(k, (_, json))| format!("\"{k}\":{json}")).collect();
                let php: String = php.collect();
                (format!("a:{}:{{{php}}}", pairs.len()), format!("{{{}}}", json.join(",")))
            });
            prop_oneof![list, map]
        })
    }

    proptest! {
        #[test]
        fn any_value_comes_out_as_json((php, json) in value()) {
            let is_text = php.starts_with("s:");
            let expected: String =
                if is_text { serde_json::from_str(&json).unwrap() } else { json };
            prop_assert_eq!(said(&php), Some(expected));
        }

        #[test]
        fn any_string_goes_both_ways(text in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(read(&write_string(&text)).unwrap().into_owned(), text);
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in "[abdisN:;{}0-9\"]{0,60}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn an_altered_value_is_never_read_as_another_length(
            (php, _) in value(), at in any::<prop::sample::Index>()
        ) {
            let mut shorter = php.into_bytes();
            shorter.remove(at.index(shorter.len()));
            if let Ok(read) = read(&shorter) {
                prop_assert!(read.len() <= shorter.len() * 6);
            }
        }
    }
}
