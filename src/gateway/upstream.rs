//! A service behind the gate, as configuration states it and as requests find it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::limit::UpstreamDeadlines;
use crate::telemetry::UpstreamMetrics;

/// One upstream as configuration states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS towards it; none: plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// Connections in all, over all cores.
    pub connections_max: NonZeroUsize,
    /// Deadlines.
    pub deadlines: UpstreamDeadlines,
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
    /// How to speak TLS to it; none: plain HTTP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// What is counted of it.
    pub metrics: UpstreamMetrics,
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
    /// TLS cannot be set up.
    #[error("upstream {0}: TLS cannot be set up: {1}")]
    Tls(Arc<str>, rustls::Error),
    /// The operating system has no certificate authorities.
    #[error("upstream {0}: the system has no certificate authorities; name a file with ca = \"…\"")]
    NoSystemRoots(Arc<str>),
}

impl Upstream {
    /// Makes an upstream ready.
    ///
    /// # Errors
    /// When its TLS settings cannot be used.
    pub fn new(spec: UpstreamSpec, metrics: UpstreamMetrics) -> Result<Self, UnusableUpstream> {
        let tls = match &spec.tls {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(spec.host.clone());
                let name = name.map_err(|_| UnusableUpstream::Host(Arc::clone(&spec.name)))?;
                Some((client_config(&spec.name, tls)?, name))
            }
        };
        Ok(Self { spec, tls, metrics })
    }
}

fn client_config(
    name: &Arc<str>,
    tls: &UpstreamTls,
) -> Result<Arc<ClientConfig>, UnusableUpstream> {
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
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
