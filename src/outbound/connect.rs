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
        let mut last = CallFault::NoAddress;
        let mut may_be_called = Vec::new();
        for address in found.take(ADDRESSES_MAX) {
            if self.may_call(address, secure) {
                may_be_called.push(address);
            } else {
                last = CallFault::AddressRefused;
            }
        }
        let mut left = u32::try_from(may_be_called.len()).unwrap_or(u32::MAX);
        for address in may_be_called {
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / left.max(1);
            left = left.saturating_sub(1);
            match timeout_at(now + share, self.open(address, host, secure)).await {
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
