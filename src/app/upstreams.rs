//! What is done for the addresses behind the gate beside the cores: somebody looks after them, and
//! gauges and the log tell of them.

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, Weak};

use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::gateway::upstream::Upstream;
use crate::telemetry::Level;

use super::assembly::{Parts, lock};
use super::worker::runtime;

/// The thread that looks after upstreams, from when the first one asks for it. It ends when nobody
/// can send it orders any more, and is not waited for: it keeps nothing.
#[derive(Default)]
pub(super) struct Attendant(Mutex<Option<UnboundedSender<Vec<Weak<Upstream>>>>>);

impl Attendant {
    /// Starts the thread where one of the upstreams asks for it.
    pub(super) fn start_for(&self, upstreams: &[Arc<Upstream>]) -> io::Result<()> {
        let mut sender = lock(&self.0);
        if sender.is_some() || !upstreams.iter().any(|one| one.needs_attendance()) {
            return Ok(());
        }
        let (orders, received) = unbounded_channel();
        let (ready, started) = sync_channel(1);
        let thread = std::thread::Builder::new().name("upstreams".into());
        thread.spawn(move || match runtime() {
            Ok(runtime) => {
                // Nobody to tell is nobody to wait for: the starter went away.
                drop(ready.send(Ok(())));
                runtime.block_on(Upstream::attend(received));
            }
            Err(error) => drop(ready.send(Err(error))),
        })?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("a thread ended")))?;
        *sender = Some(orders);
        Ok(())
    }

    /// From now on these are looked after, and no others.
    pub(super) fn serve(&self, upstreams: &[Arc<Upstream>]) {
        if let Some(orders) = &*lock(&self.0) {
            let asking = upstreams.iter().filter(|one| one.needs_attendance());
            // A thread that ended by a defect takes no orders.
            let _ = orders.send(asking.map(Arc::downgrade).collect());
        }
    }
}

impl Parts {
    /// Brings the gauges of addresses up to date.
    pub(super) fn refresh_upstreams(&self) {
        let shown = &self.metrics.addresses;
        shown.begin();
        for upstream in lock(&self.kept.upstreams).iter() {
            for address in upstream.addresses().iter() {
                let label = address.url.to_string();
                shown.show(&upstream.spec.name, &label, address.is_healthy(), address.is_ejected());
            }
        }
    }

    /// Logs which addresses were left out and came back, fell ill and got well, since last time.
    pub(super) fn tell_upstreams(&self) {
        for upstream in lock(&self.kept.upstreams).iter() {
            for address in upstream.addresses().iter() {
                let (healthy, ejected) = address.news();
                let found = address.found.map(|found| found.to_string());
                let fields = || {
                    let label = address.url.to_string();
                    json!({ "upstream": &*upstream.spec.name, "address": label, "found": found })
                };
                match healthy {
                    Some(true) => self.log.event(Level::Info, "upstream_healthy", fields()),
                    Some(false) => self.log.event(Level::Warn, "upstream_unhealthy", fields()),
                    None => {}
                }
                match ejected {
                    Some(true) => self.log.event(Level::Warn, "upstream_ejected", fields()),
                    Some(false) => self.log.event(Level::Info, "upstream_returned", fields()),
                    None => {}
                }
            }
        }
    }
}
