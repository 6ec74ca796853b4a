//! Other methods, targets, hosts and headers that somebody may have signed in place of those sent.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::recipe::Subject;

use super::body::percent_decoded;
use super::mistake::Mistake;

/// What is different in a message.
#[derive(Default)]
pub(super) struct Other {
    method: Option<String>,
    scheme: Option<&'static str>,
    authority: Option<String>,
    target: Option<String>,
    headers: Option<HeaderMap>,
}

impl Other {
    /// The message with what is different.
    pub(super) fn subject<'a>(&'a self, subject: &Subject<'a>) -> Subject<'a> {
        Subject {
            method: self.method.as_deref().unwrap_or(subject.method),
            scheme: self.scheme.unwrap_or(subject.scheme),
            authority: self.authority.as_deref().unwrap_or(subject.authority),
            target: self.target.as_deref().unwrap_or(subject.target),
            headers: self.headers.as_ref().unwrap_or(subject.headers),
            ..*subject
        }
    }

    fn target(target: String) -> Self {
        Self { target: Some(target), ..Self::default() }
    }

    fn authority(authority: String) -> Self {
        Self { authority: Some(authority), ..Self::default() }
    }
}

/// What may have been signed, the likely ones first.
pub(super) fn variants(subject: &Subject<'_>) -> Vec<(Mistake, Other)> {
    let (path, query) = (subject.path(), subject.query());
    let with_query = |path: &str| match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let mut all = vec![(
        Mistake::MethodCase,
        Other { method: Some(subject.method.to_ascii_lowercase()), ..Other::default() },
    )];
    if !query.is_empty() {
        all.push((Mistake::QueryLeftOut, Other::target(path.to_owned())));
        let mut fields: Vec<&str> = query.split('&').collect();
        fields.sort_unstable();
        all.push((Mistake::QuerySorted, Other::target(format!("{path}?{}", fields.join("&")))));
    } else {
        all.push((Mistake::TargetForm, Other::target(format!("{path}?"))));
    }
    let slash = match path.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{path}/"),
    };
    all.push((Mistake::TrailingSlash, Other::target(with_query(&slash))));
    all.push((Mistake::TargetEncoding, Other::target(percent_decoded(subject.target))));
    all.push((Mistake::TargetEncoding, Other::target(subject.target.replace('+', "%20"))));
    all.push((Mistake::TargetEncoding, Other::target(subject.target.replace("%20", "+"))));
    all.push((Mistake::TargetEncoding, Other::target(upper_escapes(subject.target))));
    let url = format!("{}://{}{}", subject.scheme, subject.authority, subject.target);
    all.push((Mistake::TargetForm, Other::target(url)));
    // The path without its first segments, as a client that knows only its own part signs it.
    let mut rest = path;
    while let Some((_, below)) = rest.get(1..).and_then(|rest| rest.split_once('/')) {
        rest = path.get(path.len() - below.len() - 1..).unwrap_or_default();
        all.push((Mistake::TargetForm, Other::target(with_query(rest))));
        all.push((Mistake::TargetForm, Other::target(with_query(rest.trim_start_matches('/')))));
        if all.len() > VARIANTS_MAX {
            break;
        }
    }
    all.push((Mistake::TargetForm, Other::target(with_query(path.trim_start_matches('/')))));
    let host = match subject.port() {
        Some(_) => subject.host().to_owned(),
        None => format!("{}:443", subject.authority),
    };
    all.push((Mistake::HostPort, Other::authority(host)));
    all.push((Mistake::HostPort, Other { scheme: Some("http"), ..Other::default() }));
    all.extend(content_types(subject).into_iter().map(|headers| {
        (Mistake::ContentType, Other { headers: Some(headers), ..Other::default() })
    }));
    all
}

/// How many variants there may be before prefixes of long paths are no longer tried.
const VARIANTS_MAX: usize = 40;

fn content_types(subject: &Subject<'_>) -> Vec<HeaderMap> {
    let with = |value: Option<HeaderValue>| {
        let mut headers = subject.headers.clone();
        match value {
            Some(value) => drop(headers.insert(CONTENT_TYPE, value)),
            None => drop(headers.remove(CONTENT_TYPE)),
        }
        headers
    };
    let sent = subject.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(sent) = sent else {
        return ["application/json", "application/x-www-form-urlencoded"]
            .map(|value| with(Some(HeaderValue::from_static(value))))
            .into();
    };
    let bare = sent.split(';').next().unwrap_or_default().trim();
    let others = [
        bare.to_owned(),
        format!("{bare}; charset=utf-8"),
        format!("{bare}; charset=UTF-8"),
        format!("{bare};charset=utf-8"),
        format!("{bare};charset=UTF-8"),
    ];
    let others = others.iter().filter(|other| *other != sent);
    let others = others.filter_map(|other| HeaderValue::from_str(other).ok());
    others.map(|other| with(Some(other))).chain([with(None)]).collect()
}

/// Percent escapes with upper-case digits, or lower-case ones where they are upper already.
fn upper_escapes(target: &str) -> String {
    let mut left = 0;
    let upper = target.split('%').skip(1).all(|rest| {
        rest.get(..2).is_some_and(|digits| digits.bytes().all(|digit| !digit.is_ascii_lowercase()))
    });
    let change = |character: char| {
        if character == '%' {
            left = 2;
            return character;
        }
        if left == 0 {
            return character;
        }
        left -= 1;
        if upper { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() }
    };
    target.chars().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::NamedSecrets;

    #[test]
    fn targets_hosts_and_types_are_tried() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let values = NamedSecrets::default();
        let subject = Subject {
            method: "POST",
            scheme: "https",
            authority: "api.example:8443",
            target: "/v1/a%2fb/?b=2&a=x+y",
            headers: &headers,
            body: &[],
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        let all = variants(&subject);
        let targets: Vec<String> =
            all.iter().map(|(_, other)| other.subject(&subject).target.to_owned()).collect();
        for expected in [
            "/v1/a%2fb/",
            "/v1/a%2fb/?a=x+y&b=2",
            "/v1/a%2fb?b=2&a=x+y",
            "/v1/a/b/?b=2&a=x+y",
            "/v1/a%2Fb/?b=2&a=x+y",
            "/v1/a%2fb/?b=2&a=x%20y",
            "https://api.example:8443/v1/a%2fb/?b=2&a=x+y",
            "/a%2fb/?b=2&a=x+y",
            "v1/a%2fb/?b=2&a=x+y",
        ] {
            assert!(targets.iter().any(|target| target == expected), "{expected} {targets:?}");
        }
        let hosts: Vec<&str> =
            all.iter().map(|(_, other)| other.subject(&subject).authority).collect();
        assert!(hosts.contains(&"api.example"));
        let types: Vec<Option<&HeaderValue>> = all
            .iter()
            .map(|(_, other)| other.subject(&subject).headers.get(CONTENT_TYPE))
            .collect();
        assert!(types.contains(&None));
        assert!(types.contains(&Some(&HeaderValue::from_static("application/json"))));
    }

    #[test]
    fn long_paths_make_no_endless_list() {
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let target = "/a".repeat(4000);
        let subject = Subject {
            method: "GET",
            scheme: "https",
            authority: "a",
            target: &target,
            headers: &headers,
            body: &[],
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        assert!(variants(&subject).len() < 60);
    }
}
