//! The body of an upstream's answer on its way to the client, with a deadline between two pieces.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::pool::Lease;

/// An answer's body; its connection goes back to the pool when the last piece has come.
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    patience: Duration,
    /// Made only when a piece is not there at once.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// The upstream sent nothing for too long in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream stopped in the middle of its answer")]
pub(super) struct Stopped;

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let patience = lease.patience();
        let mut body = Self { incoming, lease: Some(lease), patience, deadline: None };
        body.settle();
        body
    }

    /// How long the upstream may be silent.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives the connection back when the answer is whole.
    fn settle(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    /// What has come by now; the connection is moved along.
    fn next_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.lease {
            Some(lease) => lease.poll_frame(&mut self.incoming, cx),
            // It was given back, because all has come.
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        }
    }

    /// Gives the connection up when the answer broke off.
    fn give_up(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_up();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = this.next_frame(cx) else {
                let patience = this.patience;
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(deadline.as_mut().poll(cx));
                this.give_up();
                return Poll::Ready(Some(Err(Stopped.into())));
            };
            this.deadline = None;
            match frame {
                Some(Ok(frame)) if frame.is_data() => {
                    this.settle();
                    return Poll::Ready(Some(Ok(frame)));
                }
                // Trailers end at the gate.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    this.give_up();
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    if let Some(lease) = this.lease.take() {
                        lease.give_back();
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
