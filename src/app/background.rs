//! A thread beside the cores that does one thing until it is told to stop, and begins anew where a
//! defect ends it.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Level, Log};

use super::assembly::Parts;
use super::worker::runtime;

/// How long one may take to end its calls.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one that rests looks whether it is told to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What a thread is called, and what the log says of it.
pub(super) struct Called {
    pub(super) name: &'static str,
    /// The event of one that ended unasked.
    pub(super) ended: &'static str,
    /// The event of one that did not end in time, and is left behind.
    pub(super) left: &'static str,
    /// How long one that ended unasked is let alone before it begins anew.
    pub(super) pause: Duration,
}

/// A thread at work. Dropped, it is told to end, and not waited for.
pub(super) struct Background {
    called: &'static Called,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Background {
    /// Starts one. `work` is called for each beginning, and its future ends when it is told to.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn start<F: Future<Output = ()>>(
        called: &'static Called,
        parts: &Parts,
        work: impl Fn(CancellationToken) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, (tell, ended)) = (CancellationToken::new(), mpsc::channel());
        let (own, panics, log) = (stop.clone(), parts.metrics.panics.clone(), parts.log.clone());
        // One that is left behind still writes: the next gate must not begin before it is gone.
        let folder = parts.folder();
        let thread = std::thread::Builder::new().name(called.name.into()).spawn(move || {
            let _folder = folder;
            while !own.is_cancelled() {
                let run = || runtime().map(|runtime| runtime.block_on(work(own.clone())));
                let cause = match std::panic::catch_unwind(AssertUnwindSafe(run)) {
                    Ok(Ok(())) => "it ended unasked".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => {
                        panics.inc();
                        "a panic".to_owned()
                    }
                };
                if !own.is_cancelled() {
                    log.event(Level::Error, called.ended, json!({ "cause": cause }));
                    rest(&own, called.pause);
                }
            }
            // Nobody to tell is nobody to wait for.
            let _ = tell.send(());
        })?;
        Ok(Self { called, stop, thread: Some(thread), ended })
    }

    /// Ends it, and waits for it as long as it may take.
    pub(super) fn stop(mut self, log: &Log) {
        self.stop.cancel();
        match self.ended.recv_timeout(PATIENCE) {
            // A thread that panicked has nothing left to do.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                drop(self.thread.take().map(JoinHandle::join));
            }
            Err(RecvTimeoutError::Timeout) => {
                log.event(Level::Warn, self.called.left, json!({}));
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Lets a while go by, or less where it is told to stop.
fn rest(stop: &CancellationToken, pause: Duration) {
    let begun = Instant::now();
    while !stop.is_cancelled() && begun.elapsed() < pause {
        std::thread::sleep(LOOK);
    }
}
