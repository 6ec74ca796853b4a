//! One task from its beginning until it is written down what came of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::inbox::source::Sources;
use crate::journal::{Attempt, Busy, Settled, Task, Work};
use crate::telemetry::Level;

use super::attempt::Try;
use super::confirm::confirm;
use super::deliver::deliver;
use super::lane::{Duty, Learned};
use super::post_back::post_back;
use super::{Courier, Outcome};

/// How long the journal may be too busy to take what came of a task. Afterwards the task is done
/// once more: that is worse for who is called, and no reason to lose it.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// The first pause when it is busy; each next one is twice as long.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// The longest of those pauses.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Does a task, and writes down what came of it. Gives what was learned; none: it is to be done
/// again.
pub(super) async fn work(
    courier: Rc<Courier>,
    sources: Arc<Sources>,
    duty: Duty,
    task: Task,
) -> Option<Learned> {
    let attempt = Try::begin(&courier.clock).ok()?;
    let clock = &courier.clock;
    let Outcome { settled, learned } = match &duty {
        Duty::Deliver(destination) => {
            let source = sources.named(&task.delivery.source).map(|source| &**source);
            deliver(clock, destination, source, &task, attempt).await
        }
        Duty::Confirm(source) => {
            let keyring = courier.keyring.load_full();
            confirm(clock, source, &keyring, &task, attempt).await
        }
        Duty::PostBack(source) => {
            let keyring = courier.keyring.load_full();
            post_back(clock, source, &keyring, &task, attempt).await
        }
    };
    if learned == Learned::Gone {
        courier.stop(&task).await.ok()?;
    }
    let sequence = task.delivery.sequence;
    let settle = || courier.journal.settle(sequence, task.work, settled.clone());
    patiently(settle).await.ok()?;
    courier.tell(&task, &settled);
    Some(learned)
}

/// Does something with the journal, and waits while it is busy.
async fn patiently<F: Future<Output = Result<(), Busy>>>(
    again: impl Fn() -> F,
) -> Result<(), Busy> {
    let begun = Instant::now();
    let mut pause = BUSY_PAUSE;
    loop {
        match again().await {
            Err(Busy) if begun.elapsed() < BUSY_MAX => {}
            ended => return ended,
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(BUSY_PAUSE_MAX);
    }
}

impl Courier {
    /// Stops a destination that wants nothing any more.
    async fn stop(&self, task: &Task) -> Result<(), Busy> {
        let delivery = &task.delivery;
        let name = &delivery.destination;
        patiently(|| self.journal.stop_destination(name, "answered 410 Gone")).await?;
        let fields = json!({ "destination": &**name, "delivery": delivery.id.as_str() });
        self.log.event(Level::Error, "destination_stopped", fields);
        Ok(())
    }

    /// Counts what was tried, and says what people must know.
    fn tell(&self, task: &Task, settled: &Settled) {
        let delivery = &task.delivery;
        let (work, lane) = match task.work {
            Work::Confirm => ("confirm", &delivery.source),
            Work::PostBack => ("post_back", &delivery.source),
            Work::Deliver => ("deliver", &delivery.destination),
        };
        let Attempt { outcome, status, .. } = attempt_of(settled);
        self.metrics.attempts.with_label_values(&[work, &**lane, outcome]).inc();
        let confirmed = |outcome| {
            let source = &*delivery.source;
            self.metrics.confirmations.with_label_values(&[source, outcome]).inc();
        };
        let say = |event, more: Value| {
            let mut fields = json!({
                "delivery": delivery.id.as_str(),
                "source": &*delivery.source,
                "destination": &*delivery.destination,
                "attempts": task.attempts.saturating_add(1),
                "outcome": outcome,
                "status": status,
            });
            if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
                fields.extend(more);
            }
            self.log.event(Level::Error, event, fields);
        };
        match settled {
            Settled::Again { .. } | Settled::Done { .. } => {}
            Settled::Confirmed { .. } => confirmed("agreed"),
            Settled::Disagreed { confirmation, .. } => {
                confirmed("disagreed");
                // Which facts, and not what they say.
                let facts = confirmation.differences.iter();
                let facts = facts.filter_map(|line| line.split(':').next());
                let facts: Vec<&str> = facts.collect();
                let more = json!({ "asked": confirmation.asked, "differs": facts });
                say("delivery_disagreed", more);
            }
            Settled::GivenUp { .. } if task.work == Work::Deliver => {
                say("delivery_dead", json!({}));
            }
            Settled::GivenUp { .. } => {
                self.metrics.stuck.with_label_values(&[&*delivery.source, "post_back"]).inc();
                say("post_back_given_up", json!({}));
            }
        }
    }
}

fn attempt_of(settled: &Settled) -> &Attempt {
    match settled {
        Settled::Again { attempt, .. }
        | Settled::Done { attempt }
        | Settled::GivenUp { attempt }
        | Settled::Confirmed { attempt, .. }
        | Settled::Disagreed { attempt, .. } => attempt,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_busy_journal_is_waited_for() {
        let tries = Cell::new(0);
        let third = || async {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(Busy) } else { Ok(()) }
        };
        let begun = Instant::now();
        assert_eq!((patiently(third).await, tries.get()), (Ok(()), 3));
        assert_eq!(begun.elapsed(), BUSY_PAUSE * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn and_not_for_ever() {
        let begun = Instant::now();
        assert_eq!(patiently(|| async { Err(Busy) }).await, Err(Busy));
        assert!(begun.elapsed() >= BUSY_MAX && begun.elapsed() <= BUSY_MAX + BUSY_PAUSE_MAX);
    }
}
