//! Functions for times.

use time::{OffsetDateTime, UtcOffset};

use super::input::{fixed, number, optional, text};
use super::{Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::value::Value;

pub(super) static TABLE: &[Function] = &[Function::text(
    "date",
    Takes::Text,
    "A Unix time as `'%Y-%m-%dT%H:%M:%SZ'` and the like, in UTC: `%Y %m %d %H %M %S`, `%y` two \
     digits, `%j` day of the year, `%f` milliseconds, `%s` the Unix time itself. The unit is \
     `'s'` or `'ms'`, and minutes may be added for a time zone.",
    |input, arguments| {
        let written = text(input)?;
        let is_plain = written.len() <= 15 && written.bytes().all(|byte| byte.is_ascii_digit());
        let number = written.parse::<i64>().ok().filter(|_| is_plain);
        let number = number.ok_or_else(Fault::malformed)?;
        let is_millis = optional(arguments, 1) == Some("ms");
        let (seconds, millis) =
            if is_millis { (number / 1000, number % 1000) } else { (number, 0) };
        let offset = match arguments.get(2) {
            Some(_) => self::number(arguments, 2)?,
            None => 0,
        };
        let at = moment(seconds, offset).ok_or_else(Fault::malformed)?;
        format(fixed(arguments, 0)?, at, seconds, millis).map(Value::from)
    },
)
.with(&[
    Parameter::required("format", Kind::Text),
    Parameter::optional("unit", Kind::Choice(&["s", "ms"])),
    Parameter::optional("minutes", Kind::Number),
])];

fn moment(seconds: i64, minutes: i64) -> Option<OffsetDateTime> {
    let offset = i32::try_from(minutes.checked_mul(60)?).ok()?;
    let offset = UtcOffset::from_whole_seconds(offset).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.checked_to_offset(offset)
}

fn format(pattern: &str, at: OffsetDateTime, seconds: i64, millis: i64) -> Result<String, Fault> {
    let mut text = String::with_capacity(pattern.len() * 2);
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let part = match characters.next() {
            Some('Y') => format!("{:04}", at.year()),
            Some('y') => format!("{:02}", at.year().rem_euclid(100)),
            Some('m') => format!("{:02}", u8::from(at.month())),
            Some('d') => format!("{:02}", at.day()),
            Some('j') => format!("{:03}", at.ordinal()),
            Some('H') => format!("{:02}", at.hour()),
            Some('M') => format!("{:02}", at.minute()),
            Some('S') => format!("{:02}", at.second()),
            Some('f') => format!("{millis:03}"),
            Some('s') => seconds.to_string(),
            Some('%') => "%".to_owned(),
            _ => return Err(Fault::malformed()),
        };
        text.push_str(&part);
    }
    Ok(text)
}
