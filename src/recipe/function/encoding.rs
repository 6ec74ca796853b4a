//! Functions from bytes to text and back.

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::DecodePaddingMode;
use ::base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};

use super::input::{bytes, change, concat, every, given, optional, text};
use super::{Function, Kind, Parameter, Takes};
use crate::crypto::{HexCase, digit_value};
use crate::recipe::base64;
use crate::recipe::fault::Fault;
use crate::recipe::form::{Plus, decode};
use crate::recipe::json::{Style, escape};
use crate::recipe::value::{VALUE_BYTES_MAX, Value};

const PADDING: Parameter = Parameter::optional("padding", Kind::Choice(&["padded", "unpadded"]));
const ESCAPES: Parameter = Parameter::any("option", Kind::Choice(Style::NAMES));

/// For keys that were cut from random text: their last bits mean nothing.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) static TABLE: &[Function] = &[
    Function::text("hex", Takes::Bytes, "Hexadecimal text in lower case.", |input, _| {
        let bytes = within(input, 2)?;
        // Written as bytes: to append characters to text costs four times as much.
        let mut text = Vec::with_capacity(bytes.len() * 2);
        for byte in bytes.iter() {
            text.extend([digit(byte >> 4), digit(byte & 15)]);
        }
        Value::from(text).into_text().map(Value::Text)
    }),
    Function::bytes(
        "unhex",
        Takes::Text,
        "The bytes of hexadecimal text in either case.",
        |input, _| {
            let text = text(input)?;
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let mut good = rest.is_empty();
            let byte = |pair: &[u8; 2]| {
                let [(high, is_high), (low, is_low)] =
                    pair.map(|digit| digit_value(digit, HexCase::Any));
                good &= is_high & is_low;
                high << 4 | low
            };
            let bytes: Vec<u8> = pairs.iter().map(byte).collect();
            if good { Ok(Value::from(bytes)) } else { Err(Fault::malformed()) }
        },
    ),
    Function::text(
        "base64",
        Takes::Bytes,
        "Base64 text (RFC 4648, section 4), padded unless `'unpadded'`.",
        |input, arguments| {
            let unpadded = optional(arguments, 0) == Some("unpadded");
            let engine = if unpadded { &STANDARD_NO_PAD } else { &STANDARD };
            Ok(Value::from(engine.encode(within(input, 2)?)))
        },
    )
    .with(&[PADDING]),
    Function::text(
        "base64url",
        Takes::Bytes,
        "Base64 text for addresses (RFC 4648, section 5), unpadded unless `'padded'`.",
        |input, arguments| {
            let padded = optional(arguments, 0) == Some("padded");
            let engine = if padded { &URL_SAFE } else { &URL_SAFE_NO_PAD };
            Ok(Value::from(engine.encode(within(input, 2)?)))
        },
    )
    .with(&[PADDING]),
    Function::bytes(
        "base64_decode",
        Takes::Text,
        "The bytes of base64 text, strictly: with its padding unless `'unpadded'`. `'loose'` takes \
         it with or without, and ignores bits left over at the end.",
        |input, arguments| {
            let strict = match optional(arguments, 0) {
                Some("unpadded") => &base64::STANDARD_NO_PAD,
                Some("loose") => return loosely_decoded(input),
                _ => &base64::STANDARD,
            };
            decoded(strict, input)
        },
    )
    .with(&[Parameter::optional("padding", Kind::Choice(&["padded", "unpadded", "loose"]))]),
    Function::bytes(
        "base64url_decode",
        Takes::Text,
        "The bytes of base64 text for addresses, strictly: without padding unless `'padded'`.",
        |input, arguments| {
            let padded = optional(arguments, 0) == Some("padded");
            let alphabet = if padded { &base64::URL_SAFE } else { &base64::URL_SAFE_NO_PAD };
            decoded(alphabet, input)
        },
    )
    .with(&[PADDING]),
    Function::text(
        "urlencode",
        Takes::Bytes,
        "Percent-encoded text: `'rfc3986'` if nothing is said, `'form'` (browsers, Java), `'path'` \
         (keeps `/`), `'php'`, `'python'`, `'js'` or `'dotnet'`.",
        |input, arguments| {
            let how = Percent::of(optional(arguments, 0).unwrap_or("rfc3986"));
            Ok(Value::from(how.encode(&within(input, 3)?)))
        },
    )
    .with(&[Parameter::optional("style", Kind::Choice(Percent::STYLES))]),
    Function::text(
        "urldecode",
        Takes::Text,
        "Percent-decoded text; with `'form'`, a plus sign is a space.",
        |input, arguments| {
            let is_form = optional(arguments, 0) == Some("form");
            let plus = if is_form { Plus::Space } else { Plus::Itself };
            let decoded = decode(text(input)?.as_bytes(), plus)?.into_owned();
            Ok(Value::from(decoded))
        },
    )
    .with(&[Parameter::optional("style", Kind::Choice(&["rfc3986", "form"]))]),
    Function::text(
        "json_string",
        Takes::Text,
        "A JSON string with its quotes, in a style of `dump`.",
        |input, arguments| {
            let style = every(arguments).fold(Style::COMPACT, Style::with);
            change(input, |text| {
                let mut string = String::with_capacity(escaped_bytes_max(text) + 2);
                style.write_string(text, &mut string);
                string
            })
        },
    )
    .with(&[ESCAPES]),
    Function::text(
        "ascii_escape",
        Takes::Text,
        "Characters beyond ASCII as `\\uhhhh`, others as they are.",
        |input, _| {
            change(input, |text| {
                let mut escaped = String::with_capacity(escaped_bytes_max(text));
                for c in text.chars() {
                    if c.is_ascii() { escaped.push(c) } else { escape(c, &mut escaped) }
                }
                escaped
            })
        },
    ),
    Function::text(
        "html_escape",
        Takes::Text,
        "`&`, `<`, `>`, `\"` and `'` as PHP writes them: `&amp;` and so on, `&#039;` for the last.",
        |input, _| html_escape(&text(input)?).map(Value::from),
    ),
    Function::bytes(
        "utf16le",
        Takes::Text,
        "The bytes of text as UTF-16, low byte first.",
        |input, _| {
            let text = text(input)?;
            let mut bytes = Vec::with_capacity(text.len() * 2);
            bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
            Ok(Value::from(bytes))
        },
    ),
];

/// Bytes that may still grow so many times.
fn within<'b>(
    input: Option<&'b Value<'_>>,
    times: usize,
) -> Result<std::borrow::Cow<'b, [u8]>, Fault> {
    if given(input)?.size() > VALUE_BYTES_MAX / times {
        return Err(Fault::too_long());
    }
    bytes(input)
}

fn digit(value: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(value)).copied().unwrap_or_default()
}

fn decoded<'a>(alphabet: &base64::Alphabet, input: Option<&Value<'a>>) -> Result<Value<'a>, Fault> {
    alphabet.decode(text(input)?.as_bytes()).map(Value::from).ok_or_else(Fault::malformed)
}

fn loosely_decoded<'a>(input: Option<&Value<'a>>) -> Result<Value<'a>, Fault> {
    LOOSE.decode(text(input)?.as_bytes()).map(Value::from).map_err(|_| Fault::malformed())
}

fn html_escape(text: &str) -> Result<String, Fault> {
    concat(text.char_indices().map(|(at, c)| match c {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#039;",
        c => text.get(at..at + c.len_utf8()).unwrap_or_default(),
    }))
}

/// The most bytes that a text has when some of its characters are written as `\uhhhh`.
fn escaped_bytes_max(text: &str) -> usize {
    let most = |c: char| if c.is_ascii_alphanumeric() { 1 } else { 6 * c.len_utf16() };
    text.chars().map(most).sum()
}

/// A way of percent-encoding: what stays beside letters and digits, and what a space becomes.
pub(super) struct Percent {
    kept: &'static [u8],
    space: &'static str,
    is_lower: bool,
}

impl Percent {
    /// The names that [`Percent::of`] knows.
    pub(super) const STYLES: &'static [&'static str] =
        &["rfc3986", "form", "path", "php", "python", "js", "dotnet"];

    /// The way of a name; `rfc3986` for any other.
    pub(super) fn of(style: &str) -> Self {
        let (kept, space, is_lower): (&[u8], _, _) = match style {
            "form" => (b"*-._", "+", false),
            "path" => (b"-._~/", "%20", false),
            "php" => (b"-._", "+", false),
            "python" => (b"-._~", "+", false),
            "js" => (b"-._~!*'()", "%20", false),
            "dotnet" => (b"-._!*()", "+", true),
            _ => (b"-._~", "%20", false),
        };
        Self { kept, space, is_lower }
    }

    /// The encoded text.
    pub(super) fn encode(&self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len() * 3);
        for byte in bytes {
            match byte {
                b' ' => text.push_str(self.space),
                byte if byte.is_ascii_alphanumeric() || self.kept.contains(byte) => {
                    text.push(char::from(*byte));
                }
                byte => {
                    let digits = [digit(byte >> 4), digit(byte & 15)].map(char::from);
                    let cased = digits.map(|digit| digit.to_ascii_uppercase());
                    text.push('%');
                    text.extend(if self.is_lower { digits } else { cased });
                }
            }
        }
        text
    }
}
