//! Whether two texts say the same.

use time::Date;
use time::format_description::well_known::Iso8601;

/// Characters of a date: `YYYY-MM-DD`.
const DATE_CHARS: usize = 10;
/// A day at one place may be the next at another.
const DAYS_APART_MAX: u32 = 1;

/// Whether two amounts are one, as exact decimal numbers; what is no decimal number is only the
/// same if it is the same text.
pub(super) fn amount(one: &str, other: &str) -> bool {
    match (Decimal::of(one), Decimal::of(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// A decimal number without the zeros that say nothing.
#[derive(PartialEq, Eq)]
struct Decimal<'t> {
    negative: bool,
    whole: &'t str,
    parts: &'t str,
}

impl<'t> Decimal<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, parts) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(both) => both,
            None => (digits, ""),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_plain(whole) || !is_plain(parts) {
            return None;
        }
        let (whole, parts) = (whole.trim_start_matches('0'), parts.trim_end_matches('0'));
        let is_zero = whole.is_empty() && parts.is_empty();
        Some(Self { negative: negative && !is_zero, whole, parts })
    }
}

/// Whether two times are of one day or of two that follow each other: who writes them may live in
/// different time zones.
pub(super) fn date(one: &str, other: &str) -> bool {
    let day = |text: &str| Date::parse(text.get(..DATE_CHARS)?, &Iso8601::DATE).ok();
    match (day(one), day(other)) {
        (Some(one), Some(other)) => {
            one.to_julian_day().abs_diff(other.to_julian_day()) <= DAYS_APART_MAX
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_numbers() {
        for (one, other) in
            [("10.00", "10"), ("0010.5", "10.50"), ("-0", "0.00"), ("-1.0", "-1"), ("x", "x")]
        {
            assert!(amount(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("10.00", "10.01"),
            ("100", "1.00"),
            ("-1", "1"),
            ("1,000", "1000"),
            ("10.", "10"),
            (".5", "0.5"),
            ("1e2", "100"),
            ("+1", "1"),
            ("", "0"),
            ("0.1", "0.10000000000000000000001"),
            ("9007199254740993", "9007199254740992"),
        ] {
            assert!(!amount(one, other), "{one} {other}");
        }
    }

    #[test]
    fn dates_are_a_day_apart_at_most() {
        assert!(date("2024-02-29 23:59:59", "2024-03-01T00:10:00Z"));
        assert!(date("2024-01-01", "2023-12-31T18:00:00+00:00"));
        assert!(!date("2024-01-01", "2024-01-03"));
        assert!(!date("2024-13-01", "2024-13-02"));
        assert!(date("yesterday", "yesterday"));
        assert!(!date("2024-01-0é", "2024-01-01"));
    }
}
