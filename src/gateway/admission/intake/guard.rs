//! Refuses what the HTTP library lets through and a service might read in another way.
//!
//! Two things cannot be seen from here, for the library settles them: Content-Length beside
//! Transfer-Encoding (the latter wins, the connection closes) and bare line feeds in a head. Both
//! are harmless because framing is always made anew towards the upstream.

use std::ops::Range;

use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

use crate::gateway::rejection::{Flaw, Rejection};
use crate::limit::HeadLimits;
use crate::peer::Peer;
use crate::target::check_path;

/// The content coding in which bodies are sealed (RFC 8188).
const SEALED: &str = "aes128gcm";

/// What a head says in one way only.
pub struct Checked {
    /// Whom it asks for.
    pub authority: Authority,
    /// Whether its body is sealed by a content coding. Whoever cannot open it must refuse it.
    pub coded: bool,
}

/// Checks a head.
///
/// # Errors
/// `bad_request`, `headers_too_large`, `unsupported_encoding` or `misdirected`.
pub fn check(head: &Parts, limits: &HeadLimits, peer: &Peer) -> Result<Checked, Rejection> {
    let fields = Fields::check(head, limits)?;
    if peer.unclear {
        return Err(Rejection::BadRequest(Flaw::Client));
    }
    check_method(&head.method, limits)?;
    check_target(head)?;
    let authority = authority(head, &fields).and_then(Authority::read);
    let authority = authority.ok_or(Rejection::BadRequest(Flaw::Host))?;
    if !peer.may_ask_for(authority.host()) {
        return Err(Rejection::Misdirected);
    }
    Ok(Checked { authority, coded: fields.coded })
}

/// Host or `:authority` as sent, and where its host stands, so that it is read only once.
pub struct Authority {
    /// As sent.
    pub value: HeaderValue,
    host: Range<usize>,
}

impl Authority {
    fn read(value: HeaderValue) -> Option<Self> {
        let bytes = host_of(value.as_bytes())?.len();
        let start = usize::from(value.as_bytes().starts_with(b"["));
        Some(Self { value, host: start..start + bytes })
    }

    /// The host, without port and without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.value.as_bytes().get(self.host.clone()).unwrap_or_default();
        std::str::from_utf8(host).unwrap_or_default()
    }
}

/// The host that a head names, without port, before anything is checked: whom it is for must be
/// known to say how it is answered.
pub fn host_named<'h>(uri: &'h Uri, version: Version, fields: &'h HeaderMap) -> Option<&'h str> {
    match uri.authority().filter(|_| version == Version::HTTP_2) {
        Some(authority) => host_of(authority.as_str().as_bytes()),
        None => fields.get(HOST).and_then(|value| host_of(value.as_bytes())),
    }
}

fn check_method(method: &Method, limits: &HeadLimits) -> Result<(), Rejection> {
    let refused = *method == Method::CONNECT || *method == Method::TRACE;
    if refused || method.as_str().len() > limits.method_bytes {
        return Err(Rejection::BadRequest(Flaw::Method));
    }
    Ok(())
}

/// Origin form only (RFC 9112, section 3.2.1); over HTTP/2 scheme and authority stand beside it.
fn check_target(head: &Parts) -> Result<(), Rejection> {
    let uri: &Uri = &head.uri;
    let form = match head.version {
        Version::HTTP_2 => uri.scheme_str() == Some("https"),
        _ => uri.authority().is_none() && uri.scheme().is_none(),
    };
    let query = uri.query().unwrap_or_default();
    if form && query.bytes().all(|b| b.is_ascii_graphic()) && check_path(uri.path()).is_ok() {
        return Ok(());
    }
    Err(Rejection::BadRequest(Flaw::Target))
}

/// What one look over all fields found.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a HeaderValue>,
    content_type: bool,
    content_length: bool,
    transfer_encoding: bool,
    expect: bool,
    coded: bool,
}

impl<'a> Fields<'a> {
    /// Sizes first: what is too large is not looked at.
    fn check(head: &'a Parts, limits: &HeadLimits) -> Result<Self, Rejection> {
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let mut bytes = target;
        for (name, value) in &head.headers {
            bytes += name.as_str().len() + value.len();
            if value.len() > limits.value_bytes {
                return Err(Rejection::HeadersTooLarge);
            }
        }
        if bytes > limits.total_bytes || head.headers.len() > limits.fields {
            return Err(Rejection::HeadersTooLarge);
        }
        let mut fields = Self::default();
        for (name, value) in &head.headers {
            fields.look_at(name, value)?;
        }
        Ok(fields)
    }

    fn look_at(&mut self, name: &HeaderName, value: &'a HeaderValue) -> Result<(), Rejection> {
        let is = |text: &str| value.as_bytes().eq_ignore_ascii_case(text.as_bytes());
        let flaw = |flaw| Err(Rejection::BadRequest(flaw));
        let repeated = match name.as_str() {
            "host" if self.host.is_some() => return flaw(Flaw::Host),
            "host" => {
                self.host = Some(value);
                false
            }
            "content-type" => std::mem::replace(&mut self.content_type, true),
            "content-length" => std::mem::replace(&mut self.content_length, true),
            "transfer-encoding" if !is("chunked") => return flaw(Flaw::TransferEncoding),
            "transfer-encoding" => std::mem::replace(&mut self.transfer_encoding, true),
            "expect" if !is("100-continue") => return flaw(Flaw::Expect),
            "expect" => std::mem::replace(&mut self.expect, true),
            "upgrade" | "http2-settings" => return flaw(Flaw::Upgrade),
            "content-encoding" if is(SEALED) => std::mem::replace(&mut self.coded, true),
            "content-encoding" if !is("identity") => return Err(Rejection::UnsupportedEncoding),
            name if name.bytes().any(|b| b == b'_') => return flaw(Flaw::FieldName),
            _ => false,
        };
        if repeated { flaw(Flaw::Repeated) } else { Ok(()) }
    }
}

/// The one Host, or over HTTP/2 `:authority`, which a Host beside it must equal.
fn authority(head: &Parts, fields: &Fields<'_>) -> Option<HeaderValue> {
    match head.uri.authority().filter(|_| head.version == Version::HTTP_2) {
        None => fields.host.cloned(),
        Some(authority) => {
            let same = |host: &&HeaderValue| host.as_bytes() == authority.as_str().as_bytes();
            let agreed = fields.host.is_none() || fields.host.as_ref().is_some_and(same);
            agreed.then(|| HeaderValue::from_str(authority.as_str()).ok()).flatten()
        }
    }
}

/// The host of `host` or `host:port`, brackets of an IPv6 address left out.
fn host_of(authority: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authority).ok()?;
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, rest) = text.split_at(end);
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            if host.is_empty() || !host.bytes().all(good) {
                return None;
            }
            (host, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    port.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::{Authority, host_of};

    #[test]
    fn hosts_are_strict() {
        assert_eq!(host_of(b"api.example.com"), Some("api.example.com"));
        assert_eq!(host_of(b"127.0.0.1:8443"), Some("127.0.0.1"));
        assert_eq!(host_of(b"[::1]:8443"), Some("::1"));
        for bad in [
            &b""[..],
            b":80",
            b"a:",
            b"a:b",
            b"a:123456",
            b"a:65536",
            b"a:+80",
            b"u@a",
            b"a/b",
            b"a,b",
            b"a b",
            b"[::1",
            b"[x]",
            b"a:80:80",
            b"\xff",
            b"a_b",
        ] {
            assert_eq!(host_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_authority_knows_its_host() {
        for (authority, host) in [("a.example:8443", "a.example"), ("[::1]:8443", "::1")] {
            let value = authority.parse().unwrap();
            assert_eq!(Authority::read(value).unwrap().host(), host);
        }
    }
}
