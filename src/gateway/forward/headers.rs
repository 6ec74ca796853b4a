//! Headers across the gate: what ends here, what is set here, and framing made anew both ways
//! (RFC 9110, section 7.6.1).

use std::cell::Cell;

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST,
    HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Extensions, Method, Request, Response, StatusCode, Uri, Version};
use smallvec::SmallVec;

use crate::gateway::admission::intake::Visit;
use crate::gateway::admission::{Held, Outbound, Watched};
use crate::gateway::protection::Protection;
use crate::gateway::route::{HeaderChange, Route};

use super::UpstreamFault;
use super::body::Body;
use super::outlet::Answer;
use super::pieces::Pieces;
use super::pool::Lease;
use super::response::UpstreamBody;
use super::trace;

const X_COUNTERSIGN_MERCHANT: HeaderName = HeaderName::from_static("x-countersign-merchant");
const X_COUNTERSIGN_CREDENTIAL: HeaderName = HeaderName::from_static("x-countersign-credential");
const X_COUNTERSIGN_ENVIRONMENT: HeaderName = HeaderName::from_static("x-countersign-environment");
const X_COUNTERSIGN_OPENED: HeaderName = HeaderName::from_static("x-countersign-opened");
const X_COUNTERSIGN_REQUEST_ID: HeaderName = HeaderName::from_static("x-countersign-request-id");
const X_COUNTERSIGN_VERIFIED_AT: HeaderName = HeaderName::from_static("x-countersign-verified-at");
const X_COUNTERSIGN_VERDICT: HeaderName = HeaderName::from_static("x-countersign-verdict");
/// What begins the headers of rolling keys.
const X_SEAL: &str = "x-seal-";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request as it leaves, passed on by a pointer.
pub(super) type Leaving = Box<Request<Pieces>>;

/// The request as the upstream gets it: credentials and everything hop by hop left out, identity
/// set. And what is to be done to its answer.
///
/// # Errors
/// `Unreachable` as for [`request`].
pub(super) fn towards_upstream(
    outbound: Outbound,
) -> Result<(Leaving, Option<Box<Protection>>), UpstreamFault> {
    let Outbound {
        mut head,
        authority,
        now,
        body,
        opened,
        protection,
        route,
        credential,
        visit,
        ..
    } = outbound;
    let rolls = route.spec.rolling.is_some();
    if rolls {
        remove(&mut head.headers, |name| name.as_str().starts_with(X_SEAL));
    }
    if rolls || protection.as_ref().is_some_and(|one| one.sealing.is_some()) {
        // Sealed, a coding of the answer could not be seen.
        head.headers.remove(ACCEPT_ENCODING);
    }
    pass_on(&mut head, authority, &body, &route, &visit);
    let headers = &mut head.headers;
    headers.insert(X_COUNTERSIGN_MERCHANT, credential.merchant.header.clone());
    headers.insert(X_COUNTERSIGN_CREDENTIAL, credential.header());
    let environment = HeaderValue::from_static(credential.environment.as_str());
    headers.insert(X_COUNTERSIGN_ENVIRONMENT, environment);
    let opener = route.spec.opener.as_ref().filter(|_| opened);
    if let Some(opener) = opener {
        headers.extend(
            HeaderValue::from_str(opener.envelope().name())
                .map(|name| (X_COUNTERSIGN_OPENED, name)),
        );
    } else if opened && rolls {
        headers.insert(X_COUNTERSIGN_OPENED, HeaderValue::from_static("roll.v1"));
    }
    headers.insert(X_COUNTERSIGN_VERIFIED_AT, HeaderValue::from(now.secs()));
    if route.spec.observe.is_some() {
        headers.insert(X_COUNTERSIGN_VERDICT, HeaderValue::from_static("admitted"));
    }
    Ok((request(head, body, &route)?, protection))
}

/// A refused request as the upstream gets it: as every other, but nobody's, with the verdict.
///
/// # Errors
/// `Unreachable` as for [`request`].
pub(super) fn as_refused(watched: Watched) -> Result<Leaving, UpstreamFault> {
    let Watched { mut head, authority, body, route, visit, verdict } = watched;
    pass_on(&mut head, authority, &body, &route, &visit);
    let verdict = HeaderValue::from_str(&format!("refused; {}", verdict.as_str()));
    // A code is plain text; were it none, the word alone must be there.
    let verdict = verdict.unwrap_or(HeaderValue::from_static("refused"));
    head.headers.insert(X_COUNTERSIGN_VERDICT, verdict);
    request(head, body, &route)
}

/// Makes the headers of a request those that its upstream may see, whoever it is from.
fn pass_on(head: &mut Parts, authority: HeaderValue, body: &Held, route: &Route, visit: &Visit) {
    let headers = &mut head.headers;
    for name in route.spec.scheme.credential_headers() {
        headers.remove(name);
    }
    let traced = Cell::new(false);
    remove(headers, |name| {
        // Noted on the way, so that nothing is looked for where there is nothing.
        traced.set(traced.get() || trace::is_of_trace(name));
        is_hop_by_hop(name) || is_set_here(name)
    });
    join_cookies(headers);
    if body.present || matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
        let mut digits = itoa::Buffer::new();
        let bytes = digits.format(body.bytes).as_bytes();
        if headers.get(CONTENT_LENGTH).is_none_or(|told| told.as_bytes() != bytes) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.bytes));
        }
    }
    // Over HTTP/1.1 the authority is the Host that is there.
    if head.version == Version::HTTP_2 {
        headers.insert(HOST, authority);
    }
    if let Some(change) = &route.spec.changes.request {
        change.apply(headers);
    }
    if traced.get() {
        trace::keep_well_formed(headers);
    }
    if let (true, Some(upstream)) = (route.spec.changes.trace, &route.upstream) {
        trace::begin_span(headers, &visit.record, &upstream.spec.name);
    }
    headers.insert(X_FORWARDED_FOR, visit.peer.forwarded_for.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(X_COUNTERSIGN_REQUEST_ID, visit.record.id().header());
}

/// Puts a request together, with the target that its route makes of what came.
///
/// # Errors
/// `Unreachable` where no target can be made; routing lets none of these through.
fn request(mut head: Box<Parts>, body: Held, route: &Route) -> Result<Leaving, UpstreamFault> {
    if let Some(change) = &route.spec.changes.path {
        let target = head.uri.path_and_query().and_then(|target| change.apply(target));
        head.uri = Uri::from(target.ok_or(UpstreamFault::Unreachable)?);
    } else if head.uri.scheme().is_some() {
        head.uri = origin_form(std::mem::take(&mut head.uri));
    }
    head.version = Version::HTTP_11;
    head.extensions = Extensions::new();
    Ok(Box::new(Request::from_parts(*head, Pieces::new(body))))
}

/// A request in the form of HTTP/2, where the host is a part of the target (RFC 9113, section
/// 8.3.1). A host that is none stays where it is, and the request is not sent.
pub(super) fn over_http2(request: &mut Request<Pieces>, tls: bool) {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let Ok(authority) = Authority::try_from(host) else { return };
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.authority = Some(authority);
    target.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    request.headers_mut().remove(HOST);
}

/// The gate's own answer to a request that goes to no upstream.
pub(super) fn ready(outbound: Outbound) -> Response<Body> {
    let mut answer = Response::new(Body::whole(outbound.ready.unwrap_or_default()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer as the client gets it, changed as its route says.
///
/// # Errors
/// `Broke` for an answer that no client may see: a change of protocol that nobody asked for, or a
/// transfer coding other than `chunked`.
pub(super) fn towards_client(
    (answer, lease): (Box<Answer>, Lease),
    change: Option<&HeaderChange>,
) -> Result<Response<Box<UpstreamBody>>, UpstreamFault> {
    let (mut head, body) = answer.into_parts();
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let coded = coding.is_some();
    let readable = coding.is_none_or(|one| one.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if head.status == StatusCode::SWITCHING_PROTOCOLS || !readable || codings.next().is_some() {
        return Err(UpstreamFault::Broke);
    }
    remove(&mut head.headers, |name| {
        is_hop_by_hop(name) || (coded && name == CONTENT_LENGTH) || name == X_COUNTERSIGN_REQUEST_ID
    });
    if let Some(change) = change {
        change.apply(&mut head.headers);
    }
    head.version = Version::HTTP_11;
    head.extensions = Extensions::new();
    Ok(Response::from_parts(head, Box::new(UpstreamBody::new(body, lease))))
}

/// HTTP/2 may split a cookie over several fields; HTTP/1.1 has one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut parts = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (parts.next(), parts.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for part in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(part.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Removes every field whose name is told, and every field that `Connection` names.
fn remove(headers: &mut HeaderMap, ends: impl Fn(&HeaderName) -> bool) {
    let mut gone: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| ends(name)).cloned().collect();
    let lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok());
    gone.extend(named);
    for name in &gone {
        headers.remove(name);
    }
}

/// Whether a field belongs to one connection and ends there (RFC 9110, section 7.6.1).
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) || name.as_str().starts_with("proxy-")
}

/// What a client may not tell the upstream, because the gate does or because nobody should.
pub fn is_set_here(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-countersign-")
        || name.starts_with("x-forwarded-")
        || matches!(name, "forwarded" | "x-real-ip" | "true-client-ip" | "client-ip" | "via")
}

/// The target without scheme and authority (RFC 9112, section 3.2.1).
fn origin_form(uri: Uri) -> Uri {
    uri.into_parts().path_and_query.map(Uri::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_too() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "close, X-Secret".parse().unwrap());
        headers.insert("x-secret", "1".parse().unwrap());
        headers.insert("proxy-authorization", "1".parse().unwrap());
        headers.insert("accept", "*/*".parse().unwrap());
        remove(&mut headers, is_hop_by_hop);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn the_host_is_a_part_of_the_target_over_http2() {
        for (target, tls, expected) in [
            ("/a%20b?x=%7e&&y", true, "https://shop.test:81/a%20b?x=%7e&&y"),
            ("/", false, "http://shop.test:81/"),
        ] {
            let mut request = Request::new(Pieces::default());
            *request.uri_mut() = target.parse().unwrap();
            request.headers_mut().insert(HOST, HeaderValue::from_static("shop.test:81"));
            over_http2(&mut request, tls);
            assert_eq!(request.uri().to_string(), expected);
            assert!(request.headers().is_empty());
        }
    }

    #[test]
    fn targets_keep_their_bytes() {
        let uri: Uri = "https://h:1/a%20b?x=%7e&&y".parse().unwrap();
        assert_eq!(origin_form(uri).to_string(), "/a%20b?x=%7e&&y");
        assert_eq!(origin_form("/a?".parse().unwrap()).to_string(), "/a?");
    }
}
