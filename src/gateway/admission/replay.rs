//! Eighth step: once. [`Unseen`] holds a claim in the replay memory that nobody else can get.
//!
//! The claim is provisional until the quota step keeps or withdraws it. Dropped in between, it
//! stays: better a request refused that never left than one sent twice.

use std::ops::Deref;

use http::Method;

use crate::gateway::admission::observed::{self, Stopped};
use crate::gateway::admission::permission::Permitted;
use crate::gateway::admission::remembering;
use crate::gateway::admission::rolling::message::Presented;
use crate::gateway::rejection::{Rejection, Stale, StaleReason};
use crate::replay::{Claim, Kind, Memory, Refusal, Stamped};
use crate::store::ledger::Hold;

/// A request that was not seen before.
#[must_use]
pub(super) struct Unseen<'memory> {
    presented: Presented,
    /// None under a scheme without time, whose requests the ledger remembers instead.
    claim: Option<Claim<'memory>>,
    /// That of the sealed message, which must not be signed anew and sent again.
    sealed: Option<Box<Claim<'memory>>>,
    remembered: Option<Box<Hold>>,
}

/// Claims the request in the replay memory, and what is sealed in it by rolling keys.
///
/// # Errors
/// `replayed`; `stale_timestamp` for a stamp that the memory has already forgotten; `busy` when it
/// is full, its durable mark cannot be written, or the ledger that the route asks for is busy.
pub(super) async fn claim(memory: &Memory, presented: Presented) -> Result<Unseen<'_>, Stopped> {
    let remembered = remembering::claim(&presented).await?;
    let Some(stamp) = presented.claims().timestamp() else {
        return Ok(Unseen { presented, claim: None, sealed: None, remembered });
    };
    let credential = presented.credential();
    let stamped = Stamped {
        credential: credential.key_id(),
        stamp,
        proof: presented.proof(),
        kind: kind(&presented),
    };
    let claim = match memory.claim(stamped, &credential.shares).await {
        Ok(claim) => claim,
        Err(refusal) => return Err(stopped(refusal, presented)),
    };
    let Some(proof) = presented.sealed_proof() else {
        return Ok(Unseen { presented, claim: Some(claim), sealed: None, remembered });
    };
    let stamped = Stamped { proof: &proof, kind: Kind::Once, ..stamped };
    match memory.claim(stamped, &credential.shares).await {
        Ok(sealed) => {
            let sealed = Some(Box::new(sealed));
            Ok(Unseen { presented, claim: Some(claim), sealed, remembered })
        }
        Err(refusal) => {
            claim.withdraw();
            Err(refused(refusal, &presented).into())
        }
    }
}

/// Under a scheme that signs neither method nor target one MAC can stand for several reads, which
/// are claimed apart; everything else is claimed once for all.
fn kind(permitted: &Permitted) -> Kind<'_> {
    let credential = permitted.credential();
    let head = permitted.head();
    let read = head.method == Method::GET || head.method == Method::HEAD;
    let open = credential.scheme.coverage().leaves_target_open();
    if read && open && credential.repeatable_reads && permitted.body_bytes() == 0 {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes();
        Kind::Read { method: head.method.as_str(), target }
    } else {
        Kind::Once
    }
}

fn refused(refusal: Refusal, permitted: &Permitted) -> Rejection {
    let (now, window) = (permitted.now(), permitted.route().spec.window);
    match refusal {
        Refusal::Seen => Rejection::Replayed,
        Refusal::Stale => Rejection::StaleTimestamp(Stale {
            reason: StaleReason::MayHaveBeenAccepted,
            now,
            window,
            mistake: None,
        }),
        Refusal::Full | Refusal::Busy => Rejection::Busy,
    }
}

fn stopped(refusal: Refusal, presented: Presented) -> Stopped {
    let rejection = refused(refusal, &presented);
    observed::stop(presented, rejection)
}

impl Unseen<'_> {
    /// Keeps the claims: from here the request may be forwarded, and never again.
    pub(super) fn keep(self) -> Result<(Presented, Option<Box<Hold>>), Stopped> {
        let Self { presented, claim, sealed, remembered } = self;
        match claim.into_iter().chain(sealed.map(|one| *one)).try_for_each(Claim::keep) {
            Ok(()) => Ok((presented, remembered)),
            Err(refusal) => Err(stopped(refusal, presented)),
        }
    }

    /// Gives the claims back: the same bytes may come again.
    pub(super) fn withdraw(self) -> Presented {
        let sealed = self.sealed.map(|one| *one);
        self.claim.into_iter().chain(sealed).for_each(Claim::withdraw);
        self.presented
    }
}

impl Deref for Unseen<'_> {
    type Target = Presented;

    fn deref(&self) -> &Presented {
        &self.presented
    }
}
