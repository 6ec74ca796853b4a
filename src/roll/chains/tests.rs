use std::time::Duration;

use super::*;
use crate::roll::Preset;

const START: u64 = 1_764_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

fn chains() -> Chains {
    Chains::new((START - 10) * 1000)
}

fn kid(chain: u8, generation: u32, issued: u64) -> Kid {
    let chain = ChainId::starting(at(0), [0, 0, 0, chain]);
    Kid { epoch: 1, chain, generation, issued: u32::try_from(START + issued).unwrap() }
}

fn key_id() -> Arc<str> {
    Arc::from("pk_live_a")
}

/// A use that opens.
fn uses(chains: &Chains, kid: Kid, preset: Preset, now: u64) -> Result<(), Worn> {
    let taken = chains.take(&key_id(), kid, &preset.policy(), at(now))?;
    assert!(taken.keep());
    Ok(())
}

#[test]
fn a_set_is_superseded_by_the_use_of_a_newer_one_after_the_grace() {
    let chains = chains();
    let standard = |generation, now| uses(&chains, kid(1, generation, 0), Preset::Standard, now);
    assert_eq!(standard(1, 0), Ok(()));
    assert_eq!(standard(1, 500), Ok(()), "nothing newer was used");
    assert_eq!(standard(3, 500), Ok(()));
    assert_eq!(standard(1, 560), Ok(()), "60 s after it, grace included");
    assert_eq!(standard(2, 560), Ok(()));
    assert_eq!(standard(1, 561), Err(Worn::Superseded));
    assert_eq!(standard(2, 561), Err(Worn::Superseded));
    assert_eq!(standard(3, 561), Ok(()));
}

#[test]
fn first_uses_that_follow_each_other_closely_still_supersede() {
    let chains = chains();
    // A hundred generations within a second, then silence.
    for generation in 1..=100 {
        assert_eq!(uses(&chains, kid(1, generation, 0), Preset::Strict, 0), Ok(()));
    }
    assert_eq!(uses(&chains, kid(1, 99, 0), Preset::Strict, 6), Err(Worn::Superseded));
    assert_eq!(uses(&chains, kid(1, 100, 0), Preset::Strict, 6), Ok(()));
}

#[test]
fn a_stream_of_generations_keeps_few_first_uses_and_few_counts() {
    let chains = chains();
    for second in 0..2000_u32 {
        for part in 0..10 {
            let generation = second * 10 + part + 1;
            let kid = kid(1, generation, second.into());
            assert_eq!(uses(&chains, kid, Preset::Standard, second.into()), Ok(()));
        }
    }
    assert!(chains.entries() <= 1 + 62 * 10, "{}", chains.entries());
    let own = chains.of(&key_id());
    assert!(lock(&own).0.values().all(|chain| chain.firsts.len() <= 62));
}

#[test]
fn a_set_seals_as_many_messages_as_it_may_and_siblings_count_apart() {
    let chains = chains();
    for _ in 0..3 {
        assert_eq!(uses(&chains, kid(1, 2, 0), Preset::Strict, 1), Ok(()));
    }
    assert_eq!(uses(&chains, kid(1, 2, 0), Preset::Strict, 1), Err(Worn::Exhausted));
    assert_eq!(uses(&chains, kid(1, 2, 1), Preset::Strict, 1), Ok(()));
    let policy = Preset::Strict.policy();
    // What does not open costs nothing.
    for _ in 0..10 {
        drop(chains.take(&key_id(), kid(2, 1, 0), &policy, at(1)).unwrap());
    }
    assert_eq!(uses(&chains, kid(2, 1, 0), Preset::Strict, 1), Ok(()));
}

#[test]
fn what_does_not_open_supersedes_nothing() {
    let chains = chains();
    let policy = Preset::Strict.policy();
    assert_eq!(uses(&chains, kid(1, 1, 0), Preset::Strict, 0), Ok(()));
    drop(chains.take(&key_id(), kid(1, 9, 0), &policy, at(0)).unwrap());
    assert_eq!(uses(&chains, kid(1, 1, 0), Preset::Strict, 100), Ok(()));
}

#[test]
fn a_killed_chain_is_dead_for_good_and_alone() {
    let chains = chains();
    let policy = Preset::Standard.policy();
    assert_eq!(uses(&chains, kid(1, 1, 0), Preset::Standard, 0), Ok(()));
    let taken = chains.take(&key_id(), kid(1, 1, 0), &policy, at(0)).unwrap();
    let chain = kid(1, 1, 0).chain;
    let until = presentable(chain, &policy);
    chains.kill(&Kill { key_id: key_id(), chain, at: at(0), until });
    assert!(!taken.keep(), "killed while its message was opened");
    assert_eq!(uses(&chains, kid(1, 2, 0), Preset::Standard, 0), Err(Worn::Revoked));
    assert_eq!(uses(&chains, kid(2, 1, 0), Preset::Standard, 0), Ok(()));
    let other: Arc<str> = Arc::from("pk_live_b");
    assert!(chains.take(&other, kid(1, 1, 0), &policy, at(0)).is_ok(), "another credential");
    chains.sweep(until);
    assert_eq!(uses(&chains, kid(1, 2, 0), Preset::Standard, 0), Err(Worn::Revoked));
}

#[test]
fn sets_from_before_the_start_are_superseded() {
    let chains = Chains::new(START * 1000 + 1);
    assert_eq!(chains.lost(), at(1), "rounded up");
    assert_eq!(uses(&chains, kid(1, 1, 1), Preset::Standard, 1), Err(Worn::Superseded));
    assert_eq!(uses(&chains, kid(1, 1, 2), Preset::Standard, 2), Ok(()));
}

#[test]
fn nothing_is_evicted_and_a_first_use_beyond_the_room_waits() {
    let chains = Chains { chains_max: 2, ..chains() };
    for chain in [1, 2] {
        assert_eq!(uses(&chains, kid(chain, 1, 0), Preset::Standard, 0), Ok(()));
    }
    assert_eq!(uses(&chains, kid(3, 1, 0), Preset::Standard, 0), Err(Worn::Full));
    assert_eq!(uses(&chains, kid(1, 2, 0), Preset::Standard, 0), Ok(()), "known chains go on");
    assert!(!chains.has_room_for(&key_id(), 1));
    let end = Duration::from_secs(60 * 60 + 31);
    chains.sweep(at(0).saturating_add(end));
    assert_eq!(chains.entries(), 0);
    assert!(chains.by_credential.is_empty());
    let full = Chains { entries_max: 3, ..self::chains() };
    assert_eq!(uses(&full, kid(1, 1, 0), Preset::Standard, 0), Ok(()));
    assert_eq!(uses(&full, kid(2, 1, 0), Preset::Standard, 0), Err(Worn::Full));
    assert_eq!(uses(&full, kid(1, 2, 0), Preset::Standard, 0), Ok(()));
    assert_eq!(uses(&full, kid(1, 3, 0), Preset::Standard, 0), Err(Worn::Full));
}

#[test]
fn a_chain_counts_so_many_sets_and_is_used_up_then() {
    let chains = chains();
    let most = u32::try_from(SETS_MAX).unwrap();
    for generation in 1..=most {
        assert_eq!(uses(&chains, kid(1, generation, 0), Preset::Compat, 0), Ok(()));
    }
    assert_eq!(uses(&chains, kid(1, most + 1, 0), Preset::Compat, 0), Err(Worn::Exhausted));
    assert_eq!(uses(&chains, kid(1, most, 0), Preset::Compat, 0), Ok(()));
}
