//! Report-only: what a route that only watches says of it.

use crate::clock::Timestamp;

/// Until when refusals are only watched on a route, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observe {
    /// The last second of it; after that the route enforces by itself.
    pub until: Timestamp,
    /// Ids of the merchants whose refused requests go on; none: everybody's, strangers' too.
    pub merchants: Box<[Box<str>]>,
}

impl Observe {
    /// Whether it is still so.
    pub fn lasts(&self, now: Timestamp) -> bool {
        now <= self.until
    }

    /// Whether a refused request goes on, by the merchant whose key id it names.
    pub fn covers(&self, merchant: Option<&str>) -> bool {
        let named = |id: &str| self.merchants.iter().any(|own| **own == *id);
        self.merchants.is_empty() || merchant.is_some_and(named)
    }

    /// Days that are left, a begun one as a whole.
    pub fn days_left(&self, now: Timestamp) -> u64 {
        const DAY: u64 = 24 * 3600;
        let left = |secs: u64| secs.saturating_add(1).div_ceil(DAY);
        self.until.secs().checked_sub(now.secs()).map_or(0, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_counts_and_begun_days_do() {
        let observe = Observe { until: Timestamp::from_secs(172_799), merchants: Box::default() };
        let at = Timestamp::from_secs;
        assert!(observe.lasts(at(172_799)) && !observe.lasts(at(172_800)));
        let left: Vec<u64> =
            [0, 86_399, 86_400, 172_799, 172_800].map(|now| observe.days_left(at(now))).to_vec();
        assert_eq!(left, [2, 2, 1, 1, 0]);
    }

    #[test]
    fn nobody_is_covered_where_others_are_named() {
        let merchants = ["acme".into()].into();
        let named = Observe { until: Timestamp::MAX, merchants };
        assert!(named.covers(Some("acme")));
        assert!(!named.covers(Some("acme2")) && !named.covers(None));
        let all = Observe { until: Timestamp::MAX, merchants: Box::default() };
        assert!(all.covers(Some("acme")) && all.covers(None));
    }
}
