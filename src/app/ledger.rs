//! The ledger of a gate: opened when a route first asks for it, at the start or by a reload, and
//! kept until the end. Where no route does, no file is touched.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::ledger::{Ledger, LedgerFault};
use crate::telemetry::{GateMetrics, Level, Log};

use super::assembly::lock;

/// The ledger, if it is open.
pub(super) struct LedgerOnDemand {
    /// The state folder; none: what is noted ends with the process.
    folder: Option<PathBuf>,
    opened: Mutex<Option<Arc<Ledger>>>,
    /// Whether the log was told of a failure that has not ended.
    told: Mutex<bool>,
}

impl LedgerOnDemand {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, opened: Mutex::new(None), told: Mutex::new(false) }
    }

    /// The ledger for a configuration; none where no route asks for it.
    pub(super) fn serve(
        &self,
        config: &Config,
        clock: &Clock,
        metrics: &GateMetrics,
    ) -> Result<Option<Arc<Ledger>>, LedgerFault> {
        if !config.routes.iter().any(|route| route.needs_ledger()) {
            return Ok(None);
        }
        let mut opened = lock(&self.opened);
        let ledger = match &*opened {
            Some(ledger) => Arc::clone(ledger),
            None => {
                let (clock, metrics) = (clock.clone(), metrics.ledger.clone());
                match &self.folder {
                    Some(folder) => Ledger::open(folder, clock, metrics)?,
                    None => Ledger::in_memory(clock, metrics)?,
                }
            }
        };
        ledger.set_limits(config.ledger);
        *opened = Some(Arc::clone(&ledger));
        Ok(Some(ledger))
    }

    /// Forgets what was signed by secrets that are no more: all but those that are given.
    pub(super) fn keep_only<'a>(&self, living: impl Iterator<Item = (&'a str, &'a [u8])>) {
        if let Some(ledger) = &*lock(&self.opened) {
            ledger.keep_only(living);
        }
    }

    /// Logs that nothing can be noted, once when it begins and once when it ends.
    pub(super) fn tell(&self, log: &Log) {
        let fault = lock(&self.opened).as_ref().and_then(|ledger| ledger.fault());
        let mut told = lock(&self.told);
        match fault {
            Some(cause) if !*told => {
                log.event(Level::Error, "ledger_failing", json!({ "cause": cause }));
                *told = true;
            }
            None if *told => {
                log.event(Level::Info, "ledger_recovered", json!({}));
                *told = false;
            }
            _ => {}
        }
    }

    /// Brings the gauges up to date.
    pub(super) fn refresh_gauges(&self, metrics: &GateMetrics) {
        let Some(usage) = lock(&self.opened).as_ref().map(|ledger| ledger.usage()) else { return };
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.ledger.orders.set(gauge(usage.orders));
        metrics.ledger.messages.set(gauge(usage.messages));
        metrics.ledger.fullest.set(gauge(usage.fullest));
        metrics.ledger.waiting.set(i64::try_from(usage.waiting).unwrap_or(i64::MAX));
    }
}
