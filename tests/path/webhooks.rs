//! Webhooks beside requests, on one gate: taken, kept on the disk, delivered; and what a reload or
//! a restart changes of that.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, kwik};
use crate::support::signer::hmac_hex;
use crate::support::upstream::{Recorded, answer, ok};
use crate::support::{wait_until, write_private};

const FIRST: &str = "first-secret-of-the-provider";
const SECOND: &str = "second-secret-of-the-provider";
/// 32 bytes each.
const SHOP: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SHOP_NEXT: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A gate with a state folder, and a source that a reload brings.
fn gateway() -> Gateway {
    let mut gateway = Gateway::with_state(Setup::new());
    tables(&mut gateway, "secrets = [{ list = \"secrets.txt\", id = \"first\" }]").unwrap();
    gateway
}

/// Brings the tables of a source and its destination by a reload.
fn tables(gateway: &mut Gateway, secrets: &str) -> Result<(), String> {
    secret(gateway, SHOP);
    let port = gateway.upstream.address.port();
    let secrets = secrets.to_owned();
    gateway.change(|setup| {
        setup.named_secret("first", FIRST).named_secret("second", SECOND);
        setup.upstreams = vec![format!(
            "[destinations.shop]\nurl = \"http://localhost:{port}/from-gate\"\n\
             networks = [\"127.0.0.0/8\"]\nsecrets = [{{ file = \"shop.whsec\" }}]\n\
             schedule = [\"5s\", \"5s\", \"5s\"]\n\
             [sources.github]\nscheme = \"github\"\npath = \"/webhooks/github\"\n\
             destination = \"shop\"\n{secrets}\n\
             [sources.github.facts]\norder = \"{{json:order}}\"\n"
        )];
    })
}

/// The secret that signs deliveries.
fn secret(gateway: &Gateway, text: &str) {
    write_private(&gateway.folder.path().join("shop.whsec"), text.as_bytes());
}

/// A message that is signed as GitHub signs.
fn message(order: &str, secret: &str) -> Request {
    let body = format!("{{\"order\":\"{order}\"}}");
    let hex = hmac_hex(secret.as_bytes(), body.as_bytes());
    Request::post("/webhooks/github", body.as_bytes())
        .header("X-Hub-Signature-256", format!("sha256={hex}"))
}

fn is_delivery(request: &Recorded) -> bool {
    request.target == "/from-gate"
}

/// Waits for so many attempts to deliver, and gives the newest.
fn delivered(gateway: &Gateway, count: usize) -> Recorded {
    wait_until("deliveries", || gateway.upstream.count_of(is_delivery) >= count);
    gateway.upstream.last()
}

/// Whether a delivery is signed with a secret as Standard Webhooks says.
fn is_signed_with(delivery: &Recorded, text: &str) -> bool {
    let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (id, time) = (delivery.value("webhook-id"), delivery.value("webhook-timestamp"));
    let signed = [format!("{id}.{time}.").as_bytes(), &delivery.body].concat();
    let tag = STANDARD.encode(hmac::sign(&key, &signed).as_ref());
    delivery.value("webhook-signature") == format!("v1,{tag}")
}

#[test]
fn without_a_source_no_journal_is_made_and_paths_are_nobodys() {
    let gateway = Gateway::with_state(Setup::new());
    gateway.refuses(&message("A-1", FIRST), "no_route");
    assert!(!gateway.folder.path().join("state/inbox.db").exists());
}

#[test]
fn a_source_that_a_reload_brings_takes_webhooks_beside_requests() {
    let gateway = gateway();
    for (request, h2) in [(message("A-1", FIRST), false), (message("A-2", FIRST), true)] {
        let answer = if h2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let delivery = delivered(&gateway, 2);
    assert!(delivery.value("webhook-id").starts_with("dlv_"));
    assert_eq!(delivery.value("countersign-source"), "github");
    assert!(is_signed_with(&delivery, SHOP) && !is_signed_with(&delivery, SHOP_NEXT));
    // The same once more is acknowledged, and not delivered again.
    assert_eq!(gateway.ask(&message("A-1", FIRST)).status, 200);
    // What is forged is refused, and requests are forwarded as ever.
    let refused = gateway.ask(&message("A-3", SECOND));
    assert_eq!((refused.status, &refused.json()["code"]), (401, &"invalid_signature".into()));
    gateway.accepts(&kwik().sign(Request::post("/v1/orders", b"{}"), gateway.now()));
    for (outcome, count) in [("stored", 2.0), ("duplicate", 1.0), ("invalid_signature", 1.0)] {
        let labels = ["source=\"github\"", &format!("outcome=\"{outcome}\"")];
        assert!((gateway.metric("countersign_webhooks_total", &labels) - count).abs() < 0.1);
    }
    assert_eq!(gateway.upstream.count_of(is_delivery), 2);
    let state = ["destination=\"shop\"", "state=\"delivered\""];
    wait_until("both are settled", || {
        gateway.metric("countersign_webhook_deliveries", &state) > 1.5
    });
    assert!(gateway.folder.path().join("state/inbox.db").exists());
    let refused = "\"code\":\"invalid_signature\"";
    wait_until("the log is written", || gateway.log().contains(refused));
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("\"event\":\"webhook\"")).unwrap();
    assert!(line.contains("\"outcome\":\"stored\"") && line.contains("dlv_"), "{line}");
    assert!(!log.contains("A-1") && !log.contains(FIRST), "no body and no secret in the log");
}

#[test]
fn a_reload_changes_secrets_at_once_on_both_sides_and_takes_a_source_away() {
    let mut gateway = gateway();
    assert_eq!(gateway.ask(&message("A-1", FIRST)).status, 200);
    assert!(is_signed_with(&delivered(&gateway, 1), SHOP));
    let second = "secrets = [{ list = \"secrets.txt\", id = \"second\" }]";
    tables(&mut gateway, second).unwrap();
    secret(&gateway, SHOP_NEXT);
    gateway.reload().unwrap();
    assert_eq!(gateway.ask(&message("A-2", FIRST)).status, 401);
    assert_eq!(gateway.ask(&message("A-2", SECOND)).status, 200);
    assert!(is_signed_with(&delivered(&gateway, 2), SHOP_NEXT));
    // Known by what it says, whichever secret signs it.
    assert_eq!(gateway.ask(&message("A-1", SECOND)).status, 200);
    // A mistake changes nothing.
    assert!(tables(&mut gateway, "secrets = []").is_err());
    assert_eq!(gateway.ask(&message("A-3", SECOND)).status, 200);
    delivered(&gateway, 3);
    gateway.change(|setup| setup.upstreams.clear()).unwrap();
    gateway.refuses(&message("A-4", SECOND), "no_route");
    assert_eq!(gateway.upstream.count_of(is_delivery), 3);
}

#[test]
fn what_was_acknowledged_is_delivered_after_a_restart() {
    let mut gateway = gateway();
    gateway.upstream.answer(&answer("503 Service Unavailable", &[], b""));
    assert_eq!(gateway.ask(&message("A-1", FIRST)).status, 200);
    let first = delivered(&gateway, 1);
    gateway.restart();
    gateway.upstream.answer(&ok(b""));
    assert_eq!(gateway.ask(&message("A-1", FIRST)).status, 200, "a duplicate");
    let again = gateway.upstream.count_of(is_delivery);
    gateway.advance(60);
    let second = delivered(&gateway, again + 1);
    assert_eq!(first.value("webhook-id"), second.value("webhook-id"));
    assert_eq!(first.body, second.body);
    let stored = ["outcome=\"duplicate\""];
    assert!((gateway.metric("countersign_webhooks_total", &stored) - 1.0).abs() < 0.1);
}
