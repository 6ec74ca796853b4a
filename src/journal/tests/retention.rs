//! What goes when its time is over.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn what_is_done_with_goes_in_its_time_and_what_is_not_stays() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        for key in 1..=5 {
            let first = if key == 5 { None } else { Some(Work::Deliver) };
            let post_back = key == 4;
            journal.keep(NewDelivery { first, post_back, ..delivery(key) }).await.unwrap();
        }
        let done = Settled::Done { attempt: attempt(1) };
        journal.settle(1, Work::Deliver, done.clone()).await.unwrap();
        journal.settle(4, Work::Deliver, done).await.unwrap();
        let over = Settled::GivenUp { attempt: attempt(2) };
        journal.settle(2, Work::Deliver, over).await.unwrap();
    });
    let left = || -> Vec<i64> {
        let all = bed.desk().after(&Filter::default(), 10).unwrap();
        all.into_iter().map(|one| one.sequence).collect()
    };
    bed.advance(30 * DAY - Duration::from_secs(1));
    std::thread::sleep(2 * Duration::from_millis(250));
    assert_eq!(left(), [1, 2, 3, 4, 5]);
    bed.advance(Duration::from_secs(1));
    wait_for("the delivered one is gone", || left() == [2, 3, 4, 5]);
    bed.advance(60 * DAY);
    wait_for("the dead one is gone", || left() == [3, 4, 5]);
    assert!(matches!(run(journal.keep(delivery(1))), Ok(Kept::Duplicate(_))), "keys stay longer");
    for table in ["contents", "attempts"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE sequence IN (1, 2)");
        assert_eq!(bed.count(&sql), 0, "{table}");
    }
    let bytes = bed.count("SELECT sum(bytes) FROM deliveries");
    assert_eq!(journal.usage().unwrap().bytes, u64::try_from(bytes).unwrap());
}

/// Whoever asked just before a key went whether keys of its secret were forgotten still finds it.
#[test]
fn a_secret_is_marked_a_minute_before_its_first_key_goes() {
    let bed = Bed::new();
    let journal = bed.open();
    let until = |key, days: u64| NewDelivery {
        key_until: Timestamp::from_secs(START + days * 24 * 3600),
        ..delivery(key)
    };
    run(async {
        journal.keep(until(1, 1)).await.unwrap();
        journal.keep(until(2, 2)).await.unwrap();
        journal.keep(NewDelivery { secret: Some([8; 16]), ..until(3, 2) }).await.unwrap();
        journal.keep(NewDelivery { secret: None, ..until(4, 1) }).await.unwrap();
    });
    let secret = [7; 16];
    let kept = |key| run(journal.keep(delivery(key)));
    assert!(!journal.has_forgotten("fiuu", &secret));
    bed.advance(DAY);
    wait_for("the secret is marked", || journal.has_forgotten("fiuu", &secret));
    assert!(matches!(kept(1), Ok(Kept::Duplicate(_))), "its key is still there");
    assert!(!journal.has_forgotten("fiuu", &[8; 16]));
    assert!(!journal.has_forgotten("other", &secret));
    bed.advance(Duration::from_secs(61));
    wait_for("two keys are gone", || journal.usage().unwrap().keys == 2);
    assert!(matches!(kept(2), Ok(Kept::Duplicate(_))));
    stored(kept(1));
    drop(journal);
    let journal = bed.open();
    assert!(journal.has_forgotten("fiuu", &secret), "not even when it is opened anew");
    assert!(!journal.has_forgotten("fiuu", &[8; 16]));
}

#[test]
fn the_oldest_refusals_of_a_source_make_room_and_old_ones_go() {
    let bed = Bed::new();
    let journal = bed.open();
    journal.set_limits(JournalLimits { refusals: 5, ..JournalLimits::default() });
    let refusal = |source: &str, at_millis| Refusal {
        source: source.into(),
        reason: "invalid_signature",
        at_millis,
        head_bytes: 300,
        body_bytes: 20,
        address: "2001:db8::7".parse().unwrap(),
    };
    for at in 0..20 {
        journal.note_refusal(refusal("fiuu", START_MILLIS + at));
    }
    journal.note_refusal(refusal("paykun", START_MILLIS));
    let desk = bed.desk();
    wait_for("they are written", || desk.refusals(None, None, 100).unwrap().len() == 6);
    let fiuu = desk.refusals(Some("fiuu"), None, 3).unwrap();
    let times: Vec<u64> = fiuu.iter().map(|row| row.at_millis - START_MILLIS).collect();
    assert_eq!(times, [19, 18, 17]);
    let rest = desk.refusals(Some("fiuu"), Some(fiuu[2].sequence), 3).unwrap();
    assert!(rest.iter().map(|row| row.at_millis - START_MILLIS).eq([16, 15]));
    assert_eq!((&*fiuu[0].reason, &*fiuu[0].address), ("invalid_signature", "2001:db8::7"));
    assert_eq!((fiuu[0].head_bytes, fiuu[0].body_bytes), (300, 20));
    bed.advance(30 * DAY + Duration::from_secs(1));
    wait_for("they are gone", || desk.refusals(None, None, 100).unwrap().is_empty());
    assert_eq!(bed.count("SELECT sum(refusals) FROM refusal_counts"), 0);
}

#[test]
fn of_a_flood_of_refusals_most_are_counted_only_and_others_are_still_noted() {
    let bed = Bed::new();
    let counts = metrics();
    let journal = Journal::open(bed.folder.path(), bed.clock.clone(), counts.clone()).unwrap();
    let refusal = |source: &str| Refusal {
        source: source.into(),
        reason: "missing_claim",
        at_millis: START_MILLIS,
        head_bytes: 1,
        body_bytes: 0,
        address: "192.0.2.1".parse().unwrap(),
    };
    (0..10_000).for_each(|_| journal.note_refusal(refusal("loud")));
    journal.note_refusal(refusal("quiet"));
    drop(journal);
    let noted = |source: &str| bed.desk().refusals(Some(source), None, 10_000).unwrap().len();
    // As many seconds as ten thousand take, and no more than so many in each.
    assert!((50..=500).contains(&noted("loud")), "{}", noted("loud"));
    assert_eq!(noted("quiet"), 1);
    let all = u64::try_from(noted("loud")).unwrap() + counts.refusals_dropped.get();
    assert_eq!(all, 10_000);
}

#[test]
fn space_is_given_back_when_much_of_it_is_unused() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        let body = Bytes::from(vec![1; 1024 * 1024]);
        for key in 0..40_u8 {
            journal.keep(NewDelivery { body: body.clone(), ..delivery(key) }).await.unwrap();
            let done = Settled::Done { attempt: attempt(1) };
            journal.settle(i64::from(key) + 1, Work::Deliver, done).await.unwrap();
        }
    });
    let pages = || bed.count("PRAGMA page_count");
    let before = pages();
    assert!(before > 40 * 256, "{before}");
    bed.advance(30 * DAY);
    wait_for("the file is smaller", || pages() < before / 2);
    assert_eq!(bed.count("SELECT bytes FROM totals"), 0);
    let sound: String =
        bed.database().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
