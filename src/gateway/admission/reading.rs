//! Reading a body, never past its limit, the deadline or the memory that is left: for every door
//! that bodies come in by.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::gateway::admission::budget::Reservation;
use crate::gateway::rejection::{Flaw, Rejection};
use crate::limit::{BodyDeadlines, KIB};

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

/// All of a body.
#[derive(Debug)]
pub struct Whole {
    /// In the pieces in which it came.
    pub pieces: Vec<Bytes>,
    /// Its length.
    pub bytes: usize,
    /// The memory that is counted for it.
    pub reservation: Reservation,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// `body_too_large`, `body_too_slow`, `busy` when memory is used up, `bad_request` when it
    /// breaks off.
    pub why: Rejection,
    /// So many bytes of it were read.
    pub bytes: usize,
}

/// Reads a body.
///
/// # Errors
/// Why it was not read to its end.
pub async fn read<B: Body<Data = Bytes> + Unpin>(
    incoming: &mut B,
    reservation: Reservation,
    bytes_max: usize,
    deadlines: BodyDeadlines,
) -> Result<Whole, Broken> {
    let promised = incoming.size_hint();
    if usize::try_from(promised.lower()).is_ok_and(|bytes| bytes <= bytes_max) {
        let mut reading = Reading::new(reservation, bytes_max, promised.upper());
        if !incoming.is_end_stream() {
            let run = reading.run(incoming, deadlines).await;
            run.map_err(|why| Broken { why, bytes: reading.bytes })?;
        }
        return Ok(reading.finish());
    }
    Err(Broken { why: Rejection::BodyTooLarge(bytes_max), bytes: 0 })
}

/// A body on its way.
struct Reading {
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
    fn new(reservation: Reservation, bytes_max: usize, promised: Option<u64>) -> Self {
        let promised = promised.and_then(|bytes| usize::try_from(bytes).ok());
        let bytes_end = promised.map_or(bytes_max, |bytes| bytes.min(bytes_max));
        Self {
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

    fn finish(mut self) -> Whole {
        self.end_room();
        let Self { reservation, bytes, pieces, .. } = self;
        Whole { pieces, bytes, reservation }
    }
}
