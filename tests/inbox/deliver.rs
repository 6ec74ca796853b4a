//! Deliveries out: at least once, whatever the merchant's service does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::kit::{Inbox, LOOPBACK, Plan, all_of, listed, signed, status};
use super::provider::{SHOP, STRIPE, stripe, stripe_event};
use super::support::upstream::{Recorded, Step, Upstream, answer, ok};
use super::support::wait_until;

const PATH: &str = "/webhooks/stripe";
/// Another secret of the shop.
const SHOP_NEXT: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn with(destination: &str) -> Inbox {
    Plan::new().stripe(&["stripe"], "").destination(destination).start()
}

fn send(inbox: &Inbox, id: &str) {
    inbox.takes(&stripe(PATH, &stripe_event(id), inbox.now(), &[STRIPE]), "");
}

fn event_of(call: &Recorded) -> String {
    let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    body["id"].as_str().unwrap().to_owned()
}

#[test]
fn whatever_the_service_answers_it_gets_the_delivery_in_the_end() {
    let inbox = with("deadline = \"1s\"");
    inbox.shop.answer_with(|request| match request.number {
        1 => status("500 Internal Server Error"),
        2 => vec![Step::Hold],
        3 => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal".to_vec()),
            Step::Close,
        ],
        4 => vec![Step::Close],
        5 => vec![Step::Send(b"nonsense\r\n\r\n".to_vec()), Step::Close],
        6 => vec![Step::Send(answer("302 Found", &[("Location", "/elsewhere")], b""))],
        7 => status("404 Not Found"),
        8 => vec![Step::Reset],
        _ => status("204 No Content"),
    });
    send(&inbox, "evt_1");
    let calls = inbox.advance_until_delivered(3600 * 5, 9);
    let ids: BTreeSet<String> = calls.iter().map(|call| signed(call, &[SHOP])).collect();
    assert_eq!(ids.len(), 1, "one id for all attempts");
    let attempts: BTreeSet<String> =
        calls.iter().map(|call| call.value("countersign-attempt")).collect();
    assert_eq!(attempts.len(), 9, "{attempts:?}");
    assert!(calls.iter().all(|call| call.target == "/webhooks"), "no redirect was followed");
    assert!(calls.iter().all(|call| call.body == calls[0].body));
    inbox.gate.advance(48 * 3600);
    inbox.delivers_nothing_more_than(9);
    inbox.shop.release();
}

#[test]
fn after_the_schedule_a_delivery_is_dead_and_can_be_replayed() {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan = plan.destination("schedule = [\"1s\", \"1m\"]");
    let inbox = plan.start_on_disk();
    inbox.shop.answer_with(|_| status("500 Internal Server Error"));
    send(&inbox, "evt_1");
    let first = inbox.advance_until_delivered(60, 3);
    wait_until("the dead one to be counted", || {
        inbox.gate.metric("countersign_webhook_stuck", &["shop", "dead"]) == 1.0
    });
    inbox.gate.advance(7 * 86_400);
    inbox.delivers_nothing_more_than(3);
    inbox.wait_for_log(&["delivery_dead", "shop"]);
    // An operator replays it, beside the running gate.
    inbox.shop.answer_with(|_| status("200 OK"));
    let folder = inbox.gate.folder.path();
    let id = first[0].value("webhook-id");
    let replay = ["inbox", "replay", "--config", "countersign.toml", "--id", &id, "--yes"];
    let (ended, said) = super::support::process::countersign(folder, &replay);
    assert!(ended.success(), "{said}");
    let calls = inbox.delivered(4);
    assert_eq!(calls[3].value("webhook-id"), id);
    let attempts: BTreeSet<String> =
        calls.iter().map(|call| call.value("countersign-attempt")).collect();
    assert_eq!(attempts.len(), 4, "{attempts:?}");
    // Replayed although it was delivered: the same once more.
    let (ended, said) = super::support::process::countersign(folder, &replay);
    assert!(ended.success(), "{said}");
    inbox.delivered(5);
    let show = ["inbox", "show", &id, "--config", "countersign.toml", "--json"];
    let (ended, said) = super::support::process::countersign(folder, &show);
    assert!(ended.success(), "{said}");
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["state"], "delivered", "{said}");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 5, "{said}");
    assert!(!said.contains("amount"), "bodies only when asked for: {said}");
}

#[test]
fn a_service_that_is_gone_stops_and_is_resumed() {
    let inbox = Plan::new().stripe(&["stripe"], "").start_on_disk();
    inbox.shop.answer_with(|_| status("410 Gone"));
    send(&inbox, "evt_1");
    inbox.delivered(1);
    inbox.wait_for_log(&["destination_stopped", "shop"]);
    send(&inbox, "evt_2");
    inbox.gate.advance(86_400);
    inbox.delivers_nothing_more_than(1);
    assert_eq!(inbox.gate.metric("countersign_webhook_stuck", &["shop", "stopped"]), 1.0);
    inbox.shop.answer_with(|_| status("200 OK"));
    let resume = ["inbox", "resume", "shop", "--config", "countersign.toml"];
    let (ended, said) = super::support::process::countersign(inbox.gate.folder.path(), &resume);
    assert!(ended.success(), "{said}");
    let events: BTreeSet<String> =
        inbox.advance_until_delivered(60, 3).iter().map(event_of).collect();
    assert_eq!(events, BTreeSet::from(["evt_1".into(), "evt_2".into()]));
}

#[test]
fn a_service_says_how_long_to_wait() {
    let inbox = with("");
    inbox.shop.answer_with(|request| match request.number {
        1 => vec![Step::Send(answer("429 Too Many Requests", &[("Retry-After", "600")], b""))],
        _ => status("200 OK"),
    });
    send(&inbox, "evt_1");
    inbox.delivered(1);
    inbox.settled(1);
    inbox.gate.advance(590);
    inbox.delivers_nothing_more_than(1);
    inbox.gate.advance(20);
    inbox.delivered(2);
}

#[test]
fn a_slow_service_hurts_nobody_else() {
    let slow = Upstream::start();
    slow.answer_with(|_| vec![Step::Hold, Step::Close]);
    let table = format!(
        "[destinations.slow]\nurl = \"http://localhost:{}/\"\nsecrets = [{}]\n{LOOPBACK}\n\
         concurrency = 2\n[sources.other]\nprovider = \"stripe\"\npath = \"/webhooks/other\"\n\
         destination = \"slow\"\nsecrets = [{}]\n",
        slow.address.port(),
        listed("shop-slow"),
        listed("stripe")
    );
    let mut plan = Plan::new().stripe(&["stripe"], "").table(table);
    plan.setup.named_secret("shop-slow", SHOP_NEXT);
    let inbox = plan.start();
    for number in 0..50 {
        let body = stripe_event(&format!("evt_{number}"));
        inbox.takes(&stripe("/webhooks/other", &body, inbox.now(), &[STRIPE]), "");
    }
    for number in 0..50 {
        send(&inbox, &format!("evt_{number}"));
    }
    inbox.delivered(50);
    assert!(slow.count() <= 2, "{}", slow.count());
    slow.answer_with(|_| status("200 OK"));
    slow.release();
    inbox.gate.advance(60);
    wait_until("the slow one to have them all", || {
        inbox.gate.advance(30);
        let calls = all_of(&slow, 2);
        calls.iter().map(event_of).collect::<BTreeSet<_>>().len() == 50
    });
}

#[test]
fn deliveries_about_one_order_keep_their_order() {
    let more = "facts.order = \"{json:data.object.order}\"";
    let inbox = Plan::new()
        .stripe(&["stripe"], more)
        .destination("ordered = true\nschedule = [\"5s\", \"5s\", \"5s\", \"5s\", \"5s\", \"5s\"]")
        .start();
    // Every third call fails.
    inbox.shop.answer_with(|request| match request.number % 3 {
        0 => status("503 Service Unavailable"),
        _ => status("200 OK"),
    });
    for number in 0..12 {
        let (order, id) = (number % 3, format!("evt_{number:02}"));
        let body =
            format!("{{\"id\":\"{id}\",\"data\":{{\"object\":{{\"order\":\"o{order}\"}}}}}}");
        inbox.takes(&stripe(PATH, &body, inbox.now(), &[STRIPE]), "");
    }
    let good = |calls: &[Recorded]| -> Vec<String> {
        calls.iter().filter(|call| call.number % 3 != 0).map(event_of).collect()
    };
    let mut arrived = Vec::new();
    wait_until("all twelve", || {
        inbox.gate.advance(3);
        arrived = good(&all_of(&inbox.shop, 1));
        arrived.len() >= 12
    });
    let mut by_order: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for event in &arrived {
        let number: u32 = event.strip_prefix("evt_").unwrap().parse().unwrap();
        by_order.entry(number % 3).or_default().push(event.clone());
    }
    for events in by_order.values() {
        assert!(events.is_sorted() && events.len() == 4, "{arrived:?}");
    }
}

#[test]
fn a_change_of_configuration_reaches_what_is_on_its_way() {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan.setup.named_secret("shop-next", SHOP_NEXT);
    plan.write();
    let mut gate = super::support::gateway::Gateway::with(plan.setup);
    plan.shop.answer_with(|_| status("500 Internal Server Error"));
    let message = stripe(PATH, &stripe_event("evt_1"), gate.now(), &[STRIPE]);
    assert_eq!(gate.ask(&message).status, 200);
    let first = all_of(&plan.shop, 1).remove(0);
    signed(&first, &[SHOP]);
    gate.change(|setup| {
        let both = format!("{}, {}", listed("shop"), listed("shop-next"));
        setup.upstreams[0] = setup.upstreams[0].replace(&listed("shop"), &both);
    })
    .unwrap();
    gate.advance(10);
    let second = all_of(&plan.shop, 2).remove(1);
    signed(&second, &[SHOP, SHOP_NEXT]);
    assert_eq!(first.value("webhook-id"), second.value("webhook-id"));
}

#[test]
fn the_secret_of_the_shop_and_the_bodies_stay_out_of_the_log() {
    let inbox = with("");
    inbox.shop.answer_with(|_| vec![Step::Send(ok(b"{\"secret\":\"the shop's own\"}"))]);
    send(&inbox, "evt_1");
    inbox.delivered(1);
    inbox.refuses(&stripe(PATH, "{}", inbox.now(), &["whsec_wrong"]), 401, "invalid_signature");
    std::thread::sleep(Duration::from_millis(100));
    let log = inbox.log();
    for hidden in [SHOP, STRIPE, "whsec_wrong", "charge.succeeded", "the shop's own"] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
    assert!(log.contains("\"event\":\"webhook\""), "{log}");
}
