//! W3C Trace Context (Recommendation, level 1): which trace a request belongs to. What a client
//! says of it goes on as it came, or not at all where it is malformed. Only where the listener
//! traces is anything said that was not there: a span of the gate's own, named by the request's id.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::{Record, SpanId, Trace};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of `VERSION-TRACE-PARENT-FLAGS` (section 3.2.2).
const TRACEPARENT_BYTES: usize = 55;
/// Members of a list (section 3.3.1.1), and bytes of a key and of a value.
const MEMBERS_MAX: usize = 32;
const MEMBER_BYTES_MAX: usize = 256;

/// Whether a field belongs here.
pub(super) fn is_of_trace(name: &HeaderName) -> bool {
    matches!(name.as_str(), "traceparent" | "tracestate")
}

/// Takes out what is malformed: all of it, where it does not say which trace.
pub(super) fn keep_well_formed(headers: &mut HeaderMap) {
    if of_caller(headers).is_none() {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    } else if !state_is_good(headers) {
        headers.remove(TRACESTATE);
    }
}

/// Puts the gate's own span between the caller's and an upstream's: in the caller's trace, where
/// there is one, and notes in which.
pub(super) fn begin_span(headers: &mut HeaderMap, record: &Record, upstream: &Arc<str>) {
    let id = record.id();
    // What there is of a state without a caller's trace was taken out before.
    let begun = || Trace::begun(id, record.is_sampled());
    let trace = of_caller(headers).unwrap_or_else(begun);
    let (span, flags) = (SpanId::outbound(id), u8::from(trace.is_sampled()));
    let value = format!("00-{}-{}-{flags:02x}", trace.id(), span.as_str());
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(TRACEPARENT, value);
    }
    record.goes_on_in(trace, upstream);
}

/// The trace that a request comes in, where its header says that well.
pub fn of_caller(headers: &HeaderMap) -> Option<Trace> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    read(value.to_str().ok()?)
}

/// Section 3.2: lower-case hexadecimal digits, no zeros alone, and of versions to come only what
/// every version begins with.
fn read(text: &str) -> Option<Trace> {
    let (known, rest) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let mut parts = known.split('-');
    let mut part = |digits: usize| {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == digits && part.bytes().all(hex))
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let named = |id: &str| id.bytes().any(|b| b != b'0');
    let whole = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let good = whole && named(trace) && named(span);
    Trace::of_caller(trace, span, sampled).filter(|_| good)
}

/// Section 3.3: members `key=value`, which several fields may hold together.
fn state_is_good(headers: &HeaderMap) -> bool {
    let mut members = 0;
    headers.get_all(TRACESTATE).iter().all(|value| {
        let Ok(text) = value.to_str() else { return false };
        text.split(',').map(|member| member.trim_matches([' ', '\t'])).all(|member| {
            members += 1;
            members <= MEMBERS_MAX && (member.is_empty() || is_member(member))
        })
    })
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let begins = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let in_key = |b: u8| begins(&b) || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@');
    let in_value = |b: u8| matches!(b, 0x20..=0x7e) && b != b'=';
    key.as_bytes().first().is_some_and(begins)
        && key.len() <= MEMBER_BYTES_MAX
        && key.bytes().all(in_key)
        && (1..=MEMBER_BYTES_MAX).contains(&value.len())
        && value.bytes().all(in_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn only_whole_parents_are_read() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        let own = |sampled| Trace::of_caller(TRACE, "b7ad6b7169203331", sampled);
        assert_eq!(read(&good), own(true));
        let unsampled = format!("00-{TRACE}-b7ad6b7169203331-fe");
        assert_eq!(read(&unsampled), own(false));
        for later in ["", "-", "-more", "-é"] {
            assert!(read(&format!("01-{TRACE}-b7ad6b7169203331-01{later}")).is_some(), "{later}");
        }
        for bad in [
            String::new(),
            good[..54].to_owned(),
            format!("{good}-"),
            format!("{good}0"),
            format!("{good} "),
            format!("01-{TRACE}-b7ad6b7169203331-01x"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-0000000000000000-01"),
            good.to_uppercase(),
            good.replace("-01", "-0g"),
            good.replace("b7ad6b7169203331", "b7ad6b716920333é"),
            format!("00-{TRACE}b7ad6b7169203331--01"),
            format!("0-{TRACE}0-b7ad6b7169203331-01"),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_of_members_are_of_their_form() {
        let good = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACESTATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            state_is_good(&headers)
        };
        let many: Vec<String> = (0..32).map(|n| format!("k{n}=v")).collect();
        for values in [
            &[][..],
            &[""],
            &["a=1"],
            &["a=1, b=2\t,,"],
            &["a=1", "1x@vendor/_-*=value with spaces!"],
            &[many.join(",").as_str()],
        ] {
            assert!(good(values), "{values:?}");
        }
        let long = format!("a={}", "x".repeat(257));
        for values in [
            &["a"][..],
            &["a="],
            &["=1"],
            &["A=1"],
            &["a=1=2"],
            &["a b=1"],
            &["a=é"],
            &[long.as_str()],
            &[many.join(",").as_str(), "one=more"],
        ] {
            assert!(!good(values), "{values:?}");
        }
    }
}
