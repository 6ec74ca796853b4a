//! How a time is written. Every form is of fixed length, or ends and begins so that no character
//! next to it can be taken for a part of it.

use time::format_description::well_known::Rfc3339;
use time::format_description::{BorrowedFormatItem, OwnedFormatItem};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::clock::Timestamp;

/// A way of writing a time.
#[derive(Debug)]
pub(super) enum TimeUnit {
    /// Unix time in ten digits.
    Seconds,
    /// Unix time in thirteen digits.
    Millis,
    /// Unix time in sixteen digits.
    Micros,
    /// Ten digits or thirteen.
    SecondsOrMillis,
    /// `2024-05-01T10:00:00.000Z`, or with an offset (RFC 3339).
    Rfc3339,
    /// `Wed, 01 May 2024 10:00:00 GMT` (RFC 9110 section 5.6.7).
    Rfc1123,
    /// `20240501T100000Z`.
    Compact,
    /// By a description with components in brackets, in UTC where it has no offset.
    Described(OwnedFormatItem),
}

const RFC1123: &[BorrowedFormatItem<'static>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// What stands for [`TimeUnit::Described`] in a list of names.
pub(super) const NAMES: [&str; 9] =
    ["s", "ms", "us", "s or ms", "iso8601", "rfc3339", "rfc1123", "yyyymmddThhmmssZ", "[year]-…"];

impl TimeUnit {
    /// The unit of a name or description.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            "s or ms" => Self::SecondsOrMillis,
            "iso8601" | "rfc3339" => Self::Rfc3339,
            "rfc1123" => Self::Rfc1123,
            "yyyymmddThhmmssZ" => Self::Compact,
            text if text.contains('[') => {
                let described = time::format_description::parse_owned::<2>(text).ok()?;
                Self::Described(described)
            }
            _ => return None,
        })
    }

    /// The time that a text says, in whole seconds.
    pub(super) fn read(&self, text: &[u8]) -> Option<Timestamp> {
        match self {
            Self::Seconds => digits(text, 10),
            Self::Millis => digits(text, 13).map(|millis| millis / 1000),
            Self::Micros => digits(text, 16).map(|micros| micros / 1_000_000),
            Self::SecondsOrMillis => {
                digits(text, 10).or_else(|| digits(text, 13).map(|millis| millis / 1000))
            }
            described => described.date(std::str::from_utf8(text).ok()?),
        }
        .map(Timestamp::from_secs)
    }

    /// The Unix time of a date, where dates are written.
    fn date(&self, text: &str) -> Option<u64> {
        match self {
            Self::Seconds | Self::Millis | Self::Micros | Self::SecondsOrMillis => None,
            Self::Rfc3339 => unix(OffsetDateTime::parse(text, &Rfc3339).ok()?),
            Self::Rfc1123 => unix(PrimitiveDateTime::parse(text, RFC1123).ok()?.assume_utc()),
            Self::Compact => {
                let form = format_description!("[year][month][day]T[hour][minute][second]Z");
                unix(PrimitiveDateTime::parse(text, form).ok()?.assume_utc())
            }
            Self::Described(form) => {
                let own = OffsetDateTime::parse(text, form).ok();
                let plain = || Some(PrimitiveDateTime::parse(text, form).ok()?.assume_utc());
                unix(own.or_else(plain)?)
            }
        }
    }

    /// A time as this unit writes it; none where it cannot.
    pub(super) fn write(&self, stamp: Timestamp) -> Option<String> {
        let secs = stamp.secs();
        let date = || OffsetDateTime::from_unix_timestamp(i64::try_from(secs).ok()?).ok();
        Some(match self {
            Self::Seconds | Self::SecondsOrMillis => secs.to_string(),
            Self::Millis => format!("{secs}000"),
            Self::Micros => format!("{secs}000000"),
            Self::Rfc3339 => date()?.format(&Rfc3339).ok()?,
            Self::Rfc1123 => date()?.format(RFC1123).ok()?,
            Self::Compact => {
                let form = format_description!("[year][month][day]T[hour][minute][second]Z");
                date()?.format(form).ok()?
            }
            Self::Described(form) => date()?.format(form).ok()?,
        })
    }
}

/// The value of a number with exactly so many digits and no leading zero: with a fixed length no
/// digit can move between it and a text beside it.
fn digits(text: &[u8], count: usize) -> Option<u64> {
    if text.len() != count || text.first() == Some(&b'0') {
        return None;
    }
    text.iter().try_fold(0, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u64::from(digit))
    })
}

fn unix(time: OffsetDateTime) -> Option<u64> {
    u64::try_from(time.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: &str, text: &str) -> Option<u64> {
        TimeUnit::named(unit).unwrap().read(text.as_bytes()).map(Timestamp::secs)
    }

    #[test]
    fn every_unit_reads_the_same_time() {
        let described = "[year]/[month]/[day] [hour]:[minute]:[second]";
        for (unit, text) in [
            ("s", "1714557600"),
            ("ms", "1714557600999"),
            ("us", "1714557600999999"),
            ("s or ms", "1714557600"),
            ("s or ms", "1714557600001"),
            ("iso8601", "2024-05-01T10:00:00Z"),
            ("rfc3339", "2024-05-01T17:00:00.25+07:00"),
            ("rfc1123", "Wed, 01 May 2024 10:00:00 GMT"),
            ("yyyymmddThhmmssZ", "20240501T100000Z"),
            (described, "2024/05/01 10:00:00"),
        ] {
            assert_eq!(read(unit, text), Some(1_714_557_600), "{unit}");
            let unit = TimeUnit::named(unit).unwrap();
            let written = unit.write(Timestamp::from_secs(1_714_557_600)).unwrap();
            assert_eq!(unit.read(written.as_bytes()).unwrap().secs(), 1_714_557_600);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "171455760", "17145576000", "0714557600", "+714557600", "1e9       ", "٣٤٥٦٧"]
        {
            assert_eq!(read("s", text), None, "{text}");
        }
        assert_eq!(read("ms", "1714557600"), None);
        assert_eq!(read("iso8601", "2024-05-01 10:00"), None);
        assert_eq!(read("rfc1123", "Wed, 01 May 2024 10:00:00 +0000"), None);
        assert_eq!(read("iso8601", "1960-01-01T00:00:00Z"), None);
        assert!(TimeUnit::named("sec").is_none() && TimeUnit::named("[yaer]").is_none());
    }
}
