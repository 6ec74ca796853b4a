//! Calls that the gate itself makes: to a merchant's service, and to a payment provider.
//!
//! Promises that an address is checked at the moment of connecting, on the very address that is
//! connected to, so that no name can first lead here and then there; that no redirect is followed;
//! and that every call ends by its deadline. Must never be done here: trying a call again.

mod address;
mod connect;
mod retry_after;

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use crate::limit::KIB;

use connect::{CONNECT_UNTIL, Connector};

pub use retry_after::retry_after;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Unused connections to one host that are kept.
const IDLE_MAX: usize = 8;
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * KIB;

/// Whom calls may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Networks beside the public ones: loopback, private and link-local addresses, and others that
    /// are not of the internet, are refused unless one of these holds them.
    pub networks: Vec<IpNet>,
    /// The certificate authorities to believe; none: those of the operating system.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Reach {
    /// Whether an address may be called: over `https` any public one, else those of the networks.
    pub fn may_call(&self, address: IpAddr, https: bool) -> bool {
        address::is_among(address, &self.networks) || (https && address::is_public(address))
    }
}

/// Makes calls, and keeps connections open for the next ones.
#[derive(Clone, Debug)]
pub struct Caller {
    networks: Arc<[IpNet]>,
    client: Client<Connector, Full<Bytes>>,
}

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

/// Why a call has no answer. Each has a code for logs and metrics; none shows anything of it.
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
    pub fn new(reach: &Reach) -> Result<Self, OutboundFault> {
        let networks: Arc<[IpNet]> = reach.networks.as_slice().into();
        let tls = Arc::new(client_config(reach)?);
        let connector = Connector { networks: Arc::clone(&networks), tls };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            // Of a request that met a connection which had just ended: it is sent on another one
            // only if none of it was written to the first.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self { networks, client })
    }

    /// Sends a request, whose URI is a whole `https://` or `http://` URL, and reads the whole
    /// answer. `http://` goes to addresses of [`Reach::networks`] only. A connection has to stand
    /// within the first half of the deadline, over all addresses of the host.
    ///
    /// # Errors
    /// Whatever keeps a whole answer from arriving; any status is an answer. A URL that
    /// [`is_callable`] refuses is an address that may not be called.
    pub async fn call(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
        answer_bytes_max: usize,
    ) -> Result<Response<Bytes>, CallFault> {
        if !may_be_called(request.uri(), &self.networks) {
            return Err(CallFault::AddressRefused);
        }
        let connect_until = Instant::now() + deadline / 2;
        let exchange = CONNECT_UNTIL.scope(connect_until, self.send(request, answer_bytes_max));
        tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(CallFault::TimedOut))
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        answer_bytes_max: usize,
    ) -> Result<Response<Bytes>, CallFault> {
        let mut request = request.map(Full::new);
        *request.version_mut() = Version::HTTP_11;
        let answer = self.client.request(request).await.map_err(|fault| fault_of(&fault))?;
        let (head, body) = answer.into_parts();
        if body.size_hint().lower() > u64::try_from(answer_bytes_max).unwrap_or(u64::MAX) {
            return Err(CallFault::TooLong);
        }
        let body = Limited::new(body, answer_bytes_max).collect().await.map_err(|fault| {
            if fault.is::<LengthLimitError>() { CallFault::TooLong } else { CallFault::Broke }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What the connector said, where it was that; else the call broke off.
fn fault_of(fault: &legacy::Error) -> CallFault {
    let mut cause = fault.source();
    while let Some(error) = cause {
        if let Some(own) = error.downcast_ref::<CallFault>() {
            return own.clone();
        }
        cause = error.source();
    }
    CallFault::Broke
}

fn client_config(reach: &Reach) -> Result<ClientConfig, OutboundFault> {
    let mut roots = RootCertStore::empty();
    match &reach.authorities {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(OutboundFault::NoSystemRoots);
            }
        }
        Some(certificates) => {
            for certificate in certificates {
                roots.add(certificate.clone()).map_err(OutboundFault::Authority)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(OutboundFault::Tls)?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether a URL can be called: `https`, or `http` where networks are named, with a host and
/// without user or password.
pub fn is_callable(url: &Uri, reach: &Reach) -> bool {
    may_be_called(url, &reach.networks)
}

fn may_be_called(url: &Uri, networks: &[IpNet]) -> bool {
    let scheme = url.scheme();
    let secure = scheme == Some(&Scheme::HTTPS);
    let plain = scheme == Some(&Scheme::HTTP) && !networks.is_empty();
    let anonymous = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (secure || plain) && anonymous && host_of(url).is_some_and(|host| !host.is_empty())
}

/// The host of a URL, an IPv6 address without its brackets.
fn host_of(url: &Uri) -> Option<&str> {
    url.host().map(|host| host.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests;
