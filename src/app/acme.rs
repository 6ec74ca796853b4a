//! The certificates of the listener that an authority issues: what is known of them, kept for all
//! reloads, and the thread that orders them. Where nothing is ordered, no file is touched and no
//! thread is started.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::acme::{Answers, Challenge, Change, Keeper, Shelf, Spec, Vault};
use crate::clock::Clock;
use crate::serve::Proofs;
use crate::telemetry::Log;

use super::assembly::{Parts, lock};
use super::background::{Background, Called};

/// A keeper that a defect ends must not leave certificates to run out.
const KEEPER: Called =
    Called { name: "acme", ended: "acme_ended", left: "acme_left", pause: Duration::from_secs(60) };

/// Certificates that an authority issues, if configuration asks for any.
pub(super) struct AcmeOnDemand {
    /// The state folder; none: what is issued ends with the process.
    folder: Option<PathBuf>,
    shelf: Arc<Shelf>,
    /// What authorities are shown.
    pub(super) answers: Arc<Answers>,
    keeper: Mutex<Option<Background>>,
}

impl AcmeOnDemand {
    pub(super) fn new(folder: Option<PathBuf>, proofs: &Arc<Proofs>) -> Self {
        Self {
            folder,
            shelf: Arc::default(),
            answers: Arc::new(Answers::new(Arc::clone(proofs))),
            keeper: Mutex::new(None),
        }
    }

    /// Makes what configuration says ready to be put in force.
    pub(super) fn prepare(&self, spec: Option<&Spec>, clock: &Clock, log: &Log) -> Change<'_> {
        let directory = spec.map_or("", |spec| &spec.directory);
        let vault = Vault::of(self.folder.as_deref().filter(|_| spec.is_some()), directory);
        self.shelf.prepare(spec, &vault, clock, log)
    }

    /// Whether certificates are ordered as things are.
    pub(super) fn is_in_force(&self) -> bool {
        !self.shelf.standings().is_empty()
    }

    /// Says how authorities may ask, if at all.
    pub(super) fn answer_by(&self, challenge: Option<Challenge>) {
        self.answers.expect_in_clear(challenge == Some(Challenge::Http01));
    }

    /// Ends the keeper, and waits for it as long as it may take.
    pub(super) fn stop(&self, log: &Log) {
        let running = lock(&self.keeper).take();
        running.into_iter().for_each(|keeper| keeper.stop(log));
    }
}

impl Parts {
    /// Starts the keeper where a certificate is to be ordered and none is at work.
    pub(super) fn start_keeper(&self, is_needed: bool) -> io::Result<()> {
        let acme = &self.kept.acme;
        let mut running = lock(&acme.keeper);
        if !is_needed || running.is_some() {
            return Ok(());
        }
        let (shelf, answers) = (Arc::clone(&acme.shelf), Arc::clone(&acme.answers));
        let (tls, clock, log) = (Arc::clone(&self.tls), self.clock.clone(), self.log.clone());
        let (metrics, state) = (self.metrics.acme.clone(), acme.folder.clone());
        let keeper = Background::start(&KEEPER, self, move |stop| {
            let state = state.clone();
            let keeper = Keeper {
                shelf: Arc::clone(&shelf),
                tls: Arc::clone(&tls),
                answers: Arc::clone(&answers),
                vault: Box::new(move |directory| Vault::of(state.as_deref(), directory)),
                clock: clock.clone(),
                log: log.clone(),
                metrics: metrics.clone(),
            };
            async move { keeper.run(stop).await }
        })?;
        *running = Some(keeper);
        Ok(())
    }

    /// Brings the gauges of ordered certificates up to date.
    pub(super) fn refresh_acme(&self) {
        let standings = self.kept.acme.shelf.standings();
        let all = standings.iter().map(|one| (&*one.name, one.next_attempt, one.has_certificate));
        self.metrics.acme.show(all);
    }
}
