//! A service behind the gate, as configuration states it and as requests find it.
//!
//! Cores share what is known of its addresses, and nothing else: whether one is healthy, and until
//! when it is left out, are atomic values that every core reads and any may change.

mod address;
mod attendance;
mod dial;
mod ejection;
mod health;
mod identity;
mod names;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::limit::{UPSTREAM_CONNECTIONS, UPSTREAM_QUEUE, UpstreamDeadlines};
use crate::telemetry::UpstreamMetrics;

pub use address::Address;
pub use dial::{SameThread, Wire};
pub use ejection::Ejection;
pub use health::Health;
pub use identity::Identity;

/// One upstream as configuration states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// Where it is; never empty, each once.
    pub urls: Vec<UpstreamUrl>,
    /// TLS towards it; none: plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// Who the gate is to it; none: nobody.
    pub identity: Option<Identity>,
    /// Streams at a time on one connection, where HTTP/2 (RFC 9113) is spoken to it; none: HTTP/1.1
    /// is.
    pub streams_max: Option<NonZeroUsize>,
    /// Requests that it has at a time, over all cores; each takes a connection over HTTP/1.1.
    pub connections_max: NonZeroUsize,
    /// Requests that wait for one of these.
    pub queue: Queue,
    /// Deadlines.
    pub deadlines: UpstreamDeadlines,
    /// When an address is left out for a while; none: never.
    pub ejection: Option<Ejection>,
    /// How its addresses are asked whether they are well; none: they are taken to be.
    pub health: Option<Health>,
    /// How often its names are looked up; none: with every connection.
    pub resolve: Option<Duration>,
}

/// One address of an upstream as configuration states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Host name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// The line before an upstream that has as many requests as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Requests in line, over all cores; one more is refused at once.
    pub length_max: NonZeroUsize,
    /// How long one waits.
    pub patience: Duration,
}

/// Whom to believe that it is the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamTls {
    /// The certificate authorities of the operating system.
    SystemRoots,
    /// These certificate authorities only.
    Roots(Vec<CertificateDer<'static>>),
}

/// An upstream in service.
#[derive(Debug)]
pub struct Upstream {
    /// What configuration states.
    pub spec: UpstreamSpec,
    /// What is counted of it.
    pub metrics: UpstreamMetrics,
    tls: Option<Arc<ClientConfig>>,
    addresses: ArcSwap<Vec<Arc<Address>>>,
    /// Grows whenever the addresses change.
    version: AtomicU64,
    /// Held by whoever leaves an address out, so that two do not leave out too many. Nobody waits
    /// for it whose request does well.
    ejecting: Mutex<()>,
}

impl UpstreamUrl {
    /// As a request names it (RFC 9110, section 7.2): without the port that goes without saying.
    fn authority(&self, tls: bool) -> String {
        let text = self.to_string();
        let unsaid = if tls { ":443" } else { ":80" };
        text.strip_suffix(unsaid).map_or_else(|| text.clone(), str::to_owned)
    }
}

impl UpstreamSpec {
    /// One in plain HTTP with nothing but its addresses.
    pub fn new(name: Arc<str>, urls: Vec<UpstreamUrl>) -> Self {
        let deadlines = UpstreamDeadlines::default();
        Self {
            name,
            urls,
            tls: None,
            identity: None,
            streams_max: None,
            connections_max: UPSTREAM_CONNECTIONS,
            queue: Queue { length_max: UPSTREAM_QUEUE, patience: deadlines.connect },
            deadlines,
            ejection: None,
            health: None,
            resolve: None,
        }
    }
}

/// As it stands in a URL and in metrics.
impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableUpstream {
    /// Its host is no name that a certificate can be for.
    #[error("upstream {0}: the host is neither a DNS name nor an address")]
    Host(Arc<str>),
    /// A certificate authority that is none.
    #[error("upstream {0}: a certificate authority cannot be used: {1}")]
    Root(Arc<str>, rustls::Error),
    /// The gate's certificate or key for it cannot be used.
    #[error("upstream {0}: the certificate or its key cannot be used: {1}")]
    Identity(Arc<str>, rustls::Error),
    /// TLS cannot be set up.
    #[error("upstream {0}: TLS cannot be set up: {1}")]
    Tls(Arc<str>, rustls::Error),
    /// The operating system has no certificate authorities.
    #[error("upstream {0}: the system has no certificate authorities; name a file with ca = \"…\"")]
    NoSystemRoots(Arc<str>),
}

impl Upstream {
    /// Makes an upstream ready. Of `before`, which had its name, addresses stay as they are known
    /// where they mean the same.
    ///
    /// # Errors
    /// When its TLS settings cannot be used.
    pub fn new(
        spec: UpstreamSpec,
        metrics: UpstreamMetrics,
        before: Option<&Self>,
    ) -> Result<Self, UnusableUpstream> {
        let tls = match &spec.tls {
            None => None,
            Some(tls) => Some(client_config(&spec, tls)?),
        };
        let before = before.filter(|before| before.spec.knows_addresses_as(&spec));
        let known = before.map(Self::addresses).unwrap_or_default();
        let mut addresses = Vec::new();
        for url in &spec.urls {
            let same = known.iter().filter(|address| address.url == *url);
            let already = addresses.len();
            addresses.extend(same.map(Arc::clone));
            if addresses.len() == already {
                let server = spec.tls.as_ref().map(|_| server_name(&spec.name, url)).transpose()?;
                let counted = metrics.address(&url.to_string());
                addresses.push(Arc::new(Address::new(url.clone(), None, server, counted)));
            }
        }
        Ok(Self {
            spec,
            metrics,
            tls,
            addresses: ArcSwap::from_pointee(addresses),
            version: AtomicU64::new(0),
            ejecting: Mutex::new(()),
        })
    }

    /// Its addresses now.
    pub fn addresses(&self) -> Arc<Vec<Arc<Address>>> {
        self.addresses.load_full()
    }

    /// Another number after every change of its addresses.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl UpstreamSpec {
    /// Whether what is known of an address by this still holds by another.
    fn knows_addresses_as(&self, other: &Self) -> bool {
        self.tls == other.tls
            && self.identity == other.identity
            && self.streams_max.is_some() == other.streams_max.is_some()
            && self.ejection == other.ejection
            && self.health == other.health
            && self.resolve.is_some() == other.resolve.is_some()
    }
}

fn server_name(
    name: &Arc<str>,
    url: &UpstreamUrl,
) -> Result<ServerName<'static>, UnusableUpstream> {
    let server = ServerName::try_from(url.host.clone());
    server.map_err(|_| UnusableUpstream::Host(Arc::clone(name)))
}

fn client_config(
    spec: &UpstreamSpec,
    tls: &UpstreamTls,
) -> Result<Arc<ClientConfig>, UnusableUpstream> {
    let name = &spec.name;
    let mut roots = RootCertStore::empty();
    match tls {
        UpstreamTls::SystemRoots => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(UnusableUpstream::NoSystemRoots(Arc::clone(name)));
            }
        }
        UpstreamTls::Roots(certificates) => {
            for certificate in certificates {
                let added = roots.add(certificate.clone());
                added.map_err(|error| UnusableUpstream::Root(Arc::clone(name), error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UnusableUpstream::Tls(Arc::clone(name), error))?;
    let versions = versions.with_root_certificates(roots);
    let mut config = match &spec.identity {
        None => versions.with_no_client_auth(),
        Some(identity) => identity
            .shown_by(versions)
            .map_err(|error| UnusableUpstream::Identity(Arc::clone(name), error))?,
    };
    let protocol = if spec.streams_max.is_some() { "h2" } else { "http/1.1" };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(Arc::new(config))
}
