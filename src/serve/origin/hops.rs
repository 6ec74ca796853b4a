//! The client that proxies name: X-Forwarded-For, and Forwarded (RFC 7239).
//!
//! Each proxy adds at the right the address that it was asked from. So lists are read from the
//! right, and only as far as trusted proxies wrote: the first address that is not one of theirs is
//! the client, and what stands left of it is the client's own words, which nobody reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{FORWARDED, GetAll, HeaderMap, HeaderName, HeaderValue};

use crate::peer::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// More proxies one behind the other than anybody has.
const HOPS_MAX: usize = 32;

/// What proxies say names no one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

/// The client, where proxies name one: the right-most address that is not of a trusted proxy, or
/// the left-most where all are.
///
/// # Errors
/// When an address that must be read is none, when there are more than 32 to read, or when both
/// headers are there and say different things: one of them may then be the client's own.
pub(super) fn client(headers: &HeaderMap, trusted: &Networks) -> Result<Option<IpAddr>, Unclear> {
    let plain = right_most(headers.get_all(X_FORWARDED_FOR), trusted, plain_hop)?;
    let standard = right_most(headers.get_all(FORWARDED), trusted, standard_hop)?;
    match (plain, standard) {
        (Some(one), Some(other)) if one != other => Err(Unclear),
        (one, other) => Ok(one.or(other)),
    }
}

/// Every comma ends a hop, within quotes too: a quote that the client leaves open must not take in
/// what proxies add, and no address holds a comma.
fn right_most(
    lines: GetAll<'_, HeaderValue>,
    trusted: &Networks,
    read: fn(&str) -> Option<IpAddr>,
) -> Result<Option<IpAddr>, Unclear> {
    let mut last = None;
    let parts = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for (count, part) in parts.enumerate() {
        if count == HOPS_MAX {
            return Err(Unclear);
        }
        let text = std::str::from_utf8(part).map_err(|_| Unclear)?;
        let ip = read(trim(text)).ok_or(Unclear)?.to_canonical();
        last = Some(ip);
        if !trusted.contain(ip) {
            break;
        }
    }
    Ok(last)
}

/// Spaces and tabs only (RFC 9110, section 5.6.3).
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// An address, which some proxies give a port: no RFC says how.
fn plain_hop(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| node(text))
}

/// `for=` of one element. The parameters beside it must be of their form, and are not used.
fn standard_hop(text: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in text.split(';') {
        let (name, value) = trim(pair).split_once('=')?;
        let quoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
        let value = match quoted {
            // An escape is never needed in an address.
            Some(inner) => inner.filter(|inner| !inner.contains(['"', '\\']))?,
            None if is_token(value) => value,
            None => return None,
        };
        if !is_token(name) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(node(value)?).is_some() {
            return None;
        }
    }
    found
}

/// An address as RFC 7239, section 6, writes it: IPv6 in brackets, a port after it. Not `unknown`
/// and no name that a proxy made up, for these are no addresses.
fn node(text: &str) -> Option<IpAddr> {
    let (ip, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            (IpAddr::from(address.parse::<Ipv6Addr>().ok()?), rest)
        }
        None => {
            let (address, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::from(address.parse::<Ipv4Addr>().ok()?), rest)
        }
    };
    let good = match rest.strip_prefix(':') {
        Some(port) => is_port(port),
        None => rest.is_empty(),
    };
    good.then_some(ip)
}

/// Digits, or a name for a port that is kept secret.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_token_byte),
        None => text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[(&str, &str)]) -> Result<Option<String>, Unclear> {
        let trusted = ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"];
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        client(&headers, &trusted).map(|ip| ip.map(|ip| ip.to_string()))
    }

    fn plain(value: &str) -> Result<Option<String>, Unclear> {
        named(&[("x-forwarded-for", value)])
    }

    fn standard(value: &str) -> Result<Option<String>, Unclear> {
        named(&[("forwarded", value)])
    }

    fn is(ip: &str) -> Result<Option<String>, Unclear> {
        Ok(Some(ip.to_owned()))
    }

    #[test]
    fn the_right_most_hop_that_is_not_trusted_is_the_client() {
        assert_eq!(named(&[]), Ok(None));
        for (value, client) in [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1,203.0.113.7 ,\t10.1.2.3, 192.0.2.1", "203.0.113.7"),
            ("::ffff:203.0.113.7, ::ffff:10.0.0.1", "203.0.113.7"),
            ("2001:db8::1, fd00::1", "2001:db8::1"),
            ("203.0.113.7:4711, [fd00::1]:80", "203.0.113.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            // All are trusted: it came from within.
            ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ] {
            assert_eq!(plain(value), is(client), "{value}");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(named(&lines), is("203.0.113.7"));
        assert_eq!(named(&[lines[1], ("x-forwarded-for", "10.0.0.1")]), is("203.0.113.7"));
    }

    #[test]
    fn what_the_client_wrote_is_not_read() {
        for own in ["unknown", "", ",,,", "a b", "\u{e9}", "for=\"", "1.2.3.4;"] {
            assert_eq!(plain(&format!("{own}, 203.0.113.7")), is("203.0.113.7"), "{own}");
        }
        for own in ["for=\"", "for=\"a\\\"", "x", "for=\"[::1]", "for=unknown", ";;"] {
            let value = format!("{own}, for=\"[2001:db8::7]:443\";proto=https, for=10.0.0.1");
            assert_eq!(standard(&value), is("2001:db8::7"), "{own}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_unclear() {
        for bad in [
            "",
            "unknown",
            "203.0.113.7, ",
            "203.0.113.7, 10.0.0.1,",
            "203.0.113.7, , 10.0.0.1",
            "203.0.113.07",
            "203.0.113.7:",
            "203.0.113.7:65536",
            "203.0.113.7 10.0.0.1",
            "[203.0.113.7]",
            "[2001:db8::1",
            "fe80::1%eth0",
            "\"203.0.113.7\"",
        ] {
            assert_eq!(plain(bad), Err(Unclear), "{bad}");
        }
        for bad in [
            "",
            "proto=https",
            "for=unknown",
            "for=_hidden",
            "for=203.0.113.7;for=203.0.113.7",
            "for=203.0.113.7:80",
            "for=\"203.0.113.7",
            "for=\"2001:db8::1\"",
            "for=[2001:db8::1]",
            "for=\"203.0.113.7\\\"",
            "for = 203.0.113.7",
            "for=203.0.113.7;",
            "203.0.113.7",
        ] {
            assert_eq!(standard(bad), Err(Unclear), "{bad}");
        }
    }

    #[test]
    fn both_headers_must_agree() {
        let both = |plain, standard| named(&[("x-forwarded-for", plain), ("forwarded", standard)]);
        assert_eq!(both("203.0.113.7", "For=203.0.113.7;by=10.0.0.1"), is("203.0.113.7"));
        assert_eq!(both("203.0.113.7", "for=\"[::ffff:203.0.113.7]\""), is("203.0.113.7"));
        assert_eq!(both("203.0.113.7", "for=203.0.113.8"), Err(Unclear));
        assert_eq!(both("203.0.113.7", "for=unknown"), Err(Unclear));
        assert_eq!(both("203.0.113.7", "for=10.0.0.1"), Err(Unclear));
    }

    #[test]
    fn hops_are_counted_as_far_as_they_are_read() {
        let trusted = vec!["10.0.0.1"; 31].join(", ");
        assert_eq!(plain(&format!("203.0.113.7, {trusted}")), is("203.0.113.7"));
        assert_eq!(plain(&format!("203.0.113.7, 10.0.0.1, {trusted}")), Err(Unclear));
        let own = vec!["198.51.100.1"; 1000].join(", ");
        assert_eq!(plain(&format!("{own}, 203.0.113.7")), is("203.0.113.7"));
    }
}
