//! What the tasks of a core write in one turn of it leaves together, at its end.
//!
//! A write goes through the kernel to the other end, and wakes who waits there. Several in a row
//! find the kernel's code in the processor's cache, and on one machine they find who waits awake.
//! A write is copied for that; who wrote it takes it for sent, and is woken when it was not.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::bell::Bell;
use crate::limit::KIB;

/// Longer writes are not copied: they leave at once, after all that waits.
const WRITE_BYTES_MAX: usize = 8 * KIB;

/// So many writes wait at most, so that the first leaves soon.
const WRITES_MAX: usize = 16;

/// Bytes of all writes that wait.
const BATCH_BYTES_MAX: usize = 64 * KIB;

thread_local! {
    static BATCH: RefCell<Batch> = const { RefCell::new(Batch::NONE) };
}

/// What a core has written and not sent.
struct Batch {
    /// Wakes the task that sends it; none: there is no such task, and nothing waits.
    sender: Option<Waker>,
    writes: Vec<Write>,
    /// The bytes of all writes, one behind the other; nothing behind them.
    bytes: [u8; BATCH_BYTES_MAX],
    filled: usize,
}

struct Write {
    to: Rc<Socket>,
    bytes: usize,
}

/// Sends what the tasks of this thread write, after each has had its turn. Until it is polled, and
/// when it is dropped, every write is sent at once.
pub async fn send() -> Infallible {
    /// Leaves nothing behind.
    struct Sending;
    impl Drop for Sending {
        fn drop(&mut self) {
            BATCH.with_borrow_mut(|batch| {
                batch.send();
                batch.sender = None;
            });
        }
    }
    let _sending = Sending;
    poll_fn(|cx| {
        BATCH.with_borrow_mut(|batch| {
            batch.send();
            batch.sender.get_or_insert_with(|| cx.waker().clone());
        });
        Poll::Pending
    })
    .await
}

impl Batch {
    const NONE: Self =
        Self { sender: None, writes: Vec::new(), bytes: [0; BATCH_BYTES_MAX], filled: 0 };

    /// Makes room for a write, if it may wait. What does not wait leaves after all that does.
    fn has_room(&mut self, bytes: usize) -> bool {
        let may_wait = self.sender.is_some() && bytes <= WRITE_BYTES_MAX;
        let fits = self.writes.len() < WRITES_MAX && self.filled + bytes <= BATCH_BYTES_MAX;
        if !may_wait || !fits {
            self.send();
        }
        may_wait
    }

    /// Takes a write that there is room for.
    fn take(&mut self, to: &Rc<Socket>, pieces: &[IoSlice<'_>], bytes: usize) {
        if let (true, Some(sender)) = (self.writes.is_empty(), &self.sender) {
            sender.wake_by_ref();
        }
        let mut room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        for piece in pieces {
            room.put_slice(piece);
        }
        self.filled += bytes;
        self.writes.push(Write { to: Rc::clone(to), bytes });
    }

    fn send(&mut self) {
        let filled = self.bytes.get_mut(..self.filled).unwrap_or_default();
        let mut left = &*filled;
        for Write { to, bytes } in self.writes.drain(..) {
            let (own, others) = left.split_at(bytes.min(left.len()));
            to.send(own);
            left = others;
        }
        // What was sealed may stand here in clear.
        filled.fill(0);
        self.filled = 0;
    }
}

/// A TCP connection whose short writes leave with others of its core.
#[derive(Debug)]
pub struct Batched {
    socket: Rc<Socket>,
    bell: Bell,
}

#[derive(Debug)]
struct Socket {
    tcp: TcpStream,
    /// Bytes that the kernel took and nobody was told of.
    sent: Cell<usize>,
    unsent: RefCell<Unsent>,
}

/// What was taken for sent, and could not be.
#[derive(Default)]
struct Unsent {
    /// Who wrote last.
    writer: Option<Waker>,
    /// What the kernel had no room for. May be in clear.
    bytes: Zeroizing<Vec<u8>>,
    /// Why nothing can be sent any more.
    fault: Option<ErrorKind>,
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, fault) = (self.bytes.len(), self.fault);
        f.debug_struct("Unsent").field("bytes", &bytes).field("fault", &fault).finish()
    }
}

impl Socket {
    /// Sends a write that waited, as far as the kernel has room.
    fn send(&self, bytes: &[u8]) {
        let unsent = &mut *self.unsent.borrow_mut();
        if unsent.fault.is_some() {
            return;
        }
        let sent = match unsent.bytes.is_empty() {
            true => self.tcp.try_write(bytes),
            false => Ok(0),
        };
        self.note(&sent);
        match sent {
            Ok(sent) if sent == bytes.len() => return,
            Ok(sent) => unsent.keep(bytes.get(sent..).unwrap_or_default()),
            Err(error) if is_passing(&error) => unsent.keep(bytes),
            Err(error) => unsent.fault = Some(error.kind()),
        }
        if let Some(writer) = &unsent.writer {
            writer.wake_by_ref();
        }
    }

    /// Sends what could not be sent before.
    fn poll_unsent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unsent = &mut *self.unsent.borrow_mut();
        if !unsent.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker())) {
            unsent.writer = Some(cx.waker().clone());
        }
        while unsent.fault.is_none() && !unsent.bytes.is_empty() {
            match ready!(self.poll_send(cx, &[IoSlice::new(&unsent.bytes)])) {
                Ok(0) => unsent.fault = Some(ErrorKind::WriteZero),
                Ok(sent) => unsent.bytes = Zeroizing::new(unsent.bytes.split_off(sent)),
                Err(error) => unsent.fault = Some(error.kind()),
            }
        }
        Poll::Ready(unsent.fault.map_or(Ok(()), |fault| Err(fault.into())))
    }

    fn has_unsent(&self) -> bool {
        !self.unsent.borrow().bytes.is_empty()
    }

    fn note(&self, sent: &io::Result<usize>) {
        let sent = *sent.as_ref().unwrap_or(&0);
        self.sent.set(self.sent.get().saturating_add(sent));
    }

    /// Sends at once.
    fn poll_send(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            // Mostly one piece, for which the simpler system call is the cheaper one.
            let sent = match pieces {
                [only] => self.tcp.try_write(only),
                pieces => self.tcp.try_write_vectored(pieces),
            };
            match sent {
                Err(error) if is_passing(&error) => {}
                sent => {
                    self.note(&sent);
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

impl Unsent {
    fn keep(&mut self, bytes: &[u8]) {
        // Never grown in place, which would leave a copy behind.
        self.bytes = Zeroizing::new([&self.bytes, bytes].concat());
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Batched {
    /// A connection that nothing was written to yet.
    pub fn new(tcp: TcpStream) -> Self {
        let socket = Socket { tcp, sent: Cell::new(0), unsent: RefCell::default() };
        Self { socket: Rc::new(socket), bell: Bell::default() }
    }

    /// How many bytes have left since this was asked last.
    pub fn take_sent(&self) -> usize {
        self.socket.sent.take()
    }

    /// Reads into `room`, and says how much. What could not be sent before is sent on the way: who
    /// takes it for sent may do nothing but read.
    pub fn poll_read_into(
        &mut self,
        cx: &Context<'_>,
        room: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, bell } = self;
        if socket.has_unsent() {
            // A fault is told to who writes next.
            let _ = socket.poll_unsent(&mut Context::from_waker(cx.waker()));
        }
        bell.poll(cx, |cx| {
            loop {
                ready!(socket.tcp.poll_read_ready(cx))?;
                match socket.tcp.try_read_buf(room) {
                    Err(error) if is_passing(&error) => {}
                    read => {
                        if let Ok(1..) = read
                            && room.has_remaining_mut()
                        {
                            // There is no more now: the runtime need not find that out by another
                            // read.
                            let nothing = || Err::<(), _>(ErrorKind::WouldBlock.into());
                            drop(socket.tcp.try_io(Interest::READABLE, nothing));
                        }
                        return Poll::Ready(read);
                    }
                }
            }
        })
    }
}

impl AsyncRead for Batched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_into(cx, buf).map_ok(drop)
    }
}

impl AsyncWrite for Batched {
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
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        let may_wait = BATCH.with_borrow_mut(|batch| batch.has_room(bytes));
        ready!(self.socket.poll_unsent(cx))?;
        if !may_wait {
            return self.socket.poll_send(cx, pieces);
        }
        BATCH.with_borrow_mut(|batch| batch.take(&self.socket, pieces, bytes));
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the end of the turn counts as flushed.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_unsent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        BATCH.with_borrow_mut(Batch::send);
        ready!(self.socket.poll_unsent(cx))?;
        match SockRef::from(&self.socket.tcp).shutdown(Shutdown::Write) {
            // The other end was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            ended => Poll::Ready(ended),
        }
    }
}

#[cfg(test)]
mod tests;
