//! Every built-in profile on a real message: it verifies, and gives these facts and this answer.

use std::collections::BTreeSet;

use super::bed::{BASE64, Bed, HEX, message, recipe, vector};
use crate::config::provider;
use crate::journal::Facts;
use crate::scheme::{Strength, Vector};

/// A message of a provider, and what is made of it.
pub(super) struct Case {
    pub(super) bed: Bed,
    pub(super) message: Vector,
    facts: &'static [(&'static str, &'static str)],
    stored: (u16, &'static str),
}

type Pairs = &'static [(&'static str, &'static str)];

const FIUU: Pairs = &[("domain", "shop"), ("verify_key", "fiuu-verify-key-1")];
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// One for every built-in profile.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, message: Vector, values: Pairs, facts: Pairs, stored| {
        let own = message.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = values.iter().copied().chain(own).collect();
        let bed = Bed::new(name, &message.secret, &all);
        let message = bed.sign(&message);
        cases.push(Case { bed, message, facts, stored });
    };
    let secret = |message: Vector, secret: &str| Vector { secret: secret.into(), ..message };
    let ok = (200, "");
    add("fiuu", vector("fiuu"), FIUU, FIUU_FACTS, (200, "CBTOKEN:MPSTATOK"));
    let mut back = vector("fiuu");
    back.body = back.body.replace("&nbcb=1", "");
    add("fiuu-return", back, FIUU, FIUU_RETURN_FACTS, (303, ""));
    let refund: Pairs = &[
        ("amount", "10.00"),
        ("event", "refund"),
        ("id", "98765"),
        ("order", "R1"),
        ("state", "refunded"),
        ("transaction", "12345"),
    ];
    add("fiuu-refund", vector("fiuu-refund"), &[("domain", "shop")], refund, ok);
    let kwikpaisa: Pairs = &[
        ("amount", "10.00"),
        ("currency", "INR"),
        ("event", "payment.success"),
        ("order", "A1"),
        ("state", "succeeded"),
    ];
    let key: Pairs = &[("key_id", "pk_test_1")];
    add("kwikpaisa", vector("kwikpaisa-webhook"), key, kwikpaisa, ok);
    let body = r#"{"transaction":{"payment_id":"P1","merchant_id":"M1","status":"Success","status_flag":true,"order":{"order_id":99,"gross_amount":11.50},"signature":"$HEX$"}}"#;
    let paykun = secret(message(&[], body), "paykun-api-secret-0123456789abcd");
    let values: Pairs = &[("merchant_id", "M1"), ("access_token", "token-1")];
    let facts: Pairs =
        &[("amount", "11.50"), ("order", "99"), ("state", "succeeded"), ("transaction", "P1")];
    add("paykun", paykun, values, facts, ok);
    let stripe = message(
        &[("Stripe-Signature", &format!("t=1700000000,v1={HEX}"))],
        r#"{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","amount":1099,"currency":"eur","client_reference_id":null}}}"#,
    );
    let facts: Pairs = &[
        ("currency", "EUR"),
        ("event", "payment_intent.succeeded"),
        ("id", "evt_1"),
        ("state", "succeeded"),
        ("transaction", "pi_1"),
    ];
    add("stripe", secret(stripe, "whsec_test_secret"), &[], facts, ok);
    let facts: Pairs = &[
        ("currency", "EUR"),
        ("date", "2014-08-06T17:15:34.121+02:00"),
        ("event", "AUTHORISATION"),
        ("order", "TestPayment-1407325143704"),
        ("state", "authorised"),
        ("transaction", "7914073381342284"),
    ];
    add("adyen", vector("adyen"), &[], facts, (200, "[accepted]"));
    let square = message(
        &[("x-square-hmacsha256-signature", BASE64)],
        r#"{"type":"payment.updated","event_id":"e1","created_at":"2024-01-01T00:00:00Z","data":{"id":"p1","object":{"payment":{"order_id":"o1","status":"COMPLETED","amount_money":{"amount":100,"currency":"USD"}}}}}"#,
    );
    let facts: Pairs = &[
        ("currency", "USD"),
        ("date", "2024-01-01T00:00:00Z"),
        ("event", "payment.updated"),
        ("id", "e1"),
        ("order", "o1"),
        ("state", "succeeded"),
        ("transaction", "p1"),
    ];
    add("square", secret(square, "asdf1234"), &[], facts, ok);
    let mut razorpay = vector("razorpay");
    razorpay.headers.push(("X-Razorpay-Event-Id".into(), "E1".into()));
    let facts: Pairs = &[
        ("event", "payment.captured"),
        ("id", "E1"),
        ("state", "succeeded"),
        ("transaction", "pay_1"),
    ];
    add("razorpay", razorpay, &[], facts, ok);
    let facts: Pairs = &[("amount", "50"), ("event", "charge.success"), ("order", "r1")];
    add("paystack", vector("paystack"), &[], facts, ok);
    let cashfree = message(
        &[("x-webhook-timestamp", "1700000000000"), ("x-webhook-signature", BASE64)],
        r#"{"data":{"order":{"order_id":"o1","order_amount":1.00,"order_currency":"INR"},"payment":{"cf_payment_id":1107,"payment_status":"SUCCESS"}},"event_time":"2024-01-01T10:00:00+05:30","type":"PAYMENT_SUCCESS_WEBHOOK"}"#,
    );
    let facts: Pairs = &[
        ("amount", "1.00"),
        ("currency", "INR"),
        ("date", "2024-01-01T10:00:00+05:30"),
        ("event", "PAYMENT_SUCCESS_WEBHOOK"),
        ("order", "o1"),
        ("state", "succeeded"),
        ("transaction", "1107"),
    ];
    add("cashfree", secret(cashfree, "cashfree-client-secret"), &[], facts, ok);
    let facts: Pairs = &[("amount", "100000.00"), ("order", "Postpaid-1"), ("state", "succeeded")];
    add("midtrans", vector("midtrans"), &[], facts, ok);
    let facts: Pairs = &[("amount", "10000.00"), ("id", "e1"), ("state", "succeeded")];
    add("midtrans-snap", vector("midtrans-snap"), &[], facts, ok);
    // {"code":"PAYMENT_SUCCESS","data":{"merchantTransactionId":"T1","transactionId":"P1","amount":1050}}
    let phonepe = message(
        &[("X-VERIFY", &format!("{HEX}###1"))],
        r#"{"response":"eyJjb2RlIjoiUEFZTUVOVF9TVUNDRVNTIiwiZGF0YSI6eyJtZXJjaGFudFRyYW5zYWN0aW9uSWQiOiJUMSIsInRyYW5zYWN0aW9uSWQiOiJQMSIsImFtb3VudCI6MTA1MH19"}"#,
    );
    let phonepe = secret(phonepe, "099eb0cd-02cf-4e2a-8aca-3e6c6aff0399");
    let values: Pairs = &[("salt_index", "1"), ("merchant_id", "M1")];
    let facts: Pairs =
        &[("amount", "10.5"), ("order", "T1"), ("state", "succeeded"), ("transaction", "P1")];
    add("phonepe-v1", phonepe, values, facts, ok);
    let xendit = message(
        &[("x-callback-token", "xendit-callback-token-0123456789"), ("webhook-id", "w1")],
        r#"{"id":"i1","external_id":"o1","status":"PAID","amount":50000,"currency":"IDR"}"#,
    );
    let xendit = secret(xendit, "xendit-callback-token-0123456789");
    let facts: Pairs = &[
        ("amount", "50000"),
        ("currency", "IDR"),
        ("id", "w1"),
        ("order", "o1"),
        ("state", "succeeded"),
        ("transaction", "i1"),
    ];
    add("xendit", xendit, &[("api_key", "xnd_1")], facts, ok);
    services(&mut add);
    callbacks(&mut add);
    cases
}

const FIUU_FACTS: Pairs = &[
    ("amount", "10.00"),
    ("currency", "MYR"),
    ("date", "2024-01-01 10:00:00"),
    ("event", "callback"),
    ("order", "ORD1"),
    ("state", "succeeded"),
    ("transaction", "12345"),
];
const FIUU_RETURN_FACTS: Pairs = &[
    ("amount", "10.00"),
    ("currency", "MYR"),
    ("date", "2024-01-01 10:00:00"),
    ("event", "return"),
    ("order", "ORD1"),
    ("state", "succeeded"),
    ("transaction", "12345"),
];

type Add<'a> = dyn FnMut(&'static str, Vector, Pairs, Pairs, (u16, &'static str)) + 'a;

fn services(add: &mut Add<'_>) {
    let ok = (200, "");
    let id: Pairs = &[("id", "msg_p5jXN8AQM9LWM0D4loKWxJek")];
    add("standard-webhooks", vector("standard-webhooks"), &[], id, ok);
    add("standard-webhooks-v1a", vector("standard-webhooks-v1a"), &[], &[("id", "msg_1")], ok);
    let mut github = vector("github");
    github.headers.push(("X-GitHub-Event".into(), "push".into()));
    github.headers.push(("X-GitHub-Delivery".into(), "d1".into()));
    add("github", github, &[], &[("event", "push"), ("id", "d1")], ok);
    let mut shopify = vector("shopify");
    shopify.headers.push(("X-Shopify-Topic".into(), "orders/paid".into()));
    add("shopify", shopify, &[], &[("event", "orders/paid")], ok);
    let time = ("X-Slack-Request-Timestamp", "1531420618");
    let signature = format!("v0={HEX}");
    let body = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#;
    let mut slack = message(&[time, ("X-Slack-Signature", &signature)], body);
    slack.secret = "8f742231b10e8888abcd99yyyzzz85a5".into();
    add("slack", slack.clone(), &[], &[("event", "message"), ("id", "Ev1")], ok);
    slack.body = r#"{"type":"url_verification","challenge":"abc"}"#.into();
    add("slack", slack, &[], &[], (200, "abc"));
    let facts: Pairs = &[
        ("event", "/webhook-collect"),
        ("id", "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"),
    ];
    add("slack-commands", vector("slack"), &[], facts, ok);
    let facts: Pairs = &[("event", "updateCard"), ("id", "51f9424bcd6e040f3c002412")];
    add("trello", recipe("trello-webhook"), &[], facts, ok);
}

fn callbacks(add: &mut Add<'_>) {
    let ok = (200, "");
    let facts: Pairs = &[
        ("date", "2017-03-29T20:48:02.0080095Z"),
        ("event", "net.authorize.payment.authcapture.created"),
        ("id", "d0e8e7fe"),
        ("state", "succeeded"),
    ];
    add("authorizenet", recipe("authorizenet-webhook"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "1"),
        ("currency", "MYR"),
        ("date", "2018-09-27 15:15:09 +0800"),
        ("order", "zq0tm2wc"),
        ("state", "succeeded"),
    ];
    add("billplz", recipe("billplz-callback"), &[], facts, ok);
    add("coinify", recipe("coinify-webhook"), &[], &[], ok);
    let facts: Pairs = &[
        ("amount", "150000"),
        ("currency", "IDR"),
        ("order", "abcde12345"),
        ("state", "succeeded"),
    ];
    add("duitku", recipe("duitku-callback"), &[("merchant_code", "D0001")], facts, ok);
    let facts: Pairs = &[
        ("amount", "10000"),
        ("currency", "IDR"),
        ("order", "3026811234"),
        ("state", "succeeded"),
        ("transaction", "9876530268"),
    ];
    add("faspay", recipe("faspay-billing"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "2500.00"),
        ("currency", "INR"),
        ("order", "d66cb29dd059482e8072999f995c4eef"),
        ("state", "succeeded"),
        ("transaction", "MOJO5a06005J21512197"),
    ];
    add("instamojo", recipe("instamojo-webhook"), &[], facts, ok);
    let body = "MerchantCode=M00003&PaymentId=2&RefNo=A1&Amount=1%2C000.00&Currency=MYR&TransId=T1&Status=1&Signature=$BASE64$";
    let mut ipay88 = message(&[FORM], body);
    ipay88.secret = "apple".into();
    let facts: Pairs = &[
        ("amount", "1000.00"),
        ("currency", "MYR"),
        ("order", "A1"),
        ("state", "succeeded"),
        ("transaction", "T1"),
    ];
    let code: Pairs = &[("merchant_code", "M00003")];
    add("ipay88", ipay88, code, facts, (200, "RECEIVEOK"));
    let facts: Pairs = &[
        ("amount", "3"),
        ("currency", "UAH"),
        ("event", "pay"),
        ("order", "000001"),
        ("state", "succeeded"),
    ];
    add("liqpay", recipe("liqpay-callback"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "193.54"),
        ("currency", "MDL"),
        ("order", "1142353"),
        ("state", "succeeded"),
        ("transaction", "5a4d27a4-79f5-426b-9403-cccdeee81747"),
    ];
    add("maib", recipe("maib-checkout"), &[], facts, ok);
    let facts: Pairs = &[
        ("event", "payment.updated"),
        ("id", "f7b2a1d4-0b1c-4ec2-aaaa-9e8b1d2f3c4d"),
        ("transaction", "PAY-01ABC"),
    ];
    add("mercadopago", recipe("mercadopago-webhook"), &[("access_token", "t")], facts, ok);
    let facts: Pairs = &[("currency", "EUR"), ("order", "my-order-1"), ("state", "succeeded")];
    add("multisafepay", recipe("multisafepay-notify"), &[], facts, (200, "OK"));
    let facts: Pairs = &[
        ("amount", "115.00"),
        ("currency", "USD"),
        ("date", "2019-11-07.10:36:07"),
        ("state", "succeeded"),
        ("transaction", "3453459"),
    ];
    add("nuvei", recipe("nuvei-dmn"), &[], facts, ok);
    let facts: Pairs = &[("event", "payin-link.update"), ("id", "wh_1"), ("state", "succeeded")];
    add("palomma", recipe("palomma-webhook"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "1000.00"),
        ("currency", "LKR"),
        ("order", "ItemNo12345"),
        ("state", "succeeded"),
        ("transaction", "320025023469"),
    ];
    add("payhere", recipe("payhere-notify"), &[("merchant_id", "1211149")], facts, ok);
    let facts: Pairs = &[
        ("currency", "EGP"),
        ("date", "2024-06-13T11:33:44.592345"),
        ("event", "TRANSACTION"),
        ("order", "217503754"),
        ("state", "succeeded"),
        ("transaction", "192036465"),
    ];
    add("paymob", recipe("paymob-transaction"), &[], facts, ok);
    let facts: Pairs =
        &[("currency", "PLN"), ("order", "sess/Żółw-1"), ("transaction", "304612345")];
    add("przelewy24", recipe("przelewy24-notify"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "15000"),
        ("date", "2024-01-15 10:30:00"),
        ("order", "77"),
        ("transaction", "8123"),
    ];
    add("refacil", recipe("refacil-webhook"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "87.8787"),
        ("currency", "MYR"),
        ("date", "2022-01-04 13:29:46"),
        ("event", "DEPOSIT"),
        ("order", "RF-5242214199"),
        ("state", "pending"),
    ];
    add("secretpay", recipe("secretpay-callback"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "44900"),
        ("event", "transaction.updated"),
        ("order", "MZQ3X2DE2SMX"),
        ("state", "succeeded"),
        ("transaction", "01-1532941443-49201"),
    ];
    add("wompi", recipe("wompi-events"), &[], facts, ok);
    let facts: Pairs = &[
        ("amount", "300.00"),
        ("currency", "RUB"),
        ("date", "2011-07-01T09:00:00.000+04:00"),
        ("event", "p2p-incoming"),
        ("order", "YM.label.12345"),
        ("state", "succeeded"),
        ("transaction", "1234567"),
    ];
    add("yoomoney", recipe("yoomoney-notify"), &[], facts, ok);
}

#[test]
fn every_profile_reads_a_real_message() {
    let (mut seen, cases) = (BTreeSet::new(), cases());
    for case in &cases {
        let name = case.bed.name;
        assert!(case.bed.verifies(&case.message), "{name} does not verify");
        let read = case.bed.read(&case.message).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        let expected = case.facts.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        assert_eq!(read.facts, expected.collect::<Facts>(), "{name}");
        let (status, body) = case.bed.stored(&case.message);
        assert_eq!((status, body.as_str()), case.stored, "{name}");
        assert_eq!(case.bed.compiled.answers.refused.status, 401, "{name}");
        seen.insert(name);
    }
    let all: BTreeSet<&str> = provider::builtin_names().collect();
    assert_eq!(seen, all);
}

#[test]
fn values_are_named_as_they_are_read() {
    for (name, values) in [
        ("fiuu", &["domain", "verify_key"][..]),
        ("kwikpaisa", &["key_id"]),
        ("paykun", &["access_token", "merchant_id"]),
        ("phonepe-v1", &["merchant_id", "salt_index"]),
        ("xendit", &["api_key"]),
        ("stripe", &[]),
    ] {
        let case = cases().into_iter().find(|case| case.bed.name == name).unwrap();
        assert_eq!(case.bed.compiled.value_names, values, "{name}");
    }
}

#[test]
fn what_is_open_in_an_identity_is_told() {
    for case in cases() {
        let told = &case.bed.compiled.exceptions;
        assert_eq!(told.len(), case.bed.profile.closed.len(), "{}", case.bed.name);
    }
    let case = cases().into_iter().find(|case| case.bed.name == "fiuu").unwrap();
    let expected = "form:nbcb is not signed, and is one of '', '1', '2'";
    assert_eq!(case.bed.compiled.exceptions, [expected]);
}

#[test]
fn ids_that_no_signature_covers_are_only_noted() {
    let unsigned: BTreeSet<&str> = cases()
        .iter()
        .filter(|case| case.bed.compiled.id_is_unsigned)
        .map(|case| case.bed.name)
        .collect();
    let expected = ["github", "midtrans-snap", "razorpay", "shopify", "xendit"];
    assert_eq!(unsigned, expected.into_iter().collect());
}

#[test]
fn providers_that_can_be_asked_are() {
    let asked: BTreeSet<&str> = cases()
        .iter()
        .filter(|case| case.bed.compiled.confirm.is_some())
        .map(|case| case.bed.name)
        .collect();
    for name in ["fiuu", "fiuu-return", "kwikpaisa", "midtrans", "paykun", "phonepe-v1", "xendit"] {
        assert!(asked.contains(name), "{name}");
    }
    // What proves the whole body needs nobody.
    let strong = |name: &str| {
        let case = cases().into_iter().find(|case| case.bed.name == name);
        case.unwrap().bed.scheme.strength() == Strength::Full
    };
    assert!(["stripe", "github", "kwikpaisa", "cashfree"].into_iter().all(strong));
}
