//! Which trace a request is part of (W3C Trace Context), by the text of its ids.

use super::record::RequestId;

/// The trace that a request is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 32],
    /// The span of who sent the request; none: the trace begins here.
    parent: Option<SpanId>,
    sampled: bool,
}

/// The name of a span: 16 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 16]);

impl Trace {
    /// A caller's trace, by its id of 32 digits and the caller's span of 16, both hexadecimal in
    /// lower case; none where they are of another length. `sampled`: whether the caller may have
    /// recorded it.
    pub fn of_caller(id: &str, span: &str, sampled: bool) -> Option<Self> {
        let parent = span.as_bytes().try_into().ok().map(SpanId)?;
        let id = id.as_bytes().try_into().ok()?;
        Some(Self { id, parent: Some(parent), sampled })
    }

    /// A trace that begins with a request.
    pub fn begun(request: &RequestId, sampled: bool) -> Self {
        Self { id: *request.digits(), parent: None, sampled }
    }

    /// Its id: 32 digits.
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// The span of who sent the request; none: the trace begins here.
    pub fn parent(&self) -> Option<&SpanId> {
        self.parent.as_ref()
    }

    /// Whether it is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl SpanId {
    /// The span of a request on its way to the service: the last digits of the request's id. The
    /// service gets it as its parent.
    pub fn outbound(request: &RequestId) -> Self {
        let mut digits = [0; 16];
        let last = request.digits().iter().skip(16);
        digits.iter_mut().zip(last).for_each(|(digit, own)| *digit = *own);
        Self(digits)
    }

    /// The span of a request in the gate, which that one is a part of: the same digits, each taken
    /// from fifteen. So it is as unlike all others, and needs no number of its own.
    pub fn inbound(request: &RequestId) -> Self {
        let mut id = Self::outbound(request);
        for digit in &mut id.0 {
            *digit = match *digit {
                b'0'..=b'5' => b'f' - (*digit - b'0'),
                b'6'..=b'9' => b'9' - (*digit - b'6'),
                other => b'5' - other.saturating_sub(b'a').min(5),
            };
        }
        id
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_two_spans() {
        let id = RequestId::new(1, 0x0123_4567_89ab_cdef);
        assert_eq!(SpanId::outbound(&id).as_str(), "0123456789abcdef");
        assert_eq!(SpanId::inbound(&id).as_str(), "fedcba9876543210");
        assert_eq!(Trace::begun(&id, true).id(), id.as_str());
    }

    #[test]
    fn a_caller_names_whole_ids() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let own = Trace::of_caller(trace, span, false).unwrap();
        assert_eq!((own.id(), own.is_sampled()), (trace, false));
        assert_eq!(own.parent().unwrap().as_str(), span);
        assert!(Trace::of_caller(span, span, true).is_none());
        assert!(Trace::of_caller(trace, trace, true).is_none());
    }
}
