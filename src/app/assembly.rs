//! The parts of a gate, built once and shared by its threads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::Registry;
use serde_json::json;

use crate::acme::Spec;
use crate::administration::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::keys::Keys;
use crate::config::{Config, Listener};
use crate::gateway::admission::Admission;
use crate::keyring::Keyring;
use crate::operations::{Obstacle, Readiness};
use crate::replay::{Marker, Memory, Opening, StateFolder};
use crate::roll::{Chains, Event, Kill, Roll};
use crate::serve::{Connections, Drain, Settings, Tls, TlsFaults};
use crate::telemetry::connections::ConnectionMetrics;
use crate::telemetry::{GateMetrics, Level, Log, Sampling, Uses};

use super::inbox::Said;
use super::kept::Kept;
use super::keys::Managed;
use super::keys::rolling::Events;
use super::otlp::Exporting;
use super::plain::InClear;
use super::reload::{Fixed, Source};
use super::{Options, Past, StartFault};

/// Everything that the threads of a gate share.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) access_log: bool,
    /// How much of it is written of good requests; none: all.
    pub(super) sampling: Option<Sampling>,
    pub(super) metrics: GateMetrics,
    pub(super) connection_metrics: Arc<ConnectionMetrics>,
    pub(super) operations_connection_metrics: Arc<ConnectionMetrics>,
    pub(super) admission: Arc<ArcSwap<Admission>>,
    pub(super) keyring: Arc<ArcSwap<Keyring>>,
    pub(super) uses: Uses,
    pub(super) events: Events,
    /// Where keys are kept, beside the merchants file.
    pub(super) keys: Keys,
    pub(super) catalogue: Mutex<Arc<Catalogue>>,
    pub(super) managed: Mutex<Option<Arc<Managed>>>,
    pub(super) tls: Arc<Tls>,
    pub(super) operations_tls: Arc<Tls>,
    /// Whether the admin API answers.
    pub(super) admin: bool,
    pub(super) connections: Arc<Connections>,
    pub(super) settings: Arc<ArcSwap<Settings>>,
    pub(super) in_clear: InClear,
    pub(super) drain: Drain,
    pub(super) readiness: Readiness,
    pub(super) source: Mutex<Source>,
    pub(super) kept: Kept,
    state: Option<(Arc<StateFolder>, Mutex<Option<Marker>>)>,
    /// Obstacles that the log was told of and that have not ended.
    pub(super) told: Mutex<Vec<Obstacle>>,
    ended: (Mutex<bool>, Condvar),
}

impl Parts {
    /// Builds every part.
    pub(super) fn assemble(
        mut config: Config,
        clock: Clock,
        options: Options,
        folder: Option<StateFolder>,
    ) -> Result<Self, StartFault> {
        // Looked at as soon after reading as can be, so that no change goes unseen.
        let source = Source::new(options.source.clone(), Fixed::of(&config), &config.watched);
        let metrics = GateMetrics::new()?;
        let connection_metrics = ConnectionMetrics::new(&metrics.registry)?;
        // The operations listener is not worth series of its own.
        let operations_connection_metrics = ConnectionMetrics::new(&Registry::new())?;
        let wall_millis = clock.wall_millis();
        let tls = Arc::new(listener_tls(&config, wall_millis)?);
        let operations_tls = Tls::load(&config.operations.certificates, wall_millis)?;
        let dropped = metrics.log_lines_dropped.clone();
        let log = Log::open(config.log.format, options.log, clock.clone(), dropped)?;
        let (memory, state) = open_memory(&config, &clock, &log, options.past, folder)?;
        let (events, folder) = (Events::default(), state.as_ref());
        let roll = roll(events.clone(), &clock, &log, &metrics);
        let exporting = Exporting::start_if(config.otlp.clone(), &clock, &log, &metrics)?;
        let proofs = tls.proofs();
        let kept = Kept::new(&config, memory, folder, roll, proofs, exporting, &metrics)?;
        let state = state.map(|folder| marked(folder, &kept.memory, &clock)).transpose()?;
        let (drain, memory) = (Drain::new(), Arc::clone(&kept.memory));
        let readiness = Readiness::new(clock.clone(), memory, drain.clone(), Arc::clone(&tls));
        let settings = Arc::new(ArcSwap::from_pointee(settings(&config.listener)));
        let in_clear = InClear::new(&config.listener, &kept.acme.answers);
        let connections = Connections::new(config.listener.connections.clone());
        let (access_log, sampling) = (config.log.access, config.log.sampling);
        let admin = config.operations.admin;
        let (keys, catalogue) = (config.keys.clone(), Arc::clone(&config.catalogue));
        let (upstreams, keyring) = (kept.upstreams(&config, &metrics)?, kept.keyring(&mut config)?);
        kept.attendant.start_for(&upstreams)?;
        let keyring = Arc::new(ArcSwap::from_pointee(keyring));
        let ledger = kept.ledger.serve(&config, &clock, &metrics)?;
        let (said, acme) = (Said::take(&mut config), config.listener.acme.take());
        let admission = kept.admission(config, upstreams, &keyring, &clock, &metrics, ledger);
        let parts = Self {
            admission: Arc::new(ArcSwap::from_pointee(admission)),
            keyring,
            uses: Uses::default(),
            events,
            keys,
            catalogue: Mutex::new(catalogue),
            managed: Mutex::new(None),
            clock,
            log,
            access_log,
            sampling,
            metrics,
            connection_metrics,
            operations_connection_metrics,
            tls,
            operations_tls: Arc::new(operations_tls),
            admin,
            connections,
            settings,
            in_clear,
            drain,
            readiness,
            source: Mutex::new(source),
            kept,
            state,
            told: Mutex::new(Vec::new()),
            ended: (Mutex::new(false), Condvar::new()),
        };
        parts.begin(said, acme)?;
        Ok(parts)
    }

    /// What is done once all parts are there.
    fn begin(&self, said: Said, acme: Option<Spec>) -> Result<(), StartFault> {
        let ordered = self.kept.acme.prepare(acme.as_ref(), &self.clock, &self.log);
        self.tls.show_issued(&ordered.issued());
        self.kept.acme.answer_by(acme.as_ref().map(|spec| spec.challenge));
        ordered.install();
        let journal = self.journal_for(&said)?;
        self.install_inbox(said, journal);
        self.note_applied();
        self.tell_observing();
        Ok(())
    }

    /// Says what is in force now.
    pub(super) fn note_applied(&self) {
        let credentials = i64::try_from(self.keyring.load().len()).unwrap_or(i64::MAX);
        self.metrics.credentials.set(credentials);
        let now = i64::try_from(self.clock.wall_millis() / 1000).unwrap_or(i64::MAX);
        self.metrics.configured_at.set(now);
        self.show_certificates();
    }

    /// Brings the gauges of certificates up to date.
    pub(super) fn show_certificates(&self) {
        let own = [self.tls.expiries(), self.operations_tls.expiries()].concat();
        let expiries = own.iter().map(|expiry| (expiry.name.as_str(), expiry.seconds));
        self.connection_metrics.set_certificates(expiries);
        let lists = self.tls.lists();
        let lists = lists.iter().map(|expiry| (expiry.name.as_str(), expiry.seconds));
        self.connection_metrics.set_lists(lists);
    }

    /// Saves the replay memory, where a folder keeps it, and says whether that was done.
    pub(super) fn save(&self) -> bool {
        let Some((folder, marker)) = &self.state else { return true };
        if let Some(marker) = lock(marker).take() {
            marker.stop();
        }
        match self.kept.memory.save(folder) {
            Ok(()) => true,
            Err(error) => {
                let cause = json!({ "cause": error.to_string() });
                self.log.event(Level::Error, "replay_memory_not_saved", cause);
                false
            }
        }
    }

    /// The state folder, for what may outlive the gate for a moment: nobody else has the folder
    /// until all who hold this are done.
    pub(super) fn folder(&self) -> Option<Arc<StateFolder>> {
        self.state.as_ref().map(|(folder, _)| Arc::clone(folder))
    }

    /// Ends the chores.
    pub(super) fn end(&self) {
        *lock(&self.ended.0) = true;
        self.ended.1.notify_all();
    }

    /// Whether the gate has ended, now or within `patience`.
    pub(super) fn has_ended_after(&self, patience: Duration) -> bool {
        let ended = lock(&self.ended.0);
        let waited = self.ended.1.wait_timeout_while(ended, patience, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Certificates of the listener, and what its clients are checked by.
pub(super) fn listener_tls(config: &Config, wall_millis: u64) -> Result<Tls, TlsFaults> {
    Tls::load_from(&config.listener.tls_sources(), wall_millis)
}

/// What connections that begin now are held to.
pub(super) fn settings(listener: &Listener) -> Settings {
    Settings {
        deadlines: listener.deadlines,
        pace: listener.body.pace,
        head: listener.head,
        http2: listener.http2,
        requests_max: listener.connections.requests,
        origins: listener.origins.clone(),
    }
}

fn open_memory(
    config: &Config,
    clock: &Clock,
    log: &Log,
    past: Past,
    folder: Option<StateFolder>,
) -> Result<(Memory, Option<StateFolder>), StartFault> {
    let bytes = config.replay.memory_bytes;
    if past == Past::None {
        return Ok((Memory::without_past(bytes)?, None));
    }
    let folder = folder.map_or_else(|| StateFolder::open(&config.state), Ok)?;
    let ahead = config.routes.iter().map(|route| route.window.ahead).max().unwrap_or_default();
    let (memory, opening) = Memory::open(&folder, bytes, clock.now(), ahead)?;
    report(&opening, log);
    Ok((memory, Some(folder)))
}

/// A state folder with the writer of its mark.
fn marked(
    folder: StateFolder,
    memory: &Arc<Memory>,
    clock: &Clock,
) -> Result<(Arc<StateFolder>, Mutex<Option<Marker>>), StartFault> {
    let folder = Arc::new(folder);
    let marker = Marker::start(Arc::clone(memory), Arc::clone(&folder), clock.clone())?;
    Ok((folder, Mutex::new(Some(marker))))
}

/// Rolling keys: nothing is known of them yet; what happens is told, and kept by the store.
fn roll(events: Events, clock: &Clock, log: &Log, metrics: &GateMetrics) -> Roll {
    let chains = Chains::new(clock.now_millis());
    let (log, counters) = (log.clone(), metrics.keys.rolling.clone());
    let tell = move |event: &Event| {
        let (level, name, key_id) = match event {
            Event::Session { key_id, .. } => (Level::Info, "key_session", key_id),
            Event::Killed(kill) => (Level::Info, "chain_killed", &kill.key_id),
            Event::KilledChainUsed { key_id, .. } => (Level::Warn, "killed_chain_used", key_id),
        };
        counters.with_label_values(&[name]).inc();
        let chain = match event {
            Event::Session { .. } => None,
            Event::Killed(Kill { chain, .. }) | Event::KilledChainUsed { chain, .. } => Some(chain),
        };
        let chain = chain.map(ToString::to_string);
        log.event(level, name, json!({ "credential": &**key_id, "chain": chain }));
        events.note(event);
    };
    Roll::new(Arc::default(), chains, Box::new(tell))
}

/// Says what the gate knows of the time before its start.
fn report(opening: &Opening, log: &Log) {
    use crate::replay::Past::{None, Unknown, UpTo, Whole};
    let (level, past) = match opening.past {
        Whole { entries } => (Level::Info, json!({ "past": "whole", "entries": entries })),
        UpTo(stamp) => (Level::Warn, json!({ "past": "up_to", "refused_up_to": stamp.secs() })),
        None => (Level::Info, json!({ "past": "none" })),
        Unknown { until } => {
            (Level::Warn, json!({ "past": "unknown", "refused_up_to": until.secs() }))
        }
    };
    log.event(level, "replay_memory_opened", past);
    for note in &opening.notes {
        log.event(Level::Warn, "replay_memory_note", json!({ "note": note.to_string() }));
    }
}

/// Locks; a thread that panicked with it left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
