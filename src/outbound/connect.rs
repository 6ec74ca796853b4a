//! From a URL to a connection: resolve, refuse what may not be called, connect to the very address
//! that was looked at, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::address::{is_among, is_public};
use super::{CallFault, host_of};

/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 8;
/// How long connecting may take when no call says it.
const CONNECT_MAX: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// By when the connection for the call at hand must stand: the library that keeps connections
    /// hands nothing but the URL on.
    pub(super) static CONNECT_UNTIL: Instant;
}

/// Opens connections to whoever may be called.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) networks: Arc<[IpNet]>,
    pub(super) tls: Arc<ClientConfig>,
}

/// A connection, with or without TLS.
pub(super) struct Stream(TokioIo<Either<TcpStream, TlsStream<TcpStream>>>);

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = CallFault;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, CallFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        // Now, and not when the future runs: it may go on without the call that began it.
        let until = CONNECT_UNTIL.try_with(|until| *until);
        let until = until.unwrap_or_else(|_| Instant::now() + CONNECT_MAX);
        let connector = self.clone();
        Box::pin(async move { connector.connect(&url, until).await })
    }
}

impl Connector {
    async fn connect(&self, url: &Uri, until: Instant) -> Result<Stream, CallFault> {
        let host = host_of(url).ok_or(CallFault::NoAddress)?;
        let secure = url.scheme() != Some(&Scheme::HTTP);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let found = timeout_at(until, lookup_host((host, port))).await;
        let found = found.map_err(|_| CallFault::TimedOut)?.map_err(|_| CallFault::NoAddress)?;
        let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        let mut may_be_called = found.clone();
        may_be_called.retain(|address| self.may_call(*address, secure));
        if may_be_called.is_empty() && !found.is_empty() {
            return Err(CallFault::AddressRefused);
        }
        self.first(&may_be_called, host, secure, until).await
    }

    /// A connection to the first of some addresses that gives one. Each has its share of the time,
    /// so that one where nothing answers does not cost the others theirs.
    async fn first(
        &self,
        addresses: &[SocketAddr],
        host: &str,
        secure: bool,
        until: Instant,
    ) -> Result<Stream, CallFault> {
        let mut last = CallFault::NoAddress;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / left.max(1);
            left = left.saturating_sub(1);
            match timeout_at(now + share, self.open(*address, host, secure)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(fault)) => last = fault,
                Err(_) => last = CallFault::Unreachable,
            }
        }
        Err(last)
    }

    fn may_call(&self, address: SocketAddr, secure: bool) -> bool {
        let address = address.ip();
        is_among(address, &self.networks) || (secure && is_public(address))
    }

    async fn open(
        &self,
        address: SocketAddr,
        host: &str,
        secure: bool,
    ) -> Result<Stream, CallFault> {
        let stream = TcpStream::connect(address).await.map_err(|_| CallFault::Unreachable)?;
        stream.set_nodelay(true).map_err(|_| CallFault::Unreachable)?;
        if !secure {
            return Ok(Stream(TokioIo::new(Either::Left(stream))));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| CallFault::Tls)?;
        let opened = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        Ok(Stream(TokioIo::new(Either::Right(opened.map_err(|_| CallFault::Tls)?))))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustls::RootCertStore;
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn connector() -> Connector {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider);
        let versions = versions.with_safe_default_protocol_versions().unwrap();
        let tls = versions.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Connector { networks: Arc::default(), tls: Arc::new(tls) }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_fails_or_says_nothing() {
        let (closed, (_open, open)) = (listener().await.1, listener().await);
        let until = || Instant::now() + Duration::from_secs(2);
        let connector = connector();
        let found = connector.first(&[closed, open], "shop.example", false, until()).await;
        assert!(found.is_ok());
        // One that takes the connection and never speaks has no more than its share.
        let begun = Instant::now();
        let found = connector.first(&[open, closed], "shop.example", true, until()).await;
        assert_eq!(found.err(), Some(CallFault::Unreachable));
        let took = begun.elapsed();
        let share = Duration::from_millis(990)..Duration::from_millis(1800);
        assert!(share.contains(&took), "{took:?}");
        let found = connector.first(&[], "shop.example", true, until()).await;
        assert_eq!(found.err(), Some(CallFault::NoAddress));
    }
}
