//! Addresses that are made of a message: what it says never chooses whom the gate calls, nor where
//! on that host a path leads.

use std::ops::Range;

use http::Uri;
use http::uri::Authority;

use crate::inbox::profile::ProfileMistake;
use crate::recipe::expression::Expression;
use crate::recipe::source::Source;
use crate::recipe::{Piece, Scope, Template};

/// Functions whose text holds nothing that would mean something in an address; `join` and `map`
/// give what configuration wrote.
const ENCODING: [&str; 8] =
    ["urlencode", "hex", "base64url", "join", "map", "length", "count", "date"];

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inbox) enum Kind {
    /// The gate calls it.
    Call,
    /// A browser goes there; it may be a path of the same host.
    Location,
}

/// What is wrong with an address, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inbox) struct Wrong {
    span: Option<Range<usize>>,
    problem: String,
    hint: &'static str,
}

impl Wrong {
    /// As a mistake of a key.
    pub(in crate::inbox) fn at(self, key: &str) -> ProfileMistake {
        let Self { span, problem, hint } = self;
        ProfileMistake { key: key.to_owned(), span, problem, hint: Some(hint.to_owned()) }
    }
}

/// Checks that scheme, host and port of an address are written in it, and that whatever else
/// stands in it is encoded.
///
/// # Errors
/// The first thing that is wrong.
pub(in crate::inbox) fn check(template: &Template, scope: &Scope, kind: Kind) -> Result<(), Wrong> {
    let wrong = |span, problem: &str, hint| Wrong { span, problem: problem.to_owned(), hint };
    let pieces = template.pieces();
    let whole = "begin with https:// and the host: \"https://api.example.com/…\"";
    let Some(Piece::Literal(start, span)) = pieces.first() else {
        let problem = "a message must not choose who is called: the host is fixed text";
        return Err(wrong(pieces.first().map(Piece::span), problem, whole));
    };
    let is_path = start.starts_with('/') && !start.starts_with("//") && !start.starts_with("/\\");
    if !(kind == Kind::Location && is_path) {
        let rest = start.strip_prefix("https://").or_else(|| start.strip_prefix("http://"));
        let Some(rest) = rest else {
            return Err(wrong(Some(span.clone()), "this is no whole https:// address", whole));
        };
        let end = rest.find(['/', '?', '#']);
        let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if end.is_none() && pieces.len() > 1 {
            let hint = "put a '/' behind the host";
            let problem = "a message must not choose who is called: the host ends before a hole";
            return Err(wrong(Some(span.clone()), problem, hint));
        }
        if !is_authority(authority) {
            let problem = format!("'{authority}' is no host");
            let hint = "a host and perhaps a port, without user and password";
            return Err(wrong(Some(span.clone()), &problem, hint));
        }
    }
    for piece in pieces {
        match piece {
            Piece::Literal(text, span) => {
                if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
                    let problem = "an address is visible ASCII without white space and '#'";
                    return Err(wrong(Some(span.clone()), problem, "percent-encode it: %20"));
                }
            }
            Piece::Hole(hole) if !is_encoded(hole, scope) => {
                let problem = "what stands in an address is percent-encoded";
                return Err(wrong(Some(hole.span()), problem, "end the hole with | urlencode"));
            }
            Piece::Hole(_) => {}
        }
    }
    Ok(())
}

fn is_authority(text: &str) -> bool {
    let authority = text.parse::<Authority>().ok();
    authority.is_some_and(|authority| !authority.host().is_empty() && !text.contains('@'))
}

/// Whether a hole gives text that is encoded: by its last function, or by that of what it names.
fn is_encoded(hole: &Expression, scope: &Scope) -> bool {
    if let Some(last) = hole.calls.last() {
        return ENCODING.contains(&last.function.name);
    }
    let Source::Named(index) = hole.source else { return false };
    let templates = scope.definition(index).and_then(|one| one.templates.as_ref());
    templates.is_some_and(|templates| {
        templates.iter().all(|(_, template)| template.hole().is_some_and(|h| is_encoded(h, scope)))
    })
}

/// The address that came out; none where it is none, or where its path leads back up.
pub(super) fn address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let climbs = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    let whole = matches!(uri.scheme_str(), Some("https" | "http")) && uri.authority().is_some();
    (whole && !uri.path().split('/').any(climbs)).then_some(uri)
}
