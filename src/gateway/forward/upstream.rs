//! A service behind the gate.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::limit::UpstreamDeadlines;

/// One upstream as configuration states it.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub enum UpstreamTls {
    /// The certificate authorities of the operating system.
    SystemRoots,
    /// These certificate authorities only.
    Roots(Vec<CertificateDer<'static>>),
}
