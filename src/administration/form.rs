//! How values are written in inputs and outputs: times, spans, rates, networks, pages.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;
use crate::limit::Rate;
use crate::store::row::{Cutover, Kind, NoKind};

/// The most items of one page.
pub const PAGE_MAX: usize = 1000;
/// The items of a page where the input does not say.
const PAGE: usize = 100;

/// Makes a type that is a text in JSON: read by `FromStr`, written by `Display`.
macro_rules! as_text {
    ($type:ident, $schema:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// A time to the second (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

/// Why text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Expected(&'static str);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0.secs()).ok();
        let time = time.and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
        match time.and_then(|time| time.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Moment {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let whole = |time: &OffsetDateTime| time.nanosecond() == 0;
        let time = OffsetDateTime::parse(text, &Rfc3339).ok().filter(whole);
        let secs = time.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        let expected = "a time in whole seconds with its offset, such as \"2026-12-31T00:00:00Z\"";
        secs.map(|secs| Self(Timestamp::from_secs(secs))).ok_or(Expected(expected))
    }
}

as_text!(Moment, json_schema!({ "type": "string", "format": "date-time" }));

/// A span of whole seconds, in one unit: `90s`, `15m`, `24h`, `7d`; at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

/// The units of a span, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// Ten years, in seconds.
const SPAN_MAX: u64 = 3650 * 86_400;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two days and less are told in hours.
        let fits = |(unit, secs): &(char, u64)| {
            self.0.is_multiple_of(*secs) && (*unit != 'd' || self.0 > 2 * secs)
        };
        match UNITS.iter().find(|one| self.0 != 0 && fits(one)) {
            Some((unit, secs)) => write!(f, "{}{unit}", self.0 / secs),
            None => write!(f, "{}s", self.0),
        }
    }
}

impl FromStr for Span {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit));
        let secs = unit.and_then(|(unit, secs)| {
            let digits = text.strip_suffix(*unit)?;
            let good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            good.then(|| digits.parse::<u64>().ok()?.checked_mul(*secs))?
        });
        let expected = "a whole number of s, m, h or d, such as \"24h\", at most ten years";
        secs.filter(|secs| *secs <= SPAN_MAX).map(Self).ok_or(Expected(expected))
    }
}

as_text!(Span, json_schema!({ "type": "string", "format": "span", "pattern": "^[0-9]+[smhd]$" }));

/// A rate: `50/100` is 50 a second, and 100 at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateText(pub Rate);

/// More requests a second than any machine serves.
const RATE_MAX: u32 = 100_000_000;

impl fmt::Display for RateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.per_second, self.0.burst)
    }
}

impl FromStr for RateText {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let number = |text: &str| text.parse::<NonZeroU32>().ok().filter(|n| n.get() <= RATE_MAX);
        let rate = text.split_once('/').and_then(|(per_second, burst)| {
            Some(Rate { per_second: number(per_second)?, burst: number(burst)? })
        });
        let expected = "a rate: requests a second and at once, such as \"50/100\"";
        rate.map(Self).ok_or(Expected(expected))
    }
}

as_text!(
    RateText,
    json_schema!({ "type": "string", "format": "rate", "pattern": "^[0-9]+/[0-9]+$" })
);

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let parsed = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let exact = parsed.ok().filter(|net: &IpNet| net.trunc() == *net);
        exact
            .map(Self)
            .ok_or(Expected("a network without host bits, such as \"10.0.0.0/8\", or one address"))
    }
}

as_text!(Network, json_schema!({ "type": "string", "format": "network" }));

/// What a secret is for: `signing`, `answer`, `anchor`, `root` or `value:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindText(pub Kind);

impl Default for KindText {
    fn default() -> Self {
        Self(Kind::Signing)
    }
}

impl fmt::Display for KindText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KindText {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        text.parse().map(Self)
    }
}

as_text!(
    KindText,
    json_schema!({ "type": "string", "pattern": "^(signing|answer|anchor|root|value:.+)$" })
);

/// When a new version takes over: `now`, `on_first_use`, or after a span such as `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutoverText(pub Cutover);

impl fmt::Display for CutoverText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cutover::Now => f.write_str("now"),
            Cutover::OnFirstUse => f.write_str("on_first_use"),
            Cutover::After(secs) => Span(secs).fmt(f),
        }
    }
}

impl FromStr for CutoverText {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "now" => Ok(Self(Cutover::Now)),
            "on_first_use" => Ok(Self(Cutover::OnFirstUse)),
            span => span
                .parse::<Span>()
                .map(|span| Self(Cutover::After(span.0)))
                .map_err(|_| Expected("now, on_first_use, or a span such as \"24h\"")),
        }
    }
}

as_text!(
    CutoverText,
    json_schema!({ "type": "string", "pattern": "^(now|on_first_use|[0-9]+[smhd])$" })
);

/// A part of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, as `after`; none where this is the last.
    pub next: Option<String>,
}

impl<T: Serialize + JsonSchema> super::verb::Output for Page<T> {}

impl<T> Page<T> {
    /// A page of at most `limit` of these, of which the reader was asked for one more.
    pub(super) fn cut(mut items: Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(name);
        Self { items, next }
    }
}

/// How many items a page may have.
pub(super) fn limit(asked: Option<u32>) -> usize {
    let asked = asked.and_then(|asked| usize::try_from(asked).ok());
    asked.map_or(PAGE, |asked| asked.clamp(1, PAGE_MAX))
}

/// Makes a type that is one of a closed list of words in JSON.
macro_rules! as_word {
    ($(#[$about:meta])* $name:ident of $type:ty: $($word:literal = $value:expr),+ $(,)?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $type);

        impl $name {
            const WORDS: &[(&str, $type)] = &[$(($word, $value)),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let found = Self::WORDS.iter().find(|(_, value)| *value == self.0);
                f.write_str(found.map_or("", |(word, _)| word))
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::WORDS.iter().find(|(word, _)| *word == text);
                let expected = || format!("expected one of {}", [$($word),+].join(", "));
                found.map(|(_, value)| Self(*value)).ok_or_else(expected)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        }
    };
}
pub(super) use as_word;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["90s", "15m", "24h", "36h", "7d", "0s", "365d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1440m".parse::<Span>().unwrap().to_string(), "24h");
        for text in ["2026-12-31T00:00:00Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
        assert_eq!("50/100".parse::<RateText>().unwrap().to_string(), "50/100");
        assert_eq!("10.0.0.7".parse::<Network>().unwrap().to_string(), "10.0.0.7/32");
        assert_eq!("2001:db8::/32".parse::<Network>().unwrap().to_string(), "2001:db8::/32");
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        for text in ["", "h", "1", "1w", "-1h", "1.5h", "4000d", "99999999999999999999d", "१h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["", "2026-12-31", "2026-12-31T00:00:00.5Z", "1960-01-01T00:00:00Z"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        for text in ["", "50", "0/1", "1/0", "50/100/1", "-1/5", "4294967295/1"] {
            assert!(text.parse::<RateText>().is_err(), "{text}");
        }
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "host"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_says_where_the_next_begins() {
        let page = |count: u32| Page::cut((0..count).collect(), 2, u32::to_string);
        assert_eq!((page(2).items.len(), page(2).next), (2, None));
        assert_eq!((page(3).items.len(), page(3).next), (2, Some("1".to_owned())));
        assert_eq!((limit(None), limit(Some(0)), limit(Some(9999))), (PAGE, 1, PAGE_MAX));
    }
}
