//! When a certificate is ordered: by what the authority says (RFC 9773), else when a third of its
//! life is left; and when again after a failure.

use std::time::Duration;

use instant_acme::RenewalInfo;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The first wait after a failure; each further one doubles it.
const WAIT: Duration = Duration::from_secs(60);
/// The longest wait of our own; an authority may ask for a longer one.
const WAIT_MAX: Duration = Duration::from_secs(6 * 3600);
/// A reload tries again what failed, but not sooner than this after it failed.
const LET_ALONE: Duration = Duration::from_secs(60);

/// When an authority is asked again where it does not say when (RFC 9773, section 4.3).
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);
/// The shortest and the longest time between two questions.
const ASK_MIN: Duration = Duration::from_secs(60);
const ASK_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest time from one certificate to an order for the next, whatever the authority says; of
/// a certificate that is short-lived, a sixth of its life.
const REST: Duration = Duration::from_secs(3600);

/// What a certificate says of itself, times in Unix seconds.
pub(super) struct Facts {
    begins: u64,
    ends: u64,
}

/// When something is done for one name, in Unix seconds. A time that has passed means now.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where in every window and spread this name stands, in parts of 2^32: so that many gates do
    /// not come at once, and that asking again does not choose again.
    place: u32,
    /// From one certificate to an order for the next, in seconds.
    rest: u64,
    pub(super) renew_at: u64,
    pub(super) ask_at: u64,
    pub(super) failures: u32,
    pub(super) failed_at: u64,
    /// Not before this.
    pub(super) try_at: u64,
}

impl Facts {
    /// Reads them; none where it cannot be read.
    pub(super) fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let validity = certificate.validity();
        let begins = u64::try_from(validity.not_before.timestamp()).ok()?;
        let ends = u64::try_from(validity.not_after.timestamp()).ok()?;
        Some(Self { begins, ends })
    }
}

impl Plan {
    /// Of a name that has no certificate: at once.
    pub(super) fn new(place: u32) -> Self {
        let rest = REST.as_secs();
        Self { place, rest, renew_at: 0, ask_at: 0, failures: 0, failed_at: 0, try_at: 0 }
    }

    /// The name has a certificate now.
    pub(super) fn has(&mut self, facts: &Facts) {
        let life = facts.ends.saturating_sub(facts.begins);
        let spread = part_of(life / 30, self.place);
        self.renew_at = facts.ends.saturating_sub(life / 3).saturating_sub(spread);
        self.rest = REST.as_secs().min(life / 6);
        self.ask_at = 0;
    }

    /// An order came to nothing.
    pub(super) fn failed(&mut self, now: u64, wait: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        let doublings = self.failures.saturating_sub(1).min(16);
        let own = WAIT.saturating_mul(1 << doublings).min(WAIT_MAX).as_secs();
        let own = own + part_of(own / 4, self.place);
        self.try_at = now.saturating_add(own.max(wait.map_or(0, |wait| wait.as_secs())));
    }

    /// What was remembered of failures before a restart.
    pub(super) fn remember(&mut self, failures: u32, failed_at: u64, try_at: u64) {
        (self.failures, self.failed_at, self.try_at) = (failures, failed_at, try_at);
    }

    /// Another name failed for a reason that is this one's as well.
    pub(super) fn wait_with(&mut self, other: &Self) {
        self.failed_at = other.failed_at;
        self.try_at = self.try_at.max(other.try_at);
    }

    /// Somebody says that what was in the way may be gone.
    pub(super) fn try_sooner(&mut self) {
        if self.failed_at > 0 {
            self.try_at = self.try_at.min(self.failed_at.saturating_add(LET_ALONE.as_secs()));
        }
    }

    /// An order succeeded.
    pub(super) fn succeeded(&mut self, now: u64) {
        self.remember(0, 0, now.saturating_add(self.rest));
    }

    /// The authority said when it wants the certificate renewed. A time after its end is none.
    pub(super) fn told(&mut self, info: &RenewalInfo, facts: &Facts) -> Result<(), ()> {
        let unix = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).map_err(|_| ());
        let window = &info.suggested_window;
        let (start, end) = (unix(window.start)?, unix(window.end)?);
        let span = end.checked_sub(start).ok_or(())?;
        let chosen = start.saturating_add(part_of(span, self.place));
        if chosen < facts.ends {
            self.renew_at = chosen;
        }
        Ok(())
    }

    /// When it is asked again, after as long as it says.
    pub(super) fn ask_again(&mut self, now: u64, wait: Option<Duration>) {
        let wait = wait.unwrap_or(ASK_AGAIN).clamp(ASK_MIN, ASK_MAX);
        self.ask_at = now.saturating_add(wait.as_secs());
    }
}

/// As much of a span as a place says, in parts of 2^32.
fn part_of(span: u64, place: u32) -> u64 {
    let part = (u128::from(span) * u128::from(place)) >> 32;
    u64::try_from(part).unwrap_or(span)
}

#[cfg(test)]
mod tests {
    use instant_acme::SuggestedWindow;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    const DAY: u64 = 24 * 3600;

    fn facts(days: u64) -> Facts {
        Facts { begins: 1_000 * DAY, ends: (1_000 + days) * DAY }
    }

    fn window(start: &str, end: &str) -> RenewalInfo {
        let [start, end] = [start, end].map(|text| OffsetDateTime::parse(text, &Rfc3339).unwrap());
        RenewalInfo { suggested_window: SuggestedWindow { start, end }, explanation_url: None }
    }

    #[test]
    fn a_third_of_its_life_is_left_whatever_the_life() {
        for (place, early) in [(0, 0), (u32::MAX, 3 * DAY)] {
            let mut plan = Plan::new(place);
            plan.has(&facts(90));
            let due = 1_060 * DAY - early;
            assert!((due..=due + 1).contains(&plan.renew_at), "{}", plan.renew_at);
        }
        let mut plan = Plan::new(0);
        plan.has(&facts(6));
        assert_eq!(plan.renew_at, 1_004 * DAY);
        let hour = Facts { begins: 0, ends: 3600 };
        plan.has(&hour);
        plan.succeeded(0);
        assert!(plan.try_at < plan.renew_at, "one of an hour does not end before it is renewed");
    }

    #[test]
    fn waits_double_up_to_hours_and_the_authority_may_ask_for_more() {
        let mut plan = Plan::new(0);
        let mut waits = Vec::new();
        for _ in 0..40 {
            plan.failed(1_000, None);
            waits.push(plan.try_at - 1_000);
        }
        assert_eq!(waits[..4], [60, 120, 240, 480]);
        assert_eq!(waits[39], 6 * 3600);
        plan.failed(1_000, Some(Duration::from_secs(DAY)));
        assert_eq!(plan.try_at, 1_000 + DAY);
        plan.try_sooner();
        assert_eq!(plan.try_at, 1_060, "a reload does not wait for a day");
        plan.succeeded(2_000);
        plan.try_sooner();
        assert_eq!((plan.failures, plan.try_at), (0, 5_600), "nothing is in the way");
        let mut other = Plan::new(u32::MAX);
        other.failed(0, None);
        assert_eq!(other.try_at, 74, "not all gates at once");
    }

    #[test]
    fn a_time_in_the_window_is_chosen_once() {
        let mut plan = Plan::new(1 << 31);
        plan.has(&facts(90));
        let info = window("1972-10-01T00:00:00Z", "1972-10-03T00:00:00Z");
        plan.told(&info, &facts(90)).unwrap();
        assert_eq!(plan.renew_at, 86_745_600 + DAY);
        let chosen = plan.renew_at;
        plan.told(&info, &facts(90)).unwrap();
        assert_eq!(plan.renew_at, chosen);
    }

    #[test]
    fn a_window_that_makes_no_sense_changes_nothing() {
        let mut plan = Plan::new(0);
        plan.has(&facts(90));
        let before = plan.renew_at;
        let start = "1972-10-03T00:00:00Z";
        for end in ["1972-10-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(plan.told(&window(start, end), &facts(90)).is_err());
        }
        plan.told(&window("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z"), &facts(90)).unwrap();
        assert_eq!(plan.renew_at, before, "after its end");
        plan.ask_again(10, Some(Duration::ZERO));
        assert_eq!(plan.ask_at, 70);
        plan.ask_again(10, Some(Duration::from_secs(u64::MAX)));
        assert_eq!(plan.ask_at, 10 + DAY);
    }
}
