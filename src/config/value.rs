//! One value each: durations, sizes, numbers, addresses, names, times. Every number has its
//! bounds, and zero is never a way to say "unlimited".

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::de::DeValue;

use super::node::{Mismatch, Node, nearest, one_of};
use crate::clock::Timestamp;
use crate::limit::{KIB, MIB};

type Read<T> = Result<T, Mismatch>;

/// `true` or `false`.
pub(super) fn boolean(node: &Node<'_>) -> Read<bool> {
    node.value().as_bool().ok_or_else(|| node.wrong_type("true or false"))
}

/// A path, relative ones from the folder of the file.
pub(super) fn path(node: &Node<'_>) -> Read<PathBuf> {
    let expected = "a path";
    let text = node.str(expected)?;
    if text.is_empty() || text.contains('\0') {
        return Err(Mismatch::text(expected, text));
    }
    Ok(node.document.folder().join(text))
}

/// A whole number within bounds.
pub(super) fn number(node: &Node<'_>, bounds: RangeInclusive<u64>) -> Read<u64> {
    let expected = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
    let DeValue::Integer(integer) = node.value() else { return Err(node.wrong_type(expected())) };
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
    number.filter(|number| bounds.contains(number)).ok_or_else(|| {
        let mismatch = Mismatch { found: integer.to_string(), ..Mismatch::text(expected(), "") };
        zero_hint(mismatch, number == Some(0))
    })
}

/// A count of at least one.
pub(super) fn count(max: u64) -> impl Fn(&Node<'_>) -> Read<NonZeroUsize> {
    move |node| {
        let number = number(node, 1..=max)?;
        let count = usize::try_from(number).ok().and_then(NonZeroUsize::new);
        count.ok_or_else(|| node.wrong_type("a count"))
    }
}

/// A count of at least one, in 32 bits.
pub(super) fn count_u32(max: u32) -> impl Fn(&Node<'_>) -> Read<NonZeroU32> {
    move |node| {
        let number = number(node, 1..=u64::from(max))?;
        let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
        count.ok_or_else(|| node.wrong_type("a count"))
    }
}

/// A share of one, in millionths: `0.1`, at least so many.
pub(super) fn share(node: &Node<'_>, least: u32) -> Read<u32> {
    let bounds = if least == 0 { "from 0 to 1" } else { "above 0 and up to 1" };
    let expected = format!("a share {bounds}, such as 0.1, in steps of 0.000001");
    let text = match node.value() {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(node.wrong_type(expected)),
    };
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let per_million = share.and_then(|share| format!("{:.0}", share * 1e6).parse::<u32>().ok());
    per_million.filter(|share| *share >= least).ok_or_else(|| Mismatch::text(expected, text))
}

/// A number of bytes within bounds: `"1MiB"`, `"512KiB"`, `4096`.
pub(super) fn size(bounds: RangeInclusive<usize>) -> impl Fn(&Node<'_>) -> Read<NonZeroUsize> {
    move |node| {
        let (low, high) = (bytes_text(*bounds.start()), bytes_text(*bounds.end()));
        let expected = format!("a size from {low} to {high}, such as \"64KiB\", \"1MiB\" or 4096");
        let (bytes, mismatch) = match node.value() {
            DeValue::Integer(integer) => {
                let bytes = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
                let found = integer.to_string();
                (bytes, Mismatch { found, ..Mismatch::text(expected, "") })
            }
            DeValue::String(text) => (parse_size(text), Mismatch::text(expected, text)),
            _ => return Err(node.wrong_type(expected)),
        };
        let good = bytes.filter(|bytes| bounds.contains(bytes)).and_then(NonZeroUsize::new);
        good.ok_or_else(|| match node.value().as_str() {
            Some(text) if text.ends_with("MB") || text.ends_with("KB") || text.ends_with("GB") => {
                mismatch.hint("units are KiB, MiB and GiB, of 1024 bytes each step")
            }
            _ => zero_hint(mismatch, bytes == Some(0)),
        })
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) = split_unit(text);
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

/// Bytes in the largest unit that divides them.
pub(super) fn bytes_text(bytes: usize) -> String {
    let units = [(1024 * MIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    match units.iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3600 * SECOND_MS;

/// The longest duration that any key takes.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A duration of 1 ms to a day: `"500ms"`, `"5s"`, `"5m"`, `"1h"`.
pub(super) fn duration(node: &Node<'_>) -> Read<Duration> {
    let expected = "a duration from 1ms to 24h, such as \"500ms\", \"5s\", \"5m\" or \"1h\"";
    let text = node.str(expected).map_err(|mismatch| match node.value() {
        DeValue::Integer(_) => mismatch.hint("a duration has a unit: \"5s\""),
        _ => mismatch,
    })?;
    let duration = parse_duration(text);
    let good = duration.filter(|duration| !duration.is_zero() && *duration <= DAY);
    good.ok_or_else(|| {
        zero_hint(Mismatch::text(expected, text), duration.is_some_and(|d| d.is_zero()))
    })
}

/// A duration of whole seconds within bounds, which may be longer than a day.
pub(super) fn duration_within(
    node: &Node<'_>,
    expected: &str,
    bounds: RangeInclusive<Duration>,
) -> Read<Duration> {
    let text = node.str(expected)?;
    let duration = parse_duration(text);
    let good = duration.filter(|one| bounds.contains(one) && one.subsec_nanos() == 0);
    good.ok_or_else(|| {
        zero_hint(Mismatch::text(expected, text), duration.is_some_and(|d| d.is_zero()))
    })
}

/// A duration of whole seconds: the signed time has no finer unit.
pub(super) fn seconds(node: &Node<'_>) -> Read<Duration> {
    let duration = duration(node)?;
    if duration.subsec_nanos() == 0 {
        return Ok(duration);
    }
    let text = node.str("")?;
    Err(Mismatch::text("a duration of whole seconds, such as \"5s\" or \"5m\"", text))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = split_unit(text);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => SECOND_MS,
        "m" => 60 * SECOND_MS,
        "h" => HOUR_MS,
        "d" => 24 * HOUR_MS,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}

fn zero_hint(mismatch: Mismatch, is_zero: bool) -> Mismatch {
    if is_zero {
        mismatch.hint("zero does not mean unlimited; every limit is a number")
    } else {
        mismatch
    }
}

/// An address and port to listen on.
pub(super) fn socket_address(node: &Node<'_>) -> Read<SocketAddr> {
    let expected = "an IP address and a port, such as \"127.0.0.1:8443\" or \"[::]:8443\"";
    let text = node.str(expected)?;
    text.parse().map_err(|_| Mismatch::text(expected, text))
}

/// A network: `"10.0.0.0/8"`, `"2001:db8::/32"`, or one address.
pub(super) fn network(node: &Node<'_>) -> Read<IpNet> {
    let expected = "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address";
    let text = node.str(expected)?;
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = canonical(parsed.map_err(|_| Mismatch::text(expected, text))?);
    if network.trunc() == network {
        return Ok(network);
    }
    let hint = format!("host bits are set; the network is \"{}\"", network.trunc());
    Err(Mismatch::text(expected, text).hint(hint))
}

/// IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2) as the IPv4 that it means.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

/// A name in logs and metrics: 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(super) fn name<'n>(node: &Node<'n>) -> Read<&'n str> {
    let text = node.str(NAME)?;
    if is_name(text) { Ok(text) } else { Err(Mismatch::text(NAME, text)) }
}

/// What a name is.
pub(super) const NAME: &str = "a name of 1 to 64 letters, digits, '.', '_' or '-'";

/// Whether text is 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// One of a closed list of words.
pub(super) fn choice<'c, T: Copy>(
    choices: &'c [(&'static str, T)],
) -> impl Fn(&Node<'_>) -> Read<T> + 'c {
    move |node| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = one_of(&words);
        let text = node.str(&expected)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let mismatch = Mismatch::text(expected, text);
            match nearest(text, &words) {
                Some(near) => mismatch.hint(format!("did you mean \"{near}\"?")),
                None => mismatch,
            }
        })
    }
}

/// A point in time to the second (RFC 3339), as a string or a TOML date.
pub(super) fn timestamp(node: &Node<'_>) -> Read<Timestamp> {
    let expected = "a time in whole seconds with its offset, such as \"2026-12-31T00:00:00Z\"";
    let text = match node.value() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        _ => return Err(node.wrong_type(expected)),
    };
    let whole = |time: &OffsetDateTime| time.nanosecond() == 0 && !text.contains('.');
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok().filter(whole);
    let secs = time.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
    secs.map(Timestamp::from_secs).ok_or_else(|| Mismatch::text(expected, &text))
}

/// A host as it stands in a request, in lower case, without port; an IPv6 address loses its
/// brackets.
pub(super) fn host(node: &Node<'_>) -> Read<String> {
    let expected = "a host name or address without port, such as \"api.example.com\"";
    let text = node.str(expected)?;
    let host = text.to_ascii_lowercase();
    if is_host(&host) {
        return Ok(host.trim_matches(['[', ']']).to_owned());
    }
    let mismatch = Mismatch::text(expected, text);
    Err(if text.contains('*') {
        mismatch.hint("name each host; there are no wildcards")
    } else {
        mismatch
    })
}

/// Whether text is a host name, an IPv4 address or a bracketed IPv6 address, in lower case.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}
