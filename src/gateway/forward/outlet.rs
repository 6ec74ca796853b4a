//! Connections of one core to one address: kept, reused, never used twice at once but for those
//! over HTTP/2.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use prometheus::IntGauge;
use tokio::time::{Instant, timeout};

use super::own::Own;
use super::pieces::Pieces;
use super::streams::{Stream, Streams};
use crate::gateway::upstream::{Address, Upstream};

/// What came of a request on a connection; nothing: its time was over.
pub(super) type Sent = Option<Result<Box<Answer>, Box<TrySendError<Request<Pieces>>>>>;

/// An answer whose body is on its way, passed on by a pointer.
pub(super) type Answer = Response<Incoming>;

/// The connections to one address.
pub(super) struct Outlet {
    pub(super) address: Arc<Address>,
    idle: RefCell<Vec<Idle>>,
    /// The connections over HTTP/2, where that is spoken; then none is kept in `idle`.
    streams: Option<Streams>,
    /// No more requests will come, and no connection is kept.
    retired: Cell<bool>,
    in_flight: Cell<usize>,
    /// The requests in flight that the metric was told of.
    told: Cell<i64>,
}

struct Idle {
    connection: Box<Own>,
    since_second: u64,
}

/// A connection in use by one request, or its part of one.
pub(super) enum Connection {
    Own(Box<Own>),
    Stream(Stream),
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Box<Request<Pieces>>, deadline: Instant) -> Sent {
        match self {
            Self::Own(own) => own.send(request, deadline).await,
            // Boxed, so that the path over HTTP/1.1 keeps no room for it.
            Self::Stream(stream) => Box::pin(stream.send(request, deadline)).await,
        }
    }

    /// The next piece of an answer's body.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Self::Own(own) => own.poll_frame(incoming, cx),
            Self::Stream(_) => Pin::new(incoming).poll_frame(cx),
        }
    }
}

impl Outlet {
    /// The way to an address, with so many streams on a connection where HTTP/2 is spoken.
    pub(super) fn new(address: Arc<Address>, streams_max: Option<NonZeroUsize>) -> Self {
        let streams = streams_max.map(|each_max| Streams::new(each_max.get()));
        let (idle, retired) = (RefCell::default(), Cell::new(false));
        Self { address, idle, streams, retired, in_flight: Cell::new(0), told: Cell::new(0) }
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

    /// The connection that came back last, if one is ready; or room on one.
    pub(super) fn reuse(&self) -> Option<Connection> {
        if let Some(streams) = &self.streams {
            return streams.reuse().map(Connection::Stream);
        }
        let mut idle = self.idle.borrow_mut();
        // Whether it still stands shows when it is given a request, which comes back unsent if not.
        idle.pop().map(|Idle { connection, .. }| Connection::Own(connection))
    }

    /// Puts a connection back for the next request, at the time of a `second`.
    pub(super) fn give_back(&self, connection: Connection, since_second: u64, idle_max: usize) {
        let Connection::Own(mut connection) = connection else { return };
        let mut idle = self.idle.borrow_mut();
        if connection.rest() && !self.retired.get() && idle.len() < idle_max {
            idle.push(Idle { connection, since_second });
        } else {
            // Where the answer came early, the rest of the request still leaves.
            connection.close();
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
            idle.swap_remove(0).connection.close();
        }
    }

    /// Closes every connection, those in use after their requests.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.idle.take().into_iter().for_each(|one| one.connection.close());
    }

    /// Closes what was idle for `idle_max` seconds, and tells how many requests there are.
    pub(super) fn tidy(&self, now: u64, idle_max: u64) {
        let mut idle = self.idle.borrow_mut();
        for mut one in std::mem::take(&mut *idle) {
            match now - one.since_second < idle_max {
                true if one.connection.stands() => idle.push(one),
                true => {}
                false => one.connection.close(),
            }
        }
        if let Some(streams) = &self.streams {
            streams.tidy(now, idle_max);
        }
        self.tell(self.in_flight.get());
    }

    fn tell(&self, in_flight: usize) {
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX);
        self.address.metrics.in_flight.add(in_flight - self.told.replace(in_flight));
    }

    /// A new connection; none: it did not stand in time.
    pub(super) async fn connect(&self, upstream: &Upstream) -> Option<Connection> {
        let deadline = upstream.spec.deadlines.connect;
        if let Some(streams) = &self.streams {
            let opened =
                timeout(deadline, Box::pin(streams.connect(upstream, &self.address))).await;
            return opened.ok()?.ok().map(Connection::Stream);
        }
        let opened = timeout(deadline, Box::pin(Own::open(upstream, &self.address))).await;
        opened.ok()?.ok().map(|own| Connection::Own(Box::new(own)))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.tell(0);
    }
}

/// Counts an open connection for as long as it lives.
pub(super) struct Open(IntGauge);

impl Open {
    pub(super) fn count(upstream: &Upstream) -> Self {
        upstream.metrics.opened.inc();
        upstream.metrics.connections.inc();
        Self(upstream.metrics.connections.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
