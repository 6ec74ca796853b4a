//! The socket of a client: counts what moves below TLS, and ends so that the last answer arrives.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::pulse::Pulse;
use crate::batch::Batched;
use crate::limit::KIB;

/// Bytes that are still read, and thrown away, after the last answer: twice the longest body by
/// default, for clients that send all of theirs before they read. The driver bounds the time.
const DISCARDED_BYTES_MAX: usize = 2048 * KIB;

/// Bytes that are read at a time where TLS asks for 4 KiB: a whole record (RFC 8446, section 5.2)
/// and a little more.
const AHEAD_BYTES: usize = 18 * KIB;

thread_local! {
    /// Where a core reads ahead before it knows whether anything came. Holds ciphertext only.
    static AHEAD: RefCell<[u8; AHEAD_BYTES]> = const { RefCell::new([0; AHEAD_BYTES]) };
}

/// A TCP connection that tells its [`Pulse`] what moves.
///
/// The TLS library reads 4 KiB at a time, four times for a full record. A client that once sent
/// that much at once is read a whole record at a time from then on.
#[derive(Debug)]
pub(super) struct Metered {
    tcp: Batched,
    pulse: Rc<Pulse>,
    reads_ahead: bool,
    /// What was read beyond what TLS asked for.
    ahead: Bytes,
}

impl Metered {
    pub(super) fn new(tcp: TcpStream, pulse: Rc<Pulse>) -> Self {
        Self { tcp: Batched::new(tcp), pulse, reads_ahead: false, ahead: Bytes::new() }
    }

    /// Reads as much as was asked for.
    fn read(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.tcp.poll_read_into(cx, buf));
        self.reads_ahead = buf.remaining() == 0;
        Poll::Ready(read)
    }

    /// Reads more than was asked for, and keeps the rest for the next time: by one simple read and
    /// a copy, which cost less than to have the kernel scatter it.
    fn read_ahead(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        AHEAD.with_borrow_mut(|ahead| {
            let bytes = ready!(self.tcp.poll_read_into(cx, &mut ahead.as_mut_slice()))?;
            let came = ahead.get(..bytes).unwrap_or_default();
            let (asked, more) = came.split_at(bytes.min(buf.remaining()));
            buf.put_slice(asked);
            self.ahead = Bytes::copy_from_slice(more);
            Poll::Ready(Ok(bytes))
        })
    }

    /// Notes what has left, and whether the rest has to wait for the client.
    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.tcp.take_sent() {
            0 => {}
            bytes => self.pulse.sent(bytes),
        }
        if outcome.is_pending() {
            self.pulse.write_blocked();
        }
        outcome
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let bytes = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        let read = match this.reads_ahead {
            true => this.read_ahead(cx, buf),
            false => this.read(cx, buf),
        };
        match ready!(read)? {
            0 => this.pulse.client_ended(),
            _ => this.pulse.received(),
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
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write_vectored(cx, pieces);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.tcp).poll_flush(cx);
        this.note(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.tcp).poll_shutdown(cx);
        this.note(ended)
    }
}

/// What a connection with a client is made of: TLS, or TCP itself.
pub(super) trait Below: AsyncRead + AsyncWrite + Unpin {
    /// The TCP connection.
    fn tcp(&mut self) -> &mut Metered;
}

impl Below for TlsStream<Metered> {
    fn tcp(&mut self) -> &mut Metered {
        self.get_mut().0
    }
}

impl Below for Metered {
    fn tcp(&mut self) -> &mut Metered {
        self
    }
}

/// A connection with a client.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    below: S,
    pulse: Rc<Pulse>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    No,
    /// Our end is sent; the client's bytes are thrown away, so many so far.
    Lingering(usize),
}

impl<S: Below> ClientStream<S> {
    pub(super) fn new(below: S, pulse: Rc<Pulse>) -> Self {
        Self { below, pulse, end: End::No }
    }
}

impl<S: Below> AsyncRead for ClientStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.below).poll_read(cx, buf))?;
        if buf.filled().len() != before {
            // Also what came together with the end of the handshake.
            this.pulse.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Below> AsyncWrite for ClientStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().below).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().below).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.below.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.below).poll_flush(cx))?;
        this.pulse.flushed();
        Poll::Ready(Ok(()))
    }

    /// Sends what is left, `close_notify` and FIN, for which a slow client has its usual time. Then
    /// reads on for a while: closing a socket with unread bytes sends a reset, which takes the
    /// answer from the client. The deadlines are the driver's.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let End::No = this.end {
            ready!(Pin::new(&mut this.below).poll_shutdown(cx))?;
            this.pulse.shut_down();
            if !this.pulse.must_linger() {
                return Poll::Ready(Ok(()));
            }
            this.end = End::Lingering(0);
        }
        let mut discarded = [0; 4 * KIB];
        while let End::Lingering(bytes) = this.end {
            let mut buf = ReadBuf::new(&mut discarded);
            ready!(Pin::new(this.below.tcp()).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() || bytes > DISCARDED_BYTES_MAX {
                break;
            }
            this.end = End::Lingering(bytes + buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{Duration, timeout};
    use tokio::{join, select};

    use super::*;

    #[tokio::test]
    async fn an_end_that_waits_for_the_client_has_not_been_sent() {
        const SOON: Duration = Duration::from_millis(50);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let pulse = Rc::new(Pulse::default());
        let line = Metered::new(listener.accept().await.unwrap().0, Rc::clone(&pulse));
        let mut stream = ClientStream::new(line, Rc::clone(&pulse));
        let deed = async {
            tokio::task::yield_now().await;
            let mut written = 0;
            while timeout(SOON, stream.write_all(&[7; 4 * KIB])).await.is_ok() {
                written += 4 * KIB;
                tokio::task::yield_now().await;
            }
            assert!(timeout(SOON, stream.shutdown()).await.is_err());
            assert!(pulse.shutdown().is_none() && pulse.blocked().is_some());
            let read = async {
                let mut all = Vec::new();
                client.read_to_end(&mut all).await.unwrap();
                assert_eq!(all.len(), written);
                assert!(pulse.shutdown().is_some());
                drop(client);
            };
            let (ended, ()) = join!(stream.shutdown(), read);
            ended.unwrap();
        };
        select! { biased; _ = crate::batch::send() => unreachable!(), () = deed => {} }
    }
}
