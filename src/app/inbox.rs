//! The inbox of a gate: its journal, opened when a source first asks for it, at the start or by a
//! reload, and kept until the end; and the thread of the courier. Where no source is configured, no
//! file is touched and no thread is started.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus::IntGauge;
use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::inbox::courier::Courier;
use crate::inbox::source::{Source, Sources};
use crate::inbox::{Inbox, Unsigned};
use crate::journal::{Journal, JournalFault, JournalLimits, State, Usage};
use crate::limit::{BodyDeadlines, HeadLimits};
use crate::telemetry::{InboxMetrics, Level, Log};

use super::assembly::{Parts, lock};
use super::background::{Background, Called};

/// What a courier had under way is done again at the next start. One that a defect ends must not
/// leave deliveries to lie for ever.
const COURIER: Called = Called {
    name: "courier",
    ended: "courier_ended",
    left: "courier_left",
    pause: Duration::from_secs(1),
};

/// The states that a delivery can be in, and whether one in it waits for an operator.
const STATES: [(State, &str, bool); 6] = [
    (State::Confirming, "confirming", false),
    (State::Delivering, "delivering", false),
    (State::Delivered, "delivered", false),
    (State::Disagreed, "disagreed", true),
    (State::Dead, "dead", true),
    (State::Held, "held", true),
];

/// The inbox, if a source asked for it.
pub(super) struct InboxOnDemand {
    /// The state folder; none: what is taken ends with the process.
    folder: Option<PathBuf>,
    journal: Mutex<Option<Arc<Journal>>>,
    /// What requests are taken by; none where no source is configured.
    current: Arc<ArcSwapOption<Inbox>>,
    /// What the courier goes by. The last ones stay in force for what was taken under them only as
    /// far as they are still configured.
    sources: Arc<ArcSwap<Sources>>,
    unsigned: Arc<Unsigned>,
    courier: Mutex<Option<Background>>,
    /// Destinations that have gauges.
    shown: Mutex<BTreeSet<String>>,
    /// Whether the log was told of a failure that has not ended.
    told: Mutex<bool>,
}

impl InboxOnDemand {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            journal: Mutex::new(None),
            current: Arc::default(),
            sources: Arc::default(),
            unsigned: Arc::default(),
            courier: Mutex::new(None),
            shown: Mutex::default(),
            told: Mutex::new(false),
        }
    }

    /// What requests are taken by, for the cores: replaced by each reload.
    pub(super) fn current(&self) -> Arc<ArcSwapOption<Inbox>> {
        Arc::clone(&self.current)
    }

    /// The journal for what a configuration says, opened where a source asks for it.
    fn serve(
        &self,
        said: &Said,
        clock: &Clock,
        metrics: &InboxMetrics,
    ) -> Result<Option<Arc<Journal>>, JournalFault> {
        let mut opened = lock(&self.journal);
        if said.sources.is_empty() {
            return Ok(None);
        }
        let journal = match &*opened {
            Some(journal) => Arc::clone(journal),
            None => {
                let (clock, metrics) = (clock.clone(), metrics.journal.clone());
                match &self.folder {
                    Some(folder) => Journal::open(folder, clock, metrics)?,
                    None => Journal::in_memory(clock, metrics)?,
                }
            }
        };
        *opened = Some(Arc::clone(&journal));
        Ok(Some(journal))
    }

    /// Puts sources in force. Nothing here can fail.
    fn install(&self, sources: &Arc<Sources>, inbox: Option<Inbox>, limits: JournalLimits) {
        // Of a journal without sources as well: what was taken before is kept as long as is said.
        if let Some(journal) = &*lock(&self.journal) {
            journal.set_limits(limits);
        }
        self.sources.store(Arc::clone(sources));
        self.current.store(inbox.map(Arc::new));
    }

    /// Logs that nothing can be kept, once when it begins and once when it ends.
    pub(super) fn tell(&self, log: &Log) {
        let fault = lock(&self.journal).as_ref().and_then(|journal| journal.fault());
        let mut told = lock(&self.told);
        match fault {
            Some(cause) if !*told => {
                log.event(Level::Error, "journal_failing", json!({ "cause": cause }));
                *told = true;
            }
            None if *told => {
                log.event(Level::Info, "journal_recovered", json!({}));
                *told = false;
            }
            _ => {}
        }
    }

    /// Ends the courier, and waits for it as long as it may take.
    pub(super) fn stop(&self, log: &Log) {
        let running = lock(&self.courier).take();
        running.into_iter().for_each(|courier| courier.stop(log));
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh_gauges(&self, metrics: &InboxMetrics, now_millis: u64) {
        let Some(journal) = lock(&self.journal).clone() else { return };
        // What the database says now it will say to the chores as well, and they log it.
        let Ok(usage) = journal.usage() else { return };
        metrics.journal.bytes.set(gauge(usage.bytes));
        metrics.journal.keys.set(gauge(usage.keys));
        let mut shown = lock(&self.shown);
        shown.extend(usage.deliveries.iter().map(|(name, ..)| name.clone()));
        let sources = self.sources.load();
        shown.extend(sources.iter().map(|source| source.destination.name.to_string()));
        let stopped = journal.stopped().unwrap_or_default();
        for name in &*shown {
            show(name, &usage, metrics, now_millis);
            let stuck = metrics.stuck.with_label_values(&[name, "stopped"]);
            stuck.set(i64::from(stopped.contains_key(name)));
        }
    }
}

/// The gauges of a destination. One that is empty shows 0, and not what it was.
fn show(name: &str, usage: &Usage, metrics: &InboxMetrics, now_millis: u64) {
    for (state, label, waits) in STATES {
        let own = usage.deliveries.iter().filter(|(own, at, _)| own == name && *at == state);
        let count = gauge(own.map(|(.., count)| count).sum());
        metrics.deliveries.with_label_values(&[name, label]).set(count);
        if waits {
            metrics.stuck.with_label_values(&[name, label]).set(count);
        }
    }
    let oldest = usage.oldest_open_millis.iter().find(|(own, _)| own == name);
    let age = oldest.map_or(0, |(_, came)| now_millis.saturating_sub(*came) / 1000);
    let oldest: IntGauge = metrics.oldest.with_label_values(&[name]);
    oldest.set(gauge(age));
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a configuration says of webhooks.
pub(super) struct Said {
    sources: Vec<Source>,
    limits: JournalLimits,
    head: HeadLimits,
    body: BodyDeadlines,
}

impl Said {
    /// Takes the sources out of a configuration.
    pub(super) fn take(config: &mut Config) -> Self {
        let (head, body) = (config.listener.head, config.listener.body);
        Self { sources: std::mem::take(&mut config.sources), limits: config.inbox, head, body }
    }
}

impl Parts {
    /// The journal for what a configuration says; none where it has no sources.
    pub(super) fn journal_for(&self, said: &Said) -> Result<Option<Arc<Journal>>, JournalFault> {
        self.kept.inbox.serve(said, &self.clock, &self.metrics.inbox)
    }

    /// Puts what a configuration says in force. Nothing here can fail.
    pub(super) fn install_inbox(&self, said: Said, journal: Option<Arc<Journal>>) {
        for source in said.sources.iter().filter(|source| source.confirm.is_some()) {
            self.metrics.inbox.begin_confirming(&source.name);
        }
        let sources = Arc::new(Sources::new(said.sources));
        let kept = &self.kept;
        let inbox = journal.map(|journal| Inbox {
            sources: Arc::clone(&sources),
            keyring: Arc::clone(&self.keyring),
            journal,
            clock: self.clock.clone(),
            budget: Arc::clone(&kept.budget),
            addresses: Arc::clone(&kept.addresses),
            head: said.head,
            body: said.body,
            started: kept.started,
            log: self.log.clone(),
            access_log: self.access_log,
            metrics: self.metrics.inbox.clone(),
            uses: self.uses.clone(),
            unsigned: Arc::clone(&kept.inbox.unsigned),
            panics: self.metrics.panics.clone(),
        });
        kept.inbox.install(&sources, inbox, said.limits);
    }

    /// Starts the courier where there is a journal and none is at work.
    pub(super) fn start_courier(&self) -> io::Result<()> {
        let inbox = &self.kept.inbox;
        let mut running = lock(&inbox.courier);
        let Some(journal) = lock(&inbox.journal).clone().filter(|_| running.is_none()) else {
            return Ok(());
        };
        let (sources, keyring) = (Arc::clone(&inbox.sources), Arc::clone(&self.keyring));
        let (clock, log) = (self.clock.clone(), self.log.clone());
        let metrics = self.metrics.inbox.clone();
        let courier = Background::start(&COURIER, self, move |stop| {
            let courier = Courier {
                journal: Arc::clone(&journal),
                sources: Arc::clone(&sources),
                keyring: Arc::clone(&keyring),
                clock: clock.clone(),
                log: log.clone(),
                metrics: metrics.clone(),
            };
            courier.run(stop)
        })?;
        *running = Some(courier);
        Ok(())
    }
}
