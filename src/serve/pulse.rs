//! What a connection is doing, in cells that its socket, its requests and its deadlines share.
//!
//! Nothing here reads the clock unless a write is blocked or the connection ends.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

/// A spell during which the client's socket did not take all that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    pub(super) since: Instant,
    /// When bytes last went out.
    pub(super) moved: Instant,
    /// Bytes that went out during the spell.
    pub(super) bytes: usize,
}

/// How many rounds an answer's piece waits before it counts as stalled.
const ROUNDS_TO_STALL: u32 = 5;
const RING: usize = 8;

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    in_progress: Cell<u32>,
    requests: Cell<usize>,
    head_begun: Cell<bool>,
    client_ended: Cell<bool>,
    blocked: Cell<Option<Blocked>>,
    leaving: Cell<bool>,
    shutdown: Cell<Option<Instant>>,
    round: Cell<u32>,
    /// Answers that gave a piece and were not asked for more since, by the round of that piece.
    held: [Cell<u32>; RING],
}

impl Pulse {
    /// Requests whose answers have not ended.
    pub(super) fn in_progress(&self) -> u32 {
        self.in_progress.get()
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.get()
    }

    /// Whether bytes came that no request has claimed yet.
    pub(super) fn head_begun(&self) -> bool {
        self.head_begun.get()
    }

    pub(super) fn blocked(&self) -> Option<Blocked> {
        self.blocked.get()
    }

    /// When our end was sent.
    pub(super) fn shutdown(&self) -> Option<Instant> {
        self.shutdown.get()
    }

    /// Our end is sent.
    pub(super) fn shut_down(&self) {
        if self.shutdown.get().is_none() {
            self.shutdown.set(Some(Instant::now()));
        }
    }

    /// A deadline asked the connection to end: no answer is under way that must still arrive.
    pub(super) fn leave(&self) {
        self.leaving.set(true);
    }

    /// Whether bytes of the client may still come that would reset the connection under an answer.
    pub(super) fn must_linger(&self) -> bool {
        !self.leaving.get() && !self.client_ended.get()
    }

    /// The handshake is over; what it did does not count.
    pub(super) fn handshake_done(&self) {
        self.head_begun.set(false);
        self.blocked.set(None);
    }

    /// Bytes came in.
    pub(super) fn received(&self) {
        if self.in_progress.get() == 0 {
            self.head_begun.set(true);
        }
    }

    /// The client sends no more.
    pub(super) fn client_ended(&self) {
        self.client_ended.set(true);
    }

    /// The socket took bytes.
    pub(super) fn sent(&self, bytes: usize) {
        if let Some(blocked) = self.blocked.get() {
            let bytes = blocked.bytes.saturating_add(bytes);
            self.blocked.set(Some(Blocked { moved: Instant::now(), bytes, ..blocked }));
        }
    }

    /// The socket takes no more.
    pub(super) fn write_blocked(&self) {
        if self.blocked.get().is_none() {
            let now = Instant::now();
            self.blocked.set(Some(Blocked { since: now, moved: now, bytes: 0 }));
        }
    }

    /// All that was written has gone out.
    pub(super) fn flushed(&self) {
        if self.blocked.get().is_some() {
            self.blocked.set(None);
        }
    }

    /// Begins the next round, a quarter of the stall deadline after the last. Says whether an
    /// answer has not been asked for more since at least four whole rounds.
    pub(super) fn next_round(&self) -> bool {
        let round = self.round.get().wrapping_add(1);
        self.round.set(round);
        self.slot(round.wrapping_sub(ROUNDS_TO_STALL)).is_some_and(|slot| slot.get() != 0)
    }

    fn slot(&self, round: u32) -> Option<&Cell<u32>> {
        usize::try_from(round).ok().and_then(|round| self.held.get(round % RING))
    }
}

/// A request in progress, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Pass {
    pulse: Rc<Pulse>,
    number: usize,
    held_in: Option<u32>,
}

impl Pass {
    pub(super) fn begin(pulse: &Rc<Pulse>) -> Self {
        let number = pulse.requests.get().saturating_add(1);
        pulse.requests.set(number);
        pulse.in_progress.set(pulse.in_progress.get().saturating_add(1));
        pulse.head_begun.set(false);
        Self { pulse: Rc::clone(pulse), number, held_in: None }
    }

    /// Which request of its connection this is, from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The answer gave a piece: from now on the client is waited for.
    pub(super) fn hold(&mut self) {
        self.release();
        let round = self.pulse.round.get();
        if let Some(slot) = self.pulse.slot(round) {
            slot.set(slot.get().saturating_add(1));
            self.held_in = Some(round);
        }
    }

    /// The answer is asked for more: the client took the last piece.
    pub(super) fn release(&mut self) {
        if let Some(slot) = self.held_in.take().and_then(|round| self.pulse.slot(round)) {
            slot.set(slot.get().saturating_sub(1));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.release();
        self.pulse.in_progress.set(self.pulse.in_progress.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_asked_for_more_stalls_after_four_whole_rounds() {
        let pulse = Rc::new(Pulse::default());
        let mut stalled = Pass::begin(&pulse);
        let mut lively = Pass::begin(&pulse);
        stalled.hold();
        let rounds: Vec<_> = (0..5)
            .map(|_| {
                lively.hold();
                pulse.next_round()
            })
            .collect();
        assert_eq!(rounds, [false, false, false, false, true]);
        drop(stalled);
        assert!((0..3).all(|_| !pulse.next_round()));
        assert!(pulse.next_round(), "the other answer stalls later");
    }

    #[test]
    fn bytes_begin_a_head_only_between_requests() {
        let pulse = Rc::new(Pulse::default());
        pulse.received();
        assert!(pulse.head_begun());
        let pass = Pass::begin(&pulse);
        assert!(!pulse.head_begun());
        pulse.received();
        assert!(!pulse.head_begun(), "that was its body");
        drop(pass);
        assert_eq!((pulse.in_progress(), pulse.requests()), (0, 1));
    }
}
