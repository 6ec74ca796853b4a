use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use proptest::prelude::*;

use super::super::tests::{NOW, memory, once, read};
use super::*;

/// Runs `each` on so many threads, all released at the same moment.
fn together<T: Send>(threads: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let gate = Barrier::new(threads);
    std::thread::scope(|scope| {
        let run = |n| {
            let (gate, each) = (&gate, &each);
            scope.spawn(move || {
                gate.wait();
                each(n)
            })
        };
        let all: Vec<_> = (0..threads).map(run).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn of_a_hundred_at_once_one_passes() {
    let memory = memory(1000);
    for round in 0..20_u64 {
        let proof = round.to_le_bytes();
        let passed = together(100, |_| memory.pass(once(NOW, &proof), &[]));
        assert_eq!(passed.iter().filter(|passed| passed.is_ok()).count(), 1);
        assert!(passed.iter().all(|passed| matches!(passed, Ok(()) | Err(Refusal::Seen))));
    }
    assert_eq!(memory.usage().entries, 20);
}

/// Four threads run through the same list of proofs, each in its own role: for no proof may both
/// kinds pass, nor one message twice.
#[test]
fn of_two_kinds_at_once_never_both_pass() {
    const ROUNDS: usize = 30_000;
    let memory = memory(ROUNDS * 8);
    let turn = AtomicUsize::new(0);
    let results = together(4, |role| {
        let mut passed = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            // In step, so that the threads meet at every proof.
            turn.fetch_add(1, Ordering::SeqCst);
            while turn.load(Ordering::SeqCst) < round * 4 {
                std::hint::spin_loop();
                std::thread::yield_now();
            }
            let proof = round.to_le_bytes();
            passed.push(match role {
                0 => memory.pass(once(NOW, &proof), &[]).is_ok(),
                // A Once over its quota must not help anything through.
                1 => {
                    if let Ok(claim) = memory.claim_now(once(NOW, &proof), &[]) {
                        claim.withdraw();
                    }
                    false
                }
                _ => memory.pass(read(NOW, &proof, "/1"), &[]).is_ok(),
            });
        }
        passed
    });
    let mut seen = HashSet::new();
    let [once, _, read, same_read] = [0, 1, 2, 3].map(|role| &results[role]);
    for ((once, read), same_read) in once.iter().zip(read).zip(same_read) {
        assert!(u8::from(*once) + u8::from(*read) + u8::from(*same_read) <= 1);
        seen.insert((*once, *read, *same_read));
    }
    assert!(seen.len() > 1, "the threads never met");
}

/// Claims at the edge of the window while the sweep drops their buckets: nothing passes twice.
#[test]
fn nothing_passes_twice_while_buckets_are_dropped() {
    let memory = memory(4_000_000);
    let shares = [memory.share("m"), memory.test_share()];
    let now = AtomicU64::new(NOW);
    let over = AtomicBool::new(false);
    let window = Duration::from_secs(3);
    let passed = together(4, |thread| {
        let mut passed = Vec::new();
        if thread == 3 {
            for second in 0..4000 {
                now.store(NOW + second, Ordering::SeqCst);
                memory.sweep(Timestamp::from_secs(NOW + second), window);
                if second % 16 == 0 {
                    std::thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
            return passed;
        }
        while !over.load(Ordering::SeqCst) {
            let now = now.load(Ordering::SeqCst);
            for behind in 0..14 {
                let stamp = now - behind;
                if memory.pass(once(stamp, b"x"), &shares).is_ok() {
                    passed.push(stamp);
                }
            }
        }
        passed
    });
    let all: Vec<u64> = passed.into_iter().flatten().collect();
    let different: HashSet<u64> = all.iter().copied().collect();
    assert_eq!(all.len(), different.len());
    // Claims in progress while their bucket went left no count behind.
    memory.sweep(Timestamp::from_secs(NOW + 10_000), window);
    assert_eq!(memory.usage().entries, 0);
    assert_eq!((shares[0].used(), shares[1].used()), (0, 0));
}

/// The last step of the argument by hand: the claim holds the old bucket when the sweep takes it.
#[test]
fn a_claim_in_a_bucket_that_just_went_is_stale() {
    let memory = memory(100);
    let number = bucket::number_of(Timestamp::from_secs(NOW)).unwrap();
    let old = memory.buckets.find_or_open(number, Stripe::default());
    let later = Timestamp::from_secs(NOW + 400);
    memory.sweep(later, Duration::from_secs(300));
    assert!(!old.count(Stripe::of_thread(), 1));
    assert_eq!(old.close(), 0);
    assert_eq!(memory.pass(once(NOW, b"a"), &[]), Err(Refusal::Stale));
}

#[test]
fn a_closed_memory_refuses_also_a_read_in_progress() {
    let memory = memory(100);
    let reading = memory.claim_now(read(NOW, b"a", "/"), &[]).unwrap();
    memory.closed.store(true, Ordering::SeqCst);
    assert_eq!(reading.keep(), Err(Refusal::Busy));
    assert_eq!(memory.pass(once(NOW, b"b"), &[]), Err(Refusal::Busy));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Claims: a proof, and a target or none.
    Claim(u8, Option<u8>),
    /// Answers one of the claims in progress.
    Keep(usize),
    Withdraw(usize),
    Drop(usize),
    /// Lets seconds pass, sweeping.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..4, prop::option::of(0_u8..3)).prop_map(|(p, t)| Step::Claim(p, t)),
        3 => (0_usize..4).prop_map(Step::Keep),
        1 => (0_usize..4).prop_map(Step::Withdraw),
        1 => (0_usize..4).prop_map(Step::Drop),
        1 => (1_u64..8).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Claims in progress overlap in any order. The model knows only what passed.
    #[test]
    fn what_passed_never_passes_again_nor_beside_the_other_kind(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let memory = Memory::without_past(NonZeroUsize::new(1 << 20).unwrap()).unwrap();
        let mut now = NOW;
        let mut open = Vec::new();
        let mut passed: HashSet<(u64, u8, Option<u8>)> = HashSet::new();
        for step in steps {
            match step {
                Step::Claim(proof, target) => {
                    let name = format!("/{}", target.unwrap_or(0));
                    let bytes = [proof];
                    // Ten seconds old at most, whatever passed meanwhile.
                    let stamp = now - now % 10;
                    let stamped = match target {
                        None => once(stamp, &bytes),
                        Some(_) => read(stamp, &bytes, &name),
                    };
                    let before = (stamp, proof, target);
                    match memory.claim_now(stamped, &[]) {
                        Ok(claim) => {
                            prop_assert!(!passed.contains(&before));
                            open.push((before, claim));
                        }
                        Err(refusal) => prop_assert_eq!(refusal, Refusal::Seen),
                    }
                }
                Step::Keep(at) if at < open.len() => {
                    let (what, claim) = open.remove(at);
                    if claim.keep().is_ok() {
                        prop_assert!(passed.insert(what));
                        let (stamp, proof, target) = what;
                        let beside = passed.iter().any(|(s, p, t)| {
                            (*s, *p) == (stamp, proof) && t.is_none() != target.is_none()
                        });
                        prop_assert!(!beside);
                    }
                }
                Step::Withdraw(at) if at < open.len() => open.remove(at).1.withdraw(),
                Step::Drop(at) if at < open.len() => drop(open.remove(at)),
                Step::Pass(seconds) => {
                    now += seconds;
                    memory.sweep(Timestamp::from_secs(now), Duration::from_secs(10));
                }
                _ => {}
            }
        }
    }
}
