//! Every built-in scheme with altered requests, and the doctor with what does not verify.

use countersign::doctor::{self, Case, Work};
use countersign::recipe::Subject;
use countersign::scheme::{Scheme, Vector, VerifyingKey};
use countersign::secret::{NamedSecrets, Secret};

use crate::corpus;
use crate::mutation::Source;
use crate::rounds;

const WORDS: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "&",
    "=",
    "%",
    "%2B",
    "+",
    "<a>",
    "</a>",
    "null",
    "1e999",
    "\\u0000",
    "\u{e9}",
    "\r\n",
    ";",
    "sha256=",
    "t=",
    "v1=",
    "1700000000",
];

struct Kit {
    scheme: std::sync::Arc<Scheme>,
    vector: Vector,
    key: VerifyingKey,
    decoy: VerifyingKey,
    /// The good signatures, and what they sign.
    signatures: Vec<Vec<u8>>,
    signed: Vec<u8>,
}

fn kits() -> Vec<Kit> {
    let kit = |(scheme, vector): (std::sync::Arc<Scheme>, Vector)| {
        let mut values = NamedSecrets::default();
        for (name, value) in &vector.values {
            values.insert(name, value.clone().into_bytes());
        }
        let secret = Secret::of_any_length(vector.secret.clone().into_bytes());
        let key = scheme.key(&secret, values).unwrap();
        let decoy = scheme.decoy().unwrap();
        let (signatures, signed) = vector
            .with_subject(|subject| {
                let claims = scheme.claims(&subject).unwrap();
                let verdict = scheme.verify(&[&key], &claims, subject).finish();
                assert_eq!(verdict.matched, Some(0), "{}", scheme.name());
                let signatures = claims.signatures().map(<[u8]>::to_vec).collect();
                (signatures, scheme.signed_text(&subject, &key).unwrap().to_vec())
            })
            .unwrap();
        Kit { scheme, vector, key, decoy, signatures, signed }
    };
    corpus::messages().into_iter().map(kit).collect()
}

fn altered(random: &mut Source, vector: &Vector) -> Vector {
    let mut vector = vector.clone();
    for _ in 0..=random.below(2) {
        match random.below(6) {
            0 => vector.method = random.pick(&["GET", "POST", "PUT", "get", "X-Y"]).to_string(),
            1 => vector.url = random.text(&vector.url, &WORDS),
            2 if !vector.headers.is_empty() => {
                let at = random.below(vector.headers.len());
                let copy = vector.headers[at].clone();
                match random.below(3) {
                    0 => drop(vector.headers.remove(at)),
                    1 => vector.headers.push(copy),
                    _ => {
                        vector.headers[at].0 = random.pick(&["x-other", "date", "host"]).to_string()
                    }
                }
            }
            3 | 4 if !vector.headers.is_empty() => {
                let at = random.below(vector.headers.len());
                vector.headers[at].1 = random.text(&vector.headers[at].1, &WORDS);
            }
            _ => vector.body = random.text(&vector.body, &WORDS),
        }
    }
    vector
}

/// What is altered verifies only if the signature is a good one and what it signs is the same.
#[test]
fn no_altered_request_verifies_with_another_signature_or_text() {
    let kits = kits();
    rounds::run("schemes", |random| {
        let kit = random.pick(&kits);
        let vector = altered(random, &kit.vector);
        let look = vector.with_subject(|subject| look(kit, subject));
        drop(look);
    });
}

fn look(kit: &Kit, subject: Subject<'_>) {
    let Kit { scheme, key, decoy, .. } = kit;
    let name = scheme.name();
    let signed = scheme.signed_text(&subject, key);
    let parts = scheme.parts(&subject, key);
    if let (Ok(signed), Ok(parts)) = (&signed, parts)
        && parts.iter().all(|part| part.bytes.is_some())
    {
        let joined: Vec<u8> = parts.into_iter().filter_map(|part| part.bytes).flatten().collect();
        assert!(joined == **signed, "{name}: the parts are not the whole");
    }
    let made = scheme.signature_of(&subject, key);
    let Ok(claims) = scheme.claims(&subject) else { return };
    let verdict = scheme.verify(&[decoy, key], &claims, subject).finish();
    assert_ne!(verdict.matched, Some(0), "{name}: the decoy matches");
    if verdict.matched.is_none() {
        let keys = [decoy, key];
        let case = Case { scheme, subject, claims: &claims, keys: &keys, others: &[decoy] };
        doctor::diagnose(case, Work::ONE_REQUEST);
        return;
    }
    let good = |signature: &[u8]| kit.signatures.iter().any(|one| one == signature);
    assert!(
        claims.signatures().any(good) || kit.signatures.is_empty(),
        "{name}: another signature"
    );
    assert!(*signed.unwrap() == kit.signed, "{name}: another text");
    if kit.scheme.definition().any.is_empty()
        && let Ok(Some(made)) = made
        && !kit.signatures.is_empty()
    {
        assert!(claims.signatures().any(|one| *one == *made), "{name}: not what it should be");
    }
}
