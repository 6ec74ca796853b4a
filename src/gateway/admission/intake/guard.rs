//! Refuses what the HTTP library lets through and a service might read in another way.
//!
//! Two things cannot be seen from here, for the library settles them: Content-Length beside
//! Transfer-Encoding (the latter wins, the connection closes) and bare line feeds in a head. Both
//! are harmless because framing is always made anew towards the upstream.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Uri, Version};

use crate::gateway::rejection::{Flaw, Rejection};
use crate::limit::HeadLimits;
use crate::peer::Peer;
use crate::target::check_path;

/// Checks a head and returns its one authority.
pub(super) fn check(
    head: &Parts,
    limits: &HeadLimits,
    peer: &Peer,
) -> Result<HeaderValue, Rejection> {
    check_sizes(head, limits)?;
    check_method(&head.method, limits)?;
    check_target(head)?;
    check_fields(&head.headers)?;
    let authority = authority(head).ok_or(Rejection::BadRequest(Flaw::Host))?;
    let host = host_of(authority.as_bytes()).ok_or(Rejection::BadRequest(Flaw::Host))?;
    if peer.may_ask_for(host) { Ok(authority) } else { Err(Rejection::Misdirected) }
}

fn check_sizes(head: &Parts, limits: &HeadLimits) -> Result<(), Rejection> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let mut bytes = target;
    for (name, value) in &head.headers {
        bytes += name.as_str().len() + value.len();
        if value.len() > limits.value_bytes {
            return Err(Rejection::HeadersTooLarge);
        }
    }
    let fits = bytes <= limits.total_bytes && head.headers.len() <= limits.fields;
    if fits { Ok(()) } else { Err(Rejection::HeadersTooLarge) }
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
    let alone = uri.authority().is_none() && uri.scheme().is_none();
    let form =
        if head.version == Version::HTTP_2 { uri.scheme_str() == Some("https") } else { alone };
    let query = uri.query().unwrap_or_default();
    if form && query.bytes().all(|b| b.is_ascii_graphic()) && check_path(uri.path()).is_ok() {
        return Ok(());
    }
    Err(Rejection::BadRequest(Flaw::Target))
}

fn check_fields(headers: &HeaderMap) -> Result<(), Rejection> {
    for (name, value) in headers {
        if name.as_str().contains('_') {
            return Err(Rejection::BadRequest(Flaw::FieldName));
        }
        check_field(name, value)?;
    }
    let single = [CONTENT_TYPE, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING];
    let repeated = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    if single.iter().any(repeated) {
        return Err(Rejection::BadRequest(Flaw::Repeated));
    }
    Ok(())
}

fn check_field(name: &HeaderName, value: &HeaderValue) -> Result<(), Rejection> {
    let is = |text: &str| value.as_bytes().eq_ignore_ascii_case(text.as_bytes());
    if *name == TRANSFER_ENCODING && !is("chunked") {
        return Err(Rejection::BadRequest(Flaw::TransferEncoding));
    }
    if *name == EXPECT && !is("100-continue") {
        return Err(Rejection::BadRequest(Flaw::Expect));
    }
    if *name == UPGRADE || *name == "http2-settings" {
        return Err(Rejection::BadRequest(Flaw::Upgrade));
    }
    if *name == CONTENT_ENCODING && !is("identity") {
        return Err(Rejection::UnsupportedEncoding);
    }
    Ok(())
}

/// The one Host, or over HTTP/2 `:authority`, which a Host beside it must equal.
fn authority(head: &Parts) -> Option<HeaderValue> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    if head.version != Version::HTTP_2 {
        return host.cloned();
    }
    match (head.uri.authority(), host) {
        (Some(authority), Some(host)) if host.as_bytes() != authority.as_str().as_bytes() => None,
        (Some(authority), _) => HeaderValue::from_str(authority.as_str()).ok(),
        (None, host) => host.cloned(),
    }
}

/// The host of `host` or `host:port`, brackets of an IPv6 address left out.
pub(super) fn host_of(authority: &[u8]) -> Option<&str> {
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
        Some(port) => (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()),
        None => rest.is_empty(),
    };
    port.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::host_of;

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
}
