//! A connection over HTTP/1.1 that moves only while somebody uses it: whoever waits for an answer
//! polls it along, so that a request takes no turns of another task.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};

use super::outlet::{Open, Sent};
use super::patience::Patience;
use super::pieces::Pieces;
use crate::gateway::upstream::{Address, Upstream, Wire};
use crate::relay::Relay;

/// How long the end of a connection may take: the rest of a request whose answer came early, and
/// the goodbye.
const LINGER: Duration = Duration::from_secs(10);

type Http1 = Connection<TokioIo<Wire>, Pieces>;

/// A connection, used by one request at a time.
pub(super) struct Own {
    sender: SendRequest<Pieces>,
    moved: Moved,
    patience: Patience,
    open: Open,
}

/// What moves when it is polled.
struct Moved {
    /// None once it has ended.
    connection: Option<Pin<Box<Http1>>>,
    /// Wakes whoever uses it.
    relay: Rc<Relay>,
}

impl Moved {
    fn advance(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        // How it ended is told to the request that was on it.
        if connection.as_mut().poll(&mut Context::from_waker(self.relay.waker())).is_ready() {
            self.connection = None;
        }
    }

    fn advance_for(&mut self, cx: &Context<'_>) {
        self.relay.follow(cx);
        self.advance();
    }

    /// A piece that has come already. The connection is moved before it is asked for again, so that
    /// its taking need not wake anybody.
    fn piece(&self, incoming: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let nobody = &mut Context::from_waker(Waker::noop());
        self.relay.hush(|| Pin::new(incoming).poll_frame(nobody)).0
    }
}

impl Own {
    /// Connects to an address. Without a deadline.
    ///
    /// # Errors
    /// Whatever keeps a connection from standing.
    pub(super) async fn open(upstream: &Upstream, address: &Address) -> io::Result<Self> {
        let wire = upstream.dial(address).await?;
        let handshake = Builder::new().handshake(TokioIo::new(wire)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        let mut moved = Moved { connection: Some(Box::pin(connection)), relay: Relay::new() };
        // Only what has moved once takes requests.
        moved.advance();
        Ok(Self { sender, moved, patience: Patience::default(), open: Open::count(upstream) })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Box<Request<Pieces>>, deadline: Instant) -> Sent {
        let Self { sender, moved, patience, .. } = self;
        // It is moved next, and so need not be woken for that.
        let answer = moved.relay.hush(|| sender.try_send_request(*request)).0;
        // Out of turns it would keep back an answer that is there, and wake nobody for it.
        let mut answer = pin!(unconstrained(answer));
        let exchange = poll_fn(|cx| {
            moved.advance_for(cx);
            let answer = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            answer.map_ok(Box::new).map_err(Box::new)
        });
        patience.within(deadline, exchange).await
    }

    /// The next piece of an answer's body.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let there = self.moved.piece(incoming);
        if there.is_ready() {
            return there;
        }
        self.moved.advance_for(cx);
        self.moved.piece(incoming)
    }

    /// Nobody uses it for now. Says whether somebody may later.
    pub(super) fn rest(&mut self) -> bool {
        self.moved.relay.forget();
        self.sender.is_ready() || self.stands()
    }

    /// Whether it stands and is ready for a request.
    pub(super) fn stands(&mut self) -> bool {
        self.moved.advance();
        self.moved.connection.is_some() && self.sender.is_ready()
    }

    /// Ends it in order, after what is left of a request.
    pub(super) fn close(self) {
        let Self { sender, moved, open, .. } = self;
        drop(sender);
        if let Some(connection) = moved.connection {
            tokio::task::spawn_local(async move {
                // The upstream may not care; it has been told.
                drop(timeout(LINGER, connection).await);
                drop(open);
            });
        }
    }
}
