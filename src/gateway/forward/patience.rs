//! A deadline that is moved seldom: one timer for a connection, not one for every request on it.
//!
//! Deadlines only grow, so a timer that is set too early is left alone, and set again if it goes
//! off. Setting and taking back a timer costs more than a glance at one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one connection.
#[derive(Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// The output of a future, or nothing when `deadline` is over first.
    pub(super) async fn within<F: Future>(
        &mut self,
        deadline: Instant,
        future: F,
    ) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(deadline, cx).map(|()| None),
        })
        .await
    }

    fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_later_deadline_is_kept_although_the_timer_was_set_for_an_earlier_one() {
        let mut patience = Patience::default();
        let start = Instant::now();
        let soon = start + Duration::from_secs(1);
        assert_eq!(patience.within(soon, async { 1 }).await, Some(1));
        let nap = || tokio::time::sleep(Duration::from_secs(2));
        let later = start + Duration::from_secs(5);
        assert!(patience.within(later, nap()).await.is_some());
        let sooner = start + Duration::from_secs(3);
        assert!(patience.within(sooner, nap()).await.is_none());
        assert_eq!(Instant::now(), sooner);
    }
}
