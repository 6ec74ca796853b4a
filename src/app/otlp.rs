//! The export of spans beside the cores: a thread of its own, where configuration asks for it.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::json;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::otlp::{Collector, Export, Exporter};
use crate::telemetry::{GateMetrics, Level, Log, Spans};

use super::assembly::lock;
use super::worker::runtime;

/// What there is at least for the last spans, whatever the drain left.
const LAST_MIN: Duration = Duration::from_secs(1);
/// How much later than told an exporter may end, before it is left.
const GRACE: Duration = Duration::from_secs(1);

/// Spans on their way out.
pub(super) struct Exporting {
    spans: Arc<Spans>,
    collector: Arc<ArcSwap<Collector>>,
    stop: watch::Sender<Option<Instant>>,
    /// Told when it has ended; taken by whoever stops it.
    ended: Mutex<Option<Receiver<()>>>,
}

impl Exporting {
    /// Starts the thread, where something is to be exported.
    pub(super) fn start_if(
        export: Option<Export>,
        clock: &Clock,
        log: &Log,
        metrics: &GateMetrics,
    ) -> io::Result<Option<Self>> {
        export.map(|export| Self::start(export, clock, log, metrics)).transpose()
    }

    fn start(export: Export, clock: &Clock, log: &Log, metrics: &GateMetrics) -> io::Result<Self> {
        let Export { queue, rules, collector } = export;
        let spans = Arc::new(Spans::new(queue, rules, metrics.spans.clone()));
        let collector = Arc::new(ArcSwap::from_pointee(collector));
        let (stop, told) = watch::channel(None);
        let own = (Arc::clone(&spans), Arc::clone(&collector), clock.clone(), log.clone());
        let (tell, ended) = mpsc::channel();
        std::thread::Builder::new().name("spans".into()).spawn(move || {
            let (spans, collector, clock, log) = own;
            match runtime() {
                Ok(runtime) => {
                    let exporter = Exporter::new(spans, collector, clock, log, told);
                    runtime.block_on(exporter.run());
                    // Before a look-up of a name that takes its time is waited for.
                    let _ = tell.send(());
                }
                Err(error) => {
                    let cause = json!({ "cause": error.to_string() });
                    log.event(Level::Error, "span_export_failing", cause);
                }
            }
        })?;
        Ok(Self { spans, collector, stop, ended: Mutex::new(Some(ended)) })
    }

    /// Where the cores put spans.
    pub(super) fn spans(&self) -> Arc<Spans> {
        Arc::clone(&self.spans)
    }

    /// Goes by what a reload says. Nothing here can fail.
    pub(super) fn replace(&self, export: Export) {
        self.spans.set_rules(export.rules);
        self.collector.store(Arc::new(export.collector));
    }

    /// Exports what still waits, by a deadline, and ends.
    pub(super) fn stop(&self, deadline: Instant) {
        let Some(ended) = lock(&self.ended).take() else { return };
        let until = deadline.max(Instant::now() + LAST_MIN);
        // A thread that has ended needs no order.
        let _ = self.stop.send(Some(until));
        let patience = until.saturating_duration_since(Instant::now()) + GRACE;
        // Ended, or left: what it still does is nobody's loss.
        let _ = ended.recv_timeout(patience);
    }
}
