//! The socket of a client: counts what moves below TLS, and ends so that the last answer arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::pulse::Pulse;
use crate::limit::KIB;

/// Bytes that are still read, and thrown away, after the last answer.
const DISCARDED_BYTES_MAX: usize = 256 * KIB;

/// A TCP connection that tells its [`Pulse`] what moves.
#[derive(Debug)]
pub(super) struct Metered {
    tcp: TcpStream,
    pulse: Rc<Pulse>,
}

impl Metered {
    pub(super) fn new(tcp: TcpStream, pulse: Rc<Pulse>) -> Self {
        Self { tcp, pulse }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.pulse.sent(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.pulse.write_blocked(),
        }
        written
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
        if buf.filled().len() == before {
            this.pulse.client_ended();
        } else {
            this.pulse.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write(cx, buf);
        this.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// A TLS connection with a client.
#[derive(Debug)]
pub(super) struct ClientStream {
    tls: TlsStream<Metered>,
    pulse: Rc<Pulse>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    No,
    /// Our end is sent; the client's bytes are thrown away, so many so far.
    Lingering(usize),
}

impl ClientStream {
    pub(super) fn new(tls: TlsStream<Metered>, pulse: Rc<Pulse>) -> Self {
        Self { tls, pulse, end: End::No }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.tls).poll_read(cx, buf))?;
        if buf.filled().len() != before {
            // Also what came together with the end of the handshake.
            this.pulse.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.tls).poll_flush(cx))?;
        this.pulse.flushed();
        Poll::Ready(Ok(()))
    }

    /// Sends `close_notify` and FIN, then reads on for a while: closing a socket with unread bytes
    /// sends a reset, which takes the answer from the client. The deadline is the driver's.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pulse.shutdown_began();
        if let End::No = this.end {
            ready!(Pin::new(&mut this.tls).poll_shutdown(cx))?;
            if !this.pulse.must_linger() {
                return Poll::Ready(Ok(()));
            }
            this.end = End::Lingering(0);
        }
        let mut discarded = [0; 4 * KIB];
        while let End::Lingering(bytes) = this.end {
            let mut buf = ReadBuf::new(&mut discarded);
            let (tcp, _) = this.tls.get_mut();
            ready!(Pin::new(tcp).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() || bytes > DISCARDED_BYTES_MAX {
                break;
            }
            this.end = End::Lingering(bytes + buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
