//! The body of a request as it arrives.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::relay::Relay;

/// The body of a request. Taking its last piece costs its connection no turn.
#[derive(Debug)]
pub struct Arriving {
    incoming: Incoming,
    /// What stands before the connection's task; none over HTTP/2, where a piece that is taken
    /// makes room for others, which the connection tells the client.
    relay: Option<Rc<Relay>>,
}

impl Arriving {
    pub(super) fn new(incoming: Incoming, relay: Option<Rc<Relay>>) -> Self {
        Self { incoming, relay }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, relay } = &mut *self;
        let Some(relay) = relay else { return Pin::new(incoming).poll_frame(cx) };
        let (frame, woken) = relay.hush(|| Pin::new(&mut *incoming).poll_frame(cx));
        // After the last piece the connection has nothing to do but to wait for the answer.
        if woken && !incoming.is_end_stream() {
            relay.waker().wake_by_ref();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
