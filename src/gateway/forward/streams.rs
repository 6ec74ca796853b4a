//! Connections of one core to one address over HTTP/2 (RFC 9113): few, each with many requests.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::outlet::{Open, Sent};
use super::patience::Patience;
use super::pieces::Pieces;
use crate::gateway::upstream::{Address, SameThread, Upstream};
use crate::limit::KIB;

/// What one answer may have on its way, in bytes. All streams of a connection may have that much
/// at the same time, so that an answer that nobody takes holds up no other.
const WINDOW: u32 = 128 * 1024;
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// After how long without a word a connection is asked whether it still stands.
const PING_AFTER: Duration = Duration::from_secs(10);
/// What is written ahead of a request's body, in bytes.
const SEND_BUFFER: usize = 64 * KIB;

/// The connections to one address.
pub(super) struct Streams {
    each_max: usize,
    open: RefCell<Vec<Rc<Shared>>>,
    /// One connection is made at a time; who waits for that may find room on it.
    door: Semaphore,
}

/// A connection with any number of requests.
struct Shared {
    sender: SendRequest<Pieces>,
    streams: Cell<usize>,
    /// A request on it was not answered in time, or not to its end, so nobody knows whether it
    /// still stands.
    doubtful: Cell<bool>,
    /// Since when nobody uses it.
    idle_since: Cell<Option<u64>>,
}

/// A request's part of a connection.
pub(super) struct Stream(Rc<Shared>);

impl Stream {
    fn on(shared: &Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get() + 1);
        shared.idle_since.set(None);
        Self(Rc::clone(shared))
    }

    /// Sends a request and waits for the head of its answer. One that is not answered in time is
    /// reset.
    pub(super) async fn send(&mut self, request: Box<Request<Pieces>>, deadline: Instant) -> Sent {
        let mut sender = self.0.sender.clone();
        let sent = Patience::default().within(deadline, sender.try_send_request(*request)).await;
        if sent.is_none() {
            self.doubt();
        }
        sent.map(|sent| sent.map(Box::new).map_err(Box::new))
    }

    /// Keeps new requests off its connection.
    pub(super) fn doubt(&self) {
        self.0.doubtful.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

impl Streams {
    /// Connections with so many requests each.
    pub(super) fn new(each_max: usize) -> Self {
        Self { each_max, open: RefCell::default(), door: Semaphore::new(1) }
    }

    /// Room on a connection that stands.
    pub(super) fn reuse(&self) -> Option<Stream> {
        let open = self.open.borrow();
        let good = open.iter().find(|one| {
            one.streams.get() < self.each_max && !one.doubtful.get() && !one.sender.is_closed()
        });
        good.map(Stream::on)
    }

    /// Room on a connection that somebody makes now.
    pub(super) async fn connect(
        &self,
        upstream: &Upstream,
        address: &Address,
    ) -> io::Result<Stream> {
        let _door = self.door.acquire().await.map_err(io::Error::other)?;
        if let Some(stream) = self.reuse() {
            return Ok(stream);
        }
        let wire = upstream.dial(address).await?;
        let streams = u32::try_from(self.each_max).unwrap_or(u32::MAX);
        let handshake = Builder::new(SameThread)
            .timer(TokioTimer::new())
            // Until the other side has told its cap; what is beyond that would be refused.
            .initial_max_send_streams(1)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW.saturating_mul(streams))
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(upstream.spec.deadlines.connect)
            .handshake(TokioIo::new(wire))
            .await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        let open = Open::count(upstream);
        tokio::task::spawn_local(async move {
            // How a connection ended is told to the requests that were on it.
            drop(connection.await);
            drop(open);
        });
        let (streams, doubtful) = (Cell::new(0), Cell::new(false));
        let shared = Rc::new(Shared { sender, streams, doubtful, idle_since: Cell::new(None) });
        let stream = Stream::on(&shared);
        self.open.borrow_mut().push(shared);
        Ok(stream)
    }

    /// Closes what nobody used for `idle_max` seconds, and forgets what has ended.
    pub(super) fn tidy(&self, now: u64, idle_max: u64) {
        self.open.borrow_mut().retain(|one| {
            if one.streams.get() > 0 {
                return !one.sender.is_closed();
            }
            let since = one.idle_since.get().unwrap_or(now);
            one.idle_since.set(Some(since));
            !one.sender.is_closed() && !one.doubtful.get() && now - since < idle_max
        });
    }
}
