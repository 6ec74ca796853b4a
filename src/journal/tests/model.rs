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
    let (order, shop) = (prop::option::weighted(0.8, 0..2_u8), prop::bool::weighted(0.8));
    prop_oneof![
        8 => (0..16_u8, first, any::<bool>(), order, shop)
            .prop_map(|(key, first, back, order, shop)| Step::Keep(key, first, back, order, shop)),
        8 => (0..16_u8, work(), ending).prop_map(|(at, work, end)| Step::Settle(at, work, end)),
        4 => (0..16_u8, any::<bool>()).prop_map(|(at, sure)| Step::Replay(at, sure)),
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
    received: u64,
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

    fn replay(&mut self, sequence: i64, sure: bool) {
        let Some(row) = self.rows.get_mut(&sequence) else { return };
        let doubted = [State::Held, State::Disagreed, State::Confirming].contains(&row.state);
        row.tasks.retain(|work, _| *work == Work::PostBack);
        let (state, work) = match doubted && !sure {
            true => (State::Confirming, Work::Confirm),
            false => (State::Delivering, Work::Deliver),
        };
        row.state = state;
        row.tasks.insert(work, row.received);
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

/// A bed, its journal as it is open just now, and what it has to hold.
struct Trial {
    bed: Bed,
    journal: Option<Arc<Journal>>,
    model: Model,
}

impl Trial {
    fn new() -> Self {
        let bed = Bed::new();
        let journal = Some(bed.open());
        Self { bed, journal, model: Model::default() }
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.bed.clock.now_millis();
        match step {
            Step::Keep(key, first, post_back, order, shop) => {
                let destination = if *shop { "shop" } else { "other" };
                let new = NewDelivery {
                    destination: destination.into(),
                    first: *first,
                    post_back: *post_back,
                    order_key: order.map(|order| format!("order {order}")),
                    received_millis: now,
                    ..delivery(*key)
                };
                self.keep(*key, new, *order, now)?;
            }
            Step::Settle(at, work, ending) => {
                let settled = settled(*ending, now);
                let done = run(self.journal().settle(i64::from(*at), *work, settled));
                let expected = self.model.settle((*at).into(), *work, *ending, now);
                prop_assert_eq!(done.is_ok(), expected);
            }
            Step::Replay(at, sure) => {
                let id = self.model.rows.get(&i64::from(*at)).map(|row| row.id.to_string());
                let ids = vec![id.unwrap_or_else(|| "none".into())];
                let filter = Filter { ids, ..Filter::default() };
                self.bed.desk().replay(&filter, *sure).unwrap();
                self.model.replay((*at).into(), *sure);
            }
            Step::Stop(true) => {
                run(self.journal().stop_destination("shop", "410")).unwrap();
                self.model.stopped = true;
            }
            Step::Stop(false) => {
                let resumed = self.bed.desk().resume("shop").unwrap();
                prop_assert_eq!(resumed, self.model.stopped);
                self.model.stopped = false;
            }
            Step::Advance(millis) => self.bed.advance(Duration::from_millis((*millis).into())),
            Step::Reopen => {
                self.journal = None;
                self.journal = Some(self.bed.open());
            }
        }
        check(&self.bed, self.journal(), &self.model)
    }

    fn keep(
        &mut self,
        key: u8,
        new: NewDelivery,
        order: Option<u8>,
        now: u64,
    ) -> Result<(), TestCaseError> {
        let (first, post_back) = (new.first, new.post_back);
        let destination = if &*new.destination == "shop" { "shop" } else { "other" };
        let kept = run(self.journal().keep(new));
        match (kept, self.model.keys.get(&key)) {
            (Ok(Kept::Duplicate(id)), Some(known)) => prop_assert_eq!(&id, known),
            (Ok(Kept::Stored(id)), None) => {
                self.model.keys.insert(key, id.clone());
                let mut tasks = BTreeMap::new();
                first.map(|work| tasks.insert(work, now));
                post_back.then(|| tasks.insert(Work::PostBack, now));
                let state = match first {
                    Some(Work::Confirm) => State::Confirming,
                    Some(_) => State::Delivering,
                    None => State::Held,
                };
                let sequence = i64::try_from(self.model.rows.len()).unwrap() + 1;
                let row = Row { id, state, destination, order, received: now, tasks };
                self.model.rows.insert(sequence, row);
            }
            (kept, known) => prop_assert!(false, "{:?} {:?}", kept, known),
        }
        Ok(())
    }
}

fn settled(ending: Ending, now: u64) -> Settled {
    let attempt = attempt(1);
    match ending {
        Ending::Again(later) => Settled::Again { due_millis: now + u64::from(later), attempt },
        Ending::Done => Settled::Done { attempt },
        Ending::GivenUp => Settled::GivenUp { attempt },
        Ending::Confirmed => Settled::Confirmed { attempt, confirmation: confirmation(true) },
        Ending::Disagreed => Settled::Disagreed { attempt, confirmation: confirmation(false) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_leaves_what_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let mut trial = Trial::new();
        for step in &steps {
            trial.apply(step)?;
        }
    }
}
