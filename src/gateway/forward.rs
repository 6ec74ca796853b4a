//! Sends what was admitted to its upstream, and nothing else: [`Forwarder::forward`] takes only
//! [`Admitted`]. It decides nothing about who may. What was refused and is only watched has a way
//! of its own, on which it is nobody's.

mod body;
mod choice;
mod headers;
mod outlet;
mod own;
mod patience;
mod pieces;
mod pool;
mod response;
mod slots;
mod streams;
mod trace;
mod whole;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use http::{Response, StatusCode};

use crate::clock::Clock;
use crate::gateway::admission::{Admitted, Noted, Observed};
use crate::gateway::upstream::Upstream;
use crate::telemetry::Stage;

use pool::Pool;

pub use body::Body;
pub use headers::{is_hop_by_hop, is_set_here};
pub use response::UpstreamBody;
pub use trace::of_caller;

/// The service behind the gate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// No connection; nothing was sent.
    Unreachable,
    /// It has as many requests as it may have, and none ended in time; nothing was sent.
    Busy,
    /// No answer in time; it may have got the request.
    TimedOut,
    /// It broke off or answered nonsense; it may have got the request.
    Broke,
    /// Its answer is longer than one may be that is sealed or signed.
    AnswerTooLarge,
    /// None of its: the ledger could not note that the request was about to leave, so it did not.
    Unrecorded,
}

/// The way to the upstreams, one for each core.
pub struct Forwarder {
    cores: NonZeroUsize,
    clock: Clock,
    pools: RefCell<Vec<Rc<Pool>>>,
}

impl Forwarder {
    /// A forwarder that may use its part, one of `cores`, of every upstream's connections.
    pub fn new(cores: NonZeroUsize, clock: Clock) -> Self {
        Self { cores, clock, pools: RefCell::new(Vec::new()) }
    }

    /// Sends a request and returns the answer as soon as its head is there; one that is to be
    /// sealed or signed, when it is. What the gate answers itself has its answer already.
    ///
    /// # Errors
    /// What went wrong, and by that whether the upstream may have got the request.
    pub async fn forward(&self, admitted: Admitted) -> Result<Response<Body>, UpstreamFault> {
        let (outbound, mut noted) = admitted.into_outbound();
        let Some(upstream) = &outbound.route.upstream else { return Ok(headers::ready(outbound)) };
        let pool = self.pool(upstream);
        let record = Rc::clone(&outbound.visit.record);
        let spec = &outbound.route.spec;
        let whole_bytes_max = (outbound.protection.is_some() || spec.rolling.is_some())
            .then(|| spec.answers.bytes_max.get());
        let (idle, change) = (spec.answer_idle, spec.changes.answer.clone());
        let (request, protection) = headers::towards_upstream(outbound)?;
        let answer = pool.send(request, record.last(), idle, noted.as_deref_mut()).await;
        record.passed(Stage::Upstream);
        let answer = answer.and_then(|answer| headers::towards_client(answer, change.as_deref()));
        if let Some(noted) = noted {
            settle(*noted, answer.as_ref().map(Response::status));
        }
        let answer = answer?;
        let Some(bytes_max) = whole_bytes_max else { return Ok(answer.map(Body::Upstream)) };
        let answer = whole::whole(answer, bytes_max).await?;
        let Some(protection) = protection else { return Ok(answer.map(Body::whole)) };
        let answer = protection.protect(answer, self.clock.now()).await;
        answer.map(|answer| answer.map(Body::whole)).map_err(|_| UpstreamFault::Broke)
    }

    /// Sends a request that was refused and is only watched, marked as such, without a word of who
    /// it says it is from.
    ///
    /// # Errors
    /// As [`Forwarder::forward`].
    pub async fn forward_observed(
        &self,
        observed: Observed,
    ) -> Result<Response<Body>, UpstreamFault> {
        let watched = observed.into_watched();
        let upstream = watched.route.upstream.as_ref().ok_or(UpstreamFault::Unreachable)?;
        let pool = self.pool(upstream);
        let record = Rc::clone(&watched.visit.record);
        let spec = &watched.route.spec;
        let (idle, change) = (spec.answer_idle, spec.changes.answer.clone());
        let request = headers::as_refused(watched)?;
        let answer = pool.send(request, record.last(), idle, None).await;
        record.passed(Stage::Upstream);
        let answer = answer.and_then(|answer| headers::towards_client(answer, change.as_deref()));
        answer.map(|answer| answer.map(Body::Upstream))
    }

    /// Closes connections that were idle for too long, and pools that no route leads to any more.
    /// Called once a second.
    pub fn tidy(&self) {
        self.pools.borrow_mut().retain(|pool| {
            pool.tidy();
            let serves = pool.is_in_service();
            if !serves {
                pool.retire();
            }
            serves
        });
    }

    fn pool(&self, upstream: &Arc<Upstream>) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.iter().find(|pool| pool.leads_to(upstream)) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool::new(Arc::clone(upstream), self.cores));
        pools.push(Rc::clone(&pool));
        pool
    }
}

/// Tells the ledger what came of a request. Where nobody knows, it keeps what it has.
fn settle(noted: Noted, answer: Result<StatusCode, &UpstreamFault>) {
    match answer {
        Ok(status) => noted.answered(status),
        Err(UpstreamFault::Unreachable | UpstreamFault::Busy | UpstreamFault::Unrecorded) => {
            noted.give_back()
        }
        Err(UpstreamFault::TimedOut | UpstreamFault::Broke | UpstreamFault::AnswerTooLarge) => {
            drop(noted)
        }
    }
}
