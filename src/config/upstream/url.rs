//! `url` and `urls` of an upstream.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::upstream::UpstreamUrl;

/// Addresses of one upstream.
const URLS_MAX: usize = 32;
/// Streams on one connection, as many as most services let there be.
const STREAMS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
const STREAMS_MAX: u64 = 1000;

/// Where an upstream is.
pub(super) struct Urls {
    /// Whether TLS is spoken to all of them.
    pub(super) tls: bool,
    pub(super) places: Vec<UpstreamUrl>,
}

struct Url {
    tls: bool,
    place: UpstreamUrl,
}

/// One address or several, all with the same scheme.
pub(super) fn urls(table: &mut Table<'_>) -> Option<Urls> {
    let Some(node) = table.node("urls") else {
        let one = table.required("url", url)?;
        return Some(Urls { tls: one.tls, places: vec![one.place] });
    };
    let several = node.value().as_array().map(|items| items.len());
    let found = table.list("urls", url);
    if table.node("url").is_some() {
        table.refuse("url", "`url` is one address and `urls` are several: state one of them", None);
    }
    let mut places: Vec<UpstreamUrl> = Vec::new();
    for one in &found {
        if places.contains(&one.place) {
            table.refuse("urls", format!("{} is there twice", one.place), None);
        }
        places.push(one.place.clone());
    }
    let tls = found.first().is_some_and(|one| one.tls);
    if found.iter().any(|one| one.tls != tls) {
        table.refuse("urls", "either all are https or all are http", None);
    } else if several == Some(0) {
        table.refuse("urls", "an upstream has an address", None);
    } else if several > Some(URLS_MAX) {
        table.refuse("urls", format!("an upstream has at most {URLS_MAX} addresses"), None);
    }
    Some(Urls { tls, places }).filter(|urls| !urls.places.is_empty())
}

/// Streams on one connection where HTTP/2 is spoken; none: it is not. Over TLS both sides agree on
/// it (RFC 7301); in clear it takes knowing that the other side does, and saying so.
pub(super) fn streams(table: &mut Table<'_>, in_clear: bool) -> Option<NonZeroUsize> {
    let http2 = table.optional("http2", value::boolean).unwrap_or(false);
    let known = table.optional("http2_in_clear", value::boolean).unwrap_or(false);
    let streams = table.optional("http2_streams", value::count(STREAMS_MAX));
    if http2 && in_clear && !known {
        let hint = "say http2_in_clear = true where the service speaks nothing else, or use https";
        let problem = "over plain http nobody can agree on HTTP/2";
        table.refuse("http2", problem, Some(hint.to_owned()));
    }
    if known && !(http2 && in_clear) {
        let problem = "it is for `http2 = true` over plain http only";
        table.refuse("http2_in_clear", problem, Some("remove the key".to_owned()));
    }
    if table.stated("http2_streams") && !http2 {
        table.refuse("http2_streams", "streams are of `http2 = true` only", None);
    }
    http2.then(|| streams.unwrap_or(STREAMS))
}

/// How often names are looked up: no name server should be asked more often than once a second.
pub(super) fn resolve(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let expected = "a duration of whole seconds to a day, such as \"30s\"";
    value::duration_within(node, expected, Duration::from_secs(1)..=value::DAY)
}

fn url(node: &Node<'_>) -> Result<Url, Mismatch> {
    let expected = "a URL of scheme, host and port, such as \"http://127.0.0.1:8080\"";
    let text = node.str(expected)?;
    if text.contains('@') {
        let hint = "a user or password has no place in an upstream's URL";
        let found = "one with a user or password".to_owned();
        return Err(Mismatch { found, ..Mismatch::text(expected, "") }.hidden().hint(hint));
    }
    parse_url(text).ok_or_else(|| {
        let mismatch = Mismatch::text(expected, text);
        match text.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?', '#'])) {
            Some((_, rest)) if !rest.is_empty() => {
                mismatch.hint("a request's own path and query are sent: leave them out here")
            }
            _ => mismatch,
        }
    })
}

fn parse_url(text: &str) -> Option<Url> {
    let (tls, rest) = match text.split_once("://")? {
        ("http", rest) => (false, rest),
        ("https", rest) => (true, rest),
        _ => return None,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let port_at =
        authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or("").contains(']'));
    let (host, port) = match port_at.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok().filter(|p| *p != 0)?),
        None => (authority, if tls { 443 } else { 80 }),
    };
    let host = host.to_ascii_lowercase();
    if !value::is_host(&host) {
        return None;
    }
    let host = host.trim_matches(['[', ']']).to_owned();
    Some(Url { tls, place: UpstreamUrl { host, port } })
}
