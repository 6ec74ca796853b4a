//! Whether the time of a refusal tells which key ids exist: `admit` for a key id that nobody has,
//! against a known key id with a wrong signature, both with a body of 256 bytes.
//!
//! `cargo bench --bench timing` takes 100,000 samples of each in random order, cuts the slowest
//! hundredth of all, and compares the means by Welch's t: of the decision by itself, and of the
//! decision with its log line, which is made before the answer leaves. A difference shows when |t|
//! reaches 4.5 and the means differ by the step of the clock, in three of three runs; then the exit
//! status is 1.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

mod gate;
mod statistics;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use countersign::gateway::rejection::Rejection;
use http::HeaderValue;

use crate::gate::{Bench, Case};
use crate::statistics::{Coin, cut, mean, median_ns, welch};

const SAMPLES: usize = 100_000;
const WARM_UP: usize = 5_000;
const RUNS: usize = 3;
const BODY_BYTES: usize = 256;
const T_MAX: f64 = 4.5;
/// The step of the clock, in nanoseconds. Without a network in between, t finds differences far below
/// it, such as that of two texts of different length; over one nobody finds them.
const DIFFERENCE_NS_MIN: f64 = 10.0;

/// As long as each other, for whoever asks knows how long what he sends is.
const KNOWN: &str = "open";
const UNKNOWN: &str = "nope";
/// Compared with the other unknown: shows what the method itself makes up.
const CONTROL: &str = "none";

/// A request that differs from others of its kind and of the other kind in the key id only.
fn case(bench: &Bench, key_id: &'static str) -> Case {
    bench.with(KNOWN, BODY_BYTES, |head| {
        let wrong = HeaderValue::from_str(&"ab".repeat(32)).expect("hexadecimal");
        head.headers.insert("x-api-key", HeaderValue::from_static(key_id));
        head.headers.insert("x-signature", wrong);
    })
}

/// Samples of one kind of request.
#[derive(Default)]
struct Samples {
    decided: Vec<Duration>,
    logged: Vec<Duration>,
}

impl Samples {
    fn take(&mut self, bench: &Bench, key_id: &'static str) {
        let case = case(bench, key_id);
        let started = Instant::now();
        let (rejection, record) = bench.decide(case);
        let decided = started.elapsed();
        bench.finish(&record);
        drop(record);
        self.logged.push(started.elapsed());
        self.decided.push(decided);
        assert!(matches!(rejection, Some(Rejection::InvalidSignature(_))), "{key_id}");
    }
}

/// Samples of two key ids, in pairs of random order.
fn samples(bench: &Bench, coin: &mut Coin, one: &'static str, other: &'static str) -> [Samples; 2] {
    let [mut first, mut second] = <[Samples; 2]>::default();
    for _ in 0..SAMPLES {
        if coin.toss() {
            first.take(bench, one);
            second.take(bench, other);
        } else {
            second.take(bench, other);
            first.take(bench, one);
        }
    }
    [first, second]
}

/// Prints a line and says whether a difference shows.
fn compare(run: usize, what: &str, mut unknown: Vec<Duration>, mut known: Vec<Duration>) -> bool {
    cut(&mut unknown, &mut known);
    let t = welch(&unknown, &known);
    let difference = mean(&unknown).0 - mean(&known).0;
    let medians = (median_ns(&unknown), median_ns(&known));
    println!(
        "{run:3}  {what:8}  {:18.0}  {:16.0}  {difference:23.1}  {t:7.2}",
        medians.0, medians.1,
    );
    t.abs() >= T_MAX && difference.abs() >= DIFFERENCE_NS_MIN
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _within = runtime.enter();
    let bench = Bench::new();
    for _ in 0..WARM_UP {
        for key_id in [UNKNOWN, KNOWN] {
            bench.admit(case(&bench, key_id));
        }
    }
    let mut coin = Coin(0x9e37_79b9_7f4a_7c15);
    println!(
        "run  what      unknown, median ns  known, median ns  difference of means, ns        t"
    );
    let (mut decided, mut logged) = (0, 0);
    for run in 1..=RUNS {
        let [one, other] = samples(&bench, &mut coin, UNKNOWN, CONTROL);
        compare(run, "control", one.logged, other.logged);
        let [unknown, known] = samples(&bench, &mut coin, UNKNOWN, KNOWN);
        decided += usize::from(compare(run, "decided", unknown.decided, known.decided));
        logged += usize::from(compare(run, "logged", unknown.logged, known.logged));
    }
    println!("differences that show: decided {decided}, logged {logged} of {RUNS} runs");
    if decided == RUNS || logged == RUNS { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
