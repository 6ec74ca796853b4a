//! The listener for clients that come in clear: a thread of its own, so that it takes nothing from
//! requests, and small limits, since nothing that is said there takes long.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;

use crate::acme::Answers;
use crate::config::Listener;
use crate::limit::{ConnectionDeadlines, ConnectionLimits, HeadLimits, Http2Limits, MinimumPace};
use crate::redirect::{Challenges, Redirect};
use crate::serve::{Connections, Door, Drain, Listening, Settings, run_plain};
use crate::telemetry::Level;
use crate::telemetry::connections::{ConnectionMetrics, plain_requests};

use super::StartFault;
use super::assembly::Parts;
use super::worker::runtime;

/// The longest that anything may take on a connection in clear.
const DEADLINE: Duration = Duration::from_secs(5);
/// Connections in clear, in all and of one address.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
const CONNECTIONS_PER_ADDRESS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// What connections in clear are answered with, shared by whoever changes it.
pub(super) struct InClear {
    /// What they are held to, read at each accept.
    pub(super) settings: Arc<ArcSwap<Settings>>,
    /// Who knows the tokens that authorities for certificates ask for.
    pub(super) challenges: Arc<dyn Challenges>,
}

impl InClear {
    /// As configuration says.
    pub(super) fn new(listener: &Listener, answers: &Arc<Answers>) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(settings(listener)));
        let challenges: Arc<dyn Challenges> = Arc::<Answers>::clone(answers);
        Self { settings, challenges }
    }
}

/// The listener, while it runs.
pub(super) struct Plain {
    pub(super) address: SocketAddr,
    drain: Drain,
    thread: JoinHandle<()>,
}

impl Plain {
    /// Starts its thread.
    pub(super) fn spawn(
        mut sockets: Vec<Listening>,
        address: SocketAddr,
        parts: &Arc<Parts>,
    ) -> Result<Self, StartFault> {
        let socket = sockets.pop().ok_or_else(|| io::Error::other("no socket"))?;
        let drain = Drain::new();
        let (parts, order) = (Arc::clone(parts), drain.clone());
        let thread = std::thread::Builder::new().name("redirect".into()).spawn(move || {
            let served = runtime().and_then(|runtime| {
                let served = serve(socket, &parts, order);
                runtime.block_on(served)
            });
            if let Err(error) = served {
                let cause = json!({ "cause": error.to_string() });
                parts.log.event(Level::Error, "redirect_listener_ended", cause);
            }
        })?;
        Ok(Self { address, drain, thread })
    }

    /// Accepts no more.
    pub(super) fn drain(&self) {
        self.drain.begin();
    }

    /// Ends it at once.
    pub(super) fn stop(self) {
        self.drain.cut();
        // A thread that panicked has nothing left to do.
        drop(self.thread.join());
    }
}

/// What connections in clear are held to: one request each.
pub(super) fn settings(listener: &Listener) -> Settings {
    Settings {
        deadlines: ConnectionDeadlines {
            handshake: listener.deadlines.handshake,
            head: DEADLINE,
            idle: DEADLINE,
            stall: DEADLINE,
            drain: listener.deadlines.drain,
        },
        pace: MinimumPace::default(),
        head: HeadLimits::default(),
        http2: Http2Limits::default(),
        requests_max: NonZeroUsize::MIN,
        origins: listener.origins.clone(),
    }
}

async fn serve(socket: Listening, parts: &Parts, drain: Drain) -> io::Result<usize> {
    let limits = ConnectionLimits {
        total: CONNECTIONS,
        per_address: CONNECTIONS_PER_ADDRESS,
        ..ConnectionLimits::default()
    };
    // Its connections are not worth series of their own.
    let aside = ConnectionMetrics::new(&prometheus::Registry::new()).map_err(io::Error::other)?;
    let answers = plain_requests(&parts.metrics.registry).map_err(io::Error::other)?;
    let (settings, challenges) = (&parts.in_clear.settings, Arc::clone(&parts.in_clear.challenges));
    let door = Door {
        tls: Arc::clone(&parts.tls),
        connections: Connections::new(limits),
        settings: Arc::clone(settings),
        metrics: aside,
        handler: Rc::new(Redirect::new(Some(challenges), answers)),
        drain,
    };
    run_plain(socket, door).await
}
