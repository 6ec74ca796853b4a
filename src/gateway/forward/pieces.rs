//! A request body that was read already, on its way out in the pieces in which it came.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::gateway::admission::Held;
use crate::gateway::admission::budget::Reservation;

/// The pieces that are left, and the memory that is counted for them until they have gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    left: IntoIter<Bytes>,
    bytes: u64,
    _reservation: Option<Rc<Reservation>>,
}

impl Pieces {
    pub(super) fn new(held: Held) -> Self {
        let bytes = u64::try_from(held.bytes).unwrap_or(u64::MAX);
        Self { left: held.pieces.into_iter(), bytes, _reservation: Some(held.reservation) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.next();
        if let Some(piece) = &piece {
            self.bytes = self.bytes.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}
