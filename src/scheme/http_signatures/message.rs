//! What a component's value is in a message (RFC 9421 section 2).
//!
//! Values go to the sink piece by piece. None of them can hold a line break: header values cannot,
//! and the rest is checked here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use itoa::Buffer;

use super::component::{Component, Name};
use super::fault::Fault;
use super::{query, structured};

/// A request as it was received, byte for byte.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// Host or `:authority` as sent.
    pub authority: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// A response.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// What carries a signature.
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response, and the request that it answers.
    Response(Response<'a>, Request<'a>),
}

/// Takes in a signature base piece by piece.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&[u8]);

impl<'a> Message<'a> {
    /// The header fields of the message itself.
    pub(super) fn headers(&self) -> &'a HeaderMap {
        match self {
            Self::Request(request) => request.headers,
            Self::Response(response, _) => response.headers,
        }
    }

    /// Feeds the value of a component.
    ///
    /// # Errors
    /// When it has none here.
    pub(super) fn value(&self, component: &Component, sink: Sink<'_>) -> Result<(), Fault> {
        let misplaced = || Fault::Component(component.as_str().into());
        match (self, &component.name, component.parameters.of_request) {
            (Self::Response(response, _), Name::Status, false) => {
                let mut digits = Buffer::new();
                sink(digits.format(response.status).as_bytes());
                Ok(())
            }
            (_, Name::Field(_), false) => field(self.headers(), component, sink),
            (Self::Response(_, request), Name::Field(_), true) => {
                field(request.headers, component, sink)
            }
            (Self::Request(request), _, false) | (Self::Response(_, request), _, true) => {
                derived(request, component, sink)
            }
            (Self::Request(_), _, true) | (Self::Response(..), _, false) => Err(misplaced()),
        }
    }
}

/// The value of a derived component (RFC 9421 section 2.2) of a request.
fn derived(request: &Request<'_>, component: &Component, sink: Sink<'_>) -> Result<(), Fault> {
    let (path, query) = split(request.target);
    // Printable, without spaces at the ends; nothing of these ever has a space inside.
    let mut printable = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            sink(text.as_bytes());
            Ok(())
        } else {
            Err(Fault::Value(component.as_str().into()))
        }
    };
    match &component.name {
        Name::Method => printable(request.method),
        Name::Scheme => printable(&request.scheme.to_ascii_lowercase()),
        Name::Authority => printable(&authority(request)),
        Name::RequestTarget => printable(request.target),
        Name::TargetUri => {
            printable(&request.scheme.to_ascii_lowercase())?;
            printable("://")?;
            printable(&authority(request))?;
            printable(path)?;
            query.map_or(Ok(()), |query| printable("?").and_then(|()| printable(query)))
        }
        Name::Path => printable(path),
        Name::Query => printable("?").and_then(|()| printable(query.unwrap_or_default())),
        Name::QueryParam(name) => {
            let value = query::parameter(query.unwrap_or_default(), name);
            printable(&value.ok_or_else(|| Fault::Absent(component.as_str().into()))?)
        }
        // A status is of a response, and a field is no derived component.
        Name::Status | Name::Field(_) => Err(Fault::Component(component.as_str().into())),
    }
}

/// Path and query of a target; an empty path is `/` (RFC 9110 section 4.2.3).
fn split(target: &str) -> (&str, Option<&str>) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

/// The authority in lower case, without the port that its scheme has anyway.
fn authority(request: &Request<'_>) -> String {
    let port = if request.scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let authority = request.authority.strip_suffix(port).unwrap_or(request.authority);
    authority.to_ascii_lowercase()
}

/// The value of a field (RFC 9421 section 2.1).
fn field(headers: &HeaderMap, component: &Component, sink: Sink<'_>) -> Result<(), Fault> {
    let Name::Field(name) = &component.name else {
        return Err(Fault::Component(component.as_str().into()));
    };
    let unusable = || Fault::Value(component.as_str().into());
    if !headers.contains_key(name) {
        return Err(Fault::Absent(component.as_str().into()));
    }
    if let Some(key) = &component.parameters.key {
        let text = structured::combined(headers, name).ok_or_else(unusable)?;
        let member = structured::member_of(name, &text, key);
        sink(member.ok_or_else(|| Fault::Absent(component.as_str().into()))?.as_bytes());
        return Ok(());
    }
    if component.parameters.strict {
        let text = structured::combined(headers, name).ok_or_else(unusable)?;
        sink(structured::serialized(name, &text).ok_or_else(unusable)?.as_bytes());
        return Ok(());
    }
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            sink(b", ");
        }
        let value = value.as_bytes().trim_ascii();
        if component.parameters.wrapped {
            sink(b":");
            sink(STANDARD.encode(value).as_bytes());
            sink(b":");
        } else if value.is_ascii() {
            sink(value);
        } else {
            return Err(unusable());
        }
    }
    Ok(())
}
