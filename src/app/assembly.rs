//! The parts of a gate, built once and shared by its threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use prometheus::Registry;
use serde_json::json;

use crate::administration::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::keys::Keys;
use crate::config::{Config, Listener};
use crate::crypto::NoRandom;
use crate::doctor::Practice;
use crate::gateway::admission::Admission;
use crate::gateway::admission::budget::Budget;
use crate::gateway::admission::intake::Intake;
use crate::gateway::route::{Route, Routes, key_sessions};
use crate::gateway::upstream::{UnusableUpstream, Upstream};
use crate::keyring::Keyring;
use crate::operations::{Obstacle, Readiness};
use crate::quota::{Addresses, Quotas};
use crate::replay::{Marker, Memory, Opening, StateFolder};
use crate::roll::{Chains, Event, Kill, Roll};
use crate::serve::{Connections, Drain, Settings, Tls, TlsFaults};
use crate::store::ledger::Ledger;
use crate::telemetry::connections::ConnectionMetrics;
use crate::telemetry::{GateMetrics, Level, Log, Sampling, Uses};

use super::inbox::{InboxOnDemand, Said};
use super::keys::Managed;
use super::keys::rolling::Events;
use super::ledger::LedgerOnDemand;
use super::plain::InClear;
use super::reload::{Fixed, Source};
use super::upstreams::Attendant;
use super::{Options, Past, Rolling, StartFault};

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
    pub(super) stale: Arc<AtomicBool>,
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
    told: Mutex<Vec<Obstacle>>,
    ended: (Mutex<bool>, Condvar),
}

/// What outlives every reload.
pub(super) struct Kept {
    pub(super) memory: Arc<Memory>,
    pub(super) quotas: Quotas,
    pub(super) addresses: Arc<Addresses>,
    pub(super) budget: Arc<Budget>,
    pub(super) practice: Arc<Practice>,
    pub(super) roll: Arc<Roll>,
    pub(super) ledger: LedgerOnDemand,
    pub(super) inbox: InboxOnDemand,
    pub(super) upstreams: Mutex<Vec<Arc<Upstream>>>,
    pub(super) attendant: Attendant,
    pub(super) started: Instant,
    longest_window_seconds: AtomicU64,
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
        let tls = listener_tls(&config, wall_millis)?;
        let operations_tls = Tls::load(&config.operations.certificates, wall_millis)?;
        let dropped = metrics.log_lines_dropped.clone();
        let log = Log::open(config.log.format, options.log, clock.clone(), dropped)?;
        let (memory, state) = open_memory(&config, &clock, &log, options.past, folder)?;
        let (events, folder) = (Events::default(), state.as_ref());
        let roll = roll(options.rolling, events.clone(), &clock, &log, &metrics);
        let kept = Kept::new(&config, memory, folder, roll, &metrics)?;
        let state = state.map(|folder| marked(folder, &kept.memory, &clock)).transpose()?;
        let (drain, stale) = (Drain::new(), Arc::new(AtomicBool::new(false)));
        let memory = Arc::clone(&kept.memory);
        let readiness = Readiness::new(clock.clone(), memory, drain.clone(), Arc::clone(&stale));
        let settings = Arc::new(ArcSwap::from_pointee(settings(&config.listener)));
        let in_clear = InClear::new(&config.listener);
        let connections = Connections::new(config.listener.connections.clone());
        let (access_log, sampling) = (config.log.access, config.log.sampling);
        let admin = config.operations.admin;
        let (keys, catalogue) = (config.keys.clone(), Arc::clone(&config.catalogue));
        let (upstreams, keyring) = (kept.upstreams(&config, &metrics)?, kept.keyring(&mut config)?);
        kept.attendant.start_for(&upstreams)?;
        let keyring = Arc::new(ArcSwap::from_pointee(keyring));
        let ledger = kept.ledger.serve(&config, &clock, &metrics)?;
        let said = Said::take(&mut config);
        let admission = kept.admission(config, upstreams, &keyring, &clock, &metrics, ledger);
        let parts = Self {
            admission: Arc::new(ArcSwap::from_pointee(admission)),
            keyring,
            uses: Uses::default(),
            events,
            keys,
            catalogue: Mutex::new(catalogue),
            managed: Mutex::new(None),
            stale,
            clock,
            log,
            access_log,
            sampling,
            metrics,
            connection_metrics,
            operations_connection_metrics,
            tls: Arc::new(tls),
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
        parts.begin(said)?;
        Ok(parts)
    }

    /// What is done once all parts are there.
    fn begin(&self, said: Said) -> Result<(), StartFault> {
        let journal = self.journal_for(&said)?;
        self.install_inbox(said, journal);
        self.note_applied();
        self.tell_observing();
        Ok(())
    }

    /// Once a second: settles the clock, forgets old claims, tells of obstacles.
    pub(super) fn do_chores(&self) {
        self.clock.tick();
        let longest = Duration::from_secs(self.kept.longest_window_seconds.load(Ordering::Relaxed));
        self.kept.memory.sweep(self.clock.now(), longest);
        self.tell_obstacles();
        self.tell_upstreams();
        self.kept.ledger.tell(&self.log);
        self.kept.inbox.tell(&self.log);
        self.tell_refused_clients();
    }

    /// Logs clients that were refused for their certificates, one line for each reason.
    fn tell_refused_clients(&self) {
        for refused in self.connection_metrics.refused_clients() {
            let fields = json!({
                "reason": refused.fault.as_str(),
                "count": refused.count,
                "last_peer": refused.last.to_string(),
            });
            self.log.event(Level::Warn, "client_certificate_refused", fields);
        }
    }

    /// Forgets chains of rolling keys that nobody can present any more.
    pub(super) fn sweep_chains(&self) {
        self.kept.roll.chains.sweep(self.clock.now());
    }

    /// Logs what is in the way of readiness, once when it begins and once when it ends. A drain has
    /// an event of its own.
    fn tell_obstacles(&self) {
        let mut obstacles = self.readiness.obstacles();
        obstacles.retain(|obstacle| *obstacle != Obstacle::Draining);
        let mut told = lock(&self.told);
        if *told == obstacles {
            return;
        }
        let names: Vec<_> = obstacles.iter().map(|obstacle| obstacle.as_str()).collect();
        let mut fields = json!({ "obstacles": names });
        if obstacles.contains(&Obstacle::MarkOverdue)
            && let Some(fields) = fields.as_object_mut()
        {
            fields.insert("cause".into(), json!(self.kept.memory.mark_fault()));
        }
        match names.is_empty() {
            true => self.log.event(Level::Info, "ready", json!({})),
            false => self.log.event(Level::Warn, "not_ready", fields),
        }
        *told = obstacles;
    }

    /// Brings the gauges up to date that nobody counts along.
    pub(super) fn refresh_gauges(&self) {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        let usage = self.kept.memory.usage();
        metrics.replay_entries.set(gauge(usage.entries));
        metrics.replay_capacity.set(gauge(usage.capacity));
        let forgotten = self.kept.memory.forgotten().map_or(0, |stamp| stamp.secs());
        metrics.replay_forgotten.set(i64::try_from(forgotten).unwrap_or(i64::MAX));
        metrics.body_bytes.set(gauge(self.kept.budget.held()));
        self.kept.ledger.refresh_gauges(metrics);
        self.refresh_upstreams();
        self.refresh_observing();
        self.kept.inbox.refresh_gauges(&metrics.inbox, self.clock.now_millis());
        let ahead = i128::from(self.clock.now_millis()) - i128::from(self.clock.wall_millis());
        metrics.clock_offset.set(i64::try_from(ahead).unwrap_or(i64::MAX));
        let obstacles = self.readiness.obstacles();
        for obstacle in Obstacle::ALL {
            let holds = i64::from(obstacles.contains(&obstacle));
            metrics.not_ready.with_label_values(&[obstacle.as_str()]).set(holds);
        }
    }

    /// Says what is in force now.
    pub(super) fn note_applied(&self) {
        let credentials = i64::try_from(self.keyring.load().len()).unwrap_or(i64::MAX);
        self.metrics.credentials.set(credentials);
        let now = i64::try_from(self.clock.wall_millis() / 1000).unwrap_or(i64::MAX);
        self.metrics.configured_at.set(now);
        let own = [self.tls.expiries(), self.operations_tls.expiries()].concat();
        let expiries = own.iter().map(|expiry| (expiry.name.as_str(), expiry.seconds));
        self.connection_metrics.set_certificates(expiries);
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

impl Kept {
    fn new(
        config: &Config,
        memory: Memory,
        folder: Option<&StateFolder>,
        roll: Roll,
        metrics: &GateMetrics,
    ) -> Result<Self, StartFault> {
        Ok(Self {
            memory: Arc::new(memory),
            quotas: Quotas::default(),
            addresses: Arc::new(Addresses::new(Addresses::ENTRIES, config.listener.failures)?),
            budget: Budget::new(config.listener.unverified_bytes_max.get()),
            practice: Arc::new(Practice::new(&metrics.mistakes)),
            roll: Arc::new(roll),
            ledger: LedgerOnDemand::new(folder.map(|folder| folder.path().to_owned())),
            inbox: InboxOnDemand::new(folder.map(|folder| folder.path().to_owned())),
            upstreams: Mutex::new(Vec::new()),
            attendant: Attendant::default(),
            started: Instant::now(),
            longest_window_seconds: AtomicU64::new(0),
        })
    }

    /// The keys that configuration states. Takes them out of it.
    pub(super) fn keyring(&self, config: &mut Config) -> Result<Keyring, NoRandom> {
        let merchants = std::mem::take(&mut config.merchants);
        Keyring::build(merchants, &self.memory, &self.quotas)
    }

    /// Builds the snapshot that requests are admitted by. Nothing here can fail.
    pub(super) fn admission(
        &self,
        config: Config,
        upstreams: Vec<Arc<Upstream>>,
        keyring: &Arc<ArcSwap<Keyring>>,
        clock: &Clock,
        metrics: &GateMetrics,
        ledger: Option<Arc<Ledger>>,
    ) -> Admission {
        let longest = config.routes.iter().map(|route| route.window.past.as_secs()).max();
        let mut routes = Vec::new();
        for spec in key_sessions(&config.routes) {
            let metrics = metrics.route(&spec.name);
            routes.push(Arc::new(Route { spec, upstream: None, metrics, ledger: None }));
        }
        for spec in config.routes {
            // Configuration names only upstreams that it defines.
            let named = upstreams.iter().find(|upstream| upstream.spec.name == spec.upstream);
            if let Some(upstream) = named.map(Arc::clone) {
                let metrics = metrics.route(&spec.name);
                let ledger = ledger.clone().filter(|_| spec.needs_ledger());
                let upstream = Some(upstream);
                routes.push(Arc::new(Route { spec, upstream, metrics, ledger }));
            }
        }
        self.attendant.serve(&upstreams);
        *lock(&self.upstreams) = upstreams;
        // Raised before the wider window is in force: what it can still ask for is not dropped.
        self.longest_window_seconds.store(longest.unwrap_or(0), Ordering::Relaxed);
        Admission {
            clock: clock.clone(),
            intake: Intake::new(config.listener.head, Arc::clone(&self.addresses), self.started),
            routes: Routes::new(routes),
            keyring: Arc::clone(keyring),
            memory: Arc::clone(&self.memory),
            addresses: Arc::clone(&self.addresses),
            budget: Arc::clone(&self.budget),
            practice: Arc::clone(&self.practice),
            roll: Arc::clone(&self.roll),
            body: config.listener.body,
            bindings: config.listener.bindings,
        }
    }

    /// Upstreams that stay as they are keep their connections.
    pub(super) fn upstreams(
        &self,
        config: &Config,
        metrics: &GateMetrics,
    ) -> Result<Vec<Arc<Upstream>>, UnusableUpstream> {
        let known = lock(&self.upstreams);
        let specs = config.upstreams.iter();
        specs
            .map(|spec| {
                let before = known.iter().find(|upstream| upstream.spec.name == spec.name);
                if let Some(same) = before.filter(|upstream| upstream.spec == *spec) {
                    return Ok(Arc::clone(same));
                }
                let before = before.map(|before| &**before);
                Upstream::new(spec.clone(), metrics.upstream(&spec.name), before).map(Arc::new)
            })
            .collect()
    }
}

/// Certificates of the listener, and what its clients are checked by.
pub(super) fn listener_tls(config: &Config, wall_millis: u64) -> Result<Tls, TlsFaults> {
    let listener = &config.listener;
    Tls::load_asking(&listener.certificates, listener.client_certificates.as_ref(), wall_millis)
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

/// Rolling keys: what is known of them, and who is told.
fn roll(rolling: Rolling, events: Events, clock: &Clock, log: &Log, metrics: &GateMetrics) -> Roll {
    let chains = Chains::new(clock.now_millis());
    rolling.killed.iter().for_each(|kill| chains.kill(kill));
    let (log, counters, told) = (log.clone(), metrics.keys.rolling.clone(), rolling.told);
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
        if let Some(told) = &told {
            told(event);
        }
    };
    Roll::new(rolling.epochs, chains, Box::new(tell))
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
