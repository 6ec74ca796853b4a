//! From an address to a connection.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{Address, Upstream};
use crate::batch::Batched;

/// A connection that nothing was said on yet.
pub type Wire = Either<Batched, TlsStream<Batched>>;

/// Runs what the HTTP library runs beside a connection on the thread that it is asked on.
#[derive(Clone, Copy, Debug)]
pub struct SameThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for SameThread {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

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
        let stream = Batched::new(stream);
        match self.tls.as_ref().zip(address.server.clone()) {
            None => Ok(Either::Left(stream)),
            Some((config, server)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(server, stream).await?;
                let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
                match self.spec.streams_max.is_some() && !agreed {
                    true => Err(io::Error::other("it does not speak HTTP/2")),
                    false => Ok(Either::Right(stream)),
                }
            }
        }
    }
}
