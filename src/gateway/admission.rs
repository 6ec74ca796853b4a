//! Who gets through: [`Admission::admit`] is the specification, one step a line.
//!
//! Each step takes the value of the step before and returns its own, which no one else can make. A
//! step that is left out, doubled or moved does not compile.

mod body;
pub mod budget;
mod claims;
mod consultation;
mod freshness;
pub mod intake;
mod opening;
mod orders;
mod permission;
mod quota;
mod remembering;
mod replay;
mod routing;
mod signature;
mod stated;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http_body::Body;

use crate::clock::Clock;
use crate::doctor::Practice;
use crate::gateway::rejection::Rejection;
use crate::gateway::route::Routes;
use crate::keyring::Keyring;
use crate::limit::BodyDeadlines;
use crate::quota::Addresses;
use crate::replay::Memory;

use budget::Budget;
use intake::{Intake, Visit};

pub use body::Held;
pub use opening::Outbound;
pub use orders::{Admitted, Noted};

/// What admission reads and writes: one immutable snapshot of routes and keys, and the parts that
/// outlive every reload.
pub struct Admission {
    /// The gate's time.
    pub clock: Clock,
    /// The door's own rules.
    pub intake: Intake,
    /// Where requests go.
    pub routes: Routes,
    /// Who may sign.
    pub keyring: Keyring,
    /// What was accepted before.
    pub memory: Arc<Memory>,
    /// Addresses that keep failing, and those that verified a request of late.
    pub addresses: Arc<Addresses>,
    /// Memory for bodies.
    pub budget: Arc<Budget>,
    /// What the doctor may do, and has found.
    pub practice: Arc<Practice>,
    /// How long a body may take.
    pub body: BodyDeadlines,
}

impl Admission {
    /// Admits a request or says why not, and notes a failure against the address.
    ///
    /// The request keeps to the snapshot that it finds, but for its keys: those are of the snapshot
    /// that is in force when its body is there.
    ///
    /// # Errors
    /// The rejection of the first step that says no.
    pub async fn admit<B: Body<Data = Bytes> + Unpin>(
        in_force: &ArcSwap<Self>,
        head: Parts,
        body: &mut B,
        visit: Visit,
    ) -> Result<Admitted, Rejection> {
        let own = in_force.load_full();
        let attempt = own.intake.attempt(&visit);
        let outcome = own.steps(in_force, head, body, visit).await;
        attempt.settle(outcome.as_ref().err().copied());
        outcome
    }

    /// Every request passes these steps, in this order, or is rejected.
    async fn steps<B: Body<Data = Bytes> + Unpin>(
        &self,
        in_force: &ArcSwap<Self>,
        head: Parts,
        body: &mut B,
        visit: Visit,
    ) -> Result<Admitted, Rejection> {
        let entered = self.intake.enter(head, visit, self.clock.now())?;
        let routed = routing::find(&self.routes, entered)?;
        let claimed = claims::read(routed)?;
        let fresh = freshness::check(claimed)?;
        let memory = self.budget.open(fresh.peer.ip, fresh.standing().trusted);
        let received = body::receive(fresh, body, memory, self.body).await?;
        let stated = stated::read(received)?;
        // After the body, which may take its time: a key that was revoked or ended meanwhile is
        // none. This never refuses; for a key that is none there are decoys.
        let newer = self.successor(in_force);
        let keyring = newer.as_ref().map_or(&self.keyring, |newer| &newer.keyring);
        let (scheme, now) = (&stated.route().spec.scheme, self.clock.now());
        let keys = keyring.verifying_keys(stated.key_id(), scheme, now);
        let verified = signature::verify(stated, keys, &self.addresses, &self.practice).await?;
        let permitted = permission::check(verified)?;
        let unseen = replay::claim(&self.memory, permitted).await?;
        let granted = quota::spend(unseen)?;
        let opened = opening::open(granted).await?;
        orders::reserve(opened).await
    }

    /// The snapshot that took the place of this one, if one did.
    fn successor(&self, in_force: &ArcSwap<Self>) -> Option<Arc<Self>> {
        let newest = in_force.load();
        (!std::ptr::eq(&raw const **newest, self)).then(|| Arc::clone(&newest))
    }
}
