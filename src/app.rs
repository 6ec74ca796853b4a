//! The only place that builds parts and joins them: starts the listeners, reloads, drains.

mod acme;
mod assembly;
mod background;
mod chores;
mod control;
mod handover;
mod inbox;
mod keys;
mod kept;
mod ledger;
mod observing;
mod otlp;
mod plain;
mod reload;
mod upstreams;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clock::{Clock, ClockState};
use crate::config::Config;
use crate::crypto::NoRandom;
use crate::gateway::upstream::UnusableUpstream;
use crate::journal::JournalFault;
use crate::replay::{FolderFault, OpenFault};
use crate::roll::Roll;
use crate::serve::{Drain, TlsFaults};
use crate::store::StoreFault;
use crate::store::ledger::LedgerFault;
use crate::telemetry::{Level, LogSink};

use assembly::Parts;
use plain::Plain;

pub use handover::{Handover, HandoverFault, Sockets, rehearse};
pub use reload::ReloadFault;

/// How long requests to the operations listener may take once everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);

/// How a gate is started beside its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file to reload from; none: the gate never reloads.
    pub source: Option<PathBuf>,
    /// Where log lines go.
    pub log: LogSink,
    /// What the gate knows of the time before its start.
    pub past: Past,
}

/// What a gate knows of the time before its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// What the state folder says.
    FromState,
    /// There is none: new secrets, nothing kept. Only for demonstrations.
    None,
}

/// Why a gate cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// A listener cannot be opened.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// What was handed over cannot be used.
    #[error(transparent)]
    Handover(#[from] HandoverFault),
    /// Certificates cannot be used.
    #[error("certificates cannot be used:\n{0}")]
    Tls(#[from] TlsFaults),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] FolderFault),
    /// The replay memory cannot be opened.
    #[error(transparent)]
    Replay(#[from] OpenFault),
    /// The store of keys cannot be used.
    #[error(transparent)]
    Keys(#[from] StoreFault),
    /// An upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    /// The ledger that a route asks for cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The journal that a source asks for cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// A metric is registered twice: a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system gives no thread or no runtime.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] io::Error),
}

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut because the drain deadline was over.
    pub cut: usize,
    /// Whether the replay memory was saved; without that the next start refuses a few seconds'
    /// stamps.
    pub saved: bool,
}

/// A gate that runs.
pub struct Gate {
    address: SocketAddr,
    operations_address: SocketAddr,
    parts: Arc<Parts>,
    workers: Vec<JoinHandle<()>>,
    operations: JoinHandle<()>,
    plain: Option<Plain>,
    chores: JoinHandle<()>,
    keys: [JoinHandle<()>; 2],
    ended: Receiver<usize>,
    operations_drain: Drain,
}

impl Gate {
    /// Starts everything and returns once it listens.
    ///
    /// # Errors
    /// The first thing that cannot be had.
    pub fn start(config: Config, clock: Clock, options: Options) -> Result<Self, StartFault> {
        Self::succeed(config, clock, options, Handover::default())
    }

    /// The same with sockets that were handed over, in the place of a gate that has ended.
    ///
    /// # Errors
    /// As above, and where the sockets are not what configuration says.
    pub fn succeed(
        config: Config,
        clock: Clock,
        options: Options,
        handover: Handover,
    ) -> Result<Self, StartFault> {
        let workers_count = config.workers;
        // Sockets first: a second gate on the same ports must not touch the state folder.
        let (listener, operations) = (config.listener.address, config.operations.address);
        let Handover { sockets: Sockets { listener: own, operations: aside, redirect }, folder } =
            handover;
        let (sockets, address) = own.open(listener, workers_count)?;
        let (mut operations_sockets, operations_address) =
            aside.open(operations, NonZeroUsize::MIN)?;
        let in_clear = config.listener.redirect.map(|at| redirect.open(at, NonZeroUsize::MIN));
        let in_clear = in_clear.transpose()?;
        let parts = Arc::new(Parts::assemble(config, clock, options, folder)?);
        parts.open_keys()?;
        parts.start_courier()?;
        parts.start_keeper(parts.kept.acme.is_in_force())?;
        let (tell, ended) = mpsc::channel();
        let workers = sockets.into_iter().enumerate().map(|(index, socket)| {
            worker::spawn(index, socket, Arc::clone(&parts), workers_count, tell.clone())
        });
        let workers = workers.collect::<Result<Vec<_>, StartFault>>()?;
        let operations_drain = Drain::new();
        let socket = operations_sockets.pop().ok_or_else(|| io::Error::other("no socket"))?;
        let operations =
            control::spawn_operations(socket, Arc::clone(&parts), operations_drain.clone())?;
        let plain = in_clear.map(|(sockets, address)| Plain::spawn(sockets, address, &parts));
        let plain = plain.transpose()?;
        let chores = control::spawn_chores(Arc::clone(&parts))?;
        let keys = keys::spawn(&parts)?;
        parts.log.event(
            Level::Info,
            "started",
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "address": address.to_string(),
                "operations": operations_address.to_string(),
                "redirect": plain.as_ref().map(|plain| plain.address.to_string()),
                "workers": workers.len(),
            }),
        );
        Ok(Self {
            address,
            operations_address,
            parts,
            workers,
            operations,
            plain,
            chores,
            keys,
            ended,
            operations_drain,
        })
    }

    /// Where requests come in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics, health and readiness are asked for.
    pub fn operations_address(&self) -> SocketAddr {
        self.operations_address
    }

    /// Where clients in clear are sent on from, if anywhere.
    pub fn redirect_address(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(|plain| plain.address)
    }

    /// Epochs and chains of rolling keys, shared by all cores: for whoever learns of new epochs, or
    /// of chains that were killed elsewhere.
    pub fn roll(&self) -> &Arc<Roll> {
        &self.parts.kept.roll
    }

    /// Reads configuration, keys and certificates anew and applies all of it or nothing. Blocks.
    ///
    /// # Errors
    /// Everything that is wrong; what was in force stays.
    pub fn reload(&self) -> Result<(), ReloadFault> {
        self.parts.reload()
    }

    /// Counts a forward step of the wall clock now, because an operator looked and says that it is
    /// right. Says how far the step was; nothing when there is none to confirm.
    pub fn confirm_clock(&self) -> Option<Duration> {
        let step = match self.parts.clock.state() {
            ClockState::SteppedAhead { by } => Some(by),
            ClockState::Good | ClockState::Behind { .. } => None,
        };
        self.parts.clock.confirm_step();
        let seconds = step.map_or(0, |by| by.as_secs());
        self.parts.log.event(Level::Info, "clock_confirmed", json!({ "step_seconds": seconds }));
        step
    }

    /// Ends: not ready, nothing new accepted, requests in progress finish, then the replay memory
    /// is saved. Blocks, at most for the drain deadline and a moment.
    pub fn stop(self) -> Stopped {
        self.parts.log.event(Level::Info, "draining", json!({}));
        self.parts.drain.begin();
        self.parts.kept.acme.stop(&self.parts.log);
        self.plain.iter().for_each(Plain::drain);
        let deadline = Instant::now() + self.parts.settings.load().deadlines.drain;
        let mut cut = 0;
        let mut waiting = self.workers.len();
        while waiting > 0 {
            let patience = deadline.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(patience) {
                Ok(left) => {
                    cut += left;
                    waiting -= 1;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.parts.drain.cut();
                    cut += self.ended.iter().take(waiting).sum::<usize>();
                    waiting = 0;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => waiting = 0,
            }
        }
        self.parts.kept.exporting.iter().for_each(|exporting| exporting.stop(deadline));
        self.parts.kept.inbox.stop(&self.parts.log);
        let panicked = self.workers.into_iter().filter_map(|worker| worker.join().err()).count();
        let saved = self.parts.save() && panicked == 0;
        self.parts.log.event(Level::Info, "stopped", json!({ "cut": cut, "saved": saved }));
        self.plain.into_iter().for_each(Plain::stop);
        self.operations_drain.begin();
        // Checks of health that are on their way get their answers.
        let until = Instant::now() + LAST_ANSWERS;
        while !self.operations.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        self.operations_drain.cut();
        self.parts.end();
        // A thread that panicked has nothing left to do.
        drop((self.operations.join(), self.chores.join(), self.keys.map(JoinHandle::join)));
        self.parts.log.close();
        Stopped { cut, saved }
    }
}
