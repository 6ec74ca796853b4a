//! Two kinds of samples, compared.

use std::time::Duration;

/// An xorshift generator: the order of samples must have no pattern, and need not be secret.
pub(crate) struct Coin(pub(crate) u64);

impl Coin {
    /// Heads or tails.
    pub(crate) fn toss(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 63 == 1
    }
}

/// Sorts samples of both kinds and drops what is slower than 99 in 100 of all.
pub(crate) fn cut(one: &mut Vec<Duration>, other: &mut Vec<Duration>) {
    let mut all: Vec<_> = one.iter().chain(other.iter()).copied().collect();
    all.sort_unstable();
    let slowest = *all.get(all.len() / 100 * 99).expect("samples");
    for kind in [one, other] {
        kind.retain(|sample| *sample < slowest);
        kind.sort_unstable();
    }
}

/// The middle one of sorted samples, in nanoseconds.
pub(crate) fn median_ns(sorted: &[Duration]) -> f64 {
    sorted.get(sorted.len() / 2).expect("samples").as_secs_f64() * 1e9
}

/// Mean in nanoseconds, and the square of its standard error.
pub(crate) fn mean(samples: &[Duration]) -> (f64, f64) {
    let count: f64 = samples.iter().map(|_| 1.0).sum();
    let ns = || samples.iter().map(|one| one.as_secs_f64() * 1e9);
    let mean = ns().sum::<f64>() / count;
    let squares: f64 = ns().map(|one| (one - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

/// Welch's t of two kinds of samples.
pub(crate) fn welch(one: &[Duration], other: &[Duration]) -> f64 {
    let ((mean_one, error_one), (mean_other, error_other)) = (mean(one), mean(other));
    (mean_one - mean_other) / (error_one + error_other).sqrt()
}
