//! Drives one HTTP connection and holds it to its deadlines, with one timer that is seldom moved.
//!
//! After each turn of the connection it looks at the pulse for the earliest moment at which some
//! deadline could be broken. The timer is moved only when that moment lies before the one it is set
//! to; if it goes off early it is set again. A request so costs one reading of the clock.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::Settings;
use super::drain::{Stage, Ticket};
use super::pulse::Pulse;
use super::socket::UNSENT_BYTES_MAX;
use crate::relay::Relay;
use crate::telemetry::connections::{Deadline, Protocol};

/// After our end is sent: how long the client has to end its side. Also how long, in a drain, an
/// HTTP/1 connection waits for a request that may be on its way.
const LINGER: Duration = Duration::from_secs(1);

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// One of the peers, in order or by an error.
    Itself,
    /// A deadline.
    By(Deadline),
}

/// A connection with its deadlines.
pub(super) struct Driver<C> {
    connection: Pin<Box<C>>,
    /// Tells the connection to end after what is in progress.
    graceful: fn(Pin<&mut C>),
    protocol: Protocol,
    pulse: Rc<Pulse>,
    /// Over HTTP/1 the connection wakes its task by way of this.
    relay: Option<Rc<Relay>>,
    settings: Arc<Settings>,
    ticket: Ticket,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether the sleep is set and has not gone off.
    armed: bool,
    registered: bool,
    /// Since when, and after which request, nothing is in progress.
    quiet: Quiet,
    next_round: Option<Instant>,
    draining: Option<Instant>,
    leaving: Option<Instant>,
    reason: Option<Deadline>,
}

#[derive(Clone, Copy)]
struct Quiet {
    since: Instant,
    requests: usize,
    head_begun: bool,
}

/// What happens at the earliest deadline.
#[derive(Clone, Copy)]
enum Then {
    NextRound,
    Leave(Option<Deadline>),
    Cut(Ended),
}

impl<C: Future> Driver<C> {
    pub(super) fn new(
        connection: C,
        graceful: fn(Pin<&mut C>),
        protocol: Protocol,
        pulse: Rc<Pulse>,
        relay: Option<Rc<Relay>>,
        settings: Arc<Settings>,
        ticket: Ticket,
    ) -> Self {
        Self {
            connection: Box::pin(connection),
            graceful,
            protocol,
            pulse,
            relay,
            settings,
            ticket,
            sleep: None,
            armed: false,
            registered: false,
            quiet: Quiet { since: Instant::now(), requests: 0, head_begun: false },
            next_round: None,
            draining: None,
            leaving: None,
            reason: None,
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<C::Output> {
        let Some(relay) = &self.relay else { return self.connection.as_mut().poll(cx) };
        relay.follow(cx);
        self.connection.as_mut().poll(&mut Context::from_waker(relay.waker()))
    }

    /// HTTP/1 ends by `Connection: close` on an answer or when it has been quiet; HTTP/2 is told.
    fn drain(&mut self) {
        if self.draining.is_none() {
            self.draining = Some(Instant::now());
            if self.protocol == Protocol::Http2 {
                self.leave();
            }
        }
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now());
            (self.graceful)(self.connection.as_mut());
        }
    }

    /// The earliest moment at which a deadline would be broken, as things stand.
    fn earliest(&mut self) -> Option<(Instant, Then)> {
        let deadlines = &self.settings.deadlines;
        if let Some(since) = self.pulse.shutdown() {
            let ended = self.reason.map_or(Ended::Itself, Ended::By);
            return Some((since + LINGER, Then::Cut(ended)));
        }
        if let Some(blocked) = self.pulse.blocked() {
            // The kernel shows progress in steps only; what may hide in a step counts as taken.
            let hidden = usize::try_from(UNSENT_BYTES_MAX).unwrap_or_default();
            let taken = blocked.bytes.saturating_add(hidden);
            let pace = blocked.since + self.settings.pace.allows(taken);
            let stall = blocked.moved + deadlines.stall;
            return Some(if pace < stall {
                (pace, Then::Cut(Ended::By(Deadline::Pace)))
            } else {
                (stall, Then::Cut(Ended::By(Deadline::Stall)))
            });
        }
        if self.pulse.in_progress() > 0 {
            return match self.protocol {
                Protocol::Http1 => None,
                Protocol::Http2 => Some((self.round(), Then::NextRound)),
            };
        }
        Some(self.earliest_while_quiet())
    }

    fn earliest_while_quiet(&mut self) -> (Instant, Then) {
        let requests = self.pulse.requests();
        // On HTTP/2 bytes may be anything; a head there is bounded by the idle deadline.
        let head_begun = self.protocol == Protocol::Http1 && self.pulse.head_begun();
        if self.quiet.requests != requests || self.quiet.head_begun != head_begun {
            self.quiet = Quiet { since: Instant::now(), requests, head_begun };
        }
        let since = self.quiet.since;
        let deadlines = &self.settings.deadlines;
        if let Some(left) = self.leaving {
            let grace = match self.protocol {
                // The last pieces of answers may still wait for the client's window.
                Protocol::Http2 if requests > 0 => deadlines.stall,
                Protocol::Http1 | Protocol::Http2 => LINGER,
            };
            let ended = self.reason.map_or(Ended::Itself, Ended::By);
            return (since.max(left) + grace, Then::Cut(ended));
        }
        if head_begun {
            return (since + deadlines.head, Then::Cut(Ended::By(Deadline::Head)));
        }
        match self.draining {
            Some(begun) => (since.max(begun) + LINGER.min(deadlines.idle), Then::Leave(None)),
            None => (since + deadlines.idle, Then::Leave(Some(Deadline::Idle))),
        }
    }

    /// When the next round of the pulse begins.
    fn round(&mut self) -> Instant {
        let quarter = self.settings.deadlines.stall / 4;
        *self.next_round.get_or_insert_with(|| Instant::now() + quarter)
    }

    /// Acts on deadlines that are over; `Pending` when the timer is set for the next.
    fn check(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        loop {
            let Some((at, then)) = self.earliest() else { return Poll::Pending };
            if let (true, Some(sleep)) = (self.armed, &self.sleep)
                && !sleep.is_elapsed()
                && sleep.deadline() <= at
            {
                return Poll::Pending;
            }
            self.armed = false;
            if at > Instant::now() {
                if self.arm(at, cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            match then {
                Then::NextRound => {
                    self.next_round = None;
                    if self.pulse.next_round() {
                        return Poll::Ready(Some(Ended::By(Deadline::Stall)));
                    }
                }
                Then::Leave(reason) => {
                    self.reason = reason;
                    self.pulse.leave();
                    self.leave();
                    return Poll::Ready(None);
                }
                Then::Cut(ended) => return Poll::Ready(Some(ended)),
            }
        }
    }

    fn arm(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        self.armed = true;
        // Out of turns the timer would not take the waker, and nothing would ask it again.
        pin!(tokio::task::unconstrained(sleep.as_mut())).poll(cx)
    }
}

impl<C: Future> Future for Driver<C> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        if !this.registered {
            this.registered = true;
            this.ticket.watch(cx);
        }
        loop {
            match this.ticket.stage() {
                Stage::Open => {}
                Stage::Draining => this.drain(),
                Stage::Cut => return Poll::Ready(Ended::By(Deadline::Drain)),
            }
            if this.advance(cx).is_ready() {
                return Poll::Ready(this.reason.map_or(Ended::Itself, Ended::By));
            }
            if this.protocol == Protocol::Http2
                && this.leaving.is_none()
                && this.pulse.requests() >= this.settings.requests_max.get()
            {
                this.leave();
                continue;
            }
            match this.check(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(ended)) => return Poll::Ready(ended),
                // The connection was told something; it acts on it now.
                Poll::Ready(None) => {}
            }
        }
    }
}
