//! The gate's one door. [`Gateway::handle`] is the path of a request: admit, forward, answer.

pub mod admission;
pub mod answer;
pub mod forward;
pub mod opener;
pub mod protection;
pub mod rejection;
pub mod reply;
pub mod route;
pub mod upstream;

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Method, Response};
use prometheus::IntCounter;

use crate::local::Local;
use crate::peer::Peer;
use crate::serve::Arriving;
use crate::telemetry::{Code, Lane, Record};

use admission::intake::Visit;
use admission::unread::Asked;
use admission::{Admission, Refused, View};
use answer::{Body, Outcome, respond, sealed};
use forward::Forwarder;
use rejection::Rejection;
use reply::ReplySlot;

/// One core's gateway.
pub struct Gateway {
    /// The snapshot in force.
    admission: Local<Admission, View>,
    /// This core's way to the upstreams.
    forwarder: Forwarder,
    /// This core's notebook.
    lane: Lane,
    /// Requests that ended in a panic.
    panics: IntCounter,
}

impl Gateway {
    /// A core's gateway, from the snapshot that all cores share, and what is the core's alone.
    pub fn new(
        admission: Arc<ArcSwap<Admission>>,
        forwarder: Forwarder,
        lane: Lane,
        panics: IntCounter,
    ) -> Self {
        let keys = View::keys_of(&admission.load());
        let admission = Local::new(admission, move |shared| View::of(shared, &keys));
        Self { admission, forwarder, lane, panics }
    }

    /// Does what is due once a second: lets go of what is not in force any more and of connections
    /// that nobody uses, and hands over what was noted.
    pub fn tidy(&self) {
        self.admission.current().tidy();
        self.forwarder.tidy();
        self.lane.flush();
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        head: Box<Parts>,
        mut body: Arriving,
        peer: &Rc<Peer>,
    ) -> Response<Body> {
        let (visit, asked) = (self.visit(&head, peer), Asked::of(&head));
        let open = Open { lane: &self.lane, record: Rc::clone(&visit.record), closed: false };
        // Boxed, because the library keeps room for this future in every idle connection.
        let slot = ReplySlot::default();
        let to_head = head.method == Method::HEAD;
        let path = Box::pin(self.outcome(head, &mut body, visit, &slot));
        let path = AssertUnwindSafe(path).catch_unwind();
        let outcome = path.await.unwrap_or_else(|_| {
            self.panics.inc();
            Outcome::from(Rejection::Internal)
        });
        let (answer, code) = respond(outcome, &mut body, asked, open.record.id()).await;
        // Here, and nowhere else: no answer to a message that opened leaves in clear.
        let (answer, code) = sealed(answer, code, &slot, to_head, open.record.id());
        open.close(code, answer.status().as_u16());
        *answer
    }

    async fn outcome(
        &self,
        head: Box<Parts>,
        body: &mut Arriving,
        visit: Visit,
        slot: &ReplySlot,
    ) -> Outcome {
        let view = self.admission.current();
        match view.admit(head, body, visit, slot).await {
            Ok(admitted) => Outcome::from(self.forwarder.forward(admitted).await),
            Err(Refused::Rejected(rejection)) => Outcome::from(rejection),
            // Only on a route that watches for a while: on as it came, as nobody's.
            Err(Refused::Observed(observed)) => {
                Outcome::observed(self.forwarder.forward_observed(*observed).await)
            }
        }
    }

    fn visit(&self, head: &Parts, peer: &Rc<Peer>) -> Visit {
        let target = head.uri.path_and_query();
        let record = self.lane.begin(&head.method, target, head.version, peer);
        if self.lane.exports() {
            // What is refused has spans too, and never comes to where the rest is looked at.
            forward::of_caller(&head.headers).into_iter().for_each(|trace| record.came_in(trace));
        }
        Visit { peer: Rc::clone(peer), record }
    }
}

/// Status in the log of a request whose client left: nobody was answered. No RFC has it; log
/// readers know it as nginx's.
const CLIENT_GONE: u16 = 499;

/// The notes of a request until they are closed. Dropped with the path, because the client left or
/// its connection was cut, they are closed as such: no request is without a line.
struct Open<'lane> {
    lane: &'lane Lane,
    record: Rc<Record>,
    closed: bool,
}

impl Open<'_> {
    fn close(mut self, code: Code, status: u16) {
        self.closed = true;
        self.lane.finish(&self.record, code, status);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.lane.finish(&self.record, Code::ClientGone, CLIENT_GONE);
        }
    }
}
