//! The certificates of the listener that an authority issues: what is known of them, kept for all
//! reloads, and the thread that orders them. Where nothing is ordered, no file is touched and no
//! thread is started.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::acme::{Answers, Challenge, Change, Keeper, Shelf, Spec, Vault};
use crate::clock::Clock;
use crate::serve::Proofs;
use crate::telemetry::{Level, Log};

use super::assembly::{Parts, lock};
use super::worker::runtime;

/// How long the keeper may take to end: it only has to leave a call.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a keeper that ended unasked is let alone before the next one begins.
const PAUSE: Duration = Duration::from_secs(60);

/// Certificates that an authority issues, if configuration asks for any.
pub(super) struct AcmeOnDemand {
    /// The state folder; none: what is issued ends with the process.
    folder: Option<PathBuf>,
    shelf: Arc<Shelf>,
    /// What authorities are shown.
    pub(super) answers: Arc<Answers>,
    keeper: Mutex<Option<Running>>,
}

/// A keeper at work. Dropped, it is told to end, and not waited for.
struct Running {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
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
        let Some(mut running) = lock(&self.keeper).take() else { return };
        running.stop.cancel();
        match running.ended.recv_timeout(PATIENCE) {
            // A thread that panicked has nothing left to do.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                drop(running.thread.take().map(JoinHandle::join));
            }
            Err(RecvTimeoutError::Timeout) => {
                log.event(Level::Warn, "acme_left", json!({}));
            }
        }
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
        let (stop, panics) = (CancellationToken::new(), self.metrics.panics.clone());
        let (shelf, answers) = (Arc::clone(&acme.shelf), Arc::clone(&acme.answers));
        let (tls, clock, log) = (Arc::clone(&self.tls), self.clock.clone(), self.log.clone());
        let (metrics, state) = (self.metrics.acme.clone(), acme.folder.clone());
        let (own, (tell, ended)) = (stop.clone(), mpsc::channel());
        // One that is left behind still writes: the next gate must not begin before it is gone.
        let folder = self.folder();
        let thread = std::thread::Builder::new().name("acme".into()).spawn(move || {
            let _folder = folder;
            while !own.is_cancelled() {
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
                // One that a defect ends must not leave certificates to run out.
                let run = AssertUnwindSafe(|| work(&keeper, &own));
                let cause = match std::panic::catch_unwind(run) {
                    Ok(Ok(())) => "it ended unasked".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => {
                        panics.inc();
                        "a panic".to_owned()
                    }
                };
                if !own.is_cancelled() {
                    log.event(Level::Error, "acme_ended", json!({ "cause": cause }));
                    rest(&own);
                }
            }
            // Nobody to tell is nobody to wait for.
            let _ = tell.send(());
        })?;
        *running = Some(Running { stop, thread: Some(thread), ended });
        Ok(())
    }

    /// Brings the gauges of ordered certificates up to date.
    pub(super) fn refresh_acme(&self) {
        let standings = self.kept.acme.shelf.standings();
        let all = standings.iter().map(|one| (&*one.name, one.next_attempt, one.has_certificate));
        self.metrics.acme.show(all);
    }
}

fn work(keeper: &Keeper, stop: &CancellationToken) -> io::Result<()> {
    runtime()?.block_on(keeper.run(stop.clone()));
    Ok(())
}

/// Lets a while go by, or less where it is told to stop.
fn rest(stop: &CancellationToken) {
    let begun = std::time::Instant::now();
    while !stop.is_cancelled() && begun.elapsed() < PAUSE {
        std::thread::sleep(Duration::from_millis(100));
    }
}
