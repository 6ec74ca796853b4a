//! Eighth step: once. [`Unseen`] holds a claim in the replay memory that nobody else can get.
//!
//! The claim is provisional until the quota step keeps or withdraws it. Dropped in between, it
//! stays: better a request refused that never left than one sent twice.

use std::ops::Deref;

use http::Method;

use crate::gateway::admission::permission::Permitted;
use crate::gateway::admission::remembering;
use crate::gateway::rejection::{Rejection, Stale, StaleReason};
use crate::replay::{Claim, Kind, Memory, Refusal, Stamped};
use crate::store::ledger::Hold;

/// A request that was not seen before.
#[must_use]
pub(super) struct Unseen<'memory> {
    permitted: Permitted,
    /// None under a scheme without time, whose requests the ledger remembers instead.
    claim: Option<Claim<'memory>>,
    remembered: Option<Box<Hold>>,
}

/// Claims the request in the replay memory.
///
/// # Errors
/// `replayed`; `stale_timestamp` for a stamp that the memory has already forgotten; `busy` when it
/// is full, its durable mark cannot be written, or the ledger that the route asks for is busy.
pub(super) async fn claim(memory: &Memory, permitted: Permitted) -> Result<Unseen<'_>, Rejection> {
    let remembered = remembering::claim(&permitted).await?;
    let Some(stamp) = permitted.claims().timestamp() else {
        return Ok(Unseen { permitted, claim: None, remembered });
    };
    let credential = permitted.credential();
    let stamped = Stamped {
        credential: credential.key_id(),
        stamp,
        proof: permitted.proof(),
        kind: kind(&permitted),
    };
    let claim = memory.claim(stamped, &credential.shares).await;
    let claim = claim.map_err(|refusal| refused(refusal, &permitted))?;
    Ok(Unseen { permitted, claim: Some(claim), remembered })
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

pub(super) fn refused(refusal: Refusal, permitted: &Permitted) -> Rejection {
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

impl<'memory> Unseen<'memory> {
    pub(super) fn into_permitted(self) -> (Permitted, Option<Claim<'memory>>, Option<Box<Hold>>) {
        (self.permitted, self.claim, self.remembered)
    }
}

impl Deref for Unseen<'_> {
    type Target = Permitted;

    fn deref(&self) -> &Permitted {
        &self.permitted
    }
}
