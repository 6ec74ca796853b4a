//! One core: a runtime of its own, its socket, its connections, its upstream pools.

use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use arc_swap::cache::Cache;
use futures_util::future::Either;
use http::{Response, request};
use serde_json::json;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use crate::app::StartFault;
use crate::batch;
use crate::gateway::Gateway;
use crate::gateway::answer::Body;
use crate::gateway::forward::Forwarder;
use crate::inbox::Inbox;
use crate::inbox::source::Source;
use crate::peer::Peer;
use crate::serve::{Arriving, Door, Handler, Listening, run};
use crate::telemetry::{Lane, Level};

use super::assembly::Parts;
use super::otlp::Exporting;

/// The inbox in force, which a reload replaces; none where no source is configured.
type Shared = Arc<ArcSwapOption<Inbox>>;

/// The doors of a core: webhooks go to the inbox, everything else to the gateway.
struct Doors {
    gateway: Gateway,
    inbox: RefCell<Cache<Shared, Option<Arc<Inbox>>>>,
}

impl Handler for Doors {
    type Body = Body;

    fn handle(
        &self,
        head: Box<request::Parts>,
        body: Arriving,
        peer: &Rc<Peer>,
    ) -> impl Future<Output = Response<Self::Body>> {
        // One look at nothing where no source is configured.
        match self.source_of(&head) {
            None => Either::Left(self.gateway.handle(head, body, peer)),
            Some((source, inbox)) => {
                // Boxed, because the library keeps room for this future in every idle connection.
                let answer = Box::pin(async move {
                    inbox.receive(source, head, body, peer).await.map(Body::whole)
                });
                Either::Right(answer)
            }
        }
    }
}

impl Doors {
    fn new(gateway: Gateway, inbox: Shared) -> Self {
        Self { gateway, inbox: RefCell::new(Cache::new(inbox)) }
    }

    fn source_of(&self, head: &request::Parts) -> Option<(Arc<Source>, Arc<Inbox>)> {
        let mut inbox = self.inbox.borrow_mut();
        let inbox = inbox.load().as_ref()?;
        inbox.source_of(head).map(|source| (source, Arc::clone(inbox)))
    }

    /// Does what is due once a second.
    fn tidy(&self) {
        self.gateway.tidy();
        // What was before stays with the core until it looks.
        self.inbox.borrow_mut().load();
    }
}

/// Starts a core. When it has drained it tells how many connections were cut.
pub(super) fn spawn(
    index: usize,
    socket: Listening,
    parts: Arc<Parts>,
    cores: NonZeroUsize,
    tell: Sender<usize>,
) -> Result<JoinHandle<()>, StartFault> {
    let spans = parts.kept.exporting.as_ref().map(Exporting::spans);
    let lane_queue = parts.access_log.then(|| parts.log.queue(parts.sampling));
    let thread = std::thread::Builder::new().name(format!("core-{index}"));
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let handle = thread.spawn(move || {
        let begun = runtime().map_err(StartFault::from).and_then(|runtime| {
            let (clock, metrics) = (parts.clock.clone(), &parts.metrics);
            let unrouted = metrics.route("none");
            let lane =
                Lane::new(clock, metrics.stage_times(), unrouted, lane_queue, parts.uses.clone())?;
            Ok((runtime, lane.exporting(spans)))
        });
        let (runtime, lane) = match begun {
            Ok(begun) => begun,
            Err(fault) => return drop(ready.send(Err(fault))),
        };
        // Nobody to tell is nobody to wait for: the starter went away.
        drop(ready.send(Ok(())));
        let served = runtime.block_on(serve(socket, &parts, lane, cores));
        let cut = served.unwrap_or_else(|error| {
            let cause = json!({ "cause": error.to_string() });
            parts.log.event(Level::Error, "listener_ended", cause);
            0
        });
        // The stopper that went away needs no number.
        let _ = tell.send(cut);
    })?;
    let started = started.recv().unwrap_or_else(|_| Err(io::Error::other("a core ended").into()));
    started.map(|()| handle)
}

pub(super) fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

async fn serve(
    socket: Listening,
    parts: &Parts,
    lane: Lane,
    cores: NonZeroUsize,
) -> io::Result<usize> {
    let forwarder = Forwarder::new(cores, parts.clock.clone());
    let (admission, panics) = (Arc::clone(&parts.admission), parts.metrics.panics.clone());
    let gateway = Gateway::new(admission, forwarder, lane, panics);
    let doors = Rc::new(Doors::new(gateway, parts.kept.inbox.current()));
    let own = Rc::clone(&doors);
    let chores = tokio::task::spawn_local(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            own.tidy();
        }
    });
    let sending = tokio::task::spawn_local(batch::send());
    let door = Door {
        tls: Arc::clone(&parts.tls),
        connections: Arc::clone(&parts.connections),
        settings: Arc::clone(&parts.settings),
        metrics: Arc::clone(&parts.connection_metrics),
        handler: Rc::clone(&doors),
        drain: parts.drain.clone(),
    };
    let cut = run(socket, door).await;
    chores.abort();
    sending.abort();
    doors.tidy();
    cut
}
