//! What must not share a core with requests: the operations listener, the once-a-second chores, and
//! watching files for changes.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;

use crate::console::{Console, Counters};
use crate::limit::{ConnectionDeadlines, ConnectionLimits, HeadLimits, Http2Limits, MinimumPace};
use crate::operations::Operations;
use crate::serve::{Connections, Door, Drain, Listening, Origins, Settings, run};
use crate::telemetry::Level;

use super::StartFault;
use super::assembly::{Parts, lock};
use super::worker::runtime;

/// How often the chores are done.
const SECOND: Duration = Duration::from_secs(1);
/// Every how many chores the watched files are read for changes.
const SECONDS_BETWEEN_LOOKS: u32 = 2;
/// Every how many chores chains of rolling keys are looked through for those that have ended.
const SECONDS_BETWEEN_SWEEPS: u32 = 10;
/// Every how many chores a refused configuration is tried again.
const SECONDS_BETWEEN_RETRIES: u32 = 10;

/// Starts the thread of the operations listener.
pub(super) fn spawn_operations(
    socket: Listening,
    parts: Arc<Parts>,
    drain: Drain,
) -> Result<JoinHandle<()>, StartFault> {
    let thread = std::thread::Builder::new().name("operations".into());
    let handle = thread.spawn(move || {
        let served = runtime().and_then(|runtime| runtime.block_on(serve(socket, &parts, drain)));
        if let Err(error) = served {
            let cause = json!({ "cause": error.to_string() });
            parts.log.event(Level::Error, "operations_listener_ended", cause);
        }
    })?;
    Ok(handle)
}

async fn serve(socket: Listening, parts: &Arc<Parts>, drain: Drain) -> std::io::Result<usize> {
    let own = Arc::clone(parts);
    let refresh = Box::new(move || own.refresh_gauges());
    let registry = parts.metrics.registry.clone();
    let practice = Arc::clone(&parts.kept.practice);
    let console = if parts.admin { Some(console(parts)?) } else { None };
    let handler = Operations::new(registry, parts.readiness.clone(), practice, refresh, console);
    let limits = ConnectionLimits {
        total: NonZeroUsize::MIN.saturating_add(255),
        per_address: NonZeroUsize::MIN.saturating_add(63),
        ..ConnectionLimits::default()
    };
    let settings = Settings {
        deadlines: ConnectionDeadlines::default(),
        pace: MinimumPace::default(),
        head: HeadLimits::default(),
        http2: Http2Limits::default(),
        requests_max: limits.requests,
        origins: Origins::default(),
    };
    let door = Door {
        tls: Arc::clone(&parts.operations_tls),
        connections: Connections::new(limits),
        settings: Arc::new(ArcSwap::from_pointee(settings)),
        metrics: Arc::clone(&parts.operations_connection_metrics),
        handler: Rc::new(handler),
        drain,
    };
    run(socket, door).await
}

/// The admin API, over the store as soon as there is one.
fn console(parts: &Arc<Parts>) -> std::io::Result<Console> {
    let own = Arc::clone(parts);
    let office = move || {
        let managed = lock(&own.managed).clone()?;
        Some(own.office(&managed))
    };
    let counters = Counters {
        calls: parts.metrics.admin_requests.clone(),
        store_failures: parts.metrics.keys.failures.clone(),
    };
    Console::new(Box::new(office), parts.clock.clone(), parts.log.clone(), counters)
}

/// Starts the thread that does the chores until the gate ends.
pub(super) fn spawn_chores(parts: Arc<Parts>) -> Result<JoinHandle<()>, StartFault> {
    let thread = std::thread::Builder::new().name("chores".into());
    let handle = thread.spawn(move || {
        let mut seconds = 0_u32;
        while !parts.has_ended_after(SECOND) {
            seconds = seconds.wrapping_add(1);
            parts.do_chores();
            if seconds.is_multiple_of(SECONDS_BETWEEN_LOOKS) {
                parts.reload_if_changed();
            }
            if seconds.is_multiple_of(SECONDS_BETWEEN_SWEEPS) {
                parts.sweep_chains();
            }
            if seconds.is_multiple_of(SECONDS_BETWEEN_RETRIES) {
                parts.retry_refused();
            }
        }
    })?;
    Ok(handle)
}
