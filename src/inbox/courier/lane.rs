//! One queue of work: what is done in it, what of it is under way, and how fast it may go.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::inbox::destination::Destination;
use crate::inbox::source::Source;
use crate::journal::{self, Journal, JournalFault, Task, Work};
use crate::limit::Rate;

use super::pace::{Pace, Tempo};

/// Calls of one source to its provider at the same time.
const ASKING_MAX: usize = 4;
/// How often messages of one source are posted back.
const POST_BACKS: Rate = Rate {
    per_second: NonZeroU32::MIN.saturating_add(9),
    burst: NonZeroU32::MIN.saturating_add(9),
};
/// Failures in a row after which one task at a time finds out whether it goes on.
const FAILURES_MAX: u32 = 3;
/// How long a lane rests after something that should not be: no reason to try it again at once.
const REST: Duration = Duration::from_secs(1);

/// What is done in a lane.
#[derive(Clone)]
pub(super) enum Duty {
    /// Deliver to a destination.
    Deliver(Arc<Destination>),
    /// Ask about messages of a source.
    Confirm(Arc<Source>),
    /// Post messages of a source back.
    PostBack(Arc<Source>),
}

/// What a task says about whoever it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// They answer as they should.
    Well,
    /// They do not.
    Failed,
    /// They want nothing any more.
    Gone,
}

/// One queue of work.
pub(super) struct Lane {
    pub(super) key: journal::Lane,
    /// None: it is gone from configuration, and what is under way comes to its end.
    duty: Option<Duty>,
    pace: Pace,
    in_flight: HashSet<i64>,
    failures: u32,
    stopped: bool,
    /// Whether there may be something to do that was not looked for yet.
    stale: bool,
    rests_until: Option<Instant>,
    next_due: Option<Instant>,
}

impl Duty {
    /// Every lane that a source asks for.
    pub(super) fn of(source: &Arc<Source>) -> Vec<(journal::Lane, Self)> {
        let own = |work| journal::Lane { work, name: Arc::clone(&source.name) };
        let name = Arc::clone(&source.destination.name);
        let destination = Arc::clone(&source.destination);
        let mut lanes =
            vec![(journal::Lane { work: Work::Deliver, name }, Self::Deliver(destination))];
        if source.confirm.is_some() {
            lanes.push((own(Work::Confirm), Self::Confirm(Arc::clone(source))));
        }
        if source.post_back.is_some() {
            lanes.push((own(Work::PostBack), Self::PostBack(Arc::clone(source))));
        }
        lanes
    }

    fn concurrency(&self) -> usize {
        match self {
            Self::Deliver(destination) => destination.concurrency.get(),
            Self::Confirm(_) | Self::PostBack(_) => ASKING_MAX,
        }
    }

    fn tempo(&self) -> Tempo {
        match self {
            Self::Deliver(destination) => Tempo::Rate(destination.rate),
            Self::Confirm(source) => {
                Tempo::Every(source.confirm.as_ref().map_or(REST, |confirm| confirm.every))
            }
            Self::PostBack(_) => Tempo::Rate(POST_BACKS),
        }
    }

    fn is_ordered(&self) -> bool {
        matches!(self, Self::Deliver(destination) if destination.ordered)
    }
}

impl Lane {
    pub(super) fn new(key: journal::Lane, duty: Duty) -> Self {
        Self {
            key,
            pace: Pace::new(duty.tempo()),
            duty: Some(duty),
            in_flight: HashSet::new(),
            failures: 0,
            stopped: false,
            stale: true,
            rests_until: None,
            next_due: None,
        }
    }

    /// Takes what a new snapshot says. What was spent of an unchanged pace stays spent.
    pub(super) fn set_duty(&mut self, duty: Option<Duty>) {
        if let Some(tempo) = duty.as_ref().map(Duty::tempo)
            && tempo != self.pace.tempo
        {
            self.pace = Pace::new(tempo);
        }
        self.duty = duty;
        self.stale = true;
    }

    /// Whether nothing is left to do in it, now and later.
    pub(super) fn is_over(&self) -> bool {
        self.duty.is_none() && self.in_flight.is_empty()
    }

    /// Whether operators have to resume it first.
    pub(super) fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Says that there may be something to do.
    pub(super) fn touch(&mut self) {
        self.stale = true;
    }

    /// Says what came of a task; nothing where it came to no end.
    pub(super) fn end(&mut self, sequence: i64, learned: Option<Learned>) {
        self.in_flight.remove(&sequence);
        self.stale = true;
        match learned {
            Some(Learned::Well) => self.failures = 0,
            Some(Learned::Failed) => self.failures = self.failures.saturating_add(1),
            Some(Learned::Gone) => self.stopped = true,
            None => self.rest(),
        }
    }

    /// When it is to be looked at again, if that is known.
    pub(super) fn wakes(&self) -> Option<Instant> {
        if self.stopped || self.free() == 0 {
            return None;
        }
        let rests = self.rests_until.filter(|until| *until > Instant::now());
        rests.or(self.next_due)
    }

    /// Takes what is due, as much as may be begun now. Each is under way from here on.
    ///
    /// # Errors
    /// What the journal says; the lane rests for a moment.
    pub(super) fn take(
        &mut self,
        journal: &Journal,
        now_millis: u64,
    ) -> Result<Vec<(Duty, Task)>, JournalFault> {
        let mut taken = Vec::new();
        while let Some((duty, most)) = self.wants(Instant::now()) {
            let found = self.find(journal, now_millis, &duty, most);
            let found = found.inspect_err(|_| self.rest())?;
            for task in found {
                if let Err(until) = self.pace.spend() {
                    self.rests_until = Some(until);
                    self.stale = true;
                    break;
                }
                self.in_flight.insert(task.delivery.sequence);
                taken.push((duty.clone(), task));
            }
        }
        Ok(taken)
    }

    fn find(
        &mut self,
        journal: &Journal,
        now_millis: u64,
        duty: &Duty,
        most: usize,
    ) -> Result<Vec<Task>, JournalFault> {
        let key = &self.key;
        let found = journal.due(key, now_millis, duty.is_ordered(), most, &self.in_flight)?;
        self.stale = found.len() >= most;
        self.next_due = None;
        if !self.stale {
            let next = journal.next_due(key)?.filter(|due| *due > now_millis);
            let wait = next.map(|due| Duration::from_millis(due.saturating_sub(now_millis)));
            self.next_due = wait.and_then(|wait| Instant::now().checked_add(wait));
        }
        Ok(found)
    }

    /// What it could begin now, and how many.
    fn wants(&self, now: Instant) -> Option<(Duty, usize)> {
        let due = self.next_due.is_some_and(|due| due <= now);
        let rests = self.rests_until.is_some_and(|until| until > now);
        if !(self.stale || due) || rests || self.stopped {
            return None;
        }
        let most = self.free().min(self.pace.left());
        self.duty.clone().filter(|_| most > 0).map(|duty| (duty, most))
    }

    /// How many more may be under way. One at a time finds out whether whoever failed is back.
    fn free(&self) -> usize {
        let all = self.duty.as_ref().map_or(0, Duty::concurrency);
        let most = if self.failures >= FAILURES_MAX { all.min(1) } else { all };
        most.saturating_sub(self.in_flight.len())
    }

    fn rest(&mut self) {
        self.stale = true;
        self.rests_until = Instant::now().checked_add(REST);
    }
}
