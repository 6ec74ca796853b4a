//! Writes JSON text as the languages do that partners sign with.

use std::fmt::Write as _;

use super::Json;

/// How JSON is written. Numbers keep their text in every style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `/` is written `\/`.
    pub slashes: bool,
    /// Characters beyond ASCII are written `\uhhhh`, in lower case.
    pub ascii: bool,
    /// `<`, `>`, `&` and the line separators U+2028 and U+2029 are written `\uhhhh`.
    pub html: bool,
    /// A space follows every comma and colon.
    pub spaced: bool,
}

impl Style {
    /// No space, nothing escaped that need not be: `JSON.stringify`.
    pub const COMPACT: Self = Self { slashes: false, ascii: false, html: false, spaced: false };

    /// Names of options and, for each, what it turns on.
    const OPTIONS: [(&'static str, Self); 7] = [
        ("slashes", Self { slashes: true, ..Self::COMPACT }),
        ("ascii", Self { ascii: true, ..Self::COMPACT }),
        ("html", Self { html: true, ..Self::COMPACT }),
        ("spaced", Self { spaced: true, ..Self::COMPACT }),
        ("php", Self { slashes: true, ascii: true, ..Self::COMPACT }),
        ("python", Self { ascii: true, spaced: true, ..Self::COMPACT }),
        ("go", Self { html: true, ..Self::COMPACT }),
    ];

    /// The names that [`Style::with`] knows.
    pub const NAMES: &'static [&'static str] =
        &["slashes", "ascii", "html", "spaced", "php", "python", "go"];

    /// This style and what an option turns on; unknown names change nothing.
    #[must_use]
    pub fn with(self, name: &str) -> Self {
        let option = Self::OPTIONS.iter().find(|(other, _)| *other == name);
        let option = option.map_or(Self::COMPACT, |(_, style)| *style);
        Self {
            slashes: self.slashes || option.slashes,
            ascii: self.ascii || option.ascii,
            html: self.html || option.html,
            spaced: self.spaced || option.spaced,
        }
    }

    pub(super) fn write(self, value: &Json<'_>, to: &mut String) {
        match value {
            Json::Null => to.push_str("null"),
            Json::True => to.push_str("true"),
            Json::False => to.push_str("false"),
            Json::Number(text) => to.push_str(text),
            Json::String(text) => self.write_string(text, to),
            Json::Array(items) => {
                to.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at, to);
                    self.write(item, to);
                }
                to.push(']');
            }
            Json::Object(members) => {
                to.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    self.separate(at, to);
                    self.write_string(name, to);
                    to.push_str(if self.spaced { ": " } else { ":" });
                    self.write(value, to);
                }
                to.push('}');
            }
        }
    }

    fn separate(self, at: usize, to: &mut String) {
        if at > 0 {
            to.push_str(if self.spaced { ", " } else { "," });
        }
    }

    /// A string with its quotes.
    pub fn write_string(self, text: &str, to: &mut String) {
        to.push('"');
        for c in text.chars() {
            match c {
                '"' => to.push_str("\\\""),
                '\\' => to.push_str("\\\\"),
                '\n' => to.push_str("\\n"),
                '\r' => to.push_str("\\r"),
                '\t' => to.push_str("\\t"),
                '\u{8}' => to.push_str("\\b"),
                '\u{c}' => to.push_str("\\f"),
                '/' if self.slashes => to.push_str("\\/"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if self.html => escape(c, to),
                c if c < ' ' || (self.ascii && !c.is_ascii()) => escape(c, to),
                c => to.push(c),
            }
        }
        to.push('"');
    }
}

/// A character as one or two `\uhhhh`.
pub(crate) fn escape(c: char, to: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _infallible = write!(to, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_option() {
        for name in Style::NAMES {
            assert_ne!(Style::COMPACT.with(name), Style::COMPACT, "{name}");
        }
    }
}
