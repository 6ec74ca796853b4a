//! The order to stop, and who has not followed it yet.
//!
//! The order comes from any thread; a roster on each core hands it to the connections there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::{Notify, watch};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connections are accepted.
    Open,
    /// Requests end, nothing new is accepted.
    Draining,
    /// What is left is cut.
    Cut,
}

/// The order to stop, given once and heard by every core.
#[derive(Clone, Debug)]
pub struct Drain(Arc<watch::Sender<Stage>>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not ordered yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Open)))
    }

    /// Orders to accept no more and to end every connection after the requests on it.
    pub fn begin(&self) {
        self.advance(Stage::Draining);
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() >= Stage::Draining
    }

    /// Orders to cut what is left: the drain deadline is over.
    pub fn cut(&self) {
        self.advance(Stage::Cut);
    }

    fn advance(&self, to: Stage) {
        self.0.send_if_modified(|stage| {
            let later = *stage < to;
            *stage = (*stage).max(to);
            later
        });
    }

    /// Waits until the end has come as far as `stage`.
    pub(super) async fn reached(&self, stage: Stage) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|now| *now >= stage).await;
    }
}

/// The connections of one core.
#[derive(Debug)]
pub(super) struct Roster {
    stage: Cell<Stage>,
    next: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Option<Waker>>>,
    left: Notify,
}

impl Roster {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Open),
            next: Cell::new(0),
            tasks: RefCell::new(BTreeMap::new()),
            left: Notify::new(),
        })
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Tells every connection.
    pub(super) fn tell(&self, stage: Stage) {
        self.stage.set(stage);
        // Woken outside of the borrow: a waker may run what changes the roster.
        let wakers: Vec<Waker> = self.tasks.borrow().values().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn enter(self: &Rc<Self>) -> Ticket {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.tasks.borrow_mut().insert(id, None);
        Ticket { roster: Rc::clone(self), id }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Waits until no connection is left.
    pub(super) async fn emptied(&self) {
        while self.len() != 0 {
            self.left.notified().await;
        }
    }
}

/// A place in the roster, given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    roster: Rc<Roster>,
    id: u64,
}

impl Ticket {
    pub(super) fn stage(&self) -> Stage {
        self.roster.stage()
    }

    pub(super) fn roster(&self) -> &Rc<Roster> {
        &self.roster
    }

    /// From now on the task of `cx` is woken when the stage changes.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.roster.tasks.borrow_mut().insert(self.id, Some(cx.waker().clone()));
    }

    /// Waits for the cut.
    pub(super) async fn cut(&self) {
        std::future::poll_fn(|cx| {
            if self.stage() == Stage::Cut {
                return Poll::Ready(());
            }
            self.watch(cx);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.roster.tasks.borrow_mut().remove(&self.id);
        if self.roster.len() == 0 {
            self.roster.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_never_goes_back() {
        let drain = Drain::new();
        assert!(!drain.has_begun());
        drain.cut();
        drain.clone().begin();
        assert!(drain.has_begun());
        assert_eq!(*drain.0.borrow(), Stage::Cut);
    }

    #[test]
    fn a_dropped_ticket_leaves_the_roster() {
        let roster = Roster::new();
        let ticket = roster.enter();
        assert_eq!(roster.len(), 1);
        drop(ticket);
        assert_eq!(roster.len(), 0);
    }
}
