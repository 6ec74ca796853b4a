//! When something is tried again. Pure, but for chance.

use std::time::Duration;

use crate::crypto;

/// Waits while a transaction is pending or unknown; the last one again and again.
const PENDING: [Duration; 6] = [secs(10), secs(30), secs(120), secs(600), secs(1800), secs(3600)];
/// Waits between attempts to post back.
const POST_BACK: [Duration; 7] =
    [secs(10), secs(60), secs(300), secs(900), secs(3600), secs(10_800), secs(43_200)];
/// The first wait when somebody who is asked has no answer; each next one is twice as long.
const NO_ANSWER: Duration = secs(10);
/// The longest of those waits.
const NO_ANSWER_MAX: Duration = secs(1800);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The wait after an attempt to deliver, by the attempts that failed before it; none: it was the
/// last.
pub(super) fn deliver(schedule: &[Duration], before: u32) -> Option<Duration> {
    usize::try_from(before).ok().and_then(|before| schedule.get(before)).copied()
}

/// The wait after an attempt to post back; none: it was the last.
pub(super) fn post_back(before: u32) -> Option<Duration> {
    deliver(&POST_BACK, before)
}

/// The wait while a transaction is pending or unknown.
pub(super) fn pending(before: u32) -> Duration {
    let [.., last] = PENDING;
    deliver(&PENDING, before).unwrap_or(last)
}

/// The wait when there was no answer that can be believed.
pub(super) fn no_answer(before: u32) -> Duration {
    let factor = 1_u32.checked_shl(before).unwrap_or(u32::MAX).max(1);
    NO_ANSWER.saturating_mul(factor).min(NO_ANSWER_MAX)
}

/// A time from now on: the wait with up to a fifth more or less, so that what failed together does
/// not come back together, and no sooner than the other side asked for.
pub(super) fn due(now_millis: u64, wait: Duration, asked: Option<Duration>) -> u64 {
    // Without random bytes there is no jitter, which is no reason not to try again.
    let chance = crypto::random::<2>().map_or(u16::MAX / 2, u16::from_ne_bytes);
    let wait = jitter(millis(wait), chance).max(asked.map_or(0, millis));
    now_millis.saturating_add(wait)
}

/// Between four and six fifths of a wait.
fn jitter(wait_millis: u64, chance: u16) -> u64 {
    let fifth = wait_millis / 5;
    let more = u128::from(fifth) * 2 * u128::from(chance) / u128::from(u16::MAX);
    (wait_millis - fifth).saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_end_or_go_on_as_they_should() {
        let schedule = [secs(5), secs(300)];
        let waits = [0, 1, 2, u32::MAX].map(|before| deliver(&schedule, before));
        assert_eq!(waits, [Some(secs(5)), Some(secs(300)), None, None]);
        assert_eq!(deliver(&[], 0), None);
        assert_eq!((post_back(0), post_back(6)), (Some(secs(10)), Some(secs(43_200))));
        assert_eq!(post_back(7), None);
        assert_eq!(
            [0, 5, 6, u32::MAX].map(pending),
            [secs(10), secs(3600), secs(3600), secs(3600)]
        );
        let waits = [0, 1, 7, 8, 31, 32, u32::MAX].map(|n| no_answer(n).as_secs());
        assert_eq!(waits, [10, 20, 1280, 1800, 1800, 1800, 1800]);
    }

    #[test]
    fn jitter_is_a_fifth_either_way() {
        assert_eq!([0, u16::MAX].map(|chance| jitter(1000, chance)), [800, 1200]);
        assert_eq!(jitter(1000, u16::MAX / 2), 999);
        assert_eq!([0, u16::MAX].map(|chance| jitter(0, chance)), [0, 0]);
        assert!(jitter(u64::MAX, u16::MAX) >= u64::MAX - 5);
        let dues: std::collections::BTreeSet<u64> =
            (0..50).map(|_| due(5, secs(10), None)).collect();
        assert!(dues.len() > 10 && dues.iter().all(|due| (8_005..=12_005).contains(due)));
    }

    #[test]
    fn nobody_comes_back_sooner_than_asked() {
        assert_eq!(due(7, secs(10), Some(secs(60))), 60_007);
        assert!(due(0, secs(10), Some(secs(1))) >= 8000);
        assert_eq!(due(u64::MAX, secs(10), None), u64::MAX);
    }
}
