//! Who gets through: [`View::admit`] is the specification, one step a line.
//!
//! Each step takes the value of the step before and returns its own, which no one else can make. A
//! step that is left out, doubled or moved does not compile.

mod body;
pub mod budget;
mod claims;
mod consultation;
mod freshness;
pub mod intake;
mod observed;
mod opening;
mod orders;
mod permission;
mod quota;
pub mod reading;
mod remembering;
mod replay;
mod rolling;
mod routing;
mod signature;
mod stated;
pub mod unread;
mod view;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http_body::Body;

use crate::clock::Clock;
use crate::doctor::Practice;
use crate::gateway::reply::ReplySlot;
use crate::gateway::route::Routes;
use crate::keyring::Keyring;
use crate::limit::BodyDeadlines;
use crate::peer::Bindings;
use crate::quota::Addresses;
use crate::replay::Memory;
use crate::roll::Roll;

use budget::Budget;
use intake::{Intake, Visit};
use observed::Stopped;
use rolling::message;

pub use body::Held;
pub use observed::{Observed, Refused, WATCHABLE, Watched};
pub use opening::Outbound;
pub use orders::{Admitted, Noted};
pub use view::{Keys, OwnRoute, View};

/// What admission reads and writes: one immutable snapshot of routes, one of keys that is replaced
/// apart, and the parts that outlive every reload.
pub struct Admission {
    /// The gate's time.
    pub clock: Clock,
    /// The door's own rules.
    pub intake: Intake,
    /// Where requests go.
    pub routes: Routes,
    /// Who may sign: replaced whenever keys change, while everything else stays.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// What was accepted before.
    pub memory: Arc<Memory>,
    /// Addresses that keep failing, and those that verified a request of late.
    pub addresses: Arc<Addresses>,
    /// Memory for bodies.
    pub budget: Arc<Budget>,
    /// What the doctor may do, and has found.
    pub practice: Arc<Practice>,
    /// Epochs and chains of rolling keys.
    pub roll: Arc<Roll>,
    /// How long a body may take.
    pub body: BodyDeadlines,
    /// Which certificates credentials are bound to; none where clients are not asked for any.
    pub bindings: Option<Bindings>,
}

impl View {
    /// Admits a request or says why not, and notes a failure against the address.
    ///
    /// The request keeps to the routes that it finds, and is verified by the keys that are in force
    /// when its body is there. Once a message opened by rolling keys, `slot` says how its answer is
    /// sealed, whatever that is.
    ///
    /// # Errors
    /// The rejection of the first step that says no; on a route that only watches, the request as
    /// it was refused.
    pub async fn admit<B: Body<Data = Bytes> + Unpin>(
        &self,
        head: Box<Parts>,
        body: &mut B,
        visit: Visit,
        slot: &ReplySlot,
    ) -> Result<Admitted, Refused> {
        let attempt = self.intake.attempt(&visit);
        let outcome = match self.steps(head, body, visit, slot).await {
            Ok(admitted) => Ok(admitted),
            Err(stopped) => Err(observed::settle(self, stopped, body).await),
        };
        attempt.settle(outcome.as_ref().err().and_then(Refused::rejection));
        outcome
    }

    /// Every request passes these steps, in this order, or is rejected.
    async fn steps<B: Body<Data = Bytes> + Unpin>(
        &self,
        head: Box<Parts>,
        body: &mut B,
        visit: Visit,
        slot: &ReplySlot,
    ) -> Result<Admitted, Stopped> {
        let entered = self.intake.enter(head, visit, self.clock.now())?;
        let routed = routing::find(self, entered)?;
        let claimed = claims::read(routed)?;
        let fresh = freshness::check(claimed)?;
        let memory = self.reserve(fresh.peer.ip, fresh.standing().trusted);
        let received = body::receive(fresh, body, memory, self.body).await?;
        let stated = stated::read(received)?;
        // After the body, which may take its time: a key that was revoked or ended meanwhile is
        // none. This never refuses; for a key that is none there are decoys.
        let keyring = self.keyring();
        let (scheme, now) = (&stated.route().spec.scheme, self.clock.now());
        let keys = keyring.verifying_keys(stated.key_id(), scheme, now);
        let verified = signature::verify(stated, keys, &self.addresses, &self.practice).await?;
        let permitted = permission::check(verified, self.bindings.as_ref())?;
        let presented = message::read(permitted)?;
        let unseen = replay::claim(&self.memory, presented).await?;
        let granted = quota::spend(unseen)?;
        let unrolled = rolling::open(granted, &self.roll, slot)?;
        let opened = opening::open(unrolled).await?;
        orders::reserve(opened).await
    }
}
