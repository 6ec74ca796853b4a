//! What a route changes on the way: its keys `strip`, `replace`, `request_headers` and
//! `response_headers`.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, HOST, SET_COOKIE};
use http::{HeaderName, HeaderValue};

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::gateway::forward::{is_hop_by_hop, is_set_here};
use crate::gateway::route::{Changes, HeaderChange, PathChange};
use crate::target::{PathPattern, check_path};

/// The longest beginning of a path, and the longest value of a field, in bytes.
const PATH_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 4096;
/// The most fields of one table and kind.
const FIELDS_MAX: usize = 32;

/// Everything that a route changes.
pub(super) fn changes(table: &mut Table<'_>, path: Option<&PathPattern>, trace: bool) -> Changes {
    Changes {
        path: path_change(table, path).map(Arc::new),
        request: headers(table, "request_headers", Way::Request),
        answer: headers(table, "response_headers", Way::Answer),
        trace,
    }
}

fn path_change(table: &mut Table<'_>, path: Option<&PathPattern>) -> Option<PathChange> {
    let strip = table.optional("strip", beginning);
    let replace = table.table("replace", |table| {
        let from = table.required("from", beginning);
        let to = table.required("to", |node| match node.value().as_str() {
            Some("/") => Ok(Box::default()),
            _ => beginning(node),
        });
        Some(PathChange { from: from?, to: to? })
    });
    if table.node("strip").is_some() && table.node("replace").is_some() {
        let hint = "strip = \"/api\" says the same as replace = { from = \"/api\", to = \"/\" }";
        table.refuse("strip", "a path is changed once", Some(hint.to_owned()));
        return None;
    }
    let (key, change) = match strip {
        Some(from) => ("strip", PathChange { from, to: Box::default() }),
        None => ("replace", replace.flatten()?),
    };
    let own = match path? {
        PathPattern::Exact(own) | PathPattern::Below(own) => own,
    };
    let rest = own.strip_prefix(&*change.from);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        let problem = format!("not every path of this route begins with {}", change.from);
        let hint = format!("its path is \"{}\"", path?);
        table.refuse(key, problem, Some(hint));
        return None;
    }
    Some(change)
}

/// The beginning of a path: whole segments.
fn beginning(node: &Node<'_>) -> Result<Box<str>, Mismatch> {
    let expected = "the beginning of a path without a slash at its end, such as \"/api\"";
    let text = node.str(expected)?;
    let mismatch = || Mismatch::text(expected, text);
    check_path(text).map_err(|fault| mismatch().hint(fault.to_string()))?;
    let good =
        text.len() <= PATH_BYTES_MAX && !text.ends_with('/') && !text.contains(['*', '?', '#']);
    if good { Ok(text.into()) } else { Err(mismatch()) }
}

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

fn headers(table: &mut Table<'_>, key: &'static str, way: Way) -> Option<Arc<HeaderChange>> {
    let read = table.table(key, |table| {
        let remove = table.list("remove", |node| {
            let name = node.str(NAME)?;
            field(name, way)
        });
        let mut set: Vec<(HeaderName, HeaderValue)> = Vec::new();
        let path = table.path_of("set");
        let entries = table.node("set").and_then(|node| node.in_order(&path));
        for (name, node) in entries.into_iter().flatten() {
            let path = format!("{path}.{name}");
            let field = node.take(&path, |node| Ok((settable(name, way)?, value(node)?)));
            let Some((name, value)) = field else { continue };
            if remove.contains(&name) || set.iter().any(|(own, _)| *own == name) {
                table.refuse("set", format!("{name} stands here twice"), None);
            }
            set.push((name, value));
        }
        if remove.len().max(set.len()) > FIELDS_MAX {
            let problem = format!("more than {FIELDS_MAX} fields");
            table.refuse("", problem, None);
        }
        HeaderChange { remove: remove.into(), set: set.into() }
    });
    read.filter(|change| *change != HeaderChange::default()).map(Arc::new)
}

const NAME: &str = "the name of a header field";

/// A field that may be changed: none that the gate or the connection rules.
fn field(text: &str, way: Way) -> Result<HeaderName, Mismatch> {
    let refuse = |why: &str| Err(Mismatch::text(NAME, text).hint(why));
    let Ok(name) = text.parse::<HeaderName>() else {
        return Err(Mismatch::text(NAME, text));
    };
    let own = |begin: &str| name.as_str().starts_with(begin);
    if own("x-countersign-") || own("x-seal-") || (way == Way::Request && is_set_here(&name)) {
        return refuse("the gate itself rules this one");
    }
    let framing = [CONTENT_LENGTH, CONTENT_ENCODING, HOST].contains(&name);
    if framing || is_hop_by_hop(&name) {
        return refuse("this one belongs to the framing or to one connection");
    }
    if name.as_str().contains('_') {
        return refuse("some programs read an underscore as a hyphen");
    }
    Ok(name)
}

/// One that may be set: a secret has no place in this file.
fn settable(text: &str, way: Way) -> Result<HeaderName, Mismatch> {
    let name = field(text, way)?;
    if [AUTHORIZATION, COOKIE, SET_COOKIE].contains(&name) {
        let hint = "a secret has no place in this file, and none is sent to everybody";
        return Err(Mismatch::text(NAME, text).hint(hint));
    }
    Ok(name)
}

fn value(node: &Node<'_>) -> Result<HeaderValue, Mismatch> {
    let expected = "a text of visible ASCII, at most 4 KiB";
    let text = node.str(expected)?;
    let visible = |b: u8| b.is_ascii_graphic() || b == b' ';
    let good = text.bytes().all(visible) && text.trim() == text && text.len() <= VALUE_BYTES_MAX;
    let value = HeaderValue::from_str(text).ok().filter(|_| good);
    value.ok_or_else(|| Mismatch::text(expected, text))
}
