//! Connections of one core to one upstream: kept, reused, never used twice at once.
//!
//! A request is sent again only when the HTTP library hands it back unsent, or once, on a new
//! connection, when it is a GET or HEAD without a body. Everything else may have reached the
//! upstream.

use std::cell::{Cell, RefCell};
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use crate::gateway::admission::Noted;
use crate::gateway::upstream::Upstream;

use super::UpstreamFault;
use super::patience::Patience;
use super::pieces::Pieces;

/// Connections that may turn out dead before a new one is made.
const REUSED_ATTEMPTS_MAX: usize = 3;

/// Connections to one upstream.
pub(super) struct Pool {
    upstream: Arc<Upstream>,
    /// One permit a request in flight.
    slots: Arc<Semaphore>,
    connections_max: usize,
    idle: RefCell<Vec<Idle>>,
    /// Counts the seconds, so that no clock is read to note since when a connection is idle.
    second: Cell<u64>,
}

struct Idle {
    connection: Connection,
    since_second: u64,
}

struct Connection {
    sender: SendRequest<Pieces>,
    patience: Patience,
}

/// A connection in use.
pub(super) struct Lease {
    pool: Rc<Pool>,
    connection: Connection,
    _slot: OwnedSemaphorePermit,
}

impl Lease {
    /// How long the upstream may be silent in an answer.
    pub(super) fn patience(&self) -> Duration {
        self.pool.upstream.spec.deadlines.response
    }

    /// Puts the connection back for the next request.
    pub(super) fn give_back(self) {
        let mut idle = self.pool.idle.borrow_mut();
        if !self.connection.sender.is_closed() && idle.len() < self.pool.connections_max {
            let since_second = self.pool.second.get();
            idle.push(Idle { connection: self.connection, since_second });
        }
    }
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>, cores: NonZeroUsize) -> Self {
        let connections_max = upstream.spec.connections_max.get().div_ceil(cores.get());
        Self {
            upstream,
            slots: Arc::new(Semaphore::new(connections_max)),
            connections_max,
            idle: RefCell::new(Vec::new()),
            second: Cell::new(0),
        }
    }

    pub(super) fn leads_to(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }

    /// Whether somebody else still knows the upstream: a route, or another core's pool. The last of
    /// several cores sees itself alone a second later.
    pub(super) fn is_in_service(&self) -> bool {
        Arc::strong_count(&self.upstream) > 1
    }

    /// Closes what was idle for too long.
    pub(super) fn tidy(&self) {
        let now = self.second.get() + 1;
        self.second.set(now);
        let idle_max = self.upstream.spec.deadlines.idle.as_secs().max(1);
        self.idle
            .borrow_mut()
            .retain(|one| !one.connection.sender.is_closed() && now - one.since_second < idle_max);
    }

    /// Sends a request at `now` and waits for the head of the answer. What the ledger has of it is
    /// durable before a byte leaves.
    pub(super) async fn send(
        self: &Rc<Self>,
        mut request: Request<Pieces>,
        now: Instant,
        mut noted: Option<&mut Noted>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamFault> {
        let slot = self.slot().await?;
        let mut again = repeatable(&request);
        let mut attempts = 0;
        let deadline = (now + self.upstream.spec.deadlines.response).into();
        loop {
            let (mut connection, reused) =
                match self.reuse().filter(|_| attempts < REUSED_ATTEMPTS_MAX) {
                    Some(connection) => (connection, true),
                    None => (self.connect().await?, false),
                };
            attempts += 1;
            if let Some(noted) = &mut noted {
                let sent = Box::pin(noted.sent()).await;
                sent.map_err(|_| UpstreamFault::Unrecorded)?;
            }
            let Connection { sender, patience } = &mut connection;
            let sent = patience.within(deadline, sender.try_send_request(request)).await;
            match sent.ok_or(UpstreamFault::TimedOut)? {
                Ok(answer) => {
                    let lease = Lease { pool: Rc::clone(self), connection, _slot: slot };
                    return Ok((answer, lease));
                }
                Err(mut error) => {
                    let unsent = error.take_message();
                    if let (None, Some(noted)) = (&unsent, &mut noted) {
                        noted.may_have_arrived();
                    }
                    let fault = if unsent.is_some() {
                        UpstreamFault::Unreachable
                    } else {
                        UpstreamFault::Broke
                    };
                    let next = unsent.or_else(|| again.take().map(|copy| *copy)).filter(|_| reused);
                    request = next.ok_or(fault)?;
                    self.upstream.metrics.retries.inc();
                }
            }
        }
    }

    /// A permit for one request; when all are taken, the first that comes free in time.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, UpstreamFault> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let patience = self.upstream.spec.deadlines.connect;
        let slot = timeout(patience, Arc::clone(&self.slots).acquire_owned()).await;
        slot.ok().and_then(Result::ok).ok_or(UpstreamFault::Unreachable)
    }

    /// The connection that came back last, if one is ready.
    fn reuse(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let index = idle.iter().rposition(|one| one.connection.sender.is_ready())?;
        Some(idle.swap_remove(index).connection)
    }

    async fn connect(&self) -> Result<Connection, UpstreamFault> {
        let deadline = self.upstream.spec.deadlines.connect;
        let opened = timeout(deadline, Box::pin(self.open())).await;
        let sender = opened.ok().and_then(Result::ok).ok_or(UpstreamFault::Unreachable)?;
        Ok(Connection { sender, patience: Patience::default() })
    }

    async fn open(&self) -> io::Result<SendRequest<Pieces>> {
        let spec = &self.upstream.spec;
        let stream = TcpStream::connect((spec.host.as_str(), spec.port)).await?;
        stream.set_nodelay(true)?;
        let stream = match &self.upstream.tls {
            None => Either::Left(stream),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Either::Right(connector.connect(name.clone(), stream).await?)
            }
        };
        let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        self.upstream.metrics.opened.inc();
        let open = Open::count(self.upstream.metrics.connections.clone());
        tokio::task::spawn_local(async move {
            // How a connection ended is told to the request that was on it.
            drop(connection.await);
            drop(open);
        });
        Ok(sender)
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

/// A copy of a request that may be sent twice (RFC 9110, section 9.2.1), without a body.
fn repeatable(request: &Request<Pieces>) -> Option<Box<Request<Pieces>>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Pieces::default());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}
