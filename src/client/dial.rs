//! From a URL to a TLS connection: names, sockets, certificates.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ClientFault, Options, Protocol};

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The certificate authorities of the operating system.
    SystemRoots,
    /// The certificate authorities in this PEM file, and no others.
    File(PathBuf),
}

/// Why nobody's certificate could be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A file that cannot be read as PEM.
    #[error("{}: cannot read certificates", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file without a good certificate.
    #[error("{}: holds no certificate of an authority", .0.display())]
    Empty(PathBuf),
    /// The operating system has no authorities.
    #[error("the operating system names no certificate authorities")]
    NoSystemRoots,
    /// The cryptographic provider refuses the protocol versions.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

pub(super) fn client_config(trust: &Trust) -> Result<ClientConfig, TrustFault> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::SystemRoots => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                return Err(TrustFault::NoSystemRoots);
            }
        }
        Trust::File(path) => {
            let unreadable = |source| TrustFault::Unreadable { path: path.clone(), source };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                roots.add(certificate.map_err(unreadable)?)?;
            }
            if roots.is_empty() {
                return Err(TrustFault::Empty(path.clone()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Opens a TCP connection to the first address that answers.
pub(super) async fn connect(
    host: &str,
    port: u16,
    options: &Options,
) -> Result<TcpStream, ClientFault> {
    let unresolved = |source| ClientFault::Resolve { host: host.to_owned(), source };
    let found: Vec<SocketAddr> = match options.connect {
        Some(address) => vec![address],
        None => lookup_host((host, port)).await.map_err(|e| unresolved(Some(e)))?.collect(),
    };
    let mut last = unresolved(None);
    for address in found {
        if options.local.is_some_and(|local| local.is_ipv4() != address.is_ipv4()) {
            continue;
        }
        match connect_to(address, options.local).await {
            Ok(stream) => return Ok(stream),
            Err(source) => last = ClientFault::Connect { address, source },
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, local: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens TLS on a connection and agrees on the version of HTTP.
pub(super) async fn secure(
    mut config: ClientConfig,
    host: &str,
    protocol: Protocol,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ClientFault> {
    let offered: &[&[u8]] = match protocol {
        Protocol::Any => &[b"h2", b"http/1.1"],
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
    };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    let failed = |source| ClientFault::Tls { host: host.to_owned(), source };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| failed(std::io::Error::other(e)));
    TlsConnector::from(Arc::new(config)).connect(name?, stream).await.map_err(failed)
}
