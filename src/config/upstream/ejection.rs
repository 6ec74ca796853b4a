//! `ejection` of an upstream.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use http::StatusCode;
use toml::de::DeValue;

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::upstream::Ejection;

const FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
const FAILURES_MAX: u32 = 10_000;
const PERIOD: Duration = Duration::from_secs(10);
const AT_MOST: NonZeroU16 = NonZeroU16::MIN.saturating_add(499);
/// Statuses by which a service, or a proxy before it, says that it cannot answer.
const STATUSES: [u16; 3] = [502, 503, 504];

pub(super) fn ejection(table: &mut Table<'_>) -> Ejection {
    let failures = table.optional("failures", value::count_u32(FAILURES_MAX));
    let period = table.optional("for", value::duration);
    let at_most = table.optional("at_most", part);
    Ejection {
        failures: failures.unwrap_or(FAILURES),
        period: period.unwrap_or(PERIOD),
        at_most: at_most.unwrap_or(AT_MOST),
        statuses: table.list("statuses", status),
    }
}

fn status(node: &Node<'_>) -> Result<StatusCode, Mismatch> {
    let number = value::number(node, 502..=504)?;
    let status = STATUSES.iter().find(|status| u64::from(**status) == number);
    let status = status.and_then(|status| StatusCode::from_u16(*status).ok());
    status.ok_or_else(|| node.wrong_type("502, 503 or 504"))
}

/// A part of a whole in thousandths: more than 0, at most 1.
fn part(node: &Node<'_>) -> Result<NonZeroU16, Mismatch> {
    let expected = "a part of all addresses, from 0.001 to 1.0, such as 0.5";
    let text = match node.value() {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(node.wrong_type(expected)),
    };
    thousandths(text).ok_or_else(|| Mismatch::text(expected, text))
}

fn thousandths(text: &str) -> Option<NonZeroU16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    let all = whole.parse::<u16>().ok()?.checked_mul(1000)?.checked_add(part)?;
    NonZeroU16::new(all).filter(|all| all.get() <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_more_than_nothing_and_at_most_all() {
        for (text, part) in
            [("0.5", 500), ("1", 1000), ("1.0", 1000), ("0.001", 1), ("0.25", 250), ("0.50", 500)]
        {
            assert_eq!(thousandths(text).map(NonZeroU16::get), Some(part), "{text}");
        }
        for text in ["0", "0.0", "1.001", "2", "-0.5", "0.0001", "nan", "inf", "5e-1", ""] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
