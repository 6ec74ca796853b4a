//! Order within a destination, and what is under way.

use super::*;

fn about(key: u8, order: &str) -> NewDelivery {
    NewDelivery { order_key: Some(order.into()), ..delivery(key) }
}

fn ordered(journal: &Journal, without: &[i64]) -> Vec<i64> {
    let without = without.iter().copied().collect();
    let tasks = journal.due(&lane(Work::Deliver), u64::MAX, true, 100, &without).unwrap();
    sequences(&tasks)
}

#[test]
fn nothing_comes_before_what_is_older_and_about_the_same() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        journal.keep(about(1, "a")).await.unwrap();
        journal.keep(about(2, "b")).await.unwrap();
        journal.keep(about(3, "a")).await.unwrap();
        journal.keep(delivery(4)).await.unwrap();
        journal.keep(about(5, "a")).await.unwrap();
        let other = NewDelivery { destination: "other".into(), ..about(6, "a") };
        journal.keep(other).await.unwrap();
    });
    assert_eq!(ordered(&journal, &[]), [1, 2, 4]);
    assert_eq!(ordered(&journal, &[1]), [2, 4], "what is under way holds up the next one");
    assert_eq!(sequences(&due(&journal, Work::Deliver, u64::MAX)), [1, 2, 3, 4, 5]);
    let settle = |sequence, settled| run(journal.settle(sequence, Work::Deliver, settled));
    let again = Settled::Again { due_millis: u64::MAX - 1, attempt: attempt(1) };
    settle(1, again).unwrap();
    assert_eq!(ordered(&journal, &[]), [2, 4, 1]);
    settle(1, Settled::GivenUp { attempt: attempt(2) }).unwrap();
    assert_eq!(ordered(&journal, &[]), [2, 3, 4], "a dead one holds up nobody");
    settle(5, Settled::Done { attempt: attempt(3) }).unwrap();
    assert_eq!(ordered(&journal, &[]), [2, 3, 4]);
    let dead = Filter { state: Some(State::Dead), ..Filter::default() };
    bed.desk().replay(&dead, false).unwrap();
    assert_eq!(ordered(&journal, &[]), [1, 2, 4], "until it is replayed");
    settle(3, Settled::Done { attempt: attempt(4) }).unwrap();
    settle(1, Settled::Done { attempt: attempt(5) }).unwrap();
    assert_eq!(ordered(&journal, &[]), [2, 4]);
}

#[test]
fn what_is_being_confirmed_holds_up_what_needs_no_confirmation() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        let confirm = NewDelivery { first: Some(Work::Confirm), ..about(1, "a") };
        journal.keep(confirm).await.unwrap();
        journal.keep(about(2, "a")).await.unwrap();
        assert_eq!(ordered(&journal, &[]), [0_i64; 0]);
        let confirmed =
            Settled::Confirmed { attempt: attempt(1), confirmation: confirmation(true) };
        journal.settle(1, Work::Confirm, confirmed).await.unwrap();
        assert_eq!(ordered(&journal, &[]), [1]);
        journal.keep(NewDelivery { first: None, ..about(3, "b") }).await.unwrap();
        journal.keep(about(4, "b")).await.unwrap();
        assert_eq!(ordered(&journal, &[]), [1, 4], "a held one holds up nobody");
    });
}

#[test]
fn the_longest_due_comes_first_and_only_so_many() {
    let bed = Bed::new();
    let journal = bed.open();
    run(async {
        for key in 1..=20 {
            journal.keep(delivery(key)).await.unwrap();
            let due_millis = START_MILLIS - u64::from(key);
            let again = Settled::Again { due_millis, attempt: attempt(1) };
            journal.settle(i64::from(key), Work::Deliver, again).await.unwrap();
        }
    });
    let some = |most, without: &[i64]| {
        let without = without.iter().copied().collect();
        let tasks = journal.due(&lane(Work::Deliver), START_MILLIS, false, most, &without).unwrap();
        sequences(&tasks)
    };
    assert_eq!(some(3, &[]), [20, 19, 18]);
    assert_eq!(some(3, &[20, 18, 17, 99]), [19, 16, 15]);
    assert_eq!(some(0, &[]), [0_i64; 0]);
    assert_eq!(journal.next_due(&lane(Work::Deliver)).unwrap(), Some(START_MILLIS - 20));
}

/// A hundred thousand that wait behind one another are not looked at one by one: what is read does
/// not grow with them.
#[test]
fn the_plan_of_reading_what_is_due_has_no_scan_and_no_sorting() {
    let bed = Bed::new();
    drop(bed.open());
    let database = bed.database();
    for sql in [
        "SELECT due_at, sequence FROM tasks WHERE work = ?1 AND lane = ?2 AND behind = ?3 \
         AND due_at <= ?4 ORDER BY due_at, sequence LIMIT ?5",
        "SELECT 1 FROM deliveries AS own, deliveries AS older WHERE own.sequence = ?1 \
         AND older.destination = own.destination AND older.order_key = own.order_key \
         AND older.state < 2 AND older.order_key IS NOT NULL AND older.sequence < ?1",
        "SELECT min(sequence) FROM deliveries WHERE destination = ?1 AND order_key = ?2 \
         AND sequence > ?3 AND state < 2",
        "SELECT min(received_at) FROM deliveries WHERE destination = ?1 AND ended_at IS NULL",
        "SELECT sequence, bytes FROM deliveries WHERE state = ?1 AND ended_at <= ?2 \
         ORDER BY ended_at LIMIT ?3",
        "SELECT source, key FROM keys WHERE until <= ?1 ORDER BY until LIMIT ?2",
    ] {
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines: Vec<String> =
            plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
        assert!(!lines.is_empty());
        for line in lines {
            assert!(line.starts_with("SEARCH"), "{sql}: {line}");
            assert!(!line.contains("AUTOMATIC"), "{sql}: {line}");
        }
    }
}
