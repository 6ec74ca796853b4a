//! Other bodies that somebody may have signed in place of the one that came.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::{hex, sha256};

use super::mistake::Mistake;

/// From the body that came to the one that may have been signed; nothing where that makes no
/// difference or no sense.
type Variant = fn(&[u8]) -> Option<Vec<u8>>;

/// The likely ones first.
pub(super) const VARIANTS: &[(Mistake, Variant)] = &[
    (Mistake::BodyLeftOut, |body| (!body.is_empty()).then(Vec::new)),
    (Mistake::FinalNewline, |body| Some([body, b"\n"].concat())),
    (Mistake::FinalNewline, |body| body.strip_suffix(b"\n").map(<[u8]>::to_vec)),
    (Mistake::FinalNewline, |body| body.strip_suffix(b"\r\n").map(<[u8]>::to_vec)),
    (Mistake::FinalNewline, |body| Some([body, b"\r\n"].concat())),
    (Mistake::EmptyAsJson, |body| body.is_empty().then(|| b"{}".to_vec())),
    (Mistake::EmptyAsJson, |body| body.is_empty().then(|| b"null".to_vec())),
    (Mistake::EmptyAsJson, |body| body.is_empty().then(|| b"[]".to_vec())),
    (Mistake::EmptyAsJson, |body| body.is_empty().then(|| b"\"\"".to_vec())),
    (Mistake::EmptyAsJson, |body| matches!(body, b"{}" | b"null" | b"[]").then(Vec::new)),
    (Mistake::JsonCompacted, |body| json(body, |text| layout(text, Layout::COMPACT))),
    (Mistake::JsonSpaced, |body| json(body, |text| layout(text, Layout::SPACED))),
    (Mistake::JsonIndented, |body| json(body, |text| layout(text, Layout::indented(2)))),
    (Mistake::JsonIndented, |body| json(body, |text| layout(text, Layout::indented(4)))),
    (Mistake::JsonSlashes, |body| json(body, |text| text.replace("\\/", "/"))),
    (Mistake::JsonSlashes, |body| json(body, |text| escape(text, Escape::Slashes))),
    (Mistake::JsonUnicode, |body| json(body, |text| escape(text, Escape::Ascii))),
    (Mistake::JsonUnicode, |body| json(body, unescape_unicode)),
    (Mistake::JsonUnicode, |body| json(body, |text| escape(text, Escape::Html))),
    (Mistake::JsonSlashes, |body| json(body, php)),
    (Mistake::JsonSorted, |body| sorted(body, Layout::COMPACT)),
    (Mistake::JsonSorted, |body| sorted(body, Layout::SPACED)),
    (Mistake::JsonTwice, |body| json(body, quoted)),
    (Mistake::BodyTrimmed, |body| Some(body.trim_ascii().to_vec())),
    (Mistake::LineEndings, |body| text(body, |text| text.replace("\r\n", "\n"))),
    (Mistake::LineEndings, |body| {
        text(body, |text| text.replace("\r\n", "\n").replace('\n', "\r\n"))
    }),
    (Mistake::ByteOrderMark, |body| body.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec)),
    (Mistake::ByteOrderMark, |body| Some([BYTE_ORDER_MARK, body].concat())),
    (Mistake::BodyDigested, |body| Some(hex(&sha256(body)).to_vec())),
    (Mistake::BodyDigested, |body| Some(STANDARD.encode(sha256(body)).into_bytes())),
    (Mistake::BodyBase64, |body| Some(STANDARD.encode(body).into_bytes())),
    (Mistake::FormEncoding, |body| form(body, |text| text.replace('+', "%20"))),
    (Mistake::FormEncoding, |body| form(body, |text| text.replace("%20", "+"))),
    (Mistake::FormEncoding, |body| form(body, |text| percent_decoded(&text.replace('+', " ")))),
    (Mistake::CharacterSet, latin1),
    (Mistake::CharacterSet, from_latin1),
];

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How JSON is laid out.
#[derive(Clone, Copy)]
struct Layout {
    comma: &'static str,
    colon: &'static str,
    indent: usize,
}

impl Layout {
    const COMPACT: Self = Self { comma: ",", colon: ":", indent: 0 };
    const SPACED: Self = Self { comma: ", ", colon: ": ", indent: 0 };

    const fn indented(indent: usize) -> Self {
        Self { comma: ",", colon: ": ", indent }
    }
}

fn text(body: &[u8], change: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    std::str::from_utf8(body).ok().map(|text| change(text).into_bytes())
}

/// Changes JSON; nothing that is no JSON.
fn json(body: &[u8], change: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let _: serde::de::IgnoredAny = serde_json::from_slice(body).ok()?;
    text(body, change)
}

fn form(body: &[u8], change: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let looks_like_one = body.contains(&b'=') && !body.starts_with(b"{");
    looks_like_one.then(|| text(body, change)).flatten()
}

/// JSON laid out anew. The order of its members and the text of its values stay.
fn layout(text: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let line = |out: &mut String, depth: usize| {
        if layout.indent > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth * layout.indent));
        }
    };
    let mut characters = text.chars().filter_outside_strings().peekable();
    while let Some((character, within)) = characters.next() {
        let next = characters.peek().map(|(next, _)| *next);
        match character {
            _ if within => out.push(character),
            '{' | '[' => {
                out.push(character);
                depth += 1;
                if !matches!(next, Some('}' | ']')) {
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.chars().next_back(), Some('{' | '[')) {
                    line(&mut out, depth);
                }
                out.push(character);
            }
            ',' => {
                out.push_str(layout.comma);
                line(&mut out, depth);
            }
            ':' => out.push_str(layout.colon),
            _ => out.push(character),
        }
    }
    out
}

/// Characters of JSON without the white space between its tokens, each with whether it is within a
/// string.
trait OutsideStrings: Iterator<Item = char> + Sized {
    fn filter_outside_strings(self) -> impl Iterator<Item = (char, bool)> {
        let (mut within, mut escaped) = (false, false);
        self.filter_map(move |character| {
            let was = within;
            match character {
                '"' if !escaped => within = !within,
                _ => {}
            }
            escaped = was && character == '\\' && !escaped;
            (was || !character.is_ascii_whitespace()).then_some((character, was || within))
        })
    }
}

impl<I: Iterator<Item = char>> OutsideStrings for I {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// `/` as `\/`.
    Slashes,
    /// Whatever is not ASCII as `\u` with four digits.
    Ascii,
    /// `<`, `>` and `&` as `\u003c` and so on, as Go's JSON library does.
    Html,
}

/// JSON with more escapes. Those characters stand in strings only.
fn escape(text: &str, escape: Escape) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut before = ' ';
    for character in text.chars() {
        match character {
            '/' if escape == Escape::Slashes && before != '\\' => out.push_str("\\/"),
            '<' | '>' | '&' if escape == Escape::Html => unit(&mut out, u32::from(character)),
            _ if escape == Escape::Ascii && !character.is_ascii() => {
                for half in character.encode_utf16(&mut [0; 2]) {
                    unit(&mut out, u32::from(*half));
                }
            }
            _ => out.push(character),
        }
        before = character;
    }
    out
}

fn unit(out: &mut String, unit: u32) {
    out.push_str(&format!("\\u{unit:04x}"));
}

/// As PHP's `json_encode` writes by default.
fn php(text: &str) -> String {
    escape(&escape(&layout(text, Layout::COMPACT), Escape::Slashes), Escape::Ascii)
}

/// JSON with `\u` escapes of printable characters resolved.
fn unescape_unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        let (before, escaped) = rest.split_at(at);
        out.push_str(before);
        let even = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
        let (character, length) = if even { character(escaped) } else { (None, 0) };
        match character {
            Some(character) => out.push(character),
            None => out.push_str(escaped.get(..2).unwrap_or_default()),
        }
        rest = escaped.get(length.max(2)..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of one `\u` escape, or of a pair of them, and how long its text is.
fn character(escaped: &str) -> (Option<char>, usize) {
    let half = |at: usize| {
        let digits = escaped.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let units: Vec<u16> = [half(0), half(6)].into_iter().map_while(|half| half).collect();
    match char::decode_utf16(units.iter().copied()).next() {
        Some(Ok(character)) if !character.is_control() && !matches!(character, '"' | '\\') => {
            (Some(character), 6 * character.len_utf16())
        }
        _ => (None, 0),
    }
}

/// Members sorted at every level.
fn sorted(body: &[u8], how: Layout) -> Option<Vec<u8>> {
    // This reader sorts members. It writes some numbers anew; then nothing matches, and no harm.
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(layout(&value.to_string(), how).into_bytes())
}

/// A JSON string that holds a text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn latin1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|character| u8::try_from(character).ok()).collect()
}

fn from_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let foreign = body.iter().any(|byte| !byte.is_ascii());
    foreign.then(|| body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
}

/// A text with its percent escapes resolved; broken ones stay.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_the_usual_libraries_do() {
        let text =
            "{\"a\": [1,2 , {}], \"b c\":\"x, y: \\\" z\", \"d\" : { \"e\" : null } , \"f\":[]}";
        let compact = "{\"a\":[1,2,{}],\"b c\":\"x, y: \\\" z\",\"d\":{\"e\":null},\"f\":[]}";
        assert_eq!(layout(text, Layout::COMPACT), compact);
        // Python 3: json.dumps(json.loads(text))
        let spaced =
            "{\"a\": [1, 2, {}], \"b c\": \"x, y: \\\" z\", \"d\": {\"e\": null}, \"f\": []}";
        assert_eq!(layout(text, Layout::SPACED), spaced);
        // JavaScript: JSON.stringify(JSON.parse(text), null, 2)
        let indented = "{\n  \"a\": [\n    1,\n    2,\n    {}\n  ],\n  \
                        \"b c\": \"x, y: \\\" z\",\n  \
                        \"d\": {\n    \"e\": null\n  },\n  \"f\": []\n}";
        assert_eq!(layout(text, Layout::indented(2)), indented);
    }

    #[test]
    fn escapes_go_both_ways() {
        let text = "{\"u\":\"https://x/é😀\"}";
        assert_eq!(php(text), "{\"u\":\"https:\\/\\/x\\/\\u00e9\\ud83d\\ude00\"}");
        assert_eq!(
            unescape_unicode("\"\\u00e9\\ud83d\\ude00\\u0022\\\\u00e9\""),
            "\"é😀\\u0022\\\\u00e9\""
        );
        assert_eq!(escape("\"<a>\"", Escape::Html), "\"\\u003ca\\u003e\"");
        assert_eq!(unescape_unicode("\"\\ud83d x\""), "\"\\ud83d x\"");
    }

    #[test]
    fn forms_and_character_sets() {
        assert_eq!(percent_decoded("a%20b%2"), "a b%2");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(latin1("é".as_bytes()), Some(vec![0xe9]));
        assert_eq!(latin1("日".as_bytes()), None);
        assert_eq!(from_latin1(&[0xe9]), Some("é".as_bytes().to_vec()));
    }
}
