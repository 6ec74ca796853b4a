//! What goes wrong in programs of this kind, one test a fault.

use std::time::Duration;

use super::kit::{Plan, listed, status};
use super::provider::{STRIPE, stripe, stripe_event};
use super::support::gateway::Gateway;
use super::support::process::countersign;
use super::support::wait_until;

const PATH: &str = "/webhooks/stripe";

/// What `countersign check` says of a configuration; whether it is good.
fn check(plan: &mut Plan) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    super::support::setup::Setup::write_certificates(folder.path());
    plan.write();
    plan.setup.write(folder.path(), "http://localhost:1");
    let (ended, said) = countersign(folder.path(), &["check", "--config", "countersign.toml"]);
    (ended.success(), said)
}

fn source(more: &str) -> String {
    format!("[sources.stripe]\npath = \"{PATH}\"\ndestination = \"shop\"\n{more}\n")
}

#[test]
fn nothing_loads_without_a_verifier() {
    for (more, word) in [
        (r#"provider = "stripe""#, "secret"),
        (
            r#"provider = "stripe"
secrets = []"#,
            "secrets",
        ),
        (r#"secrets = [{ list = "secrets.txt", id = "stripe" }]"#, "scheme"),
        (
            r#"provider = "stripe"
secrets = ["env:STRIPE_SECRET"]"#,
            "literal",
        ),
        (
            r#"provider = "stripe"
secrets = [{ env = "NOT_SET_ANYWHERE" }]"#,
            "NOT_SET_ANYWHERE",
        ),
        (
            r#"provider = "stripes"
secrets = [{ list = "secrets.txt", id = "stripe" }]"#,
            "did you mean",
        ),
        (
            r#"scheme = "xendit"
secrets = [{ list = "secrets.txt", id = "stripe" }]"#,
            "confirm",
        ),
        (
            r#"provider = "github"
secrets = [{ list = "secrets.txt", id = "stripe" }]
identity = ["{header:X-GitHub-Delivery}"]"#,
            "sign",
        ),
    ] {
        let (good, said) = check(&mut Plan::new().table(source(more)));
        assert!(!good && said.contains(word), "{word} in:\n{said}\nof {more}");
    }
}

#[test]
fn a_route_and_a_source_cannot_shadow_each_other() {
    let more = r#"provider = "stripe"
secrets = [{ list = "secrets.txt", id = "stripe" }]"#;
    let inside = source(more).replace(PATH, "/v1/webhooks");
    let (good, said) = check(&mut Plan::new().table(inside));
    assert!(!good && said.contains("kwik"), "{said}");
    let around = source(more).replace(PATH, "/*");
    let (good, said) = check(&mut Plan::new().table(around));
    assert!(!good, "{said}");
    let (good, said) = check(&mut Plan::new().table(source(more)));
    assert!(good, "{said}");
    assert!(said.contains("sources.stripe"), "{said}");
}

#[test]
fn what_check_says_of_a_weak_scheme() {
    let mut plan = Plan::new().fiuu("");
    let (good, said) = check(&mut plan);
    assert!(good, "{said}");
    for word in ["partial", "nbcb", "secret key", "400 d"] {
        assert!(said.contains(word), "{word} in:\n{said}");
    }
}

#[test]
fn a_reload_forgets_nothing_and_misses_nothing() {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan.write();
    let mut gate = Gateway::with_state(plan.setup);
    let message = stripe(PATH, &stripe_event("evt_1"), gate.now(), &[STRIPE]);
    assert_eq!(gate.ask(&message).status, 200);
    plan.shop.wait_for(1);
    // Keys of repeated messages survive a reload, a restart and a change of the source.
    gate.change(|setup| {
        let body = "body = \"64KiB\"\ndestination = \"shop\"";
        setup.upstreams[1] = setup.upstreams[1].replace("destination = \"shop\"", body);
    })
    .unwrap();
    assert_eq!(gate.ask(&message).status, 200);
    gate.restart();
    assert_eq!(gate.ask(&message).status, 200);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(plan.shop.count(), 1);
    // Another secret for the source counts from the next message on.
    gate.change(|setup| {
        setup.named_secret("stripe", "whsec_another_one_00");
    })
    .unwrap();
    let other = stripe(PATH, &stripe_event("evt_2"), gate.now(), &["whsec_another_one_00"]);
    assert_eq!(gate.ask(&other).status, 200);
    let old = stripe(PATH, &stripe_event("evt_3"), gate.now(), &[STRIPE]);
    assert_eq!(gate.ask(&old).status, 401);
    plan.shop.wait_for(2);
}

#[test]
fn a_source_that_is_gone_keeps_what_it_took() {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan.shop.answer_with(|_| status("500 Internal Server Error"));
    plan.write();
    let mut gate = Gateway::with_state(plan.setup);
    let message = stripe(PATH, &stripe_event("evt_1"), gate.now(), &[STRIPE]);
    assert_eq!(gate.ask(&message).status, 200);
    plan.shop.wait_for(1);
    let tables = gate.setup.upstreams.clone();
    gate.change(|setup| setup.upstreams.clear()).unwrap();
    assert_eq!(gate.ask(&message).status, 404);
    gate.advance(60);
    plan.shop.answer_with(|_| status("200 OK"));
    gate.change(|setup| setup.upstreams = tables).unwrap();
    wait_until("the delivery of the one before", || {
        gate.advance(60);
        plan.shop.count() >= 2
    });
}

#[test]
fn unauthenticated_messages_leave_no_key_and_little_room() {
    let inbox = Plan::new().stripe(&["stripe"], "").start_on_disk();
    let (body, now) = (stripe_event("evt_1"), inbox.now());
    for _ in 0..20 {
        inbox.ask(&stripe(PATH, &body, now, &["whsec_wrong"]));
    }
    inbox.takes(&stripe(PATH, &body, now, &[STRIPE]), "");
    inbox.delivered(1);
    let arguments = ["inbox", "refusals", "--config", "countersign.toml", "--json"];
    wait_until("the refusals to be noted", || {
        let (ended, said) = countersign(inbox.gate.folder.path(), &arguments);
        assert!(ended.success(), "{said}");
        said.matches("invalid_signature").count() == 20
    });
    let (_, said) = countersign(inbox.gate.folder.path(), &arguments);
    assert!(!said.contains("charge.succeeded") && said.contains("body_bytes"), "{said}");
}

#[test]
fn a_thousand_at_once_are_one() {
    let inbox = Plan::new().stripe(&["stripe"], "").start_on_disk();
    let message = stripe(PATH, &stripe_event("evt_1"), inbox.now(), &[STRIPE]);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut client = inbox.gate.client();
                for _ in 0..50 {
                    assert_eq!(client.ask(&message).status, 200);
                }
            });
        }
    });
    inbox.delivered(1);
    inbox.delivers_nothing_more_than(1);
    assert_eq!((inbox.count("\"stored\""), inbox.count("\"duplicate\"")), (1.0, 999.0));
}

#[test]
fn slow_and_broken_messages_hold_nothing_up() {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan.setup.set("listener.deadlines.body", "\"300ms\"");
    let inbox = plan.start();
    let message = stripe(PATH, &stripe_event("evt_1"), inbox.now(), &[STRIPE]);
    let bytes = message.h1();
    let mut slow = inbox.gate.client();
    slow.send(&bytes[..bytes.len() - 5]);
    inbox.takes(&stripe(PATH, &stripe_event("evt_2"), inbox.now(), &[STRIPE]), "");
    assert_eq!(slow.answer().status, 408);
    let mut gone = inbox.gate.client();
    gone.send(&bytes[..bytes.len() - 5]);
    drop(gone);
    inbox.takes(&message, "");
    inbox.delivered(2);
}

#[test]
fn destinations_that_do_not_load() {
    for (table, word) in [
        ("url = \"http://203.0.113.7/\"", "networks"),
        ("url = \"https://localhost/\"", "networks"),
        ("url = \"https://169.254.169.254/\"", "networks"),
        ("url = \"https://user:word@shop.example/\"", "password"),
        (
            "url = \"https://shop.example/\"\n\
             secrets = [{ list = \"secrets.txt\", id = \"stripe\" }]",
            "whsec",
        ),
        ("url = \"https://shop.example/\"\nretry = 3", "retry"),
    ] {
        let secrets = match table.contains("secrets") {
            true => String::new(),
            false => format!("secrets = [{}]\n", listed("shop")),
        };
        let table = format!("[destinations.other]\n{table}\n{secrets}");
        let (good, said) = check(&mut Plan::new().stripe(&["stripe"], "").table(table));
        assert!(!good && said.contains(word), "{word} in:\n{said}");
    }
}
