//! What was parsed of a message, each kind once.

use std::borrow::Cow;
use std::cell::OnceCell;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{COOKIE, HOST, HeaderName, HeaderValue};

use crate::recipe::fault::Fault;
use crate::recipe::form;
use crate::recipe::json::Json;
use crate::recipe::subject::Subject;
use crate::recipe::value::{ITEMS_MAX, Pairs, VALUE_BYTES_MAX, owned_pairs};
use crate::recipe::xml;

/// What was parsed, or why it could not be.
#[derive(Default)]
pub(super) struct Memo<'s> {
    query: OnceCell<Result<Pairs<'s>, Fault>>,
    form: OnceCell<Result<Pairs<'s>, Fault>>,
    json: OnceCell<Result<Json<'s>, Fault>>,
    xml: OnceCell<Result<Pairs<'s>, Fault>>,
}

/// The body in one piece.
enum Whole<'s> {
    Piece(&'s [u8]),
    Joined(Vec<u8>),
}

impl<'s> Memo<'s> {
    /// The query parameters.
    pub(super) fn query(&self, subject: &Subject<'s>) -> Result<&Pairs<'s>, Fault> {
        let parse = || form::parse(subject.query().as_bytes());
        self.query.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    /// The form fields of the body.
    pub(super) fn form(&self, subject: &Subject<'s>) -> Result<&Pairs<'s>, Fault> {
        let parse = || match whole(subject.body)? {
            Whole::Piece(piece) => form::parse(piece),
            Whole::Joined(body) => form::parse(&body).map(owned_pairs),
        };
        self.form.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    /// The body as JSON; absent where there is none.
    pub(super) fn json(&self, subject: &Subject<'s>) -> Result<&Json<'s>, Fault> {
        let parse = || match whole(subject.body)? {
            Whole::Piece([]) => Err(Fault::absent()),
            Whole::Piece(piece) => Json::parse(piece),
            Whole::Joined(body) => Json::parse(&body).map(Json::into_owned),
        };
        self.json.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    /// The elements of the body as XML, with their paths; absent where there is none.
    pub(super) fn xml(&self, subject: &Subject<'s>) -> Result<&Pairs<'s>, Fault> {
        let parse = || match whole(subject.body)? {
            Whole::Piece([]) => Err(Fault::absent()),
            Whole::Piece(piece) => xml::parse(piece),
            Whole::Joined(body) => xml::parse(&body).map(owned_pairs),
        };
        self.xml.get_or_init(parse).as_ref().map_err(Clone::clone)
    }
}

fn whole(body: &[Bytes]) -> Result<Whole<'_>, Fault> {
    if body.iter().map(Bytes::len).sum::<usize>() > VALUE_BYTES_MAX {
        return Err(Fault::too_long());
    }
    let mut pieces = body.iter().filter(|piece| !piece.is_empty());
    Ok(match (pieces.next(), pieces.next()) {
        (None, _) => Whole::Piece(&[]),
        (Some(piece), None) => Whole::Piece(piece),
        _ => Whole::Joined(body.concat()),
    })
}

fn header_text(value: &HeaderValue) -> Result<&str, Fault> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| Fault::not_text())
}

/// All values of a header. The authority stands in for a `host` that was not sent, as in HTTP/2.
pub(super) fn header_values<'s>(
    subject: &Subject<'s>,
    name: &HeaderName,
) -> impl Iterator<Item = Result<&'s str, Fault>> {
    let authority =
        (*name == HOST && !subject.headers.contains_key(HOST)).then_some(subject.authority);
    let sent = subject.headers.get_all(name).iter().map(header_text);
    sent.chain(authority.map(Ok))
}

/// A header that must be there once.
pub(super) fn header<'s>(subject: &Subject<'s>, name: &HeaderName) -> Result<&'s str, Fault> {
    let mut values = header_values(subject, name);
    let value = values.next().ok_or_else(Fault::absent)?;
    if values.next().is_some() { Err(Fault::repeated()) } else { value }
}

/// The bytes of a header that must be there once: text all the same, but mostly ASCII, which shows
/// at a look.
pub(super) fn header_bytes<'s>(
    subject: &Subject<'s>,
    name: &HeaderName,
) -> Result<&'s [u8], Fault> {
    let mut sent = subject.headers.get_all(name).iter();
    match (sent.next(), sent.next()) {
        (Some(value), None) if value.as_bytes().is_ascii() => Ok(value.as_bytes()),
        _ => header(subject, name).map(str::as_bytes),
    }
}

/// All headers, names in lower case.
pub(super) fn headers<'s>(subject: &Subject<'s>) -> Result<Pairs<'s>, Fault> {
    let headers: &'s HeaderMap = subject.headers;
    if headers.len() >= ITEMS_MAX {
        return Err(Fault::too_long());
    }
    let sent = headers.iter().map(|(name, value)| {
        Ok((Cow::Borrowed(name.as_str()), Cow::Borrowed(header_text(value)?)))
    });
    let mut pairs = sent.collect::<Result<Pairs<'s>, Fault>>()?;
    if !headers.contains_key(HOST) {
        pairs.push((Cow::Borrowed("host"), Cow::Borrowed(subject.authority)));
    }
    Ok(pairs)
}

/// A cookie that must be there once (RFC 6265, section 4.2.1).
pub(super) fn cookie<'s>(subject: &Subject<'s>, name: &str) -> Result<&'s str, Fault> {
    let mut found = None;
    for line in subject.headers.get_all(COOKIE) {
        for pair in header_text(line)?.split(';') {
            let Some((own, value)) = pair.trim_matches([' ', '\t']).split_once('=') else {
                continue;
            };
            if own == name && found.replace(value).is_some() {
                return Err(Fault::repeated());
            }
        }
    }
    found.ok_or_else(Fault::absent)
}

/// The first value of a name.
pub(super) fn first<'p>(pairs: &'p Pairs<'_>, name: &str) -> Result<&'p str, Fault> {
    let found = pairs.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| &**value).ok_or_else(Fault::absent)
}

/// The value of a name that must be there once.
pub(super) fn once<'p>(pairs: &'p Pairs<'_>, name: &str) -> Result<&'p str, Fault> {
    let mut found = pairs.iter().filter(|(own, _)| own == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (None, _) => Err(Fault::absent()),
        _ => Err(Fault::repeated()),
    }
}

/// All values of a name.
pub(super) fn all<'p>(pairs: &'p Pairs<'_>, name: &str) -> Vec<Cow<'p, str>> {
    let found = pairs.iter().filter(|(own, _)| own == name);
    found.map(|(_, value)| Cow::Borrowed(&**value)).collect()
}
