//! From an address to a connection.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{Address, Upstream};

/// A connection that nothing was said on yet.
pub(super) type Wire = Either<TcpStream, TlsStream<TcpStream>>;

impl Upstream {
    /// Connects to an address, TLS included. Without a deadline.
    ///
    /// # Errors
    /// Whatever keeps a connection from standing, a certificate that is not good included.
    pub async fn dial(&self, address: &Address) -> io::Result<Wire> {
        let stream = match address.found {
            None => TcpStream::connect((address.url.host.as_str(), address.url.port)).await?,
            Some(found) => TcpStream::connect(found).await?,
        };
        stream.set_nodelay(true)?;
        match self.tls.as_ref().zip(address.server.clone()) {
            None => Ok(Either::Left(stream)),
            Some((config, server)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Ok(Either::Right(connector.connect(server, stream).await?))
            }
        }
    }
}
