//! What a claim costs, and how many bytes an entry takes.
#![expect(clippy::expect_used, reason = "a bench that cannot go on has nothing to measure")]

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use countersign::clock::Timestamp;
use countersign::replay::{Kind, Memory, Refusal, Stamped};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: u64 = 1_750_000_000;
/// Stamps spread over a window and what is ahead, as in a gate that runs.
const SPAN: u64 = 330;

fn memory(bytes: usize) -> Memory {
    Memory::without_past(NonZeroUsize::new(bytes).expect("not zero")).expect("random bytes")
}

fn proof(n: u64) -> [u8; 32] {
    let mut proof = [0; 32];
    for (to, from) in proof.iter_mut().zip(n.to_le_bytes()) {
        *to = from;
    }
    proof
}

fn pass(memory: &Memory, n: u64, kind: Kind<'_>) -> Result<(), Refusal> {
    let stamp = Timestamp::from_secs(NOW + n % SPAN);
    let proof = proof(n);
    let stamped = Stamped { credential: "pk_live_0123456789abcdef", stamp, proof: &proof, kind };
    memory.claim(stamped, &Arc::from([])).now_or_never().expect("nothing to wait for")?.keep()
}

fn filled(entries: u64) -> Memory {
    let memory = memory(1 << 30);
    for n in 0..entries {
        pass(&memory, n, Kind::Once).expect("new");
    }
    memory
}

fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    resident.expect("a number") * 4096
}

/// Resident memory for an entry at many fillings: tables double, so it goes up and down.
fn bytes_an_entry(_: &mut Criterion) {
    let before = resident_bytes();
    let memory = memory(1 << 30);
    let mut worst = 0.0_f64;
    for n in 0..4_000_000_u64 {
        pass(&memory, n, Kind::Once).expect("new");
        if n >= 999_999 && (n + 1) % 125_000 == 0 {
            let bytes = resident_bytes().saturating_sub(before);
            #[expect(clippy::as_conversions, reason = "a quotient to print")]
            let each = bytes as f64 / (n + 1) as f64;
            println!("{} entries: {each:.1} bytes an entry", n + 1);
            worst = worst.max(each);
        }
    }
    println!("worst: {worst:.1} bytes an entry (at most 40)");
}

fn claims(criterion: &mut Criterion) {
    let next = Cell::new(0_u64);
    let fresh = |memory: &Memory, kind| {
        next.set(next.get() + 1);
        black_box(pass(memory, next.get(), kind))
    };
    criterion.bench_function("claim, from empty", |bencher| {
        let memory = memory(4 << 30);
        bencher.iter(|| fresh(&memory, Kind::Once));
    });
    criterion.bench_function("claim of a read, from empty", |bencher| {
        let memory = memory(4 << 30);
        let kind = Kind::Read { method: "GET", target: b"/v1/orders/1234567890?expand=1" };
        bencher.iter(|| fresh(&memory, kind));
    });
    criterion.bench_function("claim with a merchant's and the tests' share", |bencher| {
        let memory = memory(4 << 30);
        let shares = Arc::from([memory.share("merchant"), memory.test_share()]);
        bencher.iter(|| {
            next.set(next.get() + 1);
            let stamp = Timestamp::from_secs(NOW + next.get() % 3);
            let proof = proof(next.get());
            let kind = Kind::Once;
            let stamped = Stamped { credential: "pk_live_0123", stamp, proof: &proof, kind };
            black_box(memory.claim(stamped, &shares).now_or_never().is_some())
        });
    });
    let million = filled(1_000_000);
    next.set(1_000_000);
    criterion.bench_function("claim and withdraw at a million entries", |bencher| {
        bencher.iter(|| {
            next.set(next.get() + 1);
            let stamp = Timestamp::from_secs(NOW + next.get() % SPAN);
            let proof = proof(next.get());
            let kind = Kind::Once;
            let stamped = Stamped { credential: "pk_live_0123", stamp, proof: &proof, kind };
            let claim =
                million.claim(stamped, &Arc::from([])).now_or_never().expect("nothing to wait for");
            claim.expect("new").withdraw();
        });
    });
    criterion.bench_function("claim at a million entries", |bencher| {
        bencher.iter_batched(|| (), |()| fresh(&million, Kind::Once), BatchSize::SmallInput);
    });
    criterion.bench_function("replay at a million entries", |bencher| {
        bencher.iter(|| {
            next.set((next.get() + 7919) % 1_000_000);
            black_box(pass(&million, next.get(), Kind::Once))
        });
    });
    let full = memory(40 * 1000);
    next.set(0);
    while fresh(&full, Kind::Once) != Err(Refusal::Full) {}
    criterion.bench_function("claim when full", |bencher| {
        bencher.iter(|| fresh(&full, Kind::Once));
    });
}

criterion_group!(benches, bytes_an_entry, claims);
criterion_main!(benches);
