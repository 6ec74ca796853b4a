//! The ledger against what it promises, and against a model that is opened anew.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::Hand;
use crate::telemetry::GateMetrics;

const START: u64 = 1_764_000_000;
const PERIOD: Duration = Duration::from_secs(3600);

struct Bed {
    folder: TempDir,
    clock: Clock,
    hand: Hand,
}

impl Bed {
    fn new() -> Self {
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(START));
        Self { folder: tempfile::tempdir().unwrap(), clock, hand }
    }

    fn open(&self) -> Arc<Ledger> {
        let metrics = GateMetrics::new().unwrap().ledger;
        Ledger::open(self.folder.path(), self.clock.clone(), metrics).unwrap()
    }

    fn advance(&self, time: Duration) {
        self.hand.advance(time);
        self.clock.tick();
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join(FILE)).unwrap()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

fn order(value: &str) -> Order<'_> {
    Order { merchant: "acme", environment: "live", group: "pay", value, period: PERIOD }
}

fn message(proof: &[u8]) -> Message<'_> {
    Message { credential: "pk_live_acme", secret: b"a secret of sixteen", proof }
}

/// Waits until everything that was told before is on the disk. Leaves one order.
async fn settle(ledger: &Arc<Ledger>) {
    static ROUNDS: AtomicU64 = AtomicU64::new(0);
    let value = format!("settle {}", ROUNDS.fetch_add(1, Ordering::Relaxed));
    ledger.reserve(&order(&value)).await.unwrap().sent().await.unwrap();
}

fn state(refused: Result<Hold, Refused>) -> Option<OrderState> {
    match refused {
        Ok(_) => None,
        Err(Refused::Taken(state)) => Some(state),
        Err(Refused::Busy) => panic!("busy"),
    }
}

#[test]
fn an_order_is_one_merchants_in_one_environment_of_one_group() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        let mut first = ledger.reserve(&order("1")).await.unwrap();
        assert_eq!(state(ledger.reserve(&order("1")).await), Some(OrderState::Reserved));
        first.sent().await.unwrap();
        assert_eq!(state(ledger.reserve(&order("1")).await), Some(OrderState::Sent));
        first.answered(false);
        assert_eq!(state(ledger.reserve(&order("1")).await), Some(OrderState::Answered));
        for other in [
            Order { merchant: "globex", ..order("1") },
            Order { environment: "test", ..order("1") },
            Order { group: "refund", ..order("1") },
            order("2"),
            Order { merchant: "acmel", environment: "ive", ..order("1") },
        ] {
            assert_eq!(state(ledger.reserve(&other).await), None, "{other:?}");
        }
    });
}

#[test]
fn what_never_left_is_free_and_what_left_is_not() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        drop(ledger.reserve(&order("dropped")).await.unwrap());
        assert_eq!(state(ledger.reserve(&order("dropped")).await), None);

        let mut hold = ledger.reserve(&order("sent")).await.unwrap();
        hold.sent().await.unwrap();
        drop(hold);
        assert_eq!(state(ledger.reserve(&order("sent")).await), Some(OrderState::Sent));

        let mut hold = ledger.reserve(&order("given back")).await.unwrap();
        hold.sent().await.unwrap();
        hold.give_back();
        assert_eq!(state(ledger.reserve(&order("given back")).await), None);

        let mut hold = ledger.reserve(&order("released")).await.unwrap();
        hold.sent().await.unwrap();
        hold.answered(true);
        assert_eq!(state(ledger.reserve(&order("released")).await), None);
        settle(&ledger).await;
        assert_eq!(ledger.usage().orders, 1 + 1);
    });
}

#[test]
fn of_a_hundred_at_once_one_gets_it() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        let one = order("1");
        let all = (0..100).map(|_| async {
            let mut hold = ledger.reserve(&one).await.ok()?;
            hold.sent().await.ok()
        });
        let got = join_all(all).await.into_iter().flatten().count();
        assert_eq!(got, 1);
    });
}

/// An asker who leaves before the answer has nothing, and nobody else is kept out by him.
#[test]
fn an_asker_who_leaves_gives_back_what_he_may_have_got() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        for round in 0..200 {
            let value = round.to_string();
            let one = order(&value);
            let wait = Duration::from_micros(round * 3);
            let asks =
                async { ledger.reserve(&one).await?.sent().await.map_err(|_| Refused::Busy) };
            drop(timeout(wait, asks).await);
        }
        let mut left = Vec::new();
        for round in 0..200 {
            let value = round.to_string();
            let found = state(ledger.reserve(&order(&value)).await);
            assert_ne!(found, Some(OrderState::Reserved), "{round}");
            left.extend(found);
        }
        settle(&ledger).await;
        assert_eq!(usize::try_from(ledger.usage().orders).unwrap(), left.len() + 1);
    });
}

#[test]
fn an_order_is_free_when_its_period_is_over_and_its_row_goes() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        for number in 0..50 {
            let value = number.to_string();
            ledger.reserve(&order(&value)).await.unwrap().sent().await.unwrap();
        }
        bed.advance(PERIOD - Duration::from_secs(1));
        assert_eq!(state(ledger.reserve(&order("0")).await), Some(OrderState::Sent));
        bed.advance(Duration::from_secs(1));
        let mut again = ledger.reserve(&order("0")).await.unwrap();
        again.sent().await.unwrap();
        assert_eq!(state(ledger.reserve(&order("0")).await), Some(OrderState::Sent));
        for _ in 0..100 {
            if ledger.usage().orders == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", ledger.usage());
    });
}

/// The late answer to an order whose period is over does not release the one that came after it.
#[test]
fn a_late_answer_releases_nobody_else() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        let mut slow = ledger.reserve(&order("1")).await.unwrap();
        slow.sent().await.unwrap();
        bed.advance(PERIOD);
        let mut next = ledger.reserve(&order("1")).await.unwrap();
        next.sent().await.unwrap();
        slow.answered(true);
        assert_eq!(state(ledger.reserve(&order("1")).await), Some(OrderState::Sent));
        next.answered(true);
        assert_eq!(state(ledger.reserve(&order("1")).await), None);
    });
}

#[test]
fn a_message_is_remembered_for_the_life_of_its_secret() {
    let bed = Bed::new();
    let ledger = bed.open();
    let other = Message { secret: b"another secret of it", ..message(b"mac") };
    run(async {
        for one in [message(b"mac"), other, Message { credential: "pk_2", ..message(b"mac") }] {
            let mut hold = ledger.remember(&one).await.unwrap();
            assert_eq!(state(ledger.remember(&one).await), Some(OrderState::Reserved));
            hold.sent().await.unwrap();
            hold.answered(true);
            assert_eq!(state(ledger.remember(&one).await), Some(OrderState::Sent));
        }
        drop(ledger.remember(&message(b"never left")).await.unwrap());
        assert_eq!(state(ledger.remember(&message(b"never left")).await), None);
        settle(&ledger).await;
        assert_eq!(ledger.usage().messages, 3);
    });
    drop(ledger);
    bed.advance(Duration::from_secs(400 * 24 * 3600));
    let ledger = bed.open();
    assert_eq!(state(run(ledger.remember(&message(b"mac")))), Some(OrderState::Sent));
    assert_eq!(ledger.usage().messages, 3);
}

#[test]
fn messages_go_when_their_secret_has_been_gone_for_a_month() {
    let bed = Bed::new();
    let ledger = bed.open();
    let living = [("pk_live_acme", &b"a secret of sixteen"[..])];
    run(async {
        let mut hold = ledger.remember(&message(b"mac")).await.unwrap();
        hold.sent().await.unwrap();
        hold.answered(false);
        // Gone, back in time, gone again.
        for (keep, days) in [(true, 90), (false, 29), (true, 90), (false, 29)] {
            ledger.keep_only(living.into_iter().filter(|_| keep));
            settle(&ledger).await;
            bed.advance(Duration::from_secs(days * 24 * 3600));
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(state(ledger.remember(&message(b"mac")).await), Some(OrderState::Sent));
        }
        ledger.keep_only([]);
        bed.advance(Duration::from_secs(24 * 3600));
        for _ in 0..100 {
            if ledger.usage().messages == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(ledger.usage().messages, 0);
        assert_eq!(state(ledger.remember(&message(b"mac")).await), None);
    });
}

#[test]
fn beyond_its_limits_it_is_busy_and_says_nothing_false() {
    let bed = Bed::new();
    let ledger = bed.open();
    ledger.set_limits(LedgerLimits { orders: 2, messages: 1 });
    run(async {
        for value in ["1", "2"] {
            ledger.reserve(&order(value)).await.unwrap().sent().await.unwrap();
        }
        assert!(matches!(ledger.reserve(&order("3")).await, Err(Refused::Busy)));
        assert_eq!(state(ledger.reserve(&order("1")).await), Some(OrderState::Sent));
        ledger.remember(&message(b"1")).await.unwrap().sent().await.unwrap();
        assert!(matches!(ledger.remember(&message(b"2")).await, Err(Refused::Busy)));
        assert_eq!(state(ledger.remember(&message(b"1")).await), Some(OrderState::Sent));
        let other = Message { credential: "pk_2", ..message(b"2") };
        assert_eq!(state(ledger.remember(&other).await), None);
        assert_eq!(ledger.usage().fullest, 1);
    });
}

/// Another process that holds the file makes it busy, nothing is noted, and what could not be
/// undone meanwhile is undone after.
#[test]
fn a_commit_that_fails_notes_nothing_and_is_told() {
    let bed = Bed::new();
    let ledger = bed.open();
    run(async {
        let mut sent = ledger.reserve(&order("before")).await.unwrap();
        sent.sent().await.unwrap();
        let (mut first, second) = (
            ledger.reserve(&order("1")).await.unwrap(),
            ledger.reserve(&order("2")).await.unwrap(),
        );
        let other = bed.database();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        sent.answered(true);
        assert!(first.sent().await.is_err());
        drop((first, second));
        other.execute_batch("ROLLBACK").unwrap();
        for value in ["1", "2", "before"] {
            for _ in 0..100 {
                match ledger.reserve(&order(value)).await {
                    Ok(_) => break,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
            assert_eq!(state(ledger.reserve(&order(value)).await), None, "{value}");
        }
        settle(&ledger).await;
        assert_eq!(ledger.fault(), None);
        assert!(ledger.shared.fault().is_none());
    });
}

#[test]
fn no_order_number_and_no_secret_stands_in_the_file() {
    let bed = Bed::new();
    let ledger = bed.open();
    let (marker, secret) = ("marker-order-7714", &b"marker-secret-9981"[..]);
    run(async {
        ledger.reserve(&order(marker)).await.unwrap().sent().await.unwrap();
        let one = Message { secret, ..message(b"marker-proof-5512") };
        ledger.remember(&one).await.unwrap().sent().await.unwrap();
    });
    drop(ledger);
    for entry in std::fs::read_dir(bed.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, b"marker-").is_none(), "{}", path.display());
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_by_name() {
    let bed = Bed::new();
    std::fs::write(bed.folder.path().join(FILE), "no database, but long enough".repeat(100))
        .unwrap();
    let metrics = GateMetrics::new().unwrap().ledger;
    let fault = Ledger::open(bed.folder.path(), bed.clock.clone(), metrics).unwrap_err();
    assert!(fault.to_string().contains(FILE), "{fault}");
    let nowhere = bed.folder.path().join("nowhere");
    let metrics = GateMetrics::new().unwrap().ledger;
    assert!(Ledger::open(&nowhere, bed.clock.clone(), metrics).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u8),
    Send(u8),
    Answer(u8, bool),
    GiveBack(u8),
    Drop(u8),
    Advance(u16),
    /// The process is gone, and another opens the file.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..4_u8;
    prop_oneof![
        4 => number.clone().prop_map(Step::Reserve),
        4 => number.clone().prop_map(Step::Send),
        2 => (number.clone(), any::<bool>()).prop_map(|(n, released)| Step::Answer(n, released)),
        1 => number.clone().prop_map(Step::GiveBack),
        1 => number.prop_map(Step::Drop),
        1 => (0..2400_u16).prop_map(Step::Advance),
        1 => Just(Step::Crash),
    ]
}

/// What one order must be: whose it is, and until when it is taken.
#[derive(Default)]
struct Model {
    holds: HashMap<u8, (Hold, u64)>,
    sent: HashMap<u8, (OrderState, u64)>,
}

impl Model {
    fn expects(&self, number: u8, now: u64) -> Option<OrderState> {
        let sent = self.sent.get(&number).filter(|(_, until)| now < *until);
        let held = self.holds.get(&number).filter(|(hold, _)| hold.stage == Stage::Reserved);
        held.map(|_| OrderState::Reserved).or(sent.map(|(state, _)| *state))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_as_the_model_through_every_crash(steps in prop::collection::vec(step(), 1..60)) {
        let bed = Bed::new();
        let mut ledger = bed.open();
        let mut model = Model::default();
        run(async {
            for step in steps {
                let now = bed.clock.now().secs();
                match step {
                    Step::Reserve(n) => {
                        let expected = model.expects(n, now);
                        let value = n.to_string();
                        let got = ledger.reserve(&order(&value)).await;
                        match got {
                            Ok(hold) => {
                                prop_assert_eq!(expected, None);
                                // One that was sent long ago is nobody's any more.
                                let old = model.holds.insert(n, (hold, now + PERIOD.as_secs()));
                                drop(old);
                            }
                            Err(refused) => {
                                prop_assert_eq!(expected.map(Refused::Taken), Some(refused));
                            }
                        }
                    }
                    Step::Send(n) => {
                        if let Some((hold, until)) = model.holds.get_mut(&n)
                            && hold.stage == Stage::Reserved
                        {
                            prop_assert!(hold.sent().await.is_ok());
                            model.sent.insert(n, (OrderState::Sent, *until));
                        }
                    }
                    Step::Answer(n, released) => {
                        if model.holds.get(&n).is_some_and(|(hold, _)| hold.stage == Stage::Sent)
                            && let Some((hold, until)) = model.holds.remove(&n)
                        {
                            hold.answered(released);
                            match released {
                                true => drop(model.sent.remove(&n)),
                                false => drop(model.sent.insert(n, (OrderState::Answered, until))),
                            }
                        }
                    }
                    Step::GiveBack(n) => {
                        if let Some((hold, _)) = model.holds.remove(&n) {
                            let was_sent = hold.stage == Stage::Sent;
                            hold.give_back();
                            if was_sent {
                                model.sent.remove(&n);
                            }
                        }
                    }
                    Step::Drop(n) => drop(model.holds.remove(&n)),
                    Step::Advance(seconds) => bed.advance(Duration::from_secs(seconds.into())),
                    Step::Crash => {
                        settle(&ledger).await;
                        // A process that is killed drops nothing.
                        model.holds.drain().for_each(|(_, (hold, _))| std::mem::forget(hold));
                        ledger = bed.open();
                    }
                }
            }
            Ok(())
        })?;
    }
}
