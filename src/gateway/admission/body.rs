//! Fifth step: the body, never past the limit, the deadline or the memory that is left.
//! [`Received`] owns the bytes as they came; they are what is verified and what is sent.

use std::ops::Deref;
use std::rc::Rc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::gateway::admission::budget::Reservation;
use crate::gateway::admission::freshness::Fresh;
use crate::gateway::rejection::{Flaw, Rejection};
use crate::limit::{BodyDeadlines, KIB};
use crate::scheme::Claims;
use crate::telemetry::Stage;

/// So many bytes stay in the buffers that they came in. Each piece holds on to the whole of its
/// buffer, which may be many times as large, so a longer body is copied to room of its own.
const AS_IT_CAME_BYTES: usize = 64 * KIB;
/// The same for a body in more pieces than this.
const AS_IT_CAME_PIECES: usize = 16;
/// A piece smaller than this, in bytes, is copied as well, unless it is the first, which mostly has
/// its buffer in common with the head.
const SMALL_PIECE: usize = 4 * KIB;
/// Room that is made at a time, in bytes: as much as came so far, within these, and in powers of
/// two, which the allocator gives without a rest.
const ROOM_BYTES_MIN: usize = 4 * KIB;
const ROOM_BYTES_MAX: usize = 256 * KIB;

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
    let promised = incoming.size_hint();
    if usize::try_from(promised.lower()).is_ok_and(|bytes| bytes <= bytes_max) {
        let mut reading = Reading::new(fresh, reservation, bytes_max, promised.upper());
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
    /// No more than this will come.
    bytes_end: usize,
    bytes: usize,
    pieces: Vec<Bytes>,
    /// Room made for copies, in bytes; none while all stays in the buffers that it came in.
    made: usize,
    /// The last of it, not full yet.
    room: Vec<u8>,
}

impl Reading {
    fn new(
        fresh: Fresh,
        reservation: Reservation,
        bytes_max: usize,
        promised: Option<u64>,
    ) -> Self {
        let promised = promised.and_then(|bytes| usize::try_from(bytes).ok());
        let bytes_end = promised.map_or(bytes_max, |bytes| bytes.min(bytes_max));
        Self {
            fresh,
            reservation,
            bytes_max,
            bytes_end,
            bytes: 0,
            pieces: Vec::new(),
            made: 0,
            room: Vec::new(),
        }
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
        let few = self.bytes <= AS_IT_CAME_BYTES && self.pieces.len() < AS_IT_CAME_PIECES;
        if few && self.made == 0 {
            self.hold(self.bytes)?;
            let small = piece.len() < SMALL_PIECE && !self.pieces.is_empty();
            self.pieces.push(if small { Bytes::copy_from_slice(&piece) } else { piece });
            return Ok(());
        }
        if self.made == 0 {
            for earlier in std::mem::take(&mut self.pieces) {
                self.copy(&earlier)?;
            }
        }
        self.copy(&piece)
    }

    fn copy(&mut self, mut piece: &[u8]) -> Result<(), Rejection> {
        while !piece.is_empty() {
            let free = self.room.capacity() - self.room.len();
            if free == 0 {
                self.make_room(piece.len())?;
                continue;
            }
            let (now, later) = piece.split_at(piece.len().min(free));
            self.room.extend_from_slice(now);
            piece = later;
        }
        Ok(())
    }

    fn make_room(&mut self, needed: usize) -> Result<(), Rejection> {
        let missing = self.bytes_end.saturating_sub(self.made).max(needed);
        let wanted = self.bytes.next_power_of_two().clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX);
        let most = if missing < ROOM_BYTES_MIN { missing } else { 1 << missing.ilog2() };
        let bytes = wanted.min(most);
        self.made += bytes;
        self.hold(self.made)?;
        self.end_room();
        self.room = Vec::with_capacity(bytes);
        Ok(())
    }

    fn end_room(&mut self) {
        if !self.room.is_empty() {
            self.pieces.push(std::mem::take(&mut self.room).into());
        }
    }

    /// Counts so many bytes in all.
    fn hold(&mut self, bytes: usize) -> Result<(), Rejection> {
        if self.reservation.hold(bytes) { Ok(()) } else { Err(Rejection::Busy) }
    }

    fn finish(mut self) -> Received {
        self.end_room();
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
