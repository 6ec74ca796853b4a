//! Looking after upstreams beside the cores: one place asks whether addresses are well, and what
//! names stand for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::Upstream;

/// How often somebody looks whether all is still being done.
const LOOK: Duration = Duration::from_secs(1);

/// What is done for one upstream.
struct Attended {
    upstream: Weak<Upstream>,
    works: Vec<JoinHandle<()>>,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.works.iter().for_each(JoinHandle::abort);
    }
}

impl Upstream {
    /// Whether somebody has to look after it.
    pub fn needs_attendance(&self) -> bool {
        self.spec.health.is_some() || self.spec.resolve.is_some()
    }

    /// Looks after the upstreams that come last, until nobody sends any more. None is kept in
    /// service by that. Needs a runtime that runs tasks of its thread.
    pub async fn attend(mut orders: UnboundedReceiver<Vec<Weak<Self>>>) {
        let mut all: Vec<Attended> = Vec::new();
        loop {
            match timeout(LOOK, orders.recv()).await {
                Ok(None) => return,
                Ok(Some(upstreams)) => {
                    let asked =
                        |one: &Attended| upstreams.iter().any(|it| it.ptr_eq(&one.upstream));
                    all.retain(asked);
                    for upstream in upstreams {
                        if !all.iter().any(|one| one.upstream.ptr_eq(&upstream)) {
                            all.push(Attended::begin(upstream));
                        }
                    }
                }
                // One that a defect ended must not leave an address ill for ever.
                Err(_) => {
                    for one in &mut all {
                        if one.works.iter().any(JoinHandle::is_finished) {
                            *one = Attended::begin(Weak::clone(&one.upstream));
                        }
                    }
                }
            }
        }
    }
}

impl Attended {
    fn begin(upstream: Weak<Upstream>) -> Self {
        let mut works = Vec::new();
        if let Some(spec) = upstream.upgrade().map(|upstream| upstream.spec.clone()) {
            if let Some(health) = spec.health {
                let every = health.every;
                let check = async move |upstream: Arc<Upstream>| upstream.check(&health).await;
                works.push(tokio::task::spawn_local(repeat(Weak::clone(&upstream), every, check)));
            }
            if let Some(every) = spec.resolve {
                let resolve = async |upstream: Arc<Upstream>| upstream.resolve().await;
                works.push(tokio::task::spawn_local(repeat(
                    Weak::clone(&upstream),
                    every,
                    resolve,
                )));
            }
        }
        Self { upstream, works }
    }
}

/// Does something for an upstream now and then, as long as it is there.
async fn repeat(upstream: Weak<Upstream>, every: Duration, work: impl AsyncFn(Arc<Upstream>)) {
    loop {
        let next = Instant::now() + every;
        let Some(upstream) = upstream.upgrade() else { return };
        work(upstream).await;
        sleep_until(next).await;
    }
}
