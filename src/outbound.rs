//! Calls that the gate itself makes: to a merchant's service, and to a payment provider.
//!
//! Promises that an address is checked at the moment of connecting, on the very address that is
//! connected to, so that no name can first lead here and then there; that no redirect is followed;
//! and that every call ends by its deadline. Must never be done here: trying a call again.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;

/// Whom calls may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Networks beside the public ones: loopback, private and link-local addresses, and others that
    /// are not of the internet, are refused unless one of these holds them.
    pub networks: Vec<IpNet>,
    /// The certificate authorities to believe; none: those of the operating system.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

/// Makes calls, and keeps connections open for the next ones.
#[derive(Clone, Debug)]
pub struct Caller {}

/// Why calls cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum OutboundFault {
    /// A certificate authority that is none.
    #[error("a certificate authority cannot be used: {0}")]
    Authority(rustls::Error),
    /// The operating system has no certificate authorities.
    #[error("the system has no certificate authorities; name a file with ca = \"…\"")]
    NoSystemRoots,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// Why a call has no answer. Each has a code for logs and metrics, and shows nothing of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// The name has no address.
    #[error("the host has no address")]
    NoAddress,
    /// All its addresses are ones that may not be called.
    #[error("its address is not one that may be called")]
    AddressRefused,
    /// Nobody answers there.
    #[error("nobody answers at its address")]
    Unreachable,
    /// No TLS.
    #[error("TLS failed")]
    Tls,
    /// It broke off; whether the message arrived, nobody knows.
    #[error("the call broke off")]
    Broke,
    /// It took too long.
    #[error("no whole answer in time")]
    TimedOut,
    /// The answer is too long.
    #[error("the answer is too long")]
    TooLong,
}

impl CallFault {
    /// Its name in logs, metrics and attempts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::AddressRefused => "address_refused",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broke => "broke",
            Self::TimedOut => "timed_out",
            Self::TooLong => "answer_too_long",
        }
    }
}

impl Caller {
    /// Makes a caller ready.
    ///
    /// # Errors
    /// When its certificate authorities cannot be used.
    pub fn new(_reach: &Reach) -> Result<Self, OutboundFault> {
        unimplemented!()
    }

    /// Sends a request, whose URI is a whole `https://` or `http://` URL, and reads the whole
    /// answer. `http://` goes to addresses of [`Reach::networks`] only.
    ///
    /// # Errors
    /// Whatever keeps a whole answer from arriving; any status is an answer.
    pub async fn call(
        &self,
        _request: Request<Bytes>,
        _deadline: Duration,
        _answer_bytes_max: usize,
    ) -> Result<Response<Bytes>, CallFault> {
        unimplemented!()
    }
}

/// Whether a URL can be called: `https`, or `http` where networks are named, with a host and
/// without user or password.
pub fn is_callable(_url: &Uri, _reach: &Reach) -> bool {
    unimplemented!()
}
