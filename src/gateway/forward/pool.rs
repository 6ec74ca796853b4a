//! The way of one core to one upstream, over all its addresses.
//!
//! A request is sent again only when the HTTP library hands it back unsent, or once, when it is a
//! GET or HEAD without a body: on a new connection, and to another address where there is one.
//! Everything else may have reached the upstream. While no connection stands nothing was sent, and
//! a few addresses are tried.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::admission::Noted;
use crate::gateway::upstream::Upstream;

use super::UpstreamFault;
use super::choice::{Dice, choose};
use super::headers::over_http2;
use super::outlet::{Answer, Connection, Outlet};
use super::pieces::Pieces;
use super::slots::Slots;

/// Connections that may turn out dead before a new one is made.
const REUSED_ATTEMPTS_MAX: usize = 3;
/// Addresses that are tried for one request.
const ADDRESSES_MAX: usize = 3;

/// Connections to one upstream.
pub(super) struct Pool {
    upstream: Arc<Upstream>,
    slots: Slots,
    outlets: RefCell<Vec<Rc<Outlet>>>,
    /// Which addresses the outlets are of.
    version: Cell<u64>,
    dice: Dice,
    /// Counts the seconds, so that no clock is read to note since when a connection is idle.
    second: Cell<u64>,
}

/// A request's place at an address.
struct Turn {
    pool: Rc<Pool>,
    outlet: Rc<Outlet>,
    tried: Vec<Rc<Outlet>>,
    _slot: OwnedSemaphorePermit,
}

/// A connection in use.
pub(super) struct Lease {
    turn: Turn,
    connection: Connection,
    patience: Duration,
}

impl Lease {
    /// How long the upstream may be silent in an answer.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.connection.poll_frame(incoming, cx)
    }

    /// Puts the connection back for the next request.
    pub(super) fn give_back(self) {
        let Self { turn, connection, .. } = self;
        let pool = &turn.pool;
        turn.outlet.give_back(connection, pool.second.get(), pool.slots.count());
    }

    /// Gives the connection up, because the answer on it broke off.
    pub(super) fn give_up(self) {
        if let Connection::Stream(stream) = &self.connection {
            stream.doubt();
        }
        self.turn.failed();
    }
}

impl Turn {
    /// A connection, and whether it was used before; none: none stands in time.
    async fn connection(&self, may_reuse: bool) -> Option<(Connection, bool)> {
        if may_reuse && let Some(connection) = self.outlet.reuse() {
            return Some((connection, true));
        }
        self.pool.make_room();
        let connection = self.outlet.connect(&self.pool.upstream).await?;
        Some((connection, false))
    }

    fn failed(&self) {
        self.pool.upstream.failed(&self.outlet.address);
    }

    /// Moves on to an address that was not tried, before the deadline; says whether there is one.
    fn moves_on(&mut self, deadline: tokio::time::Instant) -> bool {
        let outlets = self.pool.outlets.borrow();
        if outlets.len() == 1 || self.tried.len() + 1 >= ADDRESSES_MAX {
            return false;
        }
        self.tried.push(Rc::clone(&self.outlet));
        let next = choose(&outlets, &self.tried, &self.pool.dice);
        drop(outlets);
        let Some(next) = next.filter(|_| tokio::time::Instant::now() < deadline) else {
            return false;
        };
        next.enter();
        self.outlet.leave();
        self.outlet = next;
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.outlet.leave();
    }
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>, cores: NonZeroUsize) -> Self {
        let slots = Slots::new(&upstream.spec, cores);
        let pool = Self {
            upstream,
            slots,
            outlets: RefCell::default(),
            version: Cell::new(0),
            dice: Dice::new(),
            second: Cell::new(0),
        };
        pool.follow();
        pool
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
        self.outlets.borrow().iter().for_each(|outlet| outlet.tidy(now, idle_max));
    }

    /// Sends a request at `now` and waits for the head of the answer, in whose body the upstream
    /// may be silent for as long as `patience`. What the ledger has of it is durable before a byte
    /// leaves.
    pub(super) async fn send(
        self: &Rc<Self>,
        mut request: Box<Request<Pieces>>,
        now: Instant,
        patience: Option<Duration>,
        mut noted: Option<&mut Noted>,
    ) -> Result<(Box<Answer>, Lease), UpstreamFault> {
        let slot = self.slots.take().await?;
        let mut turn = self.turn(slot)?;
        if self.upstream.spec.streams_max.is_some() {
            over_http2(&mut request, self.upstream.spec.tls.is_some());
        }
        let mut again = repeatable(&request);
        let mut attempts = 0;
        let response = self.upstream.spec.deadlines.response;
        let deadline = (now + response).into();
        loop {
            let connected = turn.connection(attempts < REUSED_ATTEMPTS_MAX).await;
            let Some((mut connection, reused)) = connected else {
                turn.failed();
                if turn.moves_on(deadline) {
                    continue;
                }
                return Err(UpstreamFault::Unreachable);
            };
            attempts += 1;
            if let Some(noted) = &mut noted {
                let sent = Box::pin(noted.sent()).await;
                sent.map_err(|_| UpstreamFault::Unrecorded)?;
            }
            let Some(sent) = connection.send(request, deadline).await else {
                turn.failed();
                return Err(UpstreamFault::TimedOut);
            };
            let mut error = match sent {
                Ok(answer) => {
                    self.upstream.answered(&turn.outlet.address, answer.status());
                    let patience = patience.unwrap_or(response);
                    return Ok((answer, Lease { turn, connection, patience }));
                }
                Err(error) => error,
            };
            let unsent = error.take_message().map(Box::new);
            if let (None, Some(noted)) = (&unsent, &mut noted) {
                noted.may_have_arrived();
            }
            // One that was kept and is dead by now says nothing of its address.
            let stale = reused && unsent.is_some();
            let fault =
                if unsent.is_some() { UpstreamFault::Unreachable } else { UpstreamFault::Broke };
            let next = unsent.or_else(|| again.take());
            if !stale {
                turn.failed();
            }
            let may = next.is_some() && (stale || turn.moves_on(deadline) || reused);
            request = next.filter(|_| may).ok_or(fault)?;
            if !stale {
                self.upstream.metrics.retries.inc();
            }
        }
    }

    /// A place at an address for whoever has a slot.
    fn turn(self: &Rc<Self>, slot: OwnedSemaphorePermit) -> Result<Turn, UpstreamFault> {
        if self.version.get() != self.upstream.version() {
            self.follow();
        }
        let outlet = choose(&self.outlets.borrow(), &[], &self.dice);
        let outlet = outlet.ok_or(UpstreamFault::Unreachable)?;
        outlet.enter();
        Ok(Turn { pool: Rc::clone(self), outlet, tried: Vec::new(), _slot: slot })
    }

    /// Closes every connection, those in use after their requests: no more will come.
    pub(super) fn retire(&self) {
        self.outlets.borrow().iter().for_each(|outlet| outlet.retire());
    }

    /// Gets an outlet for every address that there is now. Those that stay keep their connections.
    fn follow(&self) {
        // Before the addresses: a change in between shows the next time.
        self.version.set(self.upstream.version());
        let addresses = self.upstream.addresses();
        let mut outlets = self.outlets.borrow_mut();
        let known = std::mem::take(&mut *outlets);
        outlets.extend(addresses.iter().map(|address| {
            let same = known.iter().find(|one| Arc::ptr_eq(&one.address, address));
            let new = || Outlet::new(Arc::clone(address), self.upstream.spec.streams_max);
            same.map_or_else(|| Rc::new(new()), Rc::clone)
        }));
        let stays = |known: &Rc<Outlet>| outlets.iter().any(|one| Rc::ptr_eq(one, known));
        known.iter().filter(|known| !stays(known)).for_each(|gone| gone.retire());
    }

    /// Closes a connection that nobody uses where one more would be too many: several addresses
    /// share the cap. To one address a new one is made only where no other is left.
    fn make_room(&self) {
        let outlets = self.outlets.borrow();
        if outlets.len() == 1 {
            return;
        }
        let idle: usize = outlets.iter().map(|outlet| outlet.idle()).sum();
        if idle + self.slots.taken() > self.slots.count()
            && let Some(most) = outlets.iter().max_by_key(|outlet| outlet.idle())
        {
            most.close_one();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::upstream::{UpstreamSpec, UpstreamUrl};
    use crate::telemetry::GateMetrics;

    #[tokio::test(flavor = "current_thread")]
    async fn a_pool_follows_its_upstream_and_keeps_what_stays() {
        let url = UpstreamUrl { host: "a.test".into(), port: 1 };
        let spec = UpstreamSpec::new("a".into(), vec![url]);
        let metrics = GateMetrics::new().unwrap();
        let upstream = Arc::new(Upstream::new(spec, metrics.upstream("a"), None).unwrap());
        let pool = Rc::new(Pool::new(Arc::clone(&upstream), NonZeroUsize::MIN));
        let place = |found: &[&str]| -> Vec<_> {
            upstream.settle(&[Some(found.iter().map(|one| one.parse().unwrap()).collect())]);
            vec![pool.outlets.borrow().len()]
        };
        assert_eq!(place(&["10.0.0.1:1", "10.0.0.2:1"]), [1], "nobody has asked yet");
        for (found, count) in [(&["10.0.0.2:1", "10.0.0.3:1"], 2), (&["10.0.0.3:1"; 2], 1)] {
            let kept = pool.outlets.borrow().last().map(Rc::clone);
            place(found);
            let turn = pool.turn(pool.slots.take().await.unwrap()).unwrap();
            assert_eq!(pool.outlets.borrow().len(), count);
            assert!(pool.outlets.borrow().iter().any(|one| Rc::ptr_eq(one, &turn.outlet)));
            let kept = kept.filter(|one| one.address.found.is_some());
            let stays =
                |one: &Rc<Outlet>| pool.outlets.borrow().iter().any(|it| Rc::ptr_eq(it, one));
            assert!(kept.is_none_or(|one| stays(&one)));
        }
        pool.tidy();
        assert_eq!(upstream.addresses()[0].metrics.in_flight.get(), 0, "none is under way");
    }
}
