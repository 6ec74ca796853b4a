//! How a request can end: the closed list behind answers, metric labels and log lines.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// How a request ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// Its text in answers, labels and logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// The upstream answered.
    Forwarded = "forwarded",
    /// See [`Rejection`](crate::gateway::rejection::Rejection) for this and the following.
    BadRequest = "bad_request",
    /// The head is too large.
    HeadersTooLarge = "headers_too_large",
    /// The body has a content coding.
    UnsupportedEncoding = "unsupported_encoding",
    /// The host does not belong to the connection.
    Misdirected = "misdirected",
    /// No route.
    NoRoute = "no_route",
    /// A claim is absent.
    MissingHeader = "missing_header",
    /// A claim is malformed.
    MalformedHeader = "malformed_header",
    /// The timestamp is not good.
    StaleTimestamp = "stale_timestamp",
    /// The body is too large.
    BodyTooLarge = "body_too_large",
    /// The body is too slow.
    BodyTooSlow = "body_too_slow",
    /// The signature is not good.
    InvalidSignature = "invalid_signature",
    /// The address is not allowed.
    AddressNotAllowed = "address_not_allowed",
    /// The certificate is not one of the credential's.
    CertificateNotAllowed = "certificate_not_allowed",
    /// Out of scope.
    NotInScope = "not_in_scope",
    /// Seen before.
    Replayed = "replayed",
    /// An order that was taken before.
    DuplicateOrder = "duplicate_order",
    /// Over a limit.
    RateLimited = "rate_limited",
    /// The name of a rolling key is none.
    UnsupportedKid = "unsupported_kid",
    /// The epoch of a rolling key is over.
    UnknownEpoch = "unknown_epoch",
    /// A rolling key is past its time.
    KeyExpired = "key_expired",
    /// The chain of a rolling key was killed.
    ChainRevoked = "chain_revoked",
    /// A newer rolling key was used.
    KeySuperseded = "key_superseded",
    /// The anchor is not what seals this.
    AnchorNotAllowed = "anchor_not_allowed",
    /// A rolling key sealed as many messages as it may.
    KeyExhausted = "key_exhausted",
    /// The body does not open.
    CannotOpen = "cannot_open",
    /// No capacity.
    Busy = "busy",
    /// A defect.
    Internal = "internal",
    /// No connection to the upstream.
    UpstreamUnreachable = "upstream_unreachable",
    /// The upstream did not answer in time.
    UpstreamTimedOut = "upstream_timed_out",
    /// The upstream broke off.
    UpstreamBroke = "upstream_broke",
    /// The upstream's answer is too large to be sealed or signed.
    AnswerTooLarge = "answer_too_large",
    /// The request was refused, its route only watches, and the upstream answered.
    Observed = "observed",
    /// The client left before its answer began; nobody was answered.
    ClientGone = "client_gone",
}

impl Code {
    /// Its place in [`Code::ALL`].
    #[expect(clippy::as_conversions, reason = "the number of a fieldless variant")]
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn index_is_the_place_in_all() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code.index(), index);
        }
    }
}
