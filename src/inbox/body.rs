//! Third step: the body. [`Received`] owns the bytes as they came; they are what is verified and
//! what is kept.

use std::cell::OnceCell;

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::gateway::admission::budget::Reservation;
use crate::gateway::admission::reading::{self, Broken, Whole};
use crate::limit::BodyDeadlines;
use crate::recipe::Subject;

use super::entry::Announced;

/// A message with all of its body, in one piece.
#[must_use]
pub(super) struct Received {
    announced: Announced,
    body: [Bytes; 1],
    /// Memory that is counted for it until it is answered.
    _reservation: Reservation,
}

/// Reads the body of a message, and leaves the whole where its answer can be made of it.
///
/// # Errors
/// Why it was not read to its end.
pub(super) async fn receive<'m, B: Body<Data = Bytes> + Unpin>(
    announced: Announced,
    incoming: &mut B,
    reservation: Reservation,
    deadlines: BodyDeadlines,
    place: &'m OnceCell<Received>,
) -> Result<&'m Received, Broken> {
    let bytes_max = announced.source().body_bytes_max.get();
    let whole = reading::read(incoming, reservation, bytes_max, deadlines).await?;
    let Whole { pieces, bytes, reservation } = whole;
    let body = [joined(pieces, bytes)];
    Ok(place.get_or_init(|| Received { announced, body, _reservation: reservation }))
}

/// One piece is what parsers and the journal take; most bodies came as one.
fn joined(mut pieces: Vec<Bytes>, bytes: usize) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

impl Received {
    /// What was known before its body came.
    pub(super) fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Its body as it came.
    pub(super) fn body(&self) -> &Bytes {
        let [body] = &self.body;
        body
    }

    /// The message as schemes and templates look at it.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { body: &self.body, ..self.announced.subject() }
    }
}
