//! Whether the configured rates fit the replay memory, and what it holds.
//!
//! A request is remembered for as long as its timestamp may come again: the longest window and the
//! longest way ahead of all routes. An accepted request must never find the memory full, so rates
//! that could fill it do not load.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::document::{Document, Showing};
use super::fault::{Note, Weight};
use super::merchant::PlacedMerchant;
use super::value::bytes_text;
use crate::gateway::route::RouteSpec;
use crate::keyring::{CredentialSpec, Environment, MerchantSpec};
use crate::limit::{MIB, Rate, Window};
use crate::replay::{ENTRY_BYTES, HELD_LONGER, MERCHANT_PART, TEST_PART};

/// The replay memory in entries, and how long an entry stays.
pub(super) struct Capacity {
    entries: usize,
    span_secs: u64,
}

impl Capacity {
    pub(super) fn new(memory_bytes: NonZeroUsize, routes: &[RouteSpec]) -> Self {
        let longest = |part: fn(&Window) -> Duration| {
            let default = part(&Window::default());
            routes.iter().map(|route| part(&route.window)).max().unwrap_or(default).as_secs()
        };
        let fresh_secs = longest(|window| window.past) + longest(|window| window.ahead);
        Self {
            entries: memory_bytes.get() / ENTRY_BYTES,
            span_secs: fresh_secs + HELD_LONGER.as_secs(),
        }
    }

    /// Leaves a fault at the rate of every merchant that does not fit, and at the largest rate
    /// where all together do not.
    pub(super) fn check(&self, merchants: &[PlacedMerchant], document: &Document<'_>) {
        for merchant in merchants {
            let bound = Bound {
                who: format!("the merchant {} needs", merchant.spec.id),
                others: 0,
                entries: wide(self.entries / MERCHANT_PART),
                part: MERCHANT_PART,
                of: Of::Everything,
            };
            self.hold(merchant, &bound, document);
        }
        for (of, part, who) in [
            (Of::Everything, 1, "all merchants together need"),
            (Of::TestOnly, TEST_PART, "all test credentials together need"),
        ] {
            let need =
                |merchant: &PlacedMerchant| self.need(&merchant.spec, merchant.spec.rate, of);
            let Some(largest) = merchants.iter().max_by_key(|merchant| need(merchant)) else {
                return;
            };
            let total: u64 = merchants.iter().map(need).sum();
            let bound = Bound {
                who: who.to_owned(),
                others: total - need(largest),
                entries: wide(self.entries / part),
                part,
                of,
            };
            self.hold(largest, &bound, document);
        }
    }

    fn hold(&self, merchant: &PlacedMerchant, bound: &Bound, document: &Document<'_>) {
        let spec = &merchant.spec;
        let need = |rate: Rate| bound.others + self.need(spec, rate, bound.of);
        let needed = need(spec.rate);
        if needed <= bound.entries {
            return;
        }
        let key = format!("merchants.{}.rate", spec.id);
        let mut fault = document.fault(key, merchant.rate_span.clone(), Showing::Value);
        let share = match bound.part {
            1 => "which holds".to_owned(),
            part => format!("of which they may fill 1/{part}:"),
        };
        let rate = match bound.others {
            0 => format!("{} a second", spec.rate.per_second),
            _ => format!("of which {} a second of {}", spec.rate.per_second, spec.id),
        };
        fault.problem = format!(
            "{} {needed} entries of replay memory ({rate}, over {} s, and bursts), {share} {}",
            bound.who, self.span_secs, bound.entries
        );
        let memory = usize::try_from(needed).unwrap_or(usize::MAX).saturating_mul(bound.part);
        let memory = memory.saturating_mul(ENTRY_BYTES);
        let memory = bytes_text(memory.div_ceil(MIB).saturating_mul(MIB));
        let fits = largest_that(spec.rate, |rate| need(rate) <= bound.entries);
        let rate = match fits {
            Some(per_second) => format!("the largest rate that fits is per_second = {per_second}"),
            None => "no rate fits beside this burst and the other merchants".to_owned(),
        };
        fault.hint = Some(format!("{rate}; this one needs replay.memory = \"{memory}\""));
        document.push(fault);
    }

    /// Entries that a merchant with this rate can fill.
    fn need(&self, merchant: &MerchantSpec, rate: Rate, of: Of) -> u64 {
        let counted = merchant
            .credentials
            .iter()
            .filter(|c| of == Of::Everything || c.environment == Environment::Test);
        let all = match of {
            Of::Everything => Load::of(rate),
            Of::TestOnly => Load::sum(counted.clone(), rate),
        };
        // Of a read that may repeat, the memory keeps two entries.
        let twice = Load::sum(counted.clone().filter(|credential| fills_two(credential)), rate);
        // Of a message that rolling keys seal, one more.
        let sealed = counted.filter(|credential| credential.rolling.is_some());
        let sealed = Load::sum(sealed, rate);
        let per_second = all.per_second + twice.per_second + sealed.per_second;
        per_second * self.span_secs + all.burst + twice.burst + sealed.burst
    }

    /// What the memory holds, for the operator.
    pub(super) fn notes(&self) -> Vec<Note> {
        let sustained = |entries: usize| wide(entries) / self.span_secs;
        let all = sustained(self.entries);
        let text = format!(
            "{} entries, each kept for up to {} s, hold {all} requests a second in all, {} of one \
             merchant, {} of all test credentials; half of that where a scheme leaves method and \
             target open and reads may repeat",
            self.entries,
            self.span_secs,
            sustained(self.entries / MERCHANT_PART),
            sustained(self.entries / TEST_PART)
        );
        vec![Note { weight: Weight::Information, key: "replay.memory".to_owned(), text }]
    }
}

fn wide(entries: usize) -> u64 {
    u64::try_from(entries).unwrap_or(u64::MAX)
}

/// What must not need more than some entries.
struct Bound {
    who: String,
    /// Entries of everybody else.
    others: u64,
    entries: u64,
    /// The part of the memory that `entries` is: one over this.
    part: usize,
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Everything,
    TestOnly,
}

/// Whether each request of a credential takes two entries.
pub(super) fn fills_two(credential: &CredentialSpec) -> bool {
    credential.repeatable_reads && credential.scheme.coverage().leaves_target_open()
}

struct Load {
    per_second: u64,
    burst: u64,
}

impl Load {
    fn of(rate: Rate) -> Self {
        Self { per_second: rate.per_second.get().into(), burst: rate.burst.get().into() }
    }

    /// What credentials can do together: never more than their merchant.
    fn sum<'c>(credentials: impl Iterator<Item = &'c CredentialSpec>, merchant: Rate) -> Self {
        let most = Self::of(merchant);
        let none = Self { per_second: 0, burst: 0 };
        credentials.map(|credential| Self::of(credential.rate.unwrap_or(merchant))).fold(
            none,
            |sum, one| Self {
                per_second: (sum.per_second + one.per_second).min(most.per_second),
                burst: (sum.burst + one.burst).min(most.burst),
            },
        )
    }
}

/// The largest `per_second` with the same burst for which `fits` holds.
fn largest_that(rate: Rate, fits: impl Fn(Rate) -> bool) -> Option<u32> {
    let (mut low, mut high) = (0, rate.per_second.get());
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let per_second = NonZeroU32::new(middle).unwrap_or(NonZeroU32::MIN);
        if fits(Rate { per_second, ..rate }) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    (low > 0).then_some(low)
}
