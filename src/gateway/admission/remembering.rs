//! Part of the eighth step, on routes that remember their requests: the ledger has none with this
//! proof under this secret, and nobody else can get it. It becomes durable when the request leaves.
//!
//! One signature passes once, whatever method and target it comes with.

use crate::gateway::admission::permission::Permitted;
use crate::gateway::rejection::Rejection;
use crate::store::ledger::{Hold, Message, Refused};

/// Takes the request in the ledger, where its route asks for it.
///
/// # Errors
/// `replayed`; `busy` when the ledger is full or away.
pub(super) async fn claim(permitted: &Permitted) -> Result<Option<Box<Hold>>, Rejection> {
    match permitted.route().spec.remember {
        true => Box::pin(take(permitted)).await.map(|hold| Some(Box::new(hold))),
        false => Ok(None),
    }
}

async fn take(permitted: &Permitted) -> Result<Hold, Rejection> {
    let ledger = permitted.route().ledger.as_ref().ok_or(Rejection::Busy)?;
    let message = Message {
        credential: permitted.credential().key_id(),
        secret: permitted.key().secret().expose(),
        proof: permitted.proof(),
    };
    ledger.remember(&message).await.map_err(|refused| match refused {
        Refused::Taken(_) => Rejection::Replayed,
        Refused::Busy => Rejection::Busy,
    })
}
