//! A connection that sends the pieces of a message by one simple write.
//!
//! The HTTP library hands on a head and the body behind it as two pieces. To copy a short body next
//! to its head and send both as one costs less than to have the kernel gather them.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::bell::Bell;
use crate::limit::KIB;

/// Up to so many bytes are copied; the kernel gathers what is longer.
const JOINED_BYTES_MAX: usize = 8 * KIB;

thread_local! {
    /// Where a core joins what it sends next; empty in between.
    static JOINED: RefCell<[u8; JOINED_BYTES_MAX]> = const { RefCell::new([0; JOINED_BYTES_MAX]) };
}

/// A TCP connection to an upstream.
#[derive(Debug)]
pub struct Joined {
    tcp: TcpStream,
    bell: Bell,
}

impl Joined {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, bell: Bell::default() }
    }
}

/// Copies the pieces one behind the other, where all of them fit.
fn join<'a>(pieces: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let joined = room.get_mut(..pieces.iter().map(|piece| piece.len()).sum())?;
    let mut rest = &mut *joined;
    for piece in pieces {
        let (place, after) = rest.split_at_mut_checked(piece.len())?;
        place.copy_from_slice(piece);
        rest = after;
    }
    Some(joined)
}

impl AsyncRead for Joined {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, bell } = &mut *self;
        bell.poll(cx, |cx| Pin::new(tcp).poll_read(cx, buf))
    }
}

impl AsyncWrite for Joined {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        JOINED.with_borrow_mut(|room| match join(bufs, room) {
            Some(joined) => {
                let written = self.as_mut().poll_write(cx, joined);
                // What was sealed may stand here in clear.
                joined.fill(0);
                written
            }
            None => Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_in_order_where_they_fit_and_only_there() {
        let pieces = [b"head".as_slice(), b"", b"body"].map(IoSlice::new);
        for (bytes, fits) in [(9, true), (8, true), (7, false)] {
            let mut room = vec![0; bytes];
            let joined = join(&pieces, &mut room).map(|joined| joined.to_vec());
            assert_eq!(joined.as_deref(), fits.then_some(b"headbody".as_slice()), "{bytes}");
        }
        assert!(join(&[], &mut []).is_some_and(|joined| joined.is_empty()));
    }
}
