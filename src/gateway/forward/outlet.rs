//! Connections of one core to one address: kept, reused, never used twice at once.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prometheus::IntGauge;
use tokio::time::{Instant, timeout};

use super::patience::Patience;
use super::pieces::Pieces;
use crate::gateway::upstream::{Address, Upstream};

/// What came of a request on a connection; nothing: its time was over.
pub(super) type Sent = Option<Result<Response<Incoming>, TrySendError<Request<Pieces>>>>;

/// The connections to one address.
pub(super) struct Outlet {
    pub(super) address: Arc<Address>,
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<usize>,
    /// The requests in flight that the metric was told of.
    told: Cell<i64>,
}

struct Idle {
    connection: Connection,
    since_second: u64,
}

/// A connection in use by one request.
pub(super) struct Connection {
    sender: SendRequest<Pieces>,
    patience: Patience,
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Pieces>, deadline: Instant) -> Sent {
        let Self { sender, patience } = self;
        patience.within(deadline, sender.try_send_request(request)).await
    }
}

impl Outlet {
    pub(super) fn new(address: Arc<Address>) -> Self {
        let idle = RefCell::default();
        Self { address, idle, in_flight: Cell::new(0), told: Cell::new(0) }
    }

    /// Requests of this core that the address has.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// One request more.
    pub(super) fn enter(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// One request less.
    pub(super) fn leave(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// The connection that came back last, if one is ready.
    pub(super) fn reuse(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let index = idle.iter().rposition(|one| one.connection.sender.is_ready())?;
        Some(idle.swap_remove(index).connection)
    }

    /// Puts a connection back for the next request, at the time of a `second`.
    pub(super) fn give_back(&self, connection: Connection, since_second: u64, idle_max: usize) {
        let mut idle = self.idle.borrow_mut();
        if !connection.sender.is_closed() && idle.len() < idle_max {
            idle.push(Idle { connection, since_second });
        }
    }

    /// Connections that nobody uses.
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Closes a connection that nobody uses, if there is one: the one that is likely the oldest.
    pub(super) fn close_one(&self) {
        let mut idle = self.idle.borrow_mut();
        if !idle.is_empty() {
            idle.swap_remove(0);
        }
    }

    /// Closes what was idle for `idle_max` seconds, and tells how many requests there are.
    pub(super) fn tidy(&self, now: u64, idle_max: u64) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|one| !one.connection.sender.is_closed() && now - one.since_second < idle_max);
        self.tell(self.in_flight.get());
    }

    fn tell(&self, in_flight: usize) {
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX);
        self.address.metrics.in_flight.add(in_flight - self.told.replace(in_flight));
    }

    /// A new connection; none: it did not stand in time.
    pub(super) async fn connect(&self, upstream: &Upstream) -> Option<Connection> {
        let deadline = upstream.spec.deadlines.connect;
        let opened = timeout(deadline, Box::pin(self.open(upstream))).await;
        let sender = opened.ok()?.ok()?;
        Some(Connection { sender, patience: Patience::default() })
    }

    async fn open(&self, upstream: &Upstream) -> io::Result<SendRequest<Pieces>> {
        let wire = upstream.dial(&self.address).await?;
        let handshake = http1::Builder::new().handshake(TokioIo::new(wire)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        upstream.metrics.opened.inc();
        let open = Open::count(upstream.metrics.connections.clone());
        tokio::task::spawn_local(async move {
            // How a connection ended is told to the request that was on it.
            drop(connection.await);
            drop(open);
        });
        Ok(sender)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.tell(0);
    }
}

/// Counts an open connection for as long as it lives.
struct Open(IntGauge);

impl Open {
    fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
