//! The built-in schemes of the gateway, and what definitions may not say.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::config::scheme::{builtin, builtin_schemes};
use crate::recipe::Subject;
use crate::secret::{NamedSecrets, Secret};

const GATEWAY: [&str; 2] = ["kwikpaisa", "countersign-v1"];

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
}

fn subject<'a>(
    target: &'a str,
    headers: &'a HeaderMap,
    body: &'a [Bytes],
    values: &'a NamedSecrets,
) -> Subject<'a> {
    Subject {
        method: "POST",
        scheme: "https",
        authority: "api.example.com",
        target,
        headers,
        body,
        status: None,
        public_url: None,
        secret: None,
        values,
    }
}

fn claims(scheme: &str, headers: &HeaderMap) -> Result<Claims, ClaimFault> {
    let values = NamedSecrets::default();
    builtin(scheme).unwrap().claims(&subject("/", headers, &[], &values))
}

fn with_timestamp(text: &str) -> Result<Claims, ClaimFault> {
    let signature = "ab".repeat(32);
    let pairs = [("x-api-key", "k"), ("x-timestamp", text), ("x-signature", &signature)];
    claims("kwikpaisa", &headers(&pairs))
}

#[test]
fn timestamps_are_ten_plain_digits() {
    assert_eq!(with_timestamp("1700000000").unwrap().timestamp().unwrap().secs(), 1_700_000_000);
    for text in [
        "",
        "170000000",
        "17000000000",
        "1700000000000",
        "-700000000",
        "+700000000",
        "0700000000",
        "1e9       ",
        "1700000000.",
        "0x65920080",
        "1 00000000",
        "NaN",
        "٣٤٥٦٧",
    ] {
        assert_eq!(
            with_timestamp(text).unwrap_err(),
            ClaimFault::Malformed("X-TIMESTAMP"),
            "{text}"
        );
    }
}

#[test]
fn a_claim_comes_exactly_once() {
    let signature = "ab".repeat(32);
    let mut all = headers(&[("x-api-key", "k"), ("x-timestamp", "1700000000")]);
    assert_eq!(claims("kwikpaisa", &all).unwrap_err(), ClaimFault::Missing("X-SIGNATURE"));
    all.append("x-signature", signature.parse().unwrap());
    assert!(claims("kwikpaisa", &all).is_ok());
    all.append("x-api-key", "k".parse().unwrap());
    assert_eq!(claims("kwikpaisa", &all).unwrap_err(), ClaimFault::Malformed("X-API-KEY"));
}

#[test]
fn our_scheme_wants_a_nonce_and_lower_case() {
    let upper = "AB".repeat(32);
    let mut all =
        headers(&[("x-api-key", "k"), ("x-timestamp", "1700000000"), ("x-signature", &upper)]);
    let fault = |all: &HeaderMap| claims("countersign-v1", all).unwrap_err();
    assert_eq!(fault(&all), ClaimFault::Missing("X-NONCE"));
    all.insert("x-nonce", "short".parse().unwrap());
    assert_eq!(fault(&all), ClaimFault::Malformed("X-NONCE"));
    all.insert("x-nonce", "0123456789abcdef".parse().unwrap());
    assert_eq!(fault(&all), ClaimFault::Malformed("X-SIGNATURE"));
}

fn signed(scheme: &str, body: &[u8]) -> (HeaderMap, VerifyingKey) {
    let scheme = builtin(scheme).unwrap();
    let secret = Secret::new(b"0123456789abcdef0123".to_vec()).unwrap();
    let key = scheme.key(&secret, NamedSecrets::default()).unwrap();
    let request = Outgoing {
        key_id: "pk_test_1",
        timestamp: Timestamp::from_secs(1_700_000_000),
        method: &Method::POST,
        authority: "API.example.com",
        target: "/v1/orders?a=1",
        content_type: "application/json",
        headers: &HeaderMap::new(),
        body,
    };
    let mut headers: HeaderMap = scheme.sign(&key, &request).unwrap().into_iter().collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, key)
}

fn verdict(scheme: &str, headers: &HeaderMap, key: &VerifyingKey, target: &str) -> bool {
    let scheme = builtin(scheme).unwrap();
    let body = [Bytes::from_static(b"{\"a\""), Bytes::from_static(b":1}")];
    let (decoy, values) = (scheme.decoy().unwrap(), NamedSecrets::default());
    let subject = subject(target, headers, &body, &values);
    let claims = scheme.claims(&subject).unwrap();
    let verdict = scheme.verify(&[&decoy, key], &claims, subject).finish();
    assert!(verdict.matched.is_none_or(|index| index == 1));
    verdict.matched.is_some()
}

#[test]
fn what_is_signed_verifies_in_any_pieces() {
    for name in GATEWAY {
        let (headers, key) = signed(name, b"{\"a\":1}");
        assert!(verdict(name, &headers, &key, "/v1/orders?a=1"), "{name}");
        let (headers, _) = signed(name, b"{\"a\":2}");
        assert!(!verdict(name, &headers, &key, "/v1/orders?a=1"), "{name}");
    }
}

#[test]
fn coverage_tells_the_truth_about_the_target() {
    for name in GATEWAY {
        let (headers, key) = signed(name, b"{\"a\":1}");
        let bound = builtin(name).unwrap().coverage().target;
        assert_eq!(verdict(name, &headers, &key, "/v1/refunds"), !bound, "{name}");
    }
}

#[test]
fn the_gateways_schemes_cover_what_they_say() {
    let coverage = |name| builtin(name).unwrap().coverage();
    assert_eq!(coverage("kwikpaisa").open_parts(), ["method", "target", "nonce"]);
    assert!(coverage("countersign-v1").open_parts().is_empty());
    for name in GATEWAY {
        let scheme = builtin(name).unwrap();
        assert!(scheme.unfit_for_routes().is_empty(), "{name}: {:?}", scheme.unfit_for_routes());
        assert_eq!(scheme.strength(), Strength::Full);
        assert!(!scheme.reads_body() && scheme.names_key());
    }
}

#[test]
fn strength_and_fitness_are_found_in_the_templates() {
    let found = |name| {
        let scheme = builtin(name).unwrap();
        (scheme.strength(), scheme.unfit_for_routes().is_empty())
    };
    for (name, strength, fits) in [
        ("coinbase-exchange", Strength::Full, true),
        ("okx-v5", Strength::Full, true),
        ("aws-sigv4", Strength::Full, true),
        ("far-games", Strength::Full, true),
        ("arbeat", Strength::Full, true),
        ("github", Strength::Full, false),
        ("stripe", Strength::Full, false),
        ("duitku-callback", Strength::Partial, false),
        ("faspay-billing", Strength::Partial, false),
        ("smileid-callback", Strength::Token, false),
        ("xendit", Strength::Token, false),
        ("palomma-webhook", Strength::Partial, false),
    ] {
        assert_eq!(found(name), (strength, fits), "{name}");
    }
}

#[test]
fn every_decoy_costs_a_signature_and_matches_nothing() {
    for scheme in builtin_schemes() {
        let decoy = scheme.decoy().unwrap();
        let Some(vector) = &scheme.definition().vector else { continue };
        let matched = vector.with_subject(|subject| {
            let claims = scheme.claims(&subject).unwrap();
            scheme.verify(&[&decoy], &claims, subject).finish().matched
        });
        assert_eq!(matched.unwrap(), None, "{}", scheme.name());
    }
}

fn mistakes(change: impl FnOnce(&mut Definition)) -> Vec<String> {
    let always = |text: &str| Some(Formula::Always(text.to_owned()));
    let mut definition = Definition {
        time: always("{header:X-T}"),
        message: always("{body}{header:X-T}"),
        mac: Some("hmac-sha256".to_owned()),
        signature: always("{header:X-S}"),
        ..Definition::default()
    };
    change(&mut definition);
    let compiled = Scheme::compile("one", &definition);
    let said = |mistake: &SchemeMistake| format!("{}: {}", mistake.key, mistake.problem);
    compiled.err().iter().flatten().map(said).collect()
}

#[test]
fn definitions_at_fault_say_where() {
    assert!(mistakes(|_| {}).is_empty());
    let text = |text: &str| Some(text.to_owned());
    let always = |text: &str| Some(Formula::Always(text.to_owned()));
    assert_eq!(
        mistakes(|d| d.mac = text("hmac-sha257")),
        ["mac: there is no algorithm 'hmac-sha257'"]
    );
    assert_eq!(mistakes(|d| d.encode = text("hexx")), ["encode: there is no encoding 'hexx'"]);
    assert_eq!(mistakes(|d| d.time_unit = text("sec")), ["time_unit: there is no unit 'sec'"]);
    assert_eq!(mistakes(|d| d.message = None), ["message: the key `message` is missing"]);
    let problem = "mac: a message chooses its algorithm only among those that 'map' lists";
    assert_eq!(mistakes(|d| d.mac = text("{header:X-Alg}")), [problem]);
    let problem = "strength: the message binds less than that: it is partial";
    let partial = mistakes(|d| {
        d.message = always("{header:X-A}");
        d.strength = text("full");
    });
    assert_eq!(partial, [problem]);
    assert_eq!(mistakes(|d| d.mac = text("sha256")).len(), 1, "a digest without the secret");
    let open = mistakes(|d| {
        d.message = Some(Formula::ByMethod(vec![("GET".into(), "{query}".into())]));
        d.lets = vec![("a".into(), Formula::ByMethod(vec![("POST".into(), "1".into())]))];
    });
    assert!(open.iter().any(|mistake| mistake.contains("nothing is said of")), "{open:?}");
}

fn lines() -> impl Strategy<Value = [String; 6]> {
    let visible = "[!-~]{1,12}";
    let nonce = "[A-Za-z0-9_-]{16,20}";
    (visible, nonce, "[A-Z]{1,6}", "[a-z.:0-9]{1,12}", "/[!-~]{0,12}", "[ -~]{0,12}").prop_map(
        |(key, nonce, method, host, target, media)| {
            [key, nonce, method, host, target, media.trim().to_owned()]
        },
    )
}

fn nine_lines(parts: &[String; 6], body: &[u8]) -> Vec<u8> {
    let scheme = builtin("countersign-v1").unwrap();
    let [key_id, nonce, method, authority, target, media] = parts;
    let mut headers = headers(&[("x-timestamp", "1700000000")]);
    headers.insert("x-api-key", key_id.parse().unwrap());
    headers.insert("x-nonce", nonce.parse().unwrap());
    if !media.is_empty() {
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
    }
    let (body, values) = ([Bytes::copy_from_slice(body)], NamedSecrets::default());
    let secret = Secret::new(b"0123456789abcdef0123".to_vec()).unwrap();
    let key = scheme.key(&secret, NamedSecrets::default()).unwrap();
    let subject = Subject { method, authority, ..subject(target, &headers, &body, &values) };
    scheme.signed_text(&subject, &key).unwrap().to_vec()
}

proptest! {
    /// No line can hold a line break, so no two requests share what they sign.
    #[test]
    fn no_two_requests_sign_the_same(
        one in lines(),
        two in lines(),
        bodies in prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..8)),
    ) {
        let [first, second] = &bodies;
        let equal = one == two && first == second;
        prop_assert_eq!(nine_lines(&one, first) == nine_lines(&two, second), equal);
        prop_assert_eq!(nine_lines(&one, first).split(|b| *b == b'\n').count(), 9);
    }

    /// What moves from one part into the next is seen.
    #[test]
    fn no_byte_can_move_between_two_parts(parts in lines(), at in 0_usize..5, body in ".{0,8}") {
        let mut moved = parts.clone();
        let last = moved[at].pop().unwrap_or('x');
        moved[at + 1].insert(0, last);
        let good = |part: &String| part.parse::<HeaderValue>().is_ok();
        prop_assume!(moved.iter().all(good) && moved != parts);
        prop_assert_ne!(nine_lines(&parts, body.as_bytes()), nine_lines(&moved, body.as_bytes()));
    }
}
