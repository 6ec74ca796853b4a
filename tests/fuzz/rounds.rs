//! Rounds with a generator each, until the time is over.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use crate::mutation::Source;

const SECONDS: u64 = 3;
const ROUNDS: u64 = 200_000;

/// What somebody who looks for faults asks for.
#[expect(clippy::disallowed_methods, reason = "a test takes no arguments of its own")]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs rounds with a source of random choices each, until the time is over.
pub(crate) fn run(name: &str, mut round: impl FnMut(&mut Source)) {
    let only = asked("COUNTERSIGN_FUZZ");
    let seconds = asked("COUNTERSIGN_FUZZ_SECONDS");
    let limit = Duration::from_secs(seconds.map_or(SECONDS, |text| text.parse().unwrap()));
    let (seed, only) = match only.as_deref().map(|text| text.split_once(':').unwrap_or((text, "")))
    {
        Some((seed, only)) => (seed.parse().unwrap(), only.parse::<u64>().ok()),
        None => (RandomState::new().hash_one(name) >> 32, None),
    };
    let (begun, mut done, mut slowest) = (Instant::now(), 0, (Duration::ZERO, 0));
    let rounds = only.map_or(0..ROUNDS, |only| only..only + 1);
    for number in rounds.take_while(|_| only.is_some() || begun.elapsed() < limit) {
        let failing = Failing { name, seed, number };
        let started = Instant::now();
        round(&mut Source::new(seed, number));
        slowest = slowest.max((started.elapsed(), number));
        std::mem::forget(failing);
        done += 1;
    }
    println!("{name}: seed {seed}, {done} rounds, the slowest {:?} ({})", slowest.0, slowest.1);
    assert!(done > 0, "no round at all");
}

/// Says how a round is repeated, if it ends by a panic.
struct Failing<'n> {
    name: &'n str,
    seed: u64,
    number: u64,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        let Self { name, seed, number } = self;
        println!("{name} fails; to repeat: COUNTERSIGN_FUZZ={seed}:{number}");
    }
}
