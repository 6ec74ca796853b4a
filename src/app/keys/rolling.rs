//! Rolling keys between the gate and its store: epochs and kills come from it, and what happens to
//! chains goes there.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::administration::{Problem, chores};
use crate::app::assembly::{Parts, lock};
use crate::roll::{ChainId, EpochSpec, Event, Kill};
use crate::store::View;
use crate::store::row::KillRow;

use super::Managed;

/// The most events that wait for the store; beyond them session calls are no longer noted.
const EVENTS_MAX: usize = 100_000;

/// What happened to chains and is not in the store yet.
#[derive(Clone, Default)]
pub(in crate::app) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// Notes an event; called on the path of a request. A kill is never left out.
    pub(in crate::app) fn note(&self, event: &Event) {
        let mut events = lock(&self.0);
        if events.len() < EVENTS_MAX || matches!(event, Event::Killed(_)) {
            events.push(event.clone());
        }
    }

    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *lock(&self.0))
    }

    fn give_back(&self, mut earlier: Vec<Event>) {
        let mut events = lock(&self.0);
        earlier.append(&mut events);
        *events = earlier;
    }
}

/// Epochs and kills, as the store has them.
pub(super) struct Rolled {
    epochs: Vec<EpochSpec>,
    kills: Vec<Kill>,
}

/// Reads them.
pub(super) fn read(view: &View<'_>) -> Result<Rolled, crate::store::StoreFault> {
    let mut epochs = Vec::new();
    for row in view.epochs()? {
        let secret = match row.destroyed_at {
            None => view.epoch_secret(row.number)?,
            Some(_) => None,
        };
        epochs.extend(secret.map(|secret| EpochSpec {
            number: row.number,
            not_before: row.not_before,
            not_after: row.not_after,
            secret,
        }));
    }
    let kill = |row: KillRow| Kill {
        key_id: row.key_id.into(),
        chain: ChainId(row.chain),
        at: row.at,
        until: row.until,
    };
    Ok(Rolled { epochs, kills: view.kills()?.into_iter().map(kill).collect() })
}

impl Parts {
    /// Brings epochs and kills into force.
    pub(super) fn apply_rolled(&self, rolled: Rolled) {
        let roll = &self.kept.roll;
        rolled.kills.iter().for_each(|kill| roll.chains.kill(kill));
        roll.epochs.replace(rolled.epochs);
    }

    /// Makes and destroys epochs, where any route has rolling keys.
    pub(super) fn keep_up_epochs(&self, managed: &Managed) {
        let admission = self.admission.load();
        let ttl = admission.routes.iter().filter_map(|route| route.spec.rolling.as_ref());
        let Some(ttl) = ttl.map(|rolling| rolling.policy.ttl).max() else { return };
        match chores::epochs::keep_up(&managed.store, ttl) {
            Ok(done) => self.tell_done(&done),
            Err(problem) => self.tell_problem(managed, &problem),
        }
    }

    /// Writes down what happened to chains; what cannot be written is tried again.
    pub(super) fn write_down_events(&self, managed: &Managed) {
        let events = self.events.take();
        if events.is_empty() {
            return;
        }
        if let Err(problem) = write_down(managed, &events) {
            self.events.give_back(events);
            self.tell_problem(managed, &problem);
        }
    }
}

fn write_down(managed: &Managed, events: &[Event]) -> Result<(), Problem> {
    managed.store.change(&chores::gate(), |change| {
        for event in events {
            match event {
                Event::Session { key_id, lanes } => {
                    change.audit("chain.created", key_id, json!({ "chains": lanes }), None)?;
                }
                Event::Killed(kill) => {
                    let (key_id, chain) = (kill.key_id.to_string(), kill.chain.0);
                    let (at, until) = (kill.at, kill.until);
                    change.add_kill(&KillRow { key_id, chain, at, until })?;
                    let detail = json!({ "chain": kill.chain.to_string() });
                    change.audit("chain.killed", &kill.key_id, detail, None)?;
                }
                Event::KilledChainUsed { key_id, chain } => {
                    let detail = json!({ "chain": chain.to_string() });
                    change.audit("roll.superseded_use", key_id, detail, None)?;
                }
            }
        }
        Ok(())
    })
}
