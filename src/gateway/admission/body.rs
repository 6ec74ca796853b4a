//! Fifth step: the body, never past the limit, the deadline or the memory that is left.
//! [`Received`] owns the bytes as they came; they are what is verified and what is sent.

use std::ops::Deref;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::gateway::admission::budget::Reservation;
use crate::gateway::admission::freshness::Fresh;
use crate::gateway::rejection::{Flaw, Rejection};
use crate::limit::BodyDeadlines;
use crate::scheme::Claims;
use crate::telemetry::Stage;

/// From this many pieces on, small ones are joined: each piece holds on to the buffer it came in.
const PIECES_APART: usize = 16;
/// Smaller than this, in bytes, a piece is small.
const SMALL_PIECE: usize = 1024;

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
    let bytes_max = fresh.route().spec.body_bytes_max.get();
    let promised = incoming.size_hint().lower();
    if usize::try_from(promised).is_ok_and(|bytes| bytes <= bytes_max) {
        let mut reading = Reading::new(fresh, reservation, bytes_max);
        if !incoming.is_end_stream() {
            reading.run(incoming, deadlines).await?;
        }
        let received = reading.finish();
        received.record.passed(Stage::Body);
        return Ok(received);
    }
    Err(Rejection::BodyTooLarge(bytes_max))
}

struct Reading {
    fresh: Fresh,
    reservation: Reservation,
    bytes_max: usize,
    bytes: usize,
    pieces: Vec<Bytes>,
    joined: BytesMut,
}

impl Reading {
    fn new(fresh: Fresh, reservation: Reservation, bytes_max: usize) -> Self {
        let (pieces, joined) = (Vec::new(), BytesMut::new());
        Self { fresh, reservation, bytes_max, bytes: 0, pieces, joined }
    }

    async fn run<B: Body<Data = Bytes> + Unpin>(
        &mut self,
        incoming: &mut B,
        deadlines: BodyDeadlines,
    ) -> Result<(), Rejection> {
        let started = Instant::now();
        loop {
            let patience = deadlines.total.min(deadlines.pace.allows(self.bytes));
            let frame = timeout_at(started + patience, incoming.frame()).await;
            let Some(frame) = frame.map_err(|_| Rejection::BodyTooSlow)? else { return Ok(()) };
            let frame = frame.map_err(|_| Rejection::BadRequest(Flaw::Body))?;
            // Trailers end here: nothing in them is signed.
            if let Ok(piece) = frame.into_data() {
                self.take(piece)?;
            }
            if incoming.is_end_stream() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<(), Rejection> {
        self.bytes += piece.len();
        if self.bytes > self.bytes_max {
            return Err(Rejection::BodyTooLarge(self.bytes_max));
        }
        if !self.reservation.take(piece.len()) {
            return Err(Rejection::Busy);
        }
        if self.pieces.len() >= PIECES_APART && piece.len() < SMALL_PIECE {
            self.joined.extend_from_slice(&piece);
        } else {
            self.end_joined();
            self.pieces.push(piece);
        }
        Ok(())
    }

    fn end_joined(&mut self) {
        if !self.joined.is_empty() {
            self.pieces.push(self.joined.split().freeze());
        }
    }

    fn finish(mut self) -> Received {
        self.end_joined();
        let Self { fresh, reservation, bytes, pieces, .. } = self;
        Received { fresh, body: pieces, bytes, reservation }
    }
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
    pub(super) fn take_claims(&mut self) -> Option<Claims> {
        self.fresh.take_claims()
    }

    pub(super) fn into_fresh(self) -> (Fresh, Held) {
        let headers = &self.fresh.head().headers;
        let present = self.bytes > 0 || headers.contains_key(CONTENT_LENGTH);
        let reservation = Rc::new(self.reservation);
        (self.fresh, Held { pieces: self.body, bytes: self.bytes, present, reservation })
    }
}

impl Deref for Received {
    type Target = Fresh;

    fn deref(&self) -> &Fresh {
        &self.fresh
    }
}
