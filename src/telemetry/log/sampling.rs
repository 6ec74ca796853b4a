//! Which lines are written where not all of them are: a share of those of good requests, and all
//! that somebody could want to look into.

use std::time::Duration;

use crate::telemetry::code::Code;
use crate::telemetry::record::RequestId;

const MILLION: u64 = 1_000_000;

/// How much is written of good requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// So many of a million.
    pub per_million: u32,
    /// A request that takes so long has a line in any case.
    pub slow: Duration,
}

impl Sampling {
    /// Whether a request has a line. Good is what was forwarded and answered with a status below
    /// 400; which of those have one is in the id alone, so that it is known wherever the id is.
    pub(super) fn takes(&self, id: &RequestId, code: Code, status: u16, total: Duration) -> bool {
        let is_good = code == Code::Forwarded && status < 400 && total < self.slow;
        !is_good || u64::from(id.draw()) * MILLION < u64::from(self.per_million) << u32::BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Sampling = Sampling { per_million: 100_000, slow: Duration::from_secs(1) };

    fn ids() -> impl Iterator<Item = RequestId> {
        // As a core makes them.
        (0_u64..20_000).map(|n| {
            let count = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            RequestId::new(7, mixed ^ (mixed >> 31))
        })
    }

    #[test]
    fn a_share_of_the_good_is_taken_by_their_ids() {
        let quick = Duration::from_millis(5);
        let takes = |id: &RequestId| TENTH.takes(id, Code::Forwarded, 200, quick);
        let taken = ids().filter(takes).count();
        assert!((1700..2300).contains(&taken), "{taken} of 20,000");
        let first = ids().find(|id| takes(id)).unwrap();
        assert!((0..100).all(|_| takes(&first)), "always the same");
        let none = Sampling { per_million: 1, ..TENTH };
        assert!(ids().filter(|id| none.takes(id, Code::Forwarded, 200, quick)).count() < 5);
    }

    #[test]
    fn whatever_somebody_may_look_into_is_taken() {
        let quick = Duration::from_millis(5);
        let none = Sampling { per_million: 1, slow: Duration::from_secs(1) };
        for id in ids().take(200) {
            assert!(
                Code::ALL
                    .into_iter()
                    .filter(|code| *code != Code::Forwarded)
                    .all(|code| { none.takes(&id, code, 200, quick) })
            );
            assert!(none.takes(&id, Code::Forwarded, 404, quick));
            assert!(none.takes(&id, Code::Forwarded, 502, quick));
            assert!(none.takes(&id, Code::Forwarded, 200, Duration::from_secs(1)));
        }
    }
}
