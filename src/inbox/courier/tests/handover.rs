//! The request that a service gets, without any socket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, Request, Uri};

use crate::clock::{Clock, Timestamp};
use crate::config::scheme::builtin;
use crate::inbox::courier::request::{Handover, request};
use crate::inbox::courier::tests::bench::{Bench, destination, run, secret, source};
use crate::journal::{Confirmation, Delivery, Lane, NewDelivery, Work};
use crate::recipe::Subject;
use crate::secret::{NamedSecrets, Secret};

/// 2026-09-21T13:33:20.123Z and some seconds more.
const RECEIVED_MILLIS: u64 = 1_789_997_600_123;
const NOW: Timestamp = Timestamp::from_secs(1_789_997_605);

/// A message as the journal keeps it.
fn kept(change: impl FnOnce(&mut NewDelivery)) -> Delivery {
    let mut found = None;
    run(async {
        let shop = destination("shop", ([127, 0, 0, 1], 1).into());
        let (clock, _) = Clock::by_hand(Timestamp::from_secs(1));
        let mut bench = Bench::new(vec![source("pay", shop, |_| {})], clock);
        let mut message = bench.message("pay", "order-1");
        message.received_millis = RECEIVED_MILLIS;
        change(&mut message);
        bench.keep_this(message).await;
        let lane = Lane { work: Work::Deliver, name: "shop".into() };
        let due = bench.journal.due(&lane, u64::MAX >> 1, false, 1, &Default::default());
        found = due.unwrap().pop().map(|task| (*task.delivery).clone());
    });
    found.unwrap()
}

fn made(delivery: &Delivery, secrets: &[Secret]) -> Request<Bytes> {
    let passed: Vec<HeaderName> =
        ["webhook-id", "webhook-timestamp", "webhook-signature", "x-passed", "authorization", "te"]
            .map(HeaderName::from_static)
            .into();
    let url: Uri = "https://shop.example/hooks?a=1".parse().unwrap();
    let handover = Handover {
        url: &url,
        secrets,
        passed: passed.iter().collect(),
        number: 3,
        attempt_id: "att_1",
        now: NOW,
    };
    request(delivery, &handover)
}

fn header<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn what_is_known_of_a_delivery_stands_in_headers() {
    let delivery = kept(|_| {});
    let made = made(&delivery, &[secret(1)]);
    assert_eq!((made.method().as_str(), made.body()), ("POST", &delivery.body));
    assert_eq!(made.uri(), "https://shop.example/hooks?a=1");
    let mut names: Vec<&str> = made.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-type",
            "countersign-attempt",
            "countersign-confirmation",
            "countersign-fact-order",
            "countersign-fact-state",
            "countersign-received",
            "countersign-source",
            "countersign-target",
            "countersign-verdict",
            "original-webhook-id",
            "original-webhook-signature",
            "user-agent",
            "webhook-id",
            "webhook-signature",
            "webhook-timestamp",
            "x-passed",
        ]
    );
    let expected = [
        ("content-type", "application/json"),
        ("countersign-attempt", "3; id=att_1"),
        ("countersign-confirmation", "not-asked"),
        ("countersign-fact-order", "order-1"),
        ("countersign-received", "2026-09-21T13:33:20.123Z"),
        ("countersign-source", "pay"),
        ("countersign-target", "POST /pay?a=b"),
        ("countersign-verdict", "verified; scheme=standard-webhooks; strength=full; secret=1"),
        ("original-webhook-id", "msg_1"),
        ("original-webhook-signature", "v1,abc"),
        ("webhook-id", delivery.id.as_str()),
        ("webhook-timestamp", "1789997605"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&made, name), Some(value), "{name}");
    }
    let passed: Vec<_> = made.headers().get_all("x-passed").iter().collect();
    assert_eq!(passed, ["one", "two"]);
}

/// Whether our own recipe of Standard Webhooks takes a request.
fn verifies(request: &Request<Bytes>, body: &[u8], with: &[u8]) -> bool {
    let scheme = builtin("standard-webhooks").unwrap();
    let text = format!("whsec_{}", STANDARD.encode(with)).into_bytes();
    let key = scheme.key(&Secret::of_any_length(text), NamedSecrets::default()).unwrap();
    let (body, values) = ([Bytes::copy_from_slice(body)], NamedSecrets::default());
    let subject = Subject {
        method: "POST",
        scheme: "https",
        authority: "shop.example",
        target: "/hooks?a=1",
        headers: request.headers(),
        body: &body,
        status: None,
        public_url: None,
        secret: None,
        values: &values,
    };
    let claims = scheme.claims(&subject).unwrap();
    assert_eq!(claims.timestamp(), Some(NOW));
    scheme.verify(&[&key], &claims, subject).finish().matched.is_some()
}

#[test]
fn every_secret_verifies_what_was_signed_and_no_other_does() {
    let delivery = kept(|message| message.body = Bytes::from_static(b"\0\xff any.bytes"));
    let made = made(&delivery, &[secret(1), secret(2)]);
    assert_eq!(made.body().as_ref(), b"\0\xff any.bytes");
    for byte in [1, 2] {
        assert!(verifies(&made, made.body(), &[byte; 32]), "{byte}");
    }
    assert!(!verifies(&made, made.body(), &[3; 32]));
    assert!(!verifies(&made, b"\0\xff any.byte", &[1; 32]));
}

#[test]
fn what_cannot_stand_in_a_header_has_none() {
    let long = "x".repeat(300);
    let bad = ["", "two\r\nlines", "grün", " edge", long.as_str()];
    for (at, text) in bad.into_iter().enumerate() {
        let delivery = kept(|message| {
            message.facts.insert("amount".to_owned(), text.to_owned());
            message.facts.insert("date".to_owned(), "2026-09-21 10:00:00".to_owned());
        });
        let made = made(&delivery, &[secret(1)]);
        assert_eq!(header(&made, "countersign-fact-amount"), None, "{at}");
        assert_eq!(header(&made, "countersign-fact-date"), Some("2026-09-21 10:00:00"));
    }
}

#[test]
fn what_came_under_our_names_is_not_taken_for_ours() {
    let fields = [
        ("Countersign-Verdict", "verified; scheme=forged"),
        ("Webhook-Signature", "v1,forged"),
        ("User-Agent", "forged"),
        ("Host", "forged.example"),
        ("Transfer-Encoding", "chunked"),
        ("Cookie", "a=b"),
        ("Content-Encoding", "gzip"),
    ];
    let delivery = kept(|message| {
        let fields = fields.map(|(name, value)| (name.to_owned(), Bytes::from(value)));
        message.headers = fields.into();
    });
    let names: Vec<HeaderName> =
        fields.map(|(name, _)| name.to_lowercase().parse().unwrap()).into();
    let url: Uri = "https://shop.example/".parse().unwrap();
    let secrets = [secret(1)];
    let made = request(
        &delivery,
        &Handover {
            url: &url,
            secrets: &secrets,
            passed: names.iter().collect(),
            number: 1,
            attempt_id: "att_1",
            now: NOW,
        },
    );
    for (name, value) in fields.into_iter().take(3) {
        assert_eq!(header(&made, &format!("original-{name}")), Some(value));
        assert_eq!(made.headers().get_all(name).iter().count(), 1, "{name}");
        assert_ne!(header(&made, name), Some(value));
    }
    for name in ["host", "transfer-encoding", "cookie"] {
        assert_eq!(header(&made, name), None, "{name}");
    }
    assert_eq!(header(&made, "content-encoding"), Some("gzip"));
}

#[test]
fn verdict_and_confirmation_say_how_it_came_to_be_delivered() {
    let mut delivery = kept(|message| message.verdict.secret_version = None);
    let told = |delivery: &Delivery, name| {
        header(&made(delivery, &[secret(1)]), name).map(str::to_owned).unwrap()
    };
    let verdict = told(&delivery, "countersign-verdict");
    assert_eq!(verdict, "unsigned; scheme=standard-webhooks; strength=full");
    assert_eq!(told(&delivery, "countersign-confirmation"), "not-asked");
    let both = "provider,merchant";
    let states = [
        (true, both, Some("succeeded"), "agreed; asked=provider,merchant; state=succeeded"),
        (true, both, Some("not; a\ntoken"), "agreed; asked=provider,merchant"),
        (true, both, None, "agreed; asked=provider,merchant"),
        (true, "operator", None, "by-operator"),
        (false, both, Some("succeeded"), "by-operator"),
    ];
    for (agreed, asked, state, expected) in states {
        delivery.confirmation = Some(Confirmation {
            agreed,
            asked: asked.to_owned(),
            state: state.map(str::to_owned),
            differences: Vec::new(),
            at_millis: 0,
        });
        assert_eq!(told(&delivery, "countersign-confirmation"), expected);
    }
}
