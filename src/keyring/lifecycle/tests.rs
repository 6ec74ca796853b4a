//! What holds whatever is done in which order, and what each verb does by itself.

use proptest::prelude::*;

use super::*;
use crate::store::row::{Kind, SecretOrigin};

const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

/// A version that is not there yet.
fn new(
    number: u32,
    now: Timestamp,
    overlap_secs: u64,
    expires_at: Option<Timestamp>,
) -> VersionRow {
    VersionRow {
        key_id: "pk_test_1".into(),
        kind: Kind::Signing,
        number,
        state: State::Pending,
        suspended_from: None,
        on_first_use: false,
        check_value: "000000".into(),
        origin: SecretOrigin::Generated,
        created_by: "test".into(),
        created_at: now,
        activate_at: None,
        activated_at: None,
        overlap_secs,
        retire_at: None,
        expires_at,
        revoked_at: None,
        compromised_since: None,
        reason: None,
        destroyed_at: None,
        shown: true,
        revision: 0,
    }
}

/// Writes a turn as the store does: one row after the other, never two active ones.
fn write(versions: &mut Vec<VersionRow>, turn: Turn) {
    for row in turn.changed {
        match versions.iter_mut().find(|own| own.number == row.number) {
            Some(own) => *own = row,
            None => versions.push(row),
        }
        let active = versions.iter().filter(|row| row.state == State::Active).count();
        assert!(active <= 1, "two are active while a turn is written");
    }
}

#[derive(Clone, Debug)]
enum Verb {
    Wait(u64),
    Add { overlap: u64, life: Option<u64> },
    Rotate { overlap: u64, life: Option<u64>, cutover: Cutover, again: bool },
    Activate(u32),
    FirstUse(u32),
    Promote(u32, Option<u64>),
    Suspend(u32),
    Resume(u32),
    Retire(u32),
    Revoke(u32),
    Destroy(u32, bool),
    Discard(u32),
}

fn verb() -> impl Strategy<Value = Verb> {
    let number = || 1..9_u32;
    let overlap = || prop_oneof![Just(0_u64), Just(3600), 1..20 * DAY];
    let life = || prop::option::of(0..40 * DAY);
    let cutover = prop_oneof![
        Just(Cutover::Now),
        Just(Cutover::OnFirstUse),
        (0..10 * DAY).prop_map(Cutover::After)
    ];
    prop_oneof![
        3 => prop_oneof![Just(0), 1..3600_u64, 1..10 * DAY, 1..50 * DAY].prop_map(Verb::Wait),
        2 => (overlap(), life()).prop_map(|(overlap, life)| Verb::Add { overlap, life }),
        4 => (overlap(), life(), cutover, any::<bool>()).prop_map(
            |(overlap, life, cutover, again)| Verb::Rotate { overlap, life, cutover, again }
        ),
        2 => number().prop_map(Verb::Activate),
        2 => number().prop_map(Verb::FirstUse),
        2 => (number(), prop::option::of(overlap())).prop_map(|(n, o)| Verb::Promote(n, o)),
        2 => number().prop_map(Verb::Suspend),
        2 => number().prop_map(Verb::Resume),
        1 => number().prop_map(Verb::Retire),
        1 => number().prop_map(Verb::Revoke),
        1 => (number(), any::<bool>()).prop_map(|(n, now)| Verb::Destroy(n, now)),
        1 => number().prop_map(Verb::Discard),
    ]
}

fn carry_out(versions: &[VersionRow], verb: &Verb, now: Timestamp) -> Result<Turn, Refusal> {
    let number = next_number(versions);
    let fresh = |overlap, life: Option<u64>| {
        let end = life.map(|secs| now.saturating_add(Duration::from_secs(secs)));
        new(number, now, overlap, end)
    };
    match *verb {
        Verb::Wait(_) => Ok(tick(versions, now)),
        Verb::Add { overlap, life } => add(versions, fresh(overlap, life), now),
        Verb::Rotate { overlap, life, cutover, again } => {
            let again = again.then(|| number - 1).filter(|number| *number > 0);
            rotate(versions, fresh(overlap, life), cutover, again, now)
        }
        Verb::Activate(n) => activate(versions, n, now),
        Verb::FirstUse(n) => first_use(versions, n, now),
        Verb::Promote(n, overlap) => promote(versions, n, overlap, now),
        Verb::Suspend(n) => suspend(versions, n, "looked into", now),
        Verb::Resume(n) => resume(versions, n, now),
        Verb::Retire(n) => retire(versions, n, now),
        Verb::Revoke(n) => revoke(versions, n, "lost", None, now),
        Verb::Destroy(n, at_once) => destroy(versions, n, at_once, now),
        Verb::Discard(n) => discard(versions, n, now),
    }
}

/// What holds at every moment.
fn check(versions: &[VersionRow], now: Timestamp) {
    let count = |state| versions.iter().filter(|row| row.state == state).count();
    assert!(count(State::Active) <= 1);
    assert!(count(State::Retiring) <= RETIRING_MAX);
    assert!(count(State::Pending) <= PENDING_MAX);
    let verifying = versions.iter().filter(|row| row.verifies(now)).count();
    assert!(verifying <= crate::keyring::LIVE_VERSIONS_MAX);
    let waits = |row: &&VersionRow| row.on_first_use || row.activate_at.is_some();
    let pending = versions.iter().filter(|row| row.state == State::Pending);
    assert!(pending.filter(waits).count() <= 1);
    for row in versions {
        let expires = row.expires_at.unwrap_or(Timestamp::MAX);
        assert!(row.retire_at.is_none_or(|end| end <= expires), "overlap outlives expiry");
        if now > expires {
            assert!(row.is_over() && !row.verifies(now), "expired and not over");
        }
        if row.state == State::Retiring {
            assert!(row.retire_at.is_some_and(|end| end >= now));
        }
        assert_eq!(row.is_over(), row.revoked_at.is_some());
        assert_eq!(row.state == State::Destroyed, row.destroyed_at.is_some());
        assert_eq!(row.state == State::Suspended, row.suspended_from.is_some());
    }
    assert_eq!(tick(versions, now), Turn::default(), "time is settled once");
}

/// Where a version may go.
fn may_follow(before: &VersionRow, after: &VersionRow) -> bool {
    use State::{Active, Destroyed, Pending, Retiring, Revoked, Suspended};
    match (before.state, after.state) {
        (from, to) if from == to => true,
        (Destroyed, _) => false,
        (Revoked, to) => to == Destroyed,
        (Pending, Destroyed) => after.reason.as_deref().is_some_and(|why| {
            [DISCARDED, UNUSED, EXPIRED, RETIRED].contains(&why) || before.expires_at.is_some()
        }),
        // Time had revoked it, and nobody had looked since.
        (_, Destroyed) => before.expires_at.is_some() || before.retire_at.is_some(),
        (_, Revoked) => true,
        (Pending, to) => matches!(to, Active | Suspended),
        (Active, to) => matches!(to, Retiring | Suspended),
        (Retiring, to) => matches!(to, Active | Suspended),
        (Suspended, to) => matches!(to, Pending | Active | Retiring),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No sequence revives what is over, makes two active, keeps three retiring, or lets an overlap
    /// outlive the end of a version.
    #[test]
    fn no_sequence_breaks_a_rule(verbs in prop::collection::vec(verb(), 1..60)) {
        let (mut versions, mut now) = (Vec::new(), at(0));
        for verb in verbs {
            if let Verb::Wait(secs) = verb {
                now = now.saturating_add(Duration::from_secs(secs));
            }
            let before = versions.clone();
            if let Ok(turn) = carry_out(&versions, &verb, now) {
                write(&mut versions, turn);
            } else {
                // A refusal leaves what time has changed to the next who looks.
                let turn = tick(&versions, now);
                write(&mut versions, turn);
            }
            check(&versions, now);
            // A number names one version, for good.
            prop_assert!(next_number(&versions) >= next_number(&before));
            prop_assert!(versions.len() >= before.len());
            for row in &versions {
                if let Some(old) = before.iter().find(|old| old.number == row.number) {
                    prop_assert!(may_follow(old, row), "{:?}: {old:?} to {row:?}", verb);
                    prop_assert!(!old.is_over() || old.revoked_at == row.revoked_at);
                }
            }
        }
    }
}

/// A secret with an active version 1 that has no end.
fn begun() -> Vec<VersionRow> {
    let mut versions = Vec::new();
    write(&mut versions, add(&[], new(1, at(0), 0, None), at(0)).unwrap());
    let turn = activate(&versions, 1, at(0)).unwrap();
    write(&mut versions, turn);
    versions
}

fn rotated(versions: &mut Vec<VersionRow>, overlap: u64, now: Timestamp) -> Result<(), Refusal> {
    let fresh = new(next_number(versions), now, overlap, None);
    let turn = rotate(versions, fresh, Cutover::Now, None, now)?;
    write(versions, turn);
    Ok(())
}

fn states(versions: &[VersionRow]) -> Vec<&'static str> {
    versions.iter().map(|row| row.state.name()).collect()
}

#[test]
fn a_third_rotation_waits_for_a_slot_and_says_until_when() {
    let mut versions = begun();
    rotated(&mut versions, DAY, at(0)).unwrap();
    rotated(&mut versions, DAY, at(100)).unwrap();
    let refusal = rotated(&mut versions, DAY, at(200)).unwrap_err();
    assert_eq!(refusal, Refusal::SlotsFull { frees_at: at(DAY + 1) });
    assert!(rotated(&mut versions, DAY, at(DAY)).is_err());
    rotated(&mut versions, DAY, at(DAY + 1)).unwrap();
    assert_eq!(states(&versions), ["revoked", "retiring", "retiring", "active"]);
    // Without an overlap no slot is needed.
    rotated(&mut versions, 0, at(DAY + 1)).unwrap();
    assert_eq!(states(&versions), ["revoked", "retiring", "retiring", "revoked", "active"]);
}

#[test]
fn a_lost_answer_is_made_good_once() {
    let mut versions = begun();
    let fresh = new(2, at(5), DAY, None);
    let turn = rotate(&versions, fresh, Cutover::OnFirstUse, None, at(5)).unwrap();
    write(&mut versions, turn);
    let other = new(3, at(6), DAY, None);
    let refusal = rotate(&versions, other.clone(), Cutover::OnFirstUse, None, at(6)).unwrap_err();
    assert_eq!(refusal, Refusal::Scheduled { number: 2 });
    let turn = rotate(&versions, other, Cutover::OnFirstUse, Some(2), at(6)).unwrap();
    assert_eq!(turn.changed.len(), 2);
    write(&mut versions, turn);
    let turn = first_use(&versions, 3, at(7)).unwrap();
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["retiring", "destroyed", "active"]);
    // It is in use: the same call makes nothing any more.
    let turn = rotate(&versions, new(4, at(8), DAY, None), Cutover::Now, Some(3), at(8)).unwrap();
    assert_eq!(turn, Turn::default());
    assert_eq!(first_use(&versions, 3, at(9)).unwrap(), Turn::default());
}

#[test]
fn a_rotation_is_taken_back() {
    let mut versions = begun();
    rotated(&mut versions, DAY, at(0)).unwrap();
    let turn = promote(&versions, 1, None, at(50)).unwrap();
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["active", "retiring"]);
    assert_eq!(versions[1].retire_at, Some(at(50 + DAY)));
    assert!(promote(&versions, 1, None, at(50)).is_err());
}

#[test]
fn a_version_waits_for_its_time_and_verifies_from_then_on() {
    let mut versions = begun();
    let fresh = new(2, at(0), DAY, Some(at(3 * DAY)));
    let turn = rotate(&versions, fresh, Cutover::After(DAY), None, at(0)).unwrap();
    write(&mut versions, turn);
    assert!(!versions[1].verifies(at(DAY)));
    assert_eq!(tick(&versions, at(DAY - 1)), Turn::default());
    let turn = tick(&versions, at(DAY));
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["retiring", "active"]);
    assert!(versions[1].verifies(at(3 * DAY)) && !versions[1].verifies(at(3 * DAY + 1)));
    let turn = tick(&versions, at(3 * DAY + 1));
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["revoked", "revoked"]);
    assert_eq!(versions[1].reason.as_deref(), Some(EXPIRED));
    for turn in [activate(&versions, 2, at(3 * DAY + 1)), resume(&versions, 2, at(3 * DAY + 1))] {
        assert!(matches!(turn, Err(Refusal::WrongState { .. })));
    }
}

#[test]
fn who_was_active_comes_back_beside_another_as_retiring() {
    let mut versions = begun();
    let turn = suspend(&versions, 1, "seen elsewhere", at(1)).unwrap();
    write(&mut versions, turn);
    assert!(suspend(&versions, 1, "again", at(1)).is_err());
    rotated(&mut versions, DAY, at(2)).unwrap();
    assert_eq!(states(&versions), ["suspended", "active"]);
    let turn = resume(&versions, 1, at(3)).unwrap();
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["retiring", "active"]);
    assert_eq!(versions[0].retire_at, Some(at(3 + DAY)));
}

#[test]
fn what_is_revoked_is_kept_and_then_gone() {
    let mut versions = begun();
    assert!(destroy(&versions, 1, true, at(1)).is_err(), "not before it is revoked");
    let turn = revoke(&versions, 1, "lost", None, at(1)).unwrap();
    write(&mut versions, turn);
    let refusal = destroy(&versions, 1, false, at(2)).unwrap_err();
    assert_eq!(refusal, Refusal::TooEarly { at: at(1 + 30 * DAY) });
    // What is found out later is noted, and changes nothing else.
    let turn = revoke(&versions, 1, "on a forum", Some(at(0)), at(9)).unwrap();
    write(&mut versions, turn);
    assert_eq!((versions[0].revoked_at, versions[0].compromised_since), (Some(at(1)), Some(at(0))));
    let turn = destroy(&versions, 1, true, at(10)).unwrap();
    write(&mut versions, turn);
    assert_eq!(states(&versions), ["destroyed"]);
    assert!(revoke(&versions, 1, "again", None, at(11)).is_err());
}

#[test]
fn what_nobody_uses_is_destroyed_in_the_end_and_its_number_stays_taken() {
    let turn = add(&[], new(1, at(0), 0, None), at(0)).unwrap();
    let mut versions = turn.changed;
    assert_eq!(tick(&versions, at(7 * DAY)), Turn::default());
    let given_up = |turn: Turn, why: &str| {
        let [row] = turn.changed.as_slice() else { panic!("{turn:?}") };
        assert_eq!((row.state, row.reason.as_deref()), (State::Destroyed, Some(why)));
        assert_eq!(row.destroyed_at, row.revoked_at);
    };
    given_up(tick(&versions, at(7 * DAY + 1)), UNUSED);
    let turn = discard(&versions, 1, at(0)).unwrap();
    given_up(turn.clone(), DISCARDED);
    write(&mut versions, turn);
    assert_eq!(next_number(&versions), 2);
    assert!(discard(&versions, 1, at(0)).is_err());
    assert_eq!(discard(&versions, 2, at(0)), Err(Refusal::Missing { number: 2 }));
}

#[test]
fn states_have_the_names_of_configuration() {
    for (name, state) in State::NAMES {
        assert_eq!((state.name(), name.parse()), (name, Ok(state)));
    }
    assert!("destroyed".parse::<State>().is_err(), "nobody can state a secret that is gone");
}

fn yearly() -> crate::store::row::PolicyRow {
    crate::store::row::PolicyRow {
        name: "yearly".into(),
        max_age_secs: Some(365 * DAY),
        max_messages: Some(1000),
        rotate_at: None,
        overlap_secs: 7 * DAY,
        cutover: Cutover::OnFirstUse,
        automatic: true,
        remind_days: vec![30, 7],
        revision: 1,
    }
}

#[test]
fn a_policy_says_when_a_version_is_replaced() {
    let (policy, mut versions) = (yearly(), begun());
    assert_eq!(replaced_at(&policy, &versions[0]), Some(at(365 * DAY)));
    assert_eq!(due(&policy, &versions, 999, at(365 * DAY - 1)), None);
    assert_eq!(due(&policy, &versions, 0, at(365 * DAY)), Some(Due::Time));
    assert_eq!(due(&policy, &versions, 1000, at(0)), Some(Due::Messages));
    // Its own end comes first: the next one is there an overlap before.
    versions[0].expires_at = Some(at(100 * DAY));
    assert_eq!(due(&policy, &versions, 0, at(93 * DAY - 1)), None);
    assert_eq!(due(&policy, &versions, 0, at(93 * DAY)), Some(Due::Time));
    let dated = |date| crate::store::row::PolicyRow { rotate_at: Some(at(date)), ..yearly() };
    assert_eq!(replaced_at(&dated(50 * DAY), &versions[0]), Some(at(50 * DAY)));
    assert_eq!(replaced_at(&dated(0), &versions[0]), Some(at(93 * DAY)), "made since the date");
    // One that waits to take over is the answer already.
    let next = new(2, at(0), DAY, None);
    let turn = rotate(&versions, next, Cutover::OnFirstUse, None, at(0)).unwrap();
    write(&mut versions, turn);
    assert_eq!(due(&policy, &versions, 1000, at(93 * DAY)), None);
}

#[test]
fn a_policy_reminds_ahead_of_it() {
    let (policy, versions) = (yearly(), begun());
    let told = |days| reminder(&policy, &versions[0], at(days * DAY));
    assert_eq!((told(334), told(335), told(357), told(358)), (None, Some(30), Some(30), Some(7)));
}
