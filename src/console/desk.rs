//! Where verbs are carried out: on few threads beside the listener's, for one operator at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::administration::{Code as OfVerb, Office, Outcome, Problem, Verb};
use crate::clock::{Clock, Timestamp};
use crate::crypto::Bytes32;
use crate::store::{Actor, ActorKind};
use crate::telemetry::{Level, Log};

use super::operator::{Failures, Operator, Operators};
use super::permit;
use super::refusal::{Code, Refusal};
use super::{Call, Counters, FindOffice, Ready};

/// Verbs that are carried out at the same time. They wait for one writer of one file anyway.
const HANDS: usize = 4;
/// Bodies that are read at the same time: 4 MiB of them.
const PLACES: usize = 64;
/// How long a call waits for a hand.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who carries out verbs, and notes what came of it.
pub(super) struct Desk {
    office: FindOffice,
    operators: Operators,
    failures: Failures,
    clock: Clock,
    log: Log,
    counters: Counters,
    hands: Arc<Semaphore>,
    places: Semaphore,
}

impl Desk {
    pub(super) fn new(
        office: FindOffice,
        clock: Clock,
        log: Log,
        counters: Counters,
    ) -> io::Result<Self> {
        let (hands, places) = (Arc::new(Semaphore::new(HANDS)), Semaphore::new(PLACES));
        let (operators, failures) = (Operators::default(), Failures::new()?);
        Ok(Self { office, operators, failures, clock, log, counters, hands, places })
    }

    /// The gate's time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A refusal of a stranger, or of what a token may not do. Who is refused too often is told to
    /// wait and learns nothing more; who has a good token is not slowed by what others do behind
    /// the same address.
    pub(super) fn weigh(&self, refusal: Refusal, call: &Call) -> Refusal {
        match refusal {
            Refusal::Unauthorized(_) | Refusal::Forbidden(_) => {
                self.failures.count(call.ip).map_or(refusal, Refusal::Slowed)
            }
            other => other,
        }
    }

    /// A place to read a body at.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.places.try_acquire().map_err(|_| busy())
    }

    /// Lets in whose token is good: the token's id, and whether its role is enough.
    pub(super) async fn admit(
        desk: &Arc<Self>,
        call: &Call,
        verb: &'static Verb,
        token: Bytes32,
    ) -> Result<(String, Result<(), Refusal>), Refusal> {
        let (own, call) = (Arc::clone(desk), call.clone());
        let work = move || {
            let office = own.office()?;
            let operator = own.counted(own.find(&office, &call, &token))?;
            let permitted = own.told(&office, &call, &operator, permit::role(verb, &operator));
            Ok((operator.id, own.counted(permitted)))
        };
        desk.beside(work).await
    }

    /// Carries out a call.
    pub(super) async fn carry_out(
        desk: &Arc<Self>,
        call: &Call,
        ready: Ready,
    ) -> Result<(&'static Verb, Outcome), Refusal> {
        let (own, noted, verb) = (Arc::clone(desk), call.clone(), ready.verb);
        let work = move || {
            let done = own.run(&noted, ready);
            // Here, so that what was done for a client that has left is noted as well.
            own.note(&noted, done.as_ref().err());
            Ok(done)
        };
        match desk.beside(work).await {
            Ok(done) => done.map(|outcome| (verb, outcome)),
            Err(refusal) => {
                desk.note(call, Some(&refusal));
                Err(refusal)
            }
        }
    }

    fn run(&self, call: &Call, ready: Ready) -> Result<Outcome, Refusal> {
        let office = self.office()?;
        self.counted(self.run_at(&office, call, ready))
    }

    fn run_at(&self, office: &Office, call: &Call, ready: Ready) -> Result<Outcome, Refusal> {
        let Ready { verb, token, mut input } = ready;
        // Once more: it may have been revoked while the body came.
        let operator = self.find(office, call, &token)?;
        self.told(office, call, &operator, permit::role(verb, &operator))?;
        let permitted = permit::merchant(office, verb, &operator, &mut input);
        self.told(office, call, &operator, permitted)?;
        Ok(verb.run(office, &actor(call, &operator), input.into())?)
    }

    /// Counts where a store that is there did not answer: an audit log that cannot be written must
    /// be noticed by more than the operator who was refused.
    fn counted<T>(&self, done: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(Refusal::Problem(Problem { code: OfVerb::Store, .. })) = &done {
            self.counters.store_failures.inc();
        }
        done
    }

    fn find(&self, office: &Office, call: &Call, token: &Bytes32) -> Result<Operator, Refusal> {
        let found = self.operators.find(office.store()?, token, self.now());
        found.map_err(|refusal| self.weigh(refusal, call))
    }

    /// Writes what an operator may not do into the audit log.
    fn told(
        &self,
        office: &Office,
        call: &Call,
        operator: &Operator,
        permitted: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let permitted = permitted.map_err(|refusal| self.weigh(refusal, call));
        if let Err(Refusal::Forbidden(why)) = &permitted {
            let verb = call.verb.map_or("none", |verb| verb.name);
            let object = if call.object.is_empty() { verb } else { &call.object };
            let detail = json!({ "verb": verb, "why": why });
            office.store()?.change(&actor(call, operator), |change| {
                change.audit("access.refused", object, detail, None).map_err(Refusal::from)
            })?;
        }
        permitted
    }

    fn office(&self) -> Result<Office, Refusal> {
        let missing = || {
            let detail = "there is no store of keys yet: countersign master create makes it, and \
                          countersign token create the first token";
            Refusal::Problem(Problem::new(OfVerb::Store, detail))
        };
        (self.office)().ok_or_else(missing)
    }

    /// Does work on a thread beside the listener's.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let hand = timeout(PATIENCE, Arc::clone(&self.hands).acquire_owned()).await;
        let hand: OwnedSemaphorePermit = hand.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(hand);
            done
        });
        let defect = |_| Refusal::Plain(Code::Internal, "a defect: see the log".to_owned());
        done.await.map_err(defect)?
    }

    /// Counts a call and writes its line. The input is never in it.
    pub(super) fn note(&self, call: &Call, refusal: Option<&Refusal>) {
        let verb = call.verb.map_or("none", |verb| verb.name);
        let (code, status) = refusal.map_or(("ok", 200), |refusal| {
            let (code, status, _) = refusal.face();
            (code, status)
        });
        self.counters.calls.with_label_values(&[verb, code]).inc();
        let level = match (refusal, status) {
            // Counted only: whoever floods the listener must not flood the log.
            (Some(Refusal::Slowed(_)), _) => return,
            (_, 500..) => Level::Error,
            (_, 401 | 403) => Level::Warn,
            _ => Level::Info,
        };
        // Before a token is known to be good, the path is anybody's text.
        let known = call.operator.is_some() && !call.object.is_empty();
        let object = known.then_some(call.object.as_str());
        let fields = json!({
            "request_id": call.id,
            "verb": verb,
            "object": object,
            "code": code,
            "token": call.operator,
            "peer": call.ip.to_string(),
            "us": u64::try_from(call.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
        self.log.event(level, "admin_call", fields);
    }
}

fn actor(call: &Call, operator: &Operator) -> Actor {
    Actor {
        kind: ActorKind::Api,
        name: operator.id.clone(),
        address: Some(call.ip),
        request_id: Some(call.id.clone()),
    }
}

fn busy() -> Refusal {
    Refusal::Plain(Code::Busy, "too many calls are being carried out".to_owned())
}
