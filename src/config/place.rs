//! From a place in a value to the place in the file where it is written.

use std::ops::Range;

/// The bytes of a string as it is written in TOML, quotes and escapes included, that make the
/// bytes `span` of its value.
pub(super) fn raw_span(raw: &str, span: &Range<usize>) -> Range<usize> {
    let quote = if raw.starts_with('"') { '"' } else { '\'' };
    let triple = raw.starts_with("\"\"\"") || raw.starts_with("'''");
    let mut at = if triple { 3 } else { 1 };
    if triple && raw.get(at..).is_some_and(|rest| rest.starts_with('\n')) {
        at += 1;
    }
    let mut value = 0;
    let (mut start, mut end) = (None, None);
    while let Some(rest) = raw.get(at..) {
        if value >= span.start && start.is_none() {
            start = Some(at);
        }
        if value >= span.end && end.is_none() {
            end = Some(at);
        }
        if start.is_some() && end.is_some() {
            break;
        }
        let Some(c) = rest.chars().next() else { break };
        let (written, meant) = match c {
            '\\' if quote == '"' => escape(rest),
            c => (c.len_utf8(), c.len_utf8()),
        };
        at += written;
        value += meant;
    }
    let start = start.unwrap_or(0);
    start..end.unwrap_or(at).max(start + 1).min(raw.len())
}

/// How long an escape is, and how long what it stands for.
fn escape(text: &str) -> (usize, usize) {
    let number = |digits: usize| {
        let code = text.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    match text.as_bytes().get(1) {
        Some(b'u') => number(4),
        Some(b'U') => number(8),
        Some(b'x') => number(2),
        // A backslash at the end of a line swallows the white space that follows.
        Some(b'\n' | b'\r' | b' ' | b'\t') => {
            let blank = text.get(1..).unwrap_or_default();
            (1 + blank.len() - blank.trim_start().len(), 0)
        }
        _ => (2, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'r>(raw: &'r str, part: &str) -> &'r str {
        let text = format!("a = {raw}");
        let value = toml::from_str::<toml::Table>(&text).unwrap()["a"].as_str().unwrap().to_owned();
        let at = value.find(part).unwrap();
        &raw[raw_span(raw, &(at..at + part.len()))]
    }

    #[test]
    fn places_are_found_behind_quotes_and_escapes() {
        assert_eq!(shown(r#""{a}{bcd}""#, "bcd"), "bcd");
        assert_eq!(shown(r#""\n\"\u00e9{bcd}""#, "bcd"), "bcd");
        assert_eq!(shown(r#"'\n{bcd}'"#, "bcd"), "bcd");
        assert_eq!(shown("\"\"\"\nx\\\n   {bcd}\"\"\"", "bcd"), "bcd");
        assert_eq!(shown("'''{bcd}'''", "bcd"), "bcd");
        assert_eq!(raw_span("\"ab\"", &(2..2)), 3..4);
    }
}
