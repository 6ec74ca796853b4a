//! What a route changes on the way, after a request was verified and before an answer is signed:
//! the beginning of the path, and header fields with values that never depend on a message.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest target that the HTTP library holds, in bytes.
const TARGET_BYTES_MAX: usize = 65_534;

/// What a route changes; mostly nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How the path of a request is changed.
    pub path: Option<Arc<PathChange>>,
    /// How the header of a request is changed, for its upstream.
    pub request: Option<Arc<HeaderChange>>,
    /// How the header of an upstream's answer is changed, for the client.
    pub answer: Option<Arc<HeaderChange>>,
    /// Whether a span of the gate's own goes on in `traceparent`.
    pub trace: bool,
}

/// The beginning of a path that another one takes the place of. Configuration sees to it that every
/// path of the route begins so, up to a slash or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Such as `/api`: whole segments, no slash at the end.
    pub from: Box<str>,
    /// The same, or empty.
    pub to: Box<str>,
}

/// Header fields that go, and fields that are there with one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// Names of fields that go.
    pub remove: Box<[HeaderName]>,
    /// Fields that take the place of all of their name.
    pub set: Box<[(HeaderName, HeaderValue)]>,
}

impl PathChange {
    /// Whether a target is not too long for this. It may be as long as any that came, or nearly.
    pub fn fits(&self, target: Option<&PathAndQuery>) -> bool {
        let bytes = target.map_or(1, |target| target.as_str().len());
        bytes.saturating_sub(self.from.len()) + self.to.len() < TARGET_BYTES_MAX
    }

    /// The target with another beginning; the bytes of the rest and of the query stay. None for one
    /// that does not begin so, or is too long.
    ///
    /// Nothing that was refused in a path can come to be here: both beginnings and the rest are
    /// whole segments that were looked at.
    pub fn apply(&self, target: &PathAndQuery) -> Option<PathAndQuery> {
        let rest = target.as_str().strip_prefix(&*self.from)?;
        if !(rest.is_empty() || rest.starts_with(['/', '?'])) {
            return None;
        }
        let root = if self.to.is_empty() && !rest.starts_with('/') { "/" } else { "" };
        PathAndQuery::from_maybe_shared([&*self.to, root, rest].concat()).ok()
    }
}

impl HeaderChange {
    /// Changes a header.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::check_path;

    fn changed(from: &str, to: &str, target: &str) -> Option<String> {
        let change = PathChange { from: from.into(), to: to.into() };
        change.apply(&target.parse().unwrap()).map(|target| target.to_string())
    }

    #[test]
    fn only_the_beginning_changes() {
        for (from, to, target, expected) in [
            ("/api", "", "/api/orders", Some("/orders")),
            ("/api", "", "/api/", Some("/")),
            ("/api", "", "/api", Some("/")),
            ("/api", "", "/api?a=%2F&&", Some("/?a=%2F&&")),
            ("/api", "/v2", "/api", Some("/v2")),
            ("/api", "/v2", "/api/", Some("/v2/")),
            (
                "/api",
                "/v2/x",
                "/api/a%20b;v=1/api?x=/api//..",
                Some("/v2/x/a%20b;v=1/api?x=/api//.."),
            ),
            ("/api", "/v2", "/apis", None),
            ("/api", "/v2", "/API/x", None),
            ("/api/a", "", "/api/a/b/", Some("/b/")),
        ] {
            assert_eq!(changed(from, to, target).as_deref(), expected, "{from} {to} {target}");
        }
    }

    /// Every path that the gate takes stays one.
    #[test]
    fn no_path_comes_to_be_that_would_be_refused() {
        let rests = ["", "/", "/a", "/a/", "/...", "/a%2eb", "/~", "/a;b/c", "/%20", "/.a/b."];
        for (from, to) in
            [("/api", ""), ("/api", "/v"), ("/a/b", ""), ("/a", "/a/a"), ("/a.", "/.b")]
        {
            for rest in rests {
                let path = format!("{from}{rest}");
                assert_eq!(check_path(&path), Ok(()), "{path}");
                let new = changed(from, to, &path).unwrap();
                assert_eq!(check_path(&new), Ok(()), "{path} became {new}");
            }
        }
    }

    #[test]
    fn what_would_grow_too_long_is_known_before() {
        let change = PathChange { from: "/a".into(), to: "/longer".into() };
        for bytes in [65_520, 65_527, 65_528, 65_529, 65_530, 65_534] {
            let target: PathAndQuery = format!("/a/{}", "x".repeat(bytes - 3)).parse().unwrap();
            assert!(!change.fits(Some(&target)) || change.apply(&target).is_some(), "{bytes}");
        }
    }

    #[test]
    fn a_field_that_is_set_takes_the_place_of_all_of_its_name() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        headers.append("x-b", HeaderValue::from_static("3"));
        let change = HeaderChange {
            remove: [HeaderName::from_static("x-b"), HeaderName::from_static("x-c")].into(),
            set: [(HeaderName::from_static("x-a"), HeaderValue::from_static("own"))].into(),
        };
        change.apply(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-a"], "own");
    }
}
