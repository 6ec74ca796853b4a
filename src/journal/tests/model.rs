//! Random sequences of everything, against a model that is opened anew.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A key, what is first, whether it is posted back, an order, a destination.
    Keep(u8, Option<Work>, bool, Option<u8>, bool),
    /// Which, what, and what came of it.
    Settle(u8, Work, Ending),
    Replay(u8, bool),
    Stop(bool),
    Advance(u16),
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Again(u16),
    Done,
    GivenUp,
    Confirmed,
    Disagreed,
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![Just(Work::Confirm), Just(Work::PostBack), Just(Work::Deliver)]
}

fn step() -> impl Strategy<Value = Step> {
    let first = prop_oneof![
        3 => Just(Some(Work::Deliver)),
        3 => Just(Some(Work::Confirm)),
        1 => Just(None)
    ];
    let ending = prop_oneof![
        (0..500_u16).prop_map(Ending::Again),
        Just(Ending::Done),
        Just(Ending::GivenUp),
        Just(Ending::Confirmed),
        Just(Ending::Disagreed)
    ];
    prop_oneof![
        8 => (0..16_u8, first, any::<bool>(), prop::option::of(0..3_u8), any::<bool>())
            .prop_map(|(key, first, back, order, shop)| Step::Keep(key, first, back, order, shop)),
        8 => (0..16_u8, work(), ending).prop_map(|(at, work, end)| Step::Settle(at, work, end)),
        2 => (0..16_u8, any::<bool>()).prop_map(|(at, sure)| Step::Replay(at, sure)),
        1 => any::<bool>().prop_map(Step::Stop),
        2 => (0..600_u16).prop_map(Step::Advance),
        1 => Just(Step::Reopen),
    ]
}

struct Row {
    id: DeliveryId,
    state: State,
    destination: &'static str,
    order: Option<u8>,
    tasks: BTreeMap<Work, u64>,
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<u8, DeliveryId>,
    rows: BTreeMap<i64, Row>,
    stopped: bool,
}

impl Model {
    fn settle(&mut self, sequence: i64, work: Work, ending: Ending, now: u64) -> bool {
        let fits = match ending {
            Ending::Again(_) => true,
            Ending::Done | Ending::GivenUp => work != Work::Confirm,
            Ending::Confirmed | Ending::Disagreed => work == Work::Confirm,
        };
        let row = self.rows.get_mut(&sequence).filter(|row| row.tasks.contains_key(&work));
        let (Some(row), true) = (row, fits) else { return fits };
        if let Ending::Again(later) = ending {
            row.tasks.insert(work, now + u64::from(later));
            return true;
        }
        row.tasks.remove(&work);
        match (ending, work) {
            (Ending::Done, Work::Deliver) => row.state = State::Delivered,
            (Ending::GivenUp, Work::Deliver) => row.state = State::Dead,
            (Ending::Confirmed, _) => {
                row.state = State::Delivering;
                row.tasks.insert(Work::Deliver, now);
            }
            (Ending::Disagreed, _) => {
                row.state = State::Disagreed;
                row.tasks.clear();
            }
            _ => {}
        }
        true
    }

    fn replay(&mut self, sequence: i64, sure: bool, now: u64) {
        let Some(row) = self.rows.get_mut(&sequence) else { return };
        let doubted = [State::Held, State::Disagreed, State::Confirming].contains(&row.state);
        row.tasks.retain(|work, _| *work == Work::PostBack);
        let (state, work) = match doubted && !sure {
            true => (State::Confirming, Work::Confirm),
            false => (State::Delivering, Work::Deliver),
        };
        row.state = state;
        row.tasks.insert(work, now);
    }

    fn due(&self, lane: &Lane, now: u64, ordered: bool) -> Vec<i64> {
        if lane.work == Work::Deliver && self.stopped && &*lane.name == "shop" {
            return Vec::new();
        }
        let under_way = |row: &Row| [State::Confirming, State::Delivering].contains(&row.state);
        let behind = |sequence: i64, row: &Row| {
            row.order.is_some()
                && self.rows.range(..sequence).any(|(_, older)| {
                    under_way(older)
                        && (older.destination, older.order) == (row.destination, row.order)
                })
        };
        let mut due: Vec<(u64, i64)> = self
            .rows
            .iter()
            .filter(|(_, row)| lane.work != Work::Deliver || row.destination == &*lane.name)
            .filter(|(sequence, row)| {
                !ordered || lane.work == Work::PostBack || !behind(**sequence, row)
            })
            .filter_map(|(sequence, row)| Some((*row.tasks.get(&lane.work)?, *sequence)))
            .filter(|(at, _)| *at <= now)
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, sequence)| sequence).collect()
    }
}

fn check(bed: &Bed, journal: &Journal, model: &Model) -> Result<(), TestCaseError> {
    let now = bed.clock.now_millis();
    for work in [Work::Confirm, Work::PostBack, Work::Deliver] {
        for name in ["fiuu", "shop", "other"] {
            let lane = Lane { work, name: name.into() };
            for ordered in [false, true] {
                let found = journal.due(&lane, now, ordered, 100, &HashSet::new()).unwrap();
                let expected = match (work, name) {
                    (Work::Deliver, "fiuu")
                    | (Work::Confirm | Work::PostBack, "shop" | "other") => Vec::new(),
                    _ => model.due(&lane, now, ordered),
                };
                prop_assert_eq!(sequences(&found), expected, "{:?} {}", lane, ordered);
            }
        }
    }
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in model.rows.values() {
        let state = format!("{:?}", row.state);
        *counts.entry((row.destination.to_owned(), state)).or_default() += 1;
    }
    let usage = journal.usage().unwrap();
    let found = usage.deliveries.into_iter();
    let found: BTreeMap<(String, String), u64> =
        found.map(|(name, state, count)| ((name, format!("{state:?}")), count)).collect();
    prop_assert_eq!(found, counts);
    prop_assert_eq!(usage.keys, u64::try_from(model.keys.len()).unwrap());
    let over = [State::Delivered, State::Disagreed, State::Dead];
    let open =
        model.rows.values().filter(|row| !over.contains(&row.state) || !row.tasks.is_empty());
    let open = i64::try_from(open.count()).unwrap();
    prop_assert_eq!(bed.count("SELECT open FROM totals"), open);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_leaves_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let bed = Bed::new();
        let mut journal = bed.open();
        let mut model = Model::default();
        for step in steps {
            let now = bed.clock.now_millis();
            match step {
                Step::Keep(key, first, post_back, order, shop) => {
                    let destination = if shop { "shop" } else { "other" };
                    let new = NewDelivery {
                        destination: destination.into(),
                        first,
                        post_back,
                        order_key: order.map(|order| format!("order {order}")),
                        received_millis: now,
                        ..delivery(key)
                    };
                    match (run(journal.keep(new)), model.keys.get(&key)) {
                        (Ok(Kept::Duplicate(id)), Some(known)) => prop_assert_eq!(&id, known),
                        (Ok(Kept::Stored(id)), None) => {
                            model.keys.insert(key, id.clone());
                            let mut tasks = BTreeMap::new();
                            first.map(|work| tasks.insert(work, now));
                            post_back.then(|| tasks.insert(Work::PostBack, now));
                            let state = match first {
                                Some(Work::Confirm) => State::Confirming,
                                Some(_) => State::Delivering,
                                None => State::Held,
                            };
                            let sequence = i64::try_from(model.rows.len()).unwrap() + 1;
                            model.rows.insert(sequence, Row { id, state, destination, order, tasks });
                        }
                        (kept, known) => prop_assert!(false, "{:?} {:?}", kept, known),
                    }
                }
                Step::Settle(at, work, ending) => {
                    let attempt = attempt(1);
                    let settled = match ending {
                        Ending::Again(later) => {
                            Settled::Again { due_millis: now + u64::from(later), attempt }
                        }
                        Ending::Done => Settled::Done { attempt },
                        Ending::GivenUp => Settled::GivenUp { attempt },
                        Ending::Confirmed => {
                            Settled::Confirmed { attempt, confirmation: confirmation(true) }
                        }
                        Ending::Disagreed => {
                            Settled::Disagreed { attempt, confirmation: confirmation(false) }
                        }
                    };
                    let done = run(journal.settle(i64::from(at), work, settled));
                    prop_assert_eq!(done.is_ok(), model.settle(at.into(), work, ending, now));
                }
                Step::Replay(at, sure) => {
                    let id = model.rows.get(&i64::from(at)).map(|row| row.id.to_string());
                    let ids = vec![id.unwrap_or_else(|| "none".into())];
                    let filter = Filter { ids, ..Filter::default() };
                    bed.desk().replay(&filter, sure).unwrap();
                    model.replay(at.into(), sure, now);
                }
                Step::Stop(true) => {
                    run(journal.stop_destination("shop", "410")).unwrap();
                    model.stopped = true;
                }
                Step::Stop(false) => {
                    prop_assert_eq!(bed.desk().resume("shop").unwrap(), model.stopped);
                    model.stopped = false;
                }
                Step::Advance(millis) => bed.advance(Duration::from_millis(millis.into())),
                Step::Reopen => {
                    drop(journal);
                    journal = bed.open();
                }
            }
            check(&bed, &journal, &model)?;
        }
    }
}
