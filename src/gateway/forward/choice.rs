//! Which address a request goes to: of two that are drawn, the one with fewer requests of this
//! core.
//!
//! Two that are drawn are nearly as good as a look at all, and cores that choose alike do not all
//! fall upon the same address. Those that keep failing come last, and unhealthy ones never.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use smallvec::SmallVec;

use super::outlet::Outlet;

/// Numbers that nobody needs to be unable to guess.
pub(super) struct Dice(Cell<u64>);

impl Dice {
    pub(super) fn new() -> Self {
        Self(Cell::new(RandomState::new().hash_one(0_u8) | 1))
    }

    /// A number below `count`, which is not 0.
    fn below(&self, count: usize) -> usize {
        // Xorshift: a state that is not 0 never becomes 0.
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        usize::try_from(state >> 32).unwrap_or(0).checked_rem(count).unwrap_or(0)
    }
}

/// One of the outlets that were not tried yet; none: there is none that may be.
pub(super) fn choose(
    outlets: &[Rc<Outlet>],
    tried: &[Rc<Outlet>],
    dice: &Dice,
) -> Option<Rc<Outlet>> {
    if let [only] = outlets {
        return (tried.is_empty() && only.address.is_healthy()).then(|| Rc::clone(only));
    }
    let may = |outlet: &&Rc<Outlet>| {
        outlet.address.is_healthy() && !tried.iter().any(|one| Rc::ptr_eq(one, outlet))
    };
    let good = outlets.iter().filter(|one| may(one) && !one.address.is_ejected());
    let mut fit: SmallVec<[&Rc<Outlet>; 16]> = good.collect();
    if fit.is_empty() {
        // Better one that failed lately than none.
        fit.extend(outlets.iter().filter(may));
    }
    let first = dice.below(fit.len());
    // Another than the first, all others equally likely.
    let second = (first + 1 + dice.below(fit.len().max(2) - 1)).checked_rem(fit.len())?;
    let (first, second) = (*fit.get(first)?, *fit.get(second)?);
    Some(Rc::clone(if second.in_flight() < first.in_flight() { second } else { first }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::upstream::{Ejection, Upstream, UpstreamSpec, UpstreamUrl};
    use crate::telemetry::GateMetrics;

    fn outlets(count: u16) -> (Upstream, Vec<Rc<Outlet>>) {
        let url = |n| UpstreamUrl { host: "127.0.0.1".into(), port: 1 + n };
        let spec = UpstreamSpec {
            ejection: Some(Ejection {
                failures: 1.try_into().unwrap(),
                period: std::time::Duration::from_secs(60),
                at_most: 999.try_into().unwrap(),
                statuses: Vec::new(),
            }),
            ..UpstreamSpec::new("a".into(), (0..count).map(url).collect())
        };
        let upstream = Upstream::new(spec, GateMetrics::new().unwrap().upstream("a"), None);
        let upstream = upstream.unwrap();
        let addresses = upstream.addresses();
        let outlets =
            addresses.iter().map(|one| Rc::new(Outlet::new(Arc::clone(one), None))).collect();
        (upstream, outlets)
    }

    fn port(outlet: &Rc<Outlet>) -> u16 {
        outlet.address.url.port
    }

    #[test]
    fn what_is_chosen_is_spread_evenly_and_away_from_the_busy() {
        let (_upstream, outlets) = outlets(4);
        let (dice, mut counts) = (Dice::new(), [0_u32; 5]);
        for _ in 0..4000 {
            let one = choose(&outlets, &[], &dice).unwrap();
            one.enter();
            counts[usize::from(port(&one))] += 1;
        }
        assert!(counts[1..].iter().all(|count| (980..=1020).contains(count)), "{counts:?}");
        for _ in 0..100 {
            outlets[2].leave();
        }
        let next = (0..50).map(|_| choose(&outlets, &[], &dice).unwrap());
        let idle = next.filter(|one| port(one) == 3).count();
        assert!((12..=40).contains(&idle), "drawn in half of the cases, and then taken: {idle}");
    }

    #[test]
    fn what_was_tried_or_left_out_is_not_chosen_while_another_is_there() {
        let (upstream, outlets) = outlets(3);
        let dice = Dice::new();
        let tried = [Rc::clone(&outlets[0])];
        upstream.failed(&outlets[1].address);
        for _ in 0..50 {
            assert_eq!(port(&choose(&outlets, &tried, &dice).unwrap()), 3);
        }
        let tried = [&outlets[0], &outlets[2]].map(Rc::clone);
        assert_eq!(port(&choose(&outlets, &tried, &dice).unwrap()), 2, "better than none");
        assert!(choose(&outlets, &outlets, &dice).is_none());
        assert!(choose(&[], &[], &dice).is_none());
        assert!(choose(&outlets[..1], &tried, &dice).is_none());
        assert_eq!(port(&choose(&outlets[1..2], &[], &dice).unwrap()), 2);
    }
}
