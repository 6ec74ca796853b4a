//! One request and its answer: hands it to the handler and follows the answer to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::arriving::Arriving;
use super::drain::{Roster, Stage};
use super::pulse::{Pass, Pulse};
use super::{Handler, Peer, Settings};
use crate::relay::Relay;
use crate::telemetry::connections::Protocol;

/// What all requests of a connection share.
pub(super) struct Exchange<H> {
    pub(super) handler: Rc<H>,
    pub(super) peer: Rc<Peer>,
    /// Where the peer is a trusted proxy: who is one.
    pub(super) proxied: Option<Arc<Settings>>,
    pub(super) pulse: Rc<Pulse>,
    /// What stands before the connection's task, over HTTP/1.
    pub(super) relay: Option<Rc<Relay>>,
    pub(super) roster: Rc<Roster>,
    pub(super) protocol: Protocol,
    pub(super) requests_max: usize,
}

impl<H: Handler> Exchange<H> {
    /// Begins a request now; the future is its answer.
    pub(super) fn answer(
        self: &Rc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Followed<H::Body>>, Infallible>> + use<H> {
        let pass = Pass::begin(&self.pulse);
        let (head, body) = request.into_parts();
        let (head, body) = (Box::new(head), Arriving::new(body, self.relay.clone()));
        let this = Rc::clone(self);
        async move {
            let named = this
                .proxied
                .as_ref()
                .map(|settings| Rc::new(settings.origins.client_of(&head.headers, &this.peer)));
            let peer = named.as_ref().unwrap_or(&this.peer);
            let mut response = this.handler.handle(head, body, peer).await;
            if this.is_last(&pass) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Followed { body, pass }))
        }
    }

    /// HTTP/2 ends by GOAWAY and has no `Connection` header.
    fn is_last(&self, pass: &Pass) -> bool {
        self.protocol == Protocol::Http1
            && (pass.number() >= self.requests_max || self.roster.stage() != Stage::Open)
    }
}

pin_project! {
    /// The body of an answer; its request is in progress until it is dropped.
    #[derive(Debug)]
    pub(super) struct Followed<B> {
        #[pin]
        body: B,
        pass: Pass,
    }
}

impl<B: Body<Data = Bytes>> Body for Followed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        this.pass.release();
        let frame = ready!(this.body.poll_frame(cx));
        this.pass.hold();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
