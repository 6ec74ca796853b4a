//! From method and path to a verb: made of the verbs' paths, which are templates.
//!
//! A segment is compared as it was sent and decoded afterwards, so that a key id that holds a slash
//! or a colon can be named as `%2F` or `%3A`.

use http::Method;

use crate::administration::{self, Verb, verbs};
use crate::recipe::form::{Plus, decode};
use crate::secret::text::{Recognised, recognise};

/// No name of anything is longer.
const NAME_CHARS_MAX: usize = 128;

/// Every path that a verb answers at.
#[derive(Debug)]
pub struct Routes(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    verb: &'static Verb,
    segments: Vec<Segment>,
}

/// A segment of a template.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    /// `{name}`, or `{name}:verb`.
    Member {
        name: &'static str,
        suffix: &'static str,
    },
}

/// A verb and the members that its path brought, decoded.
#[derive(Debug)]
pub struct Found {
    /// The verb.
    pub verb: &'static Verb,
    /// Names and values.
    pub members: Vec<(&'static str, String)>,
}

impl Routes {
    /// The paths of every verb.
    pub fn new() -> Self {
        Self(verbs().map(Entry::new).collect())
    }

    /// The verb for a method and a path. HEAD is GET.
    pub fn find(&self, method: &Method, path: &str) -> Option<Found> {
        let asked = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let mut matching = self.matching(path).into_iter();
        let (entry, members) = matching.find(|(entry, _)| entry.verb.method.as_str() == asked)?;
        Some(Found { verb: entry.verb, members })
    }

    /// The methods that a path takes; none where nothing answers.
    pub fn methods(&self, path: &str) -> Option<Vec<&'static str>> {
        let matching = self.matching(path);
        let mut methods: Vec<_> =
            matching.iter().map(|(entry, _)| entry.verb.method.as_str()).collect();
        methods.sort_unstable();
        methods.dedup();
        if methods.is_empty() {
            return None;
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        Some(methods)
    }

    /// The path of what a verb has made, where it can be named.
    pub(super) fn place_of(
        &self,
        verb: &Verb,
        member: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        // Of several that fit, the one that can be read.
        let below = self.0.iter().filter_map(|entry| {
            let rest = entry.verb.path.strip_prefix(verb.path)?.strip_prefix('/')?;
            rest.split('/').all(is_plain_member).then_some(entry.verb)
        });
        let item = below.min_by_key(|verb| verb.method != administration::Method::Get)?;
        let mut path = item.path.to_owned();
        for name in item.path_members() {
            path = path.replace(&format!("{{{name}}}"), &encode(&member(name)?));
        }
        Some(path)
    }

    /// The verbs at a path. Where several templates fit, the one that tells most is meant: after
    /// `:rotate` nothing is a name that ends so.
    fn matching(&self, path: &str) -> Vec<(&Entry, Vec<(&'static str, String)>)> {
        let members = |entry| Some((entry, Entry::members(entry, path)?));
        let mut matching: Vec<_> = self.0.iter().filter_map(members).collect();
        let told = matching.iter().map(|(entry, _)| entry.told()).max();
        matching.retain(|(entry, _)| Some(entry.told()) == told);
        matching
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

impl Entry {
    fn new(verb: &'static Verb) -> Self {
        let segments = verb.path.split('/').map(|segment| {
            let member = segment.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            match member {
                Some((name, suffix)) => Segment::Member { name, suffix },
                None => Segment::Literal(segment),
            }
        });
        Self { verb, segments: segments.collect() }
    }

    /// The values of the members in a path; nothing where it is another path.
    fn members(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        if path.split('/').count() != self.segments.len() {
            return None;
        }
        let mut members = Vec::new();
        for (sent, own) in path.split('/').zip(&self.segments) {
            match own {
                Segment::Literal(text) if *text == sent => {}
                Segment::Literal(_) => return None,
                Segment::Member { name, suffix } => {
                    let value = sent.strip_suffix(suffix).filter(|value| !value.is_empty())?;
                    let value = decode(value.as_bytes(), Plus::Itself).ok()?;
                    members.push((*name, value.into_owned()));
                }
            }
        }
        Some(members)
    }

    /// How much of a path this template tells; the most telling one is meant.
    fn told(&self) -> usize {
        let told = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => text.len(),
            Segment::Member { suffix, .. } => suffix.len(),
        });
        told.sum()
    }
}

impl Found {
    /// What the call is about, for the log: the values of its path, as far as names go. A secret
    /// that somebody put there is none of it.
    pub(super) fn object(&self) -> String {
        let shown = self.members.iter().map(|(_, value)| match recognise(value.as_bytes()) {
            Recognised::Whole(kind) | Recognised::Mistyped(kind) if kind.is_secret() => {
                "(secret)".to_owned()
            }
            _ => value.chars().take(NAME_CHARS_MAX).collect(),
        });
        shown.collect::<Vec<String>>().join("/")
    }
}

fn is_plain_member(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

/// A text as one segment of a path, or as the value of a parameter (RFC 3986, section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = Routes::new().find(&method, path)?;
        let values = found.members.into_iter().map(|(_, value)| value).collect();
        Some((found.verb.name, values))
    }

    #[test]
    fn paths_lead_to_verbs() {
        let good = |method, path| find(method, path).unwrap();
        assert_eq!(good("POST", "/admin/v1/merchants"), ("merchant create", vec![]));
        assert_eq!(good("HEAD", "/admin/v1/merchants/acme").0, "merchant show");
        let rotate = good("POST", "/admin/v1/credentials/pk%3Aa%2Fb:rotate");
        assert_eq!(rotate, ("credential rotate", vec!["pk:a/b".to_owned()]));
        let value = good("POST", "/admin/v1/credentials/a/secrets/value:iv/3:revoke");
        assert_eq!(value.1, ["a", "value:iv", "3"]);
        assert_eq!(good("POST", "/admin/v1/credentials/a/secrets:import").0, "secret import");
        // What is no suffix is part of the name, and so is an escaped one.
        assert_eq!(good("GET", "/admin/v1/credentials/a:b").1, ["a:b"]);
        assert_eq!(good("GET", "/admin/v1/credentials/a%3Arotate").1, ["a:rotate"]);
    }

    #[test]
    fn what_is_no_path_is_told_from_what_is_no_method() {
        for path in [
            "/admin/v1",
            "/admin/v1/",
            "/admin/v1/merchants/",
            "/admin/v1/merchants//",
            "/admin/v1/merchants/a/b",
            "/admin/v1/credentials/%FF",
            "/admin/v1/Merchants",
            "/admin/v2/merchants",
        ] {
            assert_eq!((find("GET", path), Routes::new().methods(path)), (None, None), "{path}");
        }
        assert_eq!(find("PUT", "/admin/v1/merchants/a"), None);
        let rotate = "/admin/v1/credentials/a:rotate";
        assert_eq!(find("GET", rotate), None);
        assert_eq!(Routes::new().methods(rotate).unwrap(), ["POST", "OPTIONS"]);
        let allowed = Routes::new().methods("/admin/v1/merchants/a").unwrap();
        assert_eq!(allowed, ["GET", "PATCH", "HEAD", "OPTIONS"]);
        // A colon may be part of a name, and no verb of that name is there.
        assert_eq!(find("POST", "/admin/v1/merchants/a:dance"), None);
        assert!(Routes::new().methods("/admin/v1/merchants/a:dance").is_some());
    }

    #[test]
    fn no_two_verbs_answer_at_the_same_place() {
        let mut places: Vec<_> = verbs().map(|verb| (verb.path, verb.method.as_str())).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }

    #[test]
    fn a_secret_in_a_path_is_not_for_the_log() {
        let secret = crate::secret::text::secret(true, &[7; 32]);
        let secret = std::str::from_utf8(secret.expose()).unwrap();
        let path = format!("/admin/v1/credentials/{secret}");
        let found = Routes::new().find(&Method::GET, &path).unwrap();
        assert_eq!(found.object(), "(secret)");
        let long = format!("/admin/v1/credentials/{}", "k".repeat(9000));
        let found = Routes::new().find(&Method::GET, &long).unwrap();
        assert_eq!(found.object().len(), NAME_CHARS_MAX);
    }

    #[test]
    fn what_is_made_has_a_place() {
        let verb = administration::verb("merchant create").unwrap();
        let place = Routes::new().place_of(verb, |_| Some("a/b".to_owned()));
        assert_eq!(place.as_deref(), Some("/admin/v1/merchants/a%2Fb"));
        assert_eq!(Routes::new().place_of(verb, |_| None), None);
    }
}
