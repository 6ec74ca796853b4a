//! The listener for clients that come in clear: a thread of its own, so that it takes nothing from
//! requests, and small limits, since nothing that is said there takes long.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::config::Listener;
use crate::limit::{ConnectionDeadlines, ConnectionLimits, HeadLimits, Http2Limits, MinimumPace};
use crate::redirect::Redirect;
use crate::serve::{Connections, Door, Drain, Settings, run_plain};
use crate::telemetry::Level;
use crate::telemetry::connections::ConnectionMetrics;

use super::StartFault;
use super::assembly::Parts;
use super::worker::runtime;

/// The longest that anything may take on a connection in clear.
const DEADLINE: Duration = Duration::from_secs(5);
/// Connections in clear, in all and of one address.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
const CONNECTIONS_PER_ADDRESS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// The listener, while it runs.
pub(super) struct Plain {
    pub(super) address: SocketAddr,
    drain: Drain,
    thread: JoinHandle<()>,
}

impl Plain {
    /// Starts its thread.
    pub(super) fn spawn(socket: TcpListener, parts: &Arc<Parts>) -> Result<Self, StartFault> {
        let address = socket.local_addr()?;
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

async fn serve(socket: TcpListener, parts: &Parts, drain: Drain) -> io::Result<usize> {
    let limits = ConnectionLimits {
        total: CONNECTIONS,
        per_address: CONNECTIONS_PER_ADDRESS,
        ..ConnectionLimits::default()
    };
    // Its connections are not worth series of their own.
    let aside = ConnectionMetrics::new(&prometheus::Registry::new()).map_err(io::Error::other)?;
    let door = Door {
        tls: Arc::clone(&parts.tls),
        connections: Connections::new(limits),
        settings: Arc::clone(&parts.plain_settings),
        metrics: aside,
        handler: Rc::new(Redirect::new(
            parts.challenges.clone(),
            parts.metrics.plain_requests.clone(),
        )),
        drain,
    };
    run_plain(socket, door).await
}
