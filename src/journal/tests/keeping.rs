//! What is kept, and how it goes on.

use super::*;

#[test]
fn what_is_kept_comes_back_as_it_was_and_a_second_one_is_a_duplicate() {
    let bed = Bed::new();
    let journal = bed.open();
    let mut new = delivery(1);
    new.headers.push(("X-Odd".into(), Bytes::from_static(b"\xff\x00 value")));
    new.body = Bytes::from(vec![0xfe; 100_000]);
    new.order_key = Some("order 1".into());
    let id = stored(run(journal.keep(new.clone())));
    assert_eq!(run(journal.keep(new.clone())), Ok(Kept::Duplicate(id.clone())));
    let other = NewDelivery { source: "paykun".into(), ..new.clone() };
    assert_ne!(stored(run(journal.keep(other))), id);
    drop(journal);
    let journal = bed.open();
    assert_eq!(run(journal.keep(new.clone())), Ok(Kept::Duplicate(id.clone())));
    let tasks = due(&journal, Work::Deliver, START_MILLIS);
    let [task, _] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!((task.work, task.attempts, task.first_tried_millis), (Work::Deliver, 0, None));
    let kept = &*task.delivery;
    assert_eq!((&kept.id, kept.state, &*kept.source), (&id, State::Delivering, "fiuu"));
    assert_eq!((&*kept.destination, kept.received_millis), ("shop", START_MILLIS));
    assert_eq!((&kept.method, &kept.target), (&new.method, &new.target));
    assert_eq!((&kept.headers, &kept.body), (&new.headers, &new.body));
    assert_eq!((&kept.verdict, &kept.facts), (&new.verdict, &new.facts));
    assert_eq!((&kept.confirmation, &kept.order_key), (&None, &new.order_key));
}

#[test]
fn of_a_hundred_equal_ones_at_once_one_is_stored() {
    let bed = Bed::new();
    let journal = bed.open();
    let all = run(futures_util::future::join_all((0..100).map(|_| journal.keep(delivery(1)))));
    let stored = all.iter().filter(|kept| matches!(kept, Ok(Kept::Stored(_)))).count();
    let id = |kept: &Result<Kept, Busy>| match kept {
        Ok(Kept::Stored(id) | Kept::Duplicate(id)) => id.clone(),
        Err(Busy) => panic!("busy"),
    };
    assert_eq!(stored, 1);
    assert!(all.iter().all(|kept| id(kept) == id(&all[0])));
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS).len(), 1);
}

#[test]
fn a_delivery_is_confirmed_then_delivered_and_posted_back_beside_that() {
    let bed = Bed::new();
    let journal = bed.open();
    let first = NewDelivery { first: Some(Work::Confirm), post_back: true, ..delivery(1) };
    let id = stored(run(journal.keep(first)));
    let show = || bed.desk().show(id.as_str()).unwrap().unwrap();
    assert_eq!(show().delivery.state, State::Confirming);
    assert!(due(&journal, Work::Deliver, START_MILLIS).is_empty());
    let later = START_MILLIS + 10_000;
    run(async {
        let again = Settled::Again { due_millis: later, attempt: attempt(1) };
        journal.settle(1, Work::Confirm, again).await.unwrap();
        assert!(due(&journal, Work::Confirm, later - 1).is_empty());
        let tasks = due(&journal, Work::Confirm, later);
        assert_eq!((tasks[0].attempts, tasks[0].first_tried_millis), (1, Some(START_MILLIS + 1)));
        assert_eq!(journal.next_due(&lane(Work::Confirm)).unwrap(), Some(later));
        let confirmed =
            Settled::Confirmed { attempt: attempt(2), confirmation: confirmation(true) };
        journal.settle(1, Work::Confirm, confirmed).await.unwrap();
        let delivered = Settled::Done { attempt: attempt(3) };
        let task = &due(&journal, Work::Deliver, START_MILLIS)[0];
        assert_eq!((task.attempts, task.first_tried_millis), (0, None));
        assert_eq!(task.delivery.confirmation, Some(confirmation(true)));
        journal.settle(1, Work::Deliver, delivered).await.unwrap();
    });
    assert_eq!(show().delivery.state, State::Delivered);
    assert_eq!(show().due, [(Work::PostBack, START_MILLIS)]);
    assert_eq!(bed.count("SELECT open FROM totals"), 1, "its post-back is still to be done");
    run(journal.settle(1, Work::PostBack, Settled::GivenUp { attempt: attempt(4) })).unwrap();
    assert_eq!(show().delivery.state, State::Delivered);
    assert_eq!(bed.count("SELECT open FROM totals"), 0);
    let tried: Vec<(Work, String)> =
        show().attempts.into_iter().map(|(work, one)| (work, one.id)).collect();
    let works = [Work::Confirm, Work::Confirm, Work::Deliver, Work::PostBack];
    let expected = works.iter().zip(1..).map(|(work, number)| (*work, attempt(number).id));
    assert!(tried.into_iter().eq(expected));
    assert_eq!(journal.next_due(&lane(Work::Confirm)).unwrap(), None);
}

#[test]
fn what_is_disagreed_about_is_not_delivered_and_nothing_is_left_to_do() {
    let bed = Bed::new();
    let journal = bed.open();
    let first = NewDelivery { first: Some(Work::Confirm), post_back: true, ..delivery(1) };
    let id = stored(run(journal.keep(first)));
    let differs = Settled::Disagreed { attempt: attempt(1), confirmation: confirmation(false) };
    run(journal.settle(1, Work::Confirm, differs)).unwrap();
    let shown = bed.desk().show(id.as_str()).unwrap().unwrap();
    assert_eq!(shown.delivery.state, State::Disagreed);
    assert_eq!(shown.delivery.confirmation, Some(confirmation(false)));
    assert!(shown.due.is_empty());
    let held = NewDelivery { first: None, ..delivery(2) };
    let held = stored(run(journal.keep(held)));
    assert_eq!(bed.desk().show(held.as_str()).unwrap().unwrap().delivery.state, State::Held);
    assert!(due(&journal, Work::Deliver, u64::MAX).is_empty());
    let usage = journal.usage().unwrap();
    let shop = |state| ("shop".to_owned(), state, 1);
    assert_eq!(usage.deliveries, [shop(State::Held), shop(State::Disagreed)]);
    assert_eq!(usage.oldest_open_millis, [("shop".to_owned(), START_MILLIS)]);
    assert_eq!(usage.keys, 2);
}

#[test]
fn what_does_not_fit_a_work_settles_nothing() {
    let bed = Bed::new();
    let journal = bed.open();
    stored(run(journal.keep(delivery(1))));
    let confirmed = Settled::Confirmed { attempt: attempt(1), confirmation: confirmation(true) };
    assert_eq!(run(journal.settle(1, Work::Deliver, confirmed.clone())), Err(Busy));
    assert_eq!(run(journal.settle(1, Work::PostBack, confirmed)), Err(Busy));
    let done = Settled::Done { attempt: attempt(1) };
    assert_eq!(run(journal.settle(1, Work::Confirm, done)), Err(Busy));
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS)[0].attempts, 0);
}

#[test]
fn of_many_attempts_the_first_and_the_last_stay() {
    let bed = Bed::new();
    let journal = bed.open();
    let id = stored(run(journal.keep(delivery(1))));
    run(async {
        for number in 1..=120 {
            let again = Settled::Again { due_millis: START_MILLIS, attempt: attempt(number) };
            journal.settle(1, Work::Deliver, again).await.unwrap();
        }
    });
    let shown = bed.desk().show(id.as_str()).unwrap().unwrap();
    let kept: Vec<String> = shown.attempts.into_iter().map(|(_, one)| one.id).collect();
    let expected = (1..=25).chain(96..=120).map(|number| attempt(number).id);
    assert!(kept.iter().cloned().eq(expected), "{kept:?}");
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS)[0].attempts, 120);
}

#[test]
fn beyond_its_limits_it_is_busy_and_still_knows_duplicates() {
    let bed = Bed::new();
    let journal = bed.open();
    let limits = JournalLimits::default();
    let kept = |key| run(journal.keep(delivery(key)));
    stored(kept(1));
    for tight in [
        JournalLimits { open: 1, ..limits },
        JournalLimits { keys: 1, ..limits },
        JournalLimits { bytes: 1000, ..limits },
    ] {
        journal.set_limits(tight);
        assert_eq!(kept(2), Err(Busy), "{tight:?}");
        assert!(matches!(kept(1), Ok(Kept::Duplicate(_))));
    }
    journal.set_limits(JournalLimits { open: 1, ..limits });
    run(journal.settle(1, Work::Deliver, Settled::Done { attempt: attempt(1) })).unwrap();
    stored(kept(2));
    // Within one batch as well.
    journal.set_limits(JournalLimits { open: 5, ..limits });
    let all = run(futures_util::future::join_all((10..30).map(|key| journal.keep(delivery(key)))));
    assert_eq!(all.iter().filter(|kept| kept.is_ok()).count(), 4);
}

#[test]
fn a_stopped_destination_gets_nothing_until_it_is_resumed() {
    let bed = Bed::new();
    let journal = bed.open();
    stored(run(journal.keep(delivery(1))));
    run(journal.stop_destination("shop", "410")).unwrap();
    assert!(due(&journal, Work::Deliver, START_MILLIS).is_empty());
    assert_eq!(journal.next_due(&lane(Work::Deliver)).unwrap(), None);
    let stopped = BTreeMap::from([("shop".to_owned(), "410".to_owned())]);
    assert_eq!(journal.stopped().unwrap(), stopped);
    let desk = bed.desk();
    assert_eq!(desk.stopped().unwrap(), stopped);
    assert!(!desk.resume("other").unwrap());
    assert!(desk.resume("shop").unwrap());
    assert!(!desk.resume("shop").unwrap());
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS).len(), 1);
}

#[test]
fn a_change_wakes_whoever_waits_whether_it_is_ours_or_of_another_process() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        let changed = journal.changed();
        journal.keep(delivery(1)).await.unwrap();
        timeout(Duration::from_secs(5), changed).await.unwrap();
        let done = Settled::Done { attempt: attempt(1) };
        journal.settle(1, Work::Deliver, done).await.unwrap();
        // Nothing happens by itself.
        let changed = journal.changed();
        assert!(timeout(Duration::from_millis(600), changed).await.is_err());
        let changed = journal.changed();
        assert_eq!(bed.desk().replay(&Filter::default(), false).unwrap(), 1);
        timeout(Duration::from_secs(5), changed).await.unwrap();
    });
    assert_eq!(due(&journal, Work::Deliver, START_MILLIS).len(), 1);
}

#[test]
fn a_replayed_one_begins_anew_and_what_is_doubted_only_if_the_operator_answers_for_it() {
    let bed = Bed::new();
    let journal = bed.open();
    let states = |desk: &Desk| -> Vec<State> {
        desk.after(&Filter::default(), 10).unwrap().into_iter().map(|one| one.state).collect()
    };
    run(async {
        let confirm = |key| NewDelivery { first: Some(Work::Confirm), ..delivery(key) };
        journal.keep(delivery(1)).await.unwrap();
        journal.keep(delivery(2)).await.unwrap();
        journal.keep(confirm(3)).await.unwrap();
        journal.keep(NewDelivery { first: None, ..delivery(4) }).await.unwrap();
        journal.keep(confirm(5)).await.unwrap();
        let attempt = attempt(1);
        let done = Settled::Done { attempt: attempt.clone() };
        journal.settle(1, Work::Deliver, done).await.unwrap();
        let again = Settled::Again { due_millis: u64::MAX, attempt: attempt.clone() };
        journal.settle(2, Work::Deliver, again).await.unwrap();
        let over = Settled::GivenUp { attempt: attempt.clone() };
        journal.settle(2, Work::Deliver, over).await.unwrap();
        let differs = Settled::Disagreed { attempt, confirmation: confirmation(false) };
        journal.settle(3, Work::Confirm, differs).await.unwrap();
    });
    use State::{Confirming, Dead, Delivered, Delivering, Disagreed, Held};
    let desk = bed.desk();
    assert_eq!(states(&desk), [Delivered, Dead, Disagreed, Held, Confirming]);
    assert_eq!(desk.replay(&Filter::default(), false).unwrap(), 5);
    assert_eq!(states(&desk), [Delivering, Delivering, Confirming, Confirming, Confirming]);
    let tasks = due(&journal, Work::Deliver, START_MILLIS);
    assert_eq!(sequences(&tasks), [1, 2]);
    assert!(tasks.iter().all(|task| task.attempts == 0 && task.first_tried_millis.is_none()));
    assert_eq!(sequences(&due(&journal, Work::Confirm, START_MILLIS)), [3, 4, 5]);
    assert_eq!(desk.replay(&Filter::default(), true).unwrap(), 5);
    assert_eq!(states(&desk), [Delivering; 5]);
    let asked = |key: usize| {
        let all = desk.after(&Filter::default(), 10).unwrap();
        all[key].confirmation.as_ref().map(|one| (one.asked.clone(), one.agreed))
    };
    assert_eq!(asked(0), None);
    assert_eq!(asked(3), Some(("operator".to_owned(), true)));
    // What was under way meanwhile settles nothing any more.
    let differs = Settled::Disagreed { attempt: attempt(2), confirmation: confirmation(false) };
    run(journal.settle(5, Work::Confirm, differs)).unwrap();
    assert_eq!(states(&desk), [Delivering; 5]);
    assert_eq!(asked(4), Some(("operator".to_owned(), true)));
}

#[test]
fn a_filter_means_what_it_says() {
    let bed = Bed::new();
    let journal = bed.open();
    let ids: Vec<DeliveryId> = (1..=4_u8)
        .map(|key| {
            let mut new = delivery(key);
            new.received_millis += u64::from(key) * 1000;
            new.order_key = Some(format!("order {}", key % 2));
            if key > 2 {
                new.destination = "other".into();
            }
            stored(run(journal.keep(new)))
        })
        .collect();
    run(journal.settle(4, Work::Deliver, Settled::GivenUp { attempt: attempt(1) })).unwrap();
    let desk = bed.desk();
    let listed = |filter: Filter| -> Vec<i64> {
        let all = desk.list(&filter, 100).unwrap();
        assert!(all.iter().all(|one| one.body.is_empty()));
        all.into_iter().map(|one| one.sequence).collect()
    };
    let none = Filter::default;
    assert_eq!(listed(none()), [4, 3, 2, 1]);
    assert_eq!(listed(Filter { destination: Some("other".into()), ..none() }), [4, 3]);
    assert_eq!(listed(Filter { source: Some("other".into()), ..none() }), [0_i64; 0]);
    assert_eq!(listed(Filter { state: Some(State::Dead), ..none() }), [4]);
    assert_eq!(listed(Filter { order: Some("order 1".into()), ..none() }), [3, 1]);
    let since_millis = Some(START_MILLIS + 2000);
    let until_millis = Some(START_MILLIS + 3000);
    assert_eq!(listed(Filter { since_millis, ..none() }), [4, 3, 2]);
    assert_eq!(listed(Filter { since_millis, until_millis, ..none() }), [2]);
    assert_eq!(listed(Filter { after: Some(2), ..none() }), [4, 3]);
    assert_eq!(listed(Filter { before: Some(3), ..none() }), [2, 1]);
    let named = vec![ids[0].to_string(), ids[2].to_string(), "dlv_' OR 1".to_owned()];
    assert_eq!(listed(Filter { ids: named.clone(), ..none() }), [3, 1]);
    assert_eq!(listed(Filter { ids: vec!["nonsense".into()], ..none() }), [0_i64; 0]);
    let nonsense = Filter { ids: vec!["nonsense".into()], ..none() };
    assert_eq!(desk.replay(&nonsense, true).unwrap(), 0);
    let after = Filter { after: Some(1), ..none() };
    let after = desk.after(&after, 2).unwrap();
    assert!(after.iter().map(|one| one.sequence).eq([2, 3]));
    assert_eq!(desk.show("nonsense").unwrap().map(|_| ()), None);
}

#[test]
fn unsigned_ones_are_counted_by_their_sources_while_they_are_open() {
    let bed = Bed::new();
    let journal = bed.open();
    for key in 1..=3 {
        let unsigned = NewDelivery { secret: None, first: Some(Work::Confirm), ..delivery(key) };
        stored(run(journal.keep(unsigned)));
    }
    stored(run(journal.keep(delivery(4))));
    wait_for("three are counted", || journal.open_unsigned("fiuu") == 3);
    let differs = Settled::Disagreed { attempt: attempt(1), confirmation: confirmation(false) };
    run(journal.settle(1, Work::Confirm, differs)).unwrap();
    wait_for("two are left", || journal.open_unsigned("fiuu") == 2);
    assert_eq!(journal.open_unsigned("other"), 0);
}

#[test]
fn a_journal_in_memory_is_one_for_itself() {
    let (clock, _) = Clock::by_hand(Timestamp::from_secs(START));
    let first = Journal::in_memory(clock.clone(), metrics()).unwrap();
    let second = Journal::in_memory(clock, metrics()).unwrap();
    stored(run(first.keep(delivery(1))));
    stored(run(second.keep(delivery(1))));
    assert!(matches!(run(first.keep(delivery(1))), Ok(Kept::Duplicate(_))));
    assert_eq!(due(&first, Work::Deliver, START_MILLIS).len(), 1);
    assert_eq!(first.usage().unwrap().keys, 1);
}
