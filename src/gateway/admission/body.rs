//! Fifth step: the body, never past the limit, the deadline or the memory that is left.
//! [`Received`] owns the bytes as they came; they are what is verified and what is sent.

use std::ops::Deref;
use std::rc::Rc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::Body;

use crate::gateway::admission::budget::Reservation;
use crate::gateway::admission::freshness::Fresh;
use crate::gateway::admission::reading::{self, Whole};
use crate::gateway::rejection::Rejection;
use crate::limit::BodyDeadlines;
use crate::scheme::Claims;
use crate::telemetry::Stage;

/// A request with all of its body.
#[must_use]
pub(super) struct Received {
    fresh: Fresh,
    body: Vec<Bytes>,
    bytes: usize,
    reservation: Reservation,
}

/// Reads the body of a request.
///
/// # Errors
/// `body_too_large`, `body_too_slow`, `busy` when memory is used up, `bad_request` when it breaks
/// off.
pub(super) async fn receive<B: Body<Data = Bytes> + Unpin>(
    fresh: Fresh,
    incoming: &mut B,
    reservation: Reservation,
    deadlines: BodyDeadlines,
) -> Result<Received, Rejection> {
    let spec = &fresh.route().spec;
    let (bytes_max, deadlines) = (spec.body_bytes_max.get(), spec.body_deadlines(deadlines));
    let whole = reading::read(incoming, reservation, bytes_max, deadlines).await;
    let Whole { pieces, bytes, reservation } = whole.map_err(|broken| broken.why)?;
    fresh.record.passed(Stage::Body);
    Ok(Received { fresh, body: pieces, bytes, reservation })
}

/// The bytes of an admitted body and the memory that is counted for them.
#[derive(Debug)]
pub struct Held {
    /// The body in the pieces in which it came.
    pub pieces: Vec<Bytes>,
    /// Its length.
    pub bytes: usize,
    /// Whether the request had a body at all, be it an empty one.
    pub present: bool,
    /// Given back when the body has left.
    pub reservation: Rc<Reservation>,
}

impl Held {
    /// A body that was read whole, and the head that it came with.
    pub(super) fn of(whole: Whole, head: &Parts) -> Self {
        let Whole { pieces, bytes, reservation } = whole;
        let present = bytes > 0 || head.headers.contains_key(CONTENT_LENGTH);
        Self { pieces, bytes, present, reservation: Rc::new(reservation) }
    }
}

impl Received {
    /// The body in the pieces in which it came.
    pub(super) fn body(&self) -> &[Bytes] {
        &self.body
    }

    /// The length of the body in bytes.
    pub(super) fn body_bytes(&self) -> usize {
        self.bytes
    }

    /// The claims of the head, taken out for the step that has all claims.
    pub(super) fn take_claims(&mut self) -> Option<Box<Claims>> {
        self.fresh.take_claims()
    }

    pub(super) fn into_fresh(self) -> (Fresh, Held) {
        let Self { fresh, body: pieces, bytes, reservation } = self;
        let held = Held::of(Whole { pieces, bytes, reservation }, fresh.head());
        (fresh, held)
    }
}

impl Deref for Received {
    type Target = Fresh;

    fn deref(&self) -> &Fresh {
        &self.fresh
    }
}
