use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

pub(super) const NOW: u64 = 1_750_000_000;
const WINDOW: Duration = Duration::from_secs(300);

/// A memory for so many entries.
pub(super) fn memory(entries: usize) -> Memory {
    Memory::without_past(NonZeroUsize::new(entries * ENTRY_BYTES).unwrap()).unwrap()
}

pub(super) fn once(stamp: u64, proof: &[u8]) -> Stamped<'_> {
    let stamp = Timestamp::from_secs(stamp);
    Stamped { credential: "pk_test_1", stamp, proof, kind: Kind::Once }
}

pub(super) fn read<'a>(stamp: u64, proof: &'a [u8], target: &'a str) -> Stamped<'a> {
    let kind = Kind::Read { method: "GET", target: target.as_bytes() };
    Stamped { kind, ..once(stamp, proof) }
}

impl Memory {
    /// Claims what need not wait.
    pub(super) fn claim_now<'a>(
        &'a self,
        stamped: Stamped<'_>,
        shares: &[Share],
    ) -> Result<Claim<'a>, Refusal> {
        self.claim(stamped, &shares.to_vec().into()).now_or_never().unwrap()
    }

    /// Claims and keeps.
    pub(super) fn pass(&self, stamped: Stamped<'_>, shares: &[Share]) -> Result<(), Refusal> {
        self.claim_now(stamped, shares)?.keep()
    }
}

#[test]
fn a_message_passes_once() {
    let memory = memory(100);
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Ok(()));
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Err(Refusal::Seen));
    assert_eq!(memory.pass(once(NOW, b"b"), &[]), Ok(()));
    let other = Stamped { credential: "pk_test_2", ..once(NOW, b"a") };
    assert_eq!(memory.pass(other, &[]), Ok(()));
    assert_eq!(memory.usage().entries, 3);
}

#[test]
fn a_withdrawn_claim_may_come_again_and_a_dropped_one_may_not() {
    let memory = memory(100);
    memory.claim_now(once(NOW, b"a"), &[]).unwrap().withdraw();
    assert_eq!(memory.usage().entries, 0);
    drop(memory.claim_now(once(NOW, b"a"), &[]).unwrap());
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Err(Refusal::Seen));
}

#[test]
fn reads_of_two_targets_share_a_proof_and_nothing_else_does() {
    let memory = memory(100);
    assert_eq!(memory.pass(read(NOW, b"a", "/1"), &[]), Ok(()));
    assert_eq!(memory.pass(read(NOW, b"a", "/2"), &[]), Ok(()));
    assert_eq!(memory.pass(read(NOW, b"a", "/1"), &[]), Err(Refusal::Seen));
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Err(Refusal::Seen));
    // Two reads and the mark of reads.
    assert_eq!(memory.usage().entries, 3);
    assert_eq!(memory.pass(once(NOW, b"b"), &[]), Ok(()));
    assert_eq!(memory.pass(read(NOW, b"b", "/1"), &[]), Err(Refusal::Seen));
    assert_eq!(memory.usage().entries, 4);
}

#[test]
fn a_read_that_was_granted_looks_again_before_it_passes() {
    let memory = memory(100);
    let reading = memory.claim_now(read(NOW, b"a", "/1"), &[]).unwrap();
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Ok(()));
    assert_eq!(reading.keep(), Err(Refusal::Seen));
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Err(Refusal::Seen));
}

#[test]
fn a_withdrawn_read_leaves_no_mark() {
    let memory = memory(100);
    memory.claim_now(read(NOW, b"a", "/1"), &[]).unwrap().withdraw();
    assert_eq!(memory.usage().entries, 0);
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Ok(()));
}

#[test]
fn a_full_memory_refuses_and_forgets_nothing() {
    let memory = memory(10);
    for n in 0..10_u8 {
        assert_eq!(memory.pass(once(NOW, &[n]), &[]), Ok(()));
    }
    assert_eq!(memory.pass(once(NOW, &[10]), &[]), Err(Refusal::Full));
    assert_eq!(memory.pass(read(NOW, &[10], "/"), &[]), Err(Refusal::Full));
    for n in 0..10_u8 {
        assert_eq!(memory.pass(once(NOW, &[n]), &[]), Err(Refusal::Seen));
    }
    assert_eq!(memory.usage().entries, 10);
    memory.sweep(Timestamp::from_secs(NOW + 311), WINDOW);
    assert_eq!(memory.usage().entries, 0);
    assert_eq!(memory.pass(once(NOW + 311, &[10]), &[]), Ok(()));
}

#[test]
fn a_merchant_holds_a_quarter_and_all_tests_an_eighth() {
    let memory = memory(800);
    let shares = [memory.share("m1")];
    let passed = |shares: &[Share], credential| {
        let mut passed = 0_u32;
        for n in 0..1000_u32 {
            let stamped = Stamped { credential, ..once(NOW, &n.to_le_bytes()).to_owned_proof() };
            let proof = n.to_le_bytes();
            passed += u32::from(memory.pass(Stamped { proof: &proof, ..stamped }, shares).is_ok());
        }
        passed
    };
    assert_eq!(passed(&shares, "live"), 200);
    assert_eq!(passed(&[memory.share("m1")], "another"), 0);
    assert_eq!(passed(&[memory.share("m2"), memory.test_share()], "test"), 100);
    assert_eq!(passed(&[memory.share("m3"), memory.test_share()], "test 3"), 0);
    assert_eq!(memory.share("m3").used(), 0);
    assert_eq!(memory.share("m1").used(), 200);
    assert_eq!(memory.usage().test_entries, 100);
    memory.sweep(Timestamp::from_secs(NOW + 311), WINDOW);
    assert_eq!((shares[0].used(), memory.test_share().used()), (0, 0));
    assert_eq!(memory.usage().entries, 0);
}

impl Stamped<'_> {
    /// The same without its proof, so that another can be put in.
    fn to_owned_proof(self) -> Stamped<'static> {
        Stamped { credential: "", stamp: self.stamp, proof: b"", kind: Kind::Once }
    }
}

#[test]
fn a_share_is_the_same_after_a_reload_and_goes_when_nobody_needs_it() {
    let memory = memory(800);
    assert_eq!(memory.pass(once(NOW, b"a"), &[memory.share("m1")]), Ok(()));
    assert_eq!(memory.share("m1").used(), 1);
    memory.sweep(Timestamp::from_secs(NOW + 311), WINDOW);
    assert_eq!(memory.shares.to_save().len(), 0);
    assert_eq!(memory.share("m1").used(), 0);
}

#[test]
fn a_replay_at_the_last_second_of_the_window_is_refused() {
    let memory = memory(100);
    assert_eq!(memory.pass(once(NOW + 30, b"a"), &[]), Ok(()));
    for second in 0..=330 {
        memory.sweep(Timestamp::from_secs(NOW + second), WINDOW);
        assert_eq!(memory.pass(once(NOW + 30, b"a"), &[]), Err(Refusal::Seen));
    }
    memory.sweep(Timestamp::from_secs(NOW + 345), WINDOW);
    assert_eq!(memory.forgotten(), Some(Timestamp::from_secs(NOW + 39)));
    assert_eq!(memory.pass(once(NOW + 30, b"a"), &[]), Err(Refusal::Stale));
    // A reload with a longer window brings nothing back.
    memory.sweep(Timestamp::from_secs(NOW + 346), Duration::from_secs(3600));
    assert_eq!(memory.pass(once(NOW + 30, b"a"), &[]), Err(Refusal::Stale));
    assert_eq!(memory.pass(once(NOW + 40, b"a"), &[]), Ok(()));
}

#[test]
fn stamps_beyond_all_reason_are_stale() {
    let memory = memory(100);
    assert_eq!(memory.pass(once(u64::MAX, b"a"), &[]), Err(Refusal::Stale));
    assert_eq!(memory.usage().entries, 0);
}

#[test]
fn no_step_of_the_wall_clock_makes_a_replay_good() {
    let memory = memory(10_000);
    let (clock, hand) = Clock::by_hand(Timestamp::from_secs(NOW));
    let mut passed = Vec::new();
    for (round, step) in [0, 600, -600, 0, 61, -1, 1, 86_400, -86_400, 59].into_iter().enumerate() {
        hand.step_wall(step);
        for second in 0..40_u64 {
            hand.advance(Duration::from_secs(1));
            clock.tick();
            memory.sweep(clock.now(), WINDOW);
            let now = clock.now().secs();
            let proof = (u64::try_from(round).unwrap() * 1000 + second).to_le_bytes();
            assert_eq!(memory.pass(once(now, &proof), &[]), Ok(()));
            passed.push((now, proof));
            for (stamp, proof) in &passed {
                assert!(memory.pass(once(*stamp, proof), &[]).is_err());
            }
        }
    }
}

proptest! {
    /// Claims that are withdrawn, refused or dropped with their bucket leave nothing behind.
    #[test]
    fn the_size_is_what_was_kept(events in prop::collection::vec(
        (0_u64..40, 0_u8..20, 0_u8..4, any::<bool>()), 1..300,
    )) {
        let memory = memory(60);
        let shares = [memory.share("m"), memory.test_share()];
        let mut now = NOW;
        for (later, proof, target, keep) in events {
            let stamp = now + 20 - later;
            let target = format!("/{target}");
            let proof = [proof];
            let stamped = match target.as_str() {
                "/0" => once(stamp, &proof),
                target => read(stamp, &proof, target),
            };
            match memory.claim_now(stamped, &shares) {
                Ok(claim) if keep => drop(claim.keep()),
                Ok(claim) => claim.withdraw(),
                Err(_) => {}
            }
            now += later / 20;
            memory.sweep(Timestamp::from_secs(now), Duration::from_secs(40));
            let held: usize = memory.buckets.all().iter().map(|bucket| {
                let mut held = 0;
                bucket.for_each(|_| held += 1);
                held
            }).sum();
            prop_assert_eq!(memory.usage().entries, held);
            prop_assert_eq!(shares[0].used(), held);
            prop_assert_eq!(shares[1].used(), held);
            prop_assert!(held <= 7);
        }
    }
}
