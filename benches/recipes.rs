//! What reading the claims and verifying costs under schemes of different kinds: the body and a
//! time; lines with a digest; a list in a header; a canonical request with derived keys; XML whose
//! elements are sorted.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

use std::hint::black_box;
use std::time::Duration;

use countersign::config::scheme::builtin;
use countersign::scheme::Vector;
use countersign::secret::{NamedSecrets, Secret};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::Value;

const SCHEMES: [&str; 5] = ["kwikpaisa", "countersign-v1", "stripe", "aws-sigv4", "wechatpay-v2"];

/// The message of the documented recipe of a name.
fn documented(name: &str) -> Vector {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/recipes");
    let text = std::fs::read(format!("{folder}/{name}.json")).expect("a recipe");
    let recipe: Value = serde_json::from_slice(&text).expect("JSON");
    let vector = recipe.get("vector").expect("a vector");
    let text =
        |key: &str| vector.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    let pairs = |key: &str| {
        let pairs = vector.get(key).and_then(Value::as_object).into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    Vector {
        secret: text("secret"),
        values: pairs("credentials"),
        method: text("method"),
        url: text("url"),
        headers: pairs("headers"),
        body: text("body"),
        published: false,
    }
}

fn recipes(criterion: &mut Criterion) {
    for name in SCHEMES {
        let scheme = builtin(name).expect("a built-in scheme");
        let vector = scheme.definition().vector.clone().unwrap_or_else(|| documented(name));
        let mut values = NamedSecrets::default();
        for (name, value) in &vector.values {
            values.insert(name, value.clone().into_bytes());
        }
        let secret = Secret::of_any_length(vector.secret.clone().into_bytes());
        let key = scheme.key(&secret, values).expect("a key");
        let measured = vector.with_subject(|subject| {
            criterion.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let claims = scheme.claims(black_box(&subject)).expect("claims");
                    let verdict = scheme.verify(&[&key], &claims, subject).finish();
                    assert!(verdict.matched.is_some(), "{name}");
                });
            });
        });
        measured.expect("a message");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = recipes
}
criterion_main!(benches);
