//! The loop over all lanes: what is due is begun, what ended makes room.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::{Id, JoinError, JoinSet};

use crate::inbox::source::Sources;
use crate::journal::{self, JournalFault, Work};
use crate::telemetry::Level;

use super::Courier;
use super::lane::{Duty, Lane, Learned};
use super::work::work;

/// How long the journal was read without a fault when that is said.
const RECOVERED_AFTER: Duration = Duration::from_secs(5);

/// All lanes, and what is under way in them.
pub(super) struct Rounds {
    courier: Rc<Courier>,
    sources: Arc<Sources>,
    lanes: BTreeMap<journal::Lane, Lane>,
    running: JoinSet<Option<Learned>>,
    /// To which lane and delivery a running task belongs.
    places: HashMap<Id, (journal::Lane, i64)>,
    /// When the journal could not be read the last time, until that counts as over.
    failed_at: Option<Instant>,
}

/// A task that ended, as the set of them tells it.
pub(super) type Ended = Result<(Id, Option<Learned>), JoinError>;

impl Rounds {
    pub(super) fn new(courier: Courier) -> Self {
        let sources = courier.sources.load_full();
        let mut rounds = Self {
            courier: Rc::new(courier),
            sources: Arc::clone(&sources),
            lanes: BTreeMap::new(),
            running: JoinSet::new(),
            places: HashMap::new(),
            failed_at: None,
        };
        rounds.follow(sources);
        rounds
    }

    /// Looks at everything that may have changed outside.
    pub(super) fn look(&mut self) {
        if self.failed_at.is_some_and(|at| at.elapsed() >= RECOVERED_AFTER) {
            self.failed_at = None;
            self.courier.log.event(Level::Info, "journal_recovered", json!({}));
        }
        let sources = self.courier.sources.load_full();
        if !Arc::ptr_eq(&sources, &self.sources) {
            self.follow(sources);
        }
        // Without an answer nothing can be read of the lanes either.
        let stopped = self.courier.journal.stopped();
        let Some(stopped) = self.read(stopped) else { return };
        for lane in self.lanes.values_mut() {
            let delivers = lane.key.work == Work::Deliver;
            lane.set_stopped(delivers && stopped.contains_key(&*lane.key.name));
            lane.touch();
        }
    }

    /// Takes a new snapshot. What is under way in a lane that is gone comes to its end.
    fn follow(&mut self, sources: Arc<Sources>) {
        let mut wanted: BTreeMap<journal::Lane, Duty> = BTreeMap::new();
        for source in sources.iter() {
            for (key, duty) in Duty::of(source) {
                wanted.entry(key).or_insert(duty);
            }
        }
        for (key, lane) in &mut self.lanes {
            lane.set_duty(wanted.remove(key));
        }
        self.lanes.retain(|_, lane| !lane.is_over());
        for (key, duty) in wanted {
            self.lanes.insert(key.clone(), Lane::new(key, duty));
        }
        self.sources = sources;
    }

    /// Begins what is due. Gives when something more is, if that is known.
    pub(super) fn begin(&mut self) -> Option<Instant> {
        let now_millis = self.courier.clock.now_millis();
        let mut fault = None;
        for (key, lane) in &mut self.lanes {
            match lane.take(&self.courier.journal, now_millis) {
                Err(found) => fault = Some(found),
                Ok(tasks) => {
                    for (duty, task) in tasks {
                        let sequence = task.delivery.sequence;
                        let (courier, sources) =
                            (Rc::clone(&self.courier), Arc::clone(&self.sources));
                        let task = work(courier, sources, duty, task);
                        let id = self.running.spawn_local(task).id();
                        self.places.insert(id, (key.clone(), sequence));
                    }
                }
            }
        }
        if let Some(fault) = fault {
            self.read::<()>(Err(fault));
        }
        self.lanes.values().filter_map(Lane::wakes).min()
    }

    /// Waits for a task to end; for ever where none is under way.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.running.join_next_with_id().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Makes room for what comes after a task, and after all others that ended meanwhile.
    pub(super) fn end(&mut self, ended: Ended) {
        let mut next = Some(ended);
        while let Some(ended) = next {
            let (id, learned) = match ended {
                Ok(ended) => ended,
                // It panicked: it is to be done again.
                Err(error) => (error.id(), None),
            };
            if let Some((key, sequence)) = self.places.remove(&id)
                && let Some(lane) = self.lanes.get_mut(&key)
            {
                lane.end(sequence, learned);
            }
            next = self.running.try_join_next_with_id();
        }
        self.lanes.retain(|_, lane| !lane.is_over());
    }

    /// Waits until nothing is under way.
    pub(super) async fn all_ended(&mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.end(ended);
        }
    }

    /// What was read of the journal. That it cannot be read is said once.
    fn read<T>(&mut self, result: Result<T, JournalFault>) -> Option<T> {
        match result {
            Ok(read) => Some(read),
            Err(fault) => {
                if self.failed_at.replace(Instant::now()).is_none() {
                    let fields = json!({ "cause": fault.to_string() });
                    self.courier.log.event(Level::Error, "journal_failing", fields);
                }
                None
            }
        }
    }
}
