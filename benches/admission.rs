//! What one decision costs: accepted, and refused at each step, at four sizes of body.
//!
//! The whole of `admit` runs as in the gate: real keys, real replay memory, real limits. Only the
//! sockets are missing.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

mod gate;

use std::hint::black_box;
use std::time::Duration;

use countersign::gateway::rejection::Rejection;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderValue;

use crate::gate::{Bench, Case};

const SIZES: [(&str, usize); 4] =
    [("256B", 256), ("1KiB", 1024), ("4KiB", 4096), ("64KiB", 65_536)];

fn bench_one(
    criterion: &mut Criterion,
    bench: &Bench,
    name: &str,
    expected: fn(Option<Rejection>) -> bool,
    case: impl Fn() -> Case,
) {
    assert!(expected(bench.admit(case())), "{name}");
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(&case, |case| black_box(bench.admit(case)), BatchSize::SmallInput);
    });
}

fn admission(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _within = runtime.enter();
    let bench = &Bench::new();
    for (label, bytes) in SIZES {
        let name = |step: &str| format!("{step}/{label}");
        bench_one(
            criterion,
            bench,
            &name("accepted"),
            |it| it.is_none(),
            || bench.signed("open", bytes),
        );
        bench_one(
            criterion,
            bench,
            &name("intake: Host of another"),
            |it| it == Some(Rejection::Misdirected),
            || {
                bench.with("open", bytes, |head| {
                    head.headers.insert("host", HeaderValue::from_static("other"));
                })
            },
        );
        bench_one(
            criterion,
            bench,
            &name("route: none"),
            |it| it == Some(Rejection::NoRoute),
            || bench.with("open", bytes, |head| head.uri = "/elsewhere".parse().expect("a target")),
        );
        bench_one(
            criterion,
            bench,
            &name("claims: no signature"),
            |it| matches!(it, Some(Rejection::MissingHeader(_))),
            || {
                bench.with("open", bytes, |head| {
                    head.headers.remove("x-signature");
                })
            },
        );
        bench_one(
            criterion,
            bench,
            &name("freshness: stale"),
            |it| matches!(it, Some(Rejection::StaleTimestamp(_))),
            || {
                bench.with("open", bytes, |head| {
                    head.headers.insert("x-timestamp", HeaderValue::from_static("1700000000"));
                })
            },
        );
        bench_one(
            criterion,
            bench,
            &name("signature: unknown key"),
            |it| matches!(it, Some(Rejection::InvalidSignature(_))),
            || {
                bench.with("open", bytes, |head| {
                    head.headers.insert("x-api-key", HeaderValue::from_static("nobody"));
                })
            },
        );
        bench_one(
            criterion,
            bench,
            &name("signature: wrong"),
            |it| matches!(it, Some(Rejection::InvalidSignature(_))),
            || {
                bench.with("open", bytes, |head| {
                    let wrong = HeaderValue::from_str(&"ab".repeat(32)).expect("hexadecimal");
                    head.headers.insert("x-signature", wrong);
                })
            },
        );
        bench_one(
            criterion,
            bench,
            &name("permission: address"),
            |it| it == Some(Rejection::AddressNotAllowed),
            || bench.signed("away", bytes),
        );
        let seen = bench.signed("open", bytes);
        bench.admit(Case { head: seen.head.clone(), body: seen.body.clone() });
        bench_one(
            criterion,
            bench,
            &name("replay"),
            |it| it == Some(Rejection::Replayed),
            || Case { head: seen.head.clone(), body: seen.body.clone() },
        );
        bench.admit(bench.signed("slow", bytes));
        bench_one(
            criterion,
            bench,
            &name("quota"),
            |it| matches!(it, Some(Rejection::RateLimited(_))),
            || {
                // The one request a second that the limit grants is spent here.
                bench.admit(bench.signed("slow", 64));
                bench.signed("slow", bytes)
            },
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = admission
}
criterion_main!(benches);
