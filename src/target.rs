//! Request targets: which paths the gate takes at all, and patterns over their raw bytes.
//!
//! A path is never decoded, merged or normalised here: what is matched is what was signed and what
//! is sent. So every form that a service might read as another path is refused before anything
//! matches.

use std::fmt;
use std::str::FromStr;

/// Why a path is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with `/`.
    #[error("a path begins with '/'")]
    NotAbsolute,
    /// A byte that is not visible ASCII, or a backslash.
    #[error("a path holds visible ASCII without backslashes")]
    Byte,
    /// A `%` without two hexadecimal digits, or an escape for a slash, backslash or control byte.
    #[error("a path holds no broken escape, and none for '/', '\\', or a control byte")]
    Escape,
    /// An empty segment, `.` or `..` in any spelling.
    #[error("a path holds no empty segment, '.' or '..'")]
    Segment,
}

/// Refuses every path that two programs could read as different paths.
///
/// # Errors
/// The first fault found.
pub fn check_path(path: &str) -> Result<(), PathFault> {
    let Some(rest) = path.strip_prefix('/') else { return Err(PathFault::NotAbsolute) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~');
    // Most paths consist of plain bytes and single slashes: decided in one pass.
    let mut last = b'/';
    let simple = rest.bytes().all(|b| {
        let good = plain(b) || (b == b'/' && last != b'/');
        last = b;
        good
    });
    if simple { Ok(()) } else { check_segments(rest) }
}

fn check_segments(rest: &str) -> Result<(), PathFault> {
    if let Some(fault) = check_bytes(rest.as_bytes()) {
        return Err(fault);
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // Some services cut path parameters off first, before or after they decode, so that `..;x`
        // and `..%3bx` climb like `..`.
        let name = segment.split(';').next().unwrap_or_default();
        let name = name.split("%3b").next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        if (name.is_empty() && !(last && segment.is_empty())) || is_dots(name) {
            return Err(PathFault::Segment);
        }
    }
    Ok(())
}

fn check_bytes(bytes: &[u8]) -> Option<PathFault> {
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let decoded = hex_digit(rest.next()).zip(hex_digit(rest.next()));
                let Some((high, low)) = decoded else { return Some(PathFault::Escape) };
                if matches!(high * 16 + low, 0..0x20 | b'/' | b'\\' | 0x7f) {
                    return Some(PathFault::Escape);
                }
            }
            b'\\' => return Some(PathFault::Byte),
            0x21..=0x7e => {}
            _ => return Some(PathFault::Byte),
        }
    }
    None
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
}

/// Whether a segment is one or two dots, each plain or as `%2e`.
fn is_dots(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

/// A path written out, or everything below a prefix: `/v1/orders` or `/v1/*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// This path only.
    Exact(Box<str>),
    /// Every path that begins with this text, which ends in `/`.
    Below(Box<str>),
}

impl PathPattern {
    /// Whether a path, without its query, falls under the pattern.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *path,
            Self::Below(prefix) => path.starts_with(&**prefix),
        }
    }

    /// Orders patterns so that the more telling one is greater: exact before prefix, long before
    /// short.
    pub fn precedence(&self) -> (bool, usize) {
        match self {
            Self::Exact(path) => (true, path.len()),
            Self::Below(prefix) => (false, prefix.len()),
        }
    }
}

impl FromStr for PathPattern {
    type Err = PathFault;

    fn from_str(text: &str) -> Result<Self, PathFault> {
        let below = text.strip_suffix('*').filter(|prefix| prefix.ends_with('/'));
        check_path(below.unwrap_or(text))?;
        Ok(below.map_or_else(|| Self::Exact(text.into()), |prefix| Self::Below(prefix.into())))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in ["/", "/v1/orders", "/v1/orders/", "/a.b/c~d", "/x%20y", "/a;v=1/b", "/a:b@c"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        for path in [
            "",
            "v1",
            "//",
            "//host/x",
            "/a//b",
            "/./a",
            "/a/..",
            "/%2e%2E/a",
            "/.%2e/a",
            "/a/..;x/b",
            "/a/..%3bx/b",
            "/a/%2e%3Bx",
            "/;x/a",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%0d",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a\u{e9}",
            "/a b",
            "/a%7f",
            "/a\u{7f}",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn patterns_match_bytes_only() {
        let below: PathPattern = "/v1/*".parse().unwrap();
        assert!(below.matches("/v1/") && below.matches("/v1/orders/7"));
        assert!(!below.matches("/v1") && !below.matches("/V1/orders") && !below.matches("/v1x/"));
        let exact: PathPattern = "/v1/orders".parse().unwrap();
        assert!(exact.matches("/v1/orders") && !exact.matches("/v1/orders/"));
        assert!(exact.precedence() > below.precedence());
        assert!("/v1/../*".parse::<PathPattern>().is_err());
    }
}
