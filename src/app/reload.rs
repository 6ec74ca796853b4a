//! Reload: a whole new snapshot or no change at all.
//!
//! Everything is read, checked and built before anything is replaced. What cannot change while the
//! gate runs is refused by name.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::config::keys::Keys;
use crate::config::{Config, Faults, Log, Replay};
use crate::crypto::{Bytes32, DigestInProgress};
use crate::limit::Rate;
use crate::serve::{Tls, TlsFaults};
use crate::telemetry::Level;

use super::assembly::{Parts, listener_tls, lock, settings};
use super::inbox::Said;
use super::keys::with_names;
use super::plain;

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadFault {
    /// The gate was started without a file.
    #[error("the gate was started without a configuration file")]
    NoSource,
    /// Configuration has mistakes.
    #[error("{0}")]
    Config(#[from] Faults),
    /// Certificates cannot be used.
    #[error("certificates cannot be used:\n{0}")]
    Tls(#[from] TlsFaults),
    /// These settings cannot change while the gate runs.
    #[error("these settings need a restart: {}", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// An upstream cannot be used, or there are no random bytes.
    #[error("{0}")]
    Unusable(String),
}

/// Where configuration comes from, and what it looked like the last time.
pub(super) struct Source {
    path: Option<PathBuf>,
    fixed: Fixed,
    watched: Vec<PathBuf>,
    seen: Bytes32,
    /// Why the newest configuration was refused, as the log was told.
    refused: Option<String>,
}

/// What cannot change while the gate runs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fixed {
    address: SocketAddr,
    redirect: Option<SocketAddr>,
    operations: SocketAddr,
    admin: bool,
    workers: NonZeroUsize,
    state: PathBuf,
    replay: Replay,
    unverified_bytes_max: NonZeroUsize,
    failures: Rate,
    log: Log,
    /// How many requests' spans may wait; none: none are exported.
    spans_max: Option<NonZeroUsize>,
    keys: Keys,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            address: config.listener.address,
            redirect: config.listener.redirect,
            operations: config.operations.address,
            admin: config.operations.admin,
            workers: config.workers,
            state: config.state.clone(),
            replay: config.replay,
            unverified_bytes_max: config.listener.unverified_bytes_max,
            failures: config.listener.failures,
            log: config.log,
            spans_max: config.otlp.as_ref().map(|export| export.queue),
            keys: config.keys.clone(),
        }
    }

    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let exporting = self.spans_max.is_some() && new.spans_max.is_some();
        let all = [
            (self.address != new.address, "listener.address"),
            (self.redirect != new.redirect, "listener.redirect"),
            (self.operations != new.operations, "operations.address"),
            (self.admin != new.admin, "operations.admin"),
            (self.workers != new.workers, "workers"),
            (self.state != new.state, "state"),
            (self.replay != new.replay, "replay.memory"),
            (self.unverified_bytes_max != new.unverified_bytes_max, "listener.limits.unverified"),
            (self.failures != new.failures, "listener.failures"),
            (self.log != new.log, "log"),
            (self.spans_max.is_some() != new.spans_max.is_some(), "otlp"),
            (exporting && self.spans_max != new.spans_max, "otlp.queue"),
            (self.keys != new.keys, "keys"),
        ];
        all.into_iter().filter_map(|(changed, name)| changed.then_some(name)).collect()
    }
}

impl Source {
    pub(super) fn new(path: Option<PathBuf>, fixed: Fixed, watched: &[PathBuf]) -> Self {
        let (watched, seen) = (watched.to_vec(), look_of(watched));
        Self { path, fixed, watched, seen, refused: None }
    }
}

/// A digest of the contents of files; one that cannot be read counts as such.
fn look_of(files: &[PathBuf]) -> Bytes32 {
    let mut digest = DigestInProgress::default();
    for file in files {
        match std::fs::read(file).map(zeroize::Zeroizing::new) {
            Ok(content) => digest.update(&crate::crypto::sha256(&content)),
            Err(_) => digest.update(b"unreadable"),
        }
    }
    digest.finish()
}

impl Parts {
    /// Reads everything anew and applies all of it or nothing, says which, and counts it.
    pub(super) fn reload(&self) -> Result<(), ReloadFault> {
        let mut source = lock(&self.source);
        let outcome = self.apply(&mut source);
        self.tell(&mut source, &outcome);
        outcome
    }

    fn tell(&self, source: &mut Source, outcome: &Result<(), ReloadFault>) {
        let result = if outcome.is_ok() { "applied" } else { "refused" };
        self.metrics.reloads.with_label_values(&[result]).inc();
        source.refused = outcome.as_ref().err().map(ToString::to_string);
        match &source.refused {
            None => self.log.event(Level::Info, "reload_applied", json!({})),
            Some(why) => self.log.event(Level::Error, "reload_refused", json!({ "faults": why })),
        }
    }

    /// Tries again what was refused. A file that only the refused configuration names is not
    /// watched, and its coming shows in no other way. Nothing is said of a refusal for the same
    /// reasons.
    pub(super) fn retry_refused(&self) {
        let mut source = lock(&self.source);
        let Some(told) = source.refused.clone() else { return };
        let outcome = self.apply(&mut source);
        if !outcome.as_ref().is_err_and(|fault| fault.to_string() == told) {
            self.tell(&mut source, &outcome);
        }
    }

    /// Reloads when a watched file looks different from the last time.
    pub(super) fn reload_if_changed(&self) {
        let changed = {
            let source = lock(&self.source);
            source.path.is_some() && look_of(&source.watched) != source.seen
        };
        if changed {
            // The outcome is in the log and in the metrics.
            drop(self.reload());
        }
    }

    fn apply(&self, source: &mut Source) -> Result<(), ReloadFault> {
        let path: &Path = source.path.as_deref().ok_or(ReloadFault::NoSource)?;
        // Noted before reading: a file that changes in between looks different the next time.
        source.seen = look_of(&source.watched);
        let (mut config, _) = Config::load(path)?;
        if config.watched != source.watched {
            // New files were read before they were looked at, so everything is read once more.
            source.watched.clone_from(&config.watched);
            source.seen = look_of(&source.watched);
            (config, _) = Config::load(path)?;
        }
        let changed = source.fixed.changed(&Fixed::of(&config));
        if !changed.is_empty() {
            return Err(ReloadFault::NeedsRestart(changed));
        }
        let wall_millis = self.clock.wall_millis();
        let tls = listener_tls(&config, wall_millis)?;
        let operations_tls = Tls::load(&config.operations.certificates, wall_millis)?;
        let (settings, connections) =
            (settings(&config.listener), config.listener.connections.clone());
        let plain_settings = plain::settings(&config.listener);
        let unusable = |fault: &dyn std::error::Error| ReloadFault::Unusable(fault.to_string());
        let upstreams =
            self.kept.upstreams(&config, &self.metrics).map_err(|fault| unusable(&fault))?;
        self.kept.attendant.start_for(&upstreams).map_err(|fault| unusable(&fault))?;
        let catalogue = Arc::clone(&config.catalogue);
        let mut keyring = self.kept.keyring(&mut config).map_err(|fault| unusable(&fault))?;
        // Held until the new keyring is in force: who follows the store must not look in between.
        let mut named = lock(&self.catalogue);
        let mut suspended = Some(Vec::new());
        if let Some(managed) = &*lock(&self.managed) {
            let named = with_names(&catalogue, &keyring);
            let mut look = managed.everything(&named).map_err(|fault| unusable(&fault))?;
            self.tell_refused(&look);
            suspended = look.take_suspended();
            keyring = self.keyring_with(&keyring, look).map_err(|fault| unusable(&fault))?;
        }
        let (own, clock, metrics) = (&self.keyring, &self.clock, &self.metrics);
        let ledger = self.kept.ledger.serve(&config, clock, metrics);
        let ledger = ledger.map_err(|fault| unusable(&fault))?;
        let said = Said::take(&mut config);
        let export = config.otlp.take();
        let journal = self.journal_for(&said).map_err(|fault| unusable(&fault))?;
        self.start_courier().map_err(|fault| unusable(&fault))?;
        let acme = config.listener.acme.take();
        self.start_keeper(acme.is_some()).map_err(|fault| unusable(&fault))?;
        // Held until it is in force, so that nothing that is issued meanwhile is lost.
        let ordered = self.kept.acme.prepare(acme.as_ref(), &self.clock, &self.log);
        tls.show_issued(&ordered.issued());
        // From here on nothing can fail. Keys first: what is revoked is of no use on new routes.
        let admission = self.kept.admission(config, upstreams, own, clock, metrics, ledger);
        self.keyring.store(Arc::new(keyring));
        *named = catalogue;
        self.forget_the_dead(suspended);
        self.admission.store(Arc::new(admission));
        self.install_inbox(said, journal);
        if let (Some(exporting), Some(export)) = (&self.kept.exporting, export) {
            exporting.replace(export);
        }
        self.tls.replace_with(tls);
        self.kept.acme.answer_by(acme.as_ref().map(|spec| spec.challenge));
        ordered.install();
        self.operations_tls.replace_with(operations_tls);
        self.settings.store(Arc::new(settings));
        self.in_clear.settings.store(Arc::new(plain_settings));
        self.connections.set_limits(connections);
        self.note_applied();
        self.tell_observing();
        Ok(())
    }
}
