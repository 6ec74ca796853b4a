//! What rolling keys add to a request: the key set derived, the message opened, the next set derived
//! and both sealed. The goal is at most 10 µs a request.
//!
//! `cargo bench --bench roll`; `exchange` is all of it, the others are its parts.
#![allow(missing_docs, clippy::expect_used, reason = "a bench says what it expects")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;

use countersign::clock::Timestamp;
use countersign::roll::keys::{Root, Source};
use countersign::roll::sealing::{P, aad_request};
use countersign::roll::{
    AnchorSpec, ChainId, Chains, EpochSpec, Epochs, KEY_SET_BYTES, KeySet, Kid, Label, Material,
    Message, Party, Preset, Roll,
};
use countersign::secret::Secret;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const NOW: u64 = 1_764_000_000;
const TARGET: &str = "/v1/payments";

fn secret(byte: u8) -> Secret {
    Secret::new(vec![byte; 32]).expect("a secret")
}

fn kid(generation: u32) -> Kid {
    let now = Timestamp::from_secs(NOW);
    let issued = u32::try_from(NOW).expect("a time");
    Kid { epoch: 1, chain: ChainId::starting(now, [1, 2, 3, 4]), generation, issued }
}

fn material() -> Material {
    let keys = KeySet::from_bytes(&[7; KEY_SET_BYTES]);
    let anchor = AnchorSpec { version: NonZeroU32::MIN, keys, until: None };
    let root = Root { secret: secret(2), since: Timestamp::from_secs(0) };
    Material { root, anchors: vec![anchor] }
}

fn roll() -> Roll {
    let epochs = Arc::new(Epochs::default());
    let now = Timestamp::from_secs(NOW);
    epochs.replace(vec![EpochSpec {
        number: 1,
        not_before: now,
        not_after: Timestamp::MAX,
        secret: secret(1),
    }]);
    Roll::new(epochs, Chains::new((NOW - 100) * 1000), Box::new(|_| {}))
}

fn benches(criterion: &mut Criterion) {
    let (roll, material, key_id) = (roll(), material(), Arc::from("pk_live_zzzzzzzzzzzzzzzzzzzz"));
    let party = Party { merchant: "mer_0001", key_id: &key_id, material: &material };
    let source = Source::extract(&secret(1), &secret(2));
    let now = Timestamp::from_secs(NOW);
    criterion.bench_function("derive", |bencher| {
        bencher.iter(|| source.key_set("mer_0001", &key_id, black_box(kid(7))));
    });
    for bytes in [256, 4096] {
        let (text, p): (_, P) = (vec![b'x'; bytes], [5; 16]);
        let keys = source.key_set("mer_0001", &key_id, kid(7));
        let aad = aad_request(now, "POST", TARGET, Label::Rolled(kid(7)));
        let sealed = keys.to_gate().seal_with(&aad, &text, &p);
        criterion.bench_function(&format!("open {bytes}"), |bencher| {
            bencher.iter(|| keys.to_gate().open(&aad, black_box(&sealed)));
        });
        criterion.bench_function(&format!("seal {bytes}"), |bencher| {
            bencher.iter(|| keys.to_client().seal(&aad, black_box(&text)));
        });
        // Every message under a set of its own, as a client sends them.
        let mut generation = 0_u32;
        let policy = Preset::Compat.policy();
        criterion.bench_function(&format!("exchange {bytes}"), |bencher| {
            let message = || {
                // A new chain before one has too many sets in use.
                generation += 1;
                let chain = ChainId::starting(now, (generation / 10_000).to_be_bytes());
                let kid = Kid { chain, ..kid(generation) };
                let keys = source.key_set("mer_0001", &key_id, kid);
                let aad = aad_request(now, "POST", TARGET, Label::Rolled(kid));
                (kid.to_string(), keys.to_gate().seal_with(&aad, &text, &p))
            };
            let answered = |(label, sealed): (String, Vec<u8>)| {
                let message = Message {
                    label: &label,
                    time: now,
                    method: "POST",
                    target: TARGET,
                    sealed: Some(&sealed),
                    session: false,
                };
                let opened = roll.open(&party, &policy, &message, now).expect("opens");
                let answer = opened.reply.seal(200, b"{\"ok\":true}").expect("random bytes");
                (answer, opened.reply.seal_next().expect("random bytes"))
            };
            bencher.iter_batched(message, answered, BatchSize::SmallInput);
        });
    }
}

criterion_group!(all, benches);
criterion_main!(all);
