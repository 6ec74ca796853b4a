//! What the operating system asks of a running gate.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// An order by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGHUP.
    Reload,
    /// SIGUSR1: the wall clock is right.
    ConfirmClock,
    /// SIGTERM, or SIGINT as by Ctrl-C.
    Stop,
}

/// The signals that are orders. From their making on, none of them ends the process by itself.
pub(crate) struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

impl Signals {
    /// Takes the signals over; inside a runtime only.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next order, an earlier one that nobody has waited for included.
    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.terminate.recv() => Order::Stop,
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.user.recv() => Order::ConfirmClock,
        }
    }

    /// Waits until the process is to end.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Order::Stop {}
    }
}
