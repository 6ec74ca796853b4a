//! What outlives every reload: memory, counts, connections to services. A reload builds what is new
//! around it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::NoRandom;
use crate::doctor::Practice;
use crate::gateway::admission::Admission;
use crate::gateway::admission::budget::Budget;
use crate::gateway::admission::intake::Intake;
use crate::gateway::route::{Route, Routes, key_sessions};
use crate::gateway::upstream::{UnusableUpstream, Upstream};
use crate::keyring::Keyring;
use crate::quota::{Addresses, Quotas};
use crate::replay::{Memory, StateFolder};
use crate::roll::Roll;
use crate::serve::Proofs;
use crate::store::ledger::Ledger;
use crate::telemetry::GateMetrics;

use super::StartFault;
use super::acme::AcmeOnDemand;
use super::assembly::lock;
use super::inbox::InboxOnDemand;
use super::ledger::LedgerOnDemand;
use super::otlp::Exporting;
use super::upstreams::Attendant;

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
    /// Where spans of requests go; none: nowhere.
    pub(super) exporting: Option<Exporting>,
    pub(super) acme: AcmeOnDemand,
    pub(super) upstreams: Mutex<Vec<Arc<Upstream>>>,
    pub(super) attendant: Attendant,
    pub(super) started: Instant,
    pub(super) longest_window_seconds: AtomicU64,
}

impl Kept {
    pub(super) fn new(
        config: &Config,
        memory: Memory,
        folder: Option<&StateFolder>,
        roll: Roll,
        proofs: &Arc<Proofs>,
        exporting: Option<Exporting>,
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
            exporting,
            acme: AcmeOnDemand::new(folder.map(|folder| folder.path().to_owned()), proofs),
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
