//! Webhooks as operators keep them: what was taken, what was refused, what is done once more.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use crate::support::{Place, good, text};
use crate::webhooks::{BODY, SIGNATURE, keep};

/// Every verb about webhooks.
pub(crate) fn look_after(place: &Place) {
    let (code, problem) = place.refusal(&["inbox", "list"]);
    assert_eq!(code, "not_found", "{problem}");
    let ids = keep(&place.path("state"));
    let listed = place.say(&["inbox", "list"]);
    let all = listed["items"].as_array().unwrap();
    let states: Vec<&Value> = all.iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["held", "disagreed", "dead"]);
    assert_eq!(all[2]["delivery"], *ids[0]);
    assert_eq!(all[2]["received_at"], "2025-11-24T16:00:00Z");
    assert_eq!(all[1]["confirmed"], "disagreed");
    narrow(place, &ids);
    show(place, &ids);
    let refused = place.say(&["inbox", "refusals", "--source", "fiuu"]);
    let refused = &refused["items"][0];
    assert_eq!(
        (&refused["reason"], &refused["address"]),
        (&"invalid_signature".into(), &"192.0.2.7".into())
    );
    assert_eq!(place.say(&["inbox", "refusals", "--source", "other"])["items"], json!([]));
    replay(place, &ids);
    let stopped = place.say(&["inbox", "destinations"]);
    assert_eq!(stopped["items"], json!([{ "destination": "shop", "why": "410" }]));
    let resumed = place.say(&["inbox", "resume", "shop", "--reason", "they moved"]);
    assert_eq!(resumed, json!({ "destination": "shop", "resumed": true }));
    assert_eq!(place.refusal(&["inbox", "resume", "shop"]).0, "not_found");
    let noted = place.say(&["audit", "list", "--object", "shop"]);
    assert_eq!(
        (&noted["items"][0]["action"], &noted["items"][0]["reason"]),
        (&"inbox.resumed".into(), &"they moved".into())
    );
}

fn narrow(place: &Place, ids: &[String]) {
    let listed = |arguments: &[&str]| -> Vec<String> {
        let found = place.say(&[&["inbox", "list"], arguments].concat());
        let items = found["items"].as_array().unwrap().iter();
        items.map(|one| one["delivery"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["--state", "dead"]), ids[..1]);
    assert_eq!(listed(&["--order", "order 1"]), ids[1..2]);
    assert_eq!(listed(&["--since", "2025-11-24T16:02:00Z"]), ids[2..]);
    assert_eq!(listed(&["--until", "2025-11-24T16:01:00Z"]), ids[..1]);
    assert_eq!(listed(&["--destination", "other"]), [""; 0]);
    let page = place.say(&["inbox", "list", "--limit", "2"]);
    let next = page["next"].as_str().unwrap();
    assert_eq!(listed(&["--limit", "2", "--after", next]), ids[..1]);
    assert_eq!(place.refusal(&["inbox", "list", "--after", "nonsense"]).0, "invalid_input");
}

fn show(place: &Place, ids: &[String]) {
    let shown = place.say(&["inbox", "show", &ids[1]]);
    assert_eq!((&shown["state"], &shown["path"]), (&"disagreed".into(), &"/webhooks/fiuu".into()));
    assert_eq!(shown["facts"], json!({ "order": "order 1" }));
    assert_eq!(shown["confirmation"]["differences"][0], "state: succeeded, failed");
    assert_eq!(
        (&shown["attempts"][0]["work"], &shown["attempts"][0]["status"]),
        (&"confirm".into(), &200.into())
    );
    assert_eq!(shown["headers"][0]["value"], "application/json");
    assert_eq!(
        (&shown["headers"][1]["value"], &shown["headers"][1]["bytes"]),
        (&Value::Null, &SIGNATURE.len().into())
    );
    assert!(shown["body"].is_null() && !shown.to_string().contains(SIGNATURE), "{shown}");
    let audited = || place.say(&["audit", "list", "--object", &ids[1]])["items"].clone();
    assert_eq!(audited(), json!([]));
    let shown = place.say(&["inbox", "show", &ids[1], "--body"]);
    assert_eq!(shown["body"], BODY);
    assert_eq!(audited()[0]["action"], "inbox.body_shown");
    let people = place.run(&["inbox", "show", &ids[0]]);
    let people = good(&people);
    for word in ["dead", "status", "500", "Content-Type", "2025-11-24T16:00:00Z"] {
        assert!(people.contains(word), "{word}: {people}");
    }
    assert!(!people.contains(SIGNATURE) && !people.contains("payer"), "{people}");
    let nobody = "dlv_00000000000000000000000000";
    assert_eq!(place.refusal(&["inbox", "show", nobody]).0, "not_found");
}

fn replay(place: &Place, ids: &[String]) {
    let states = || -> Vec<Value> {
        let listed = place.say(&["inbox", "list"]);
        listed["items"].as_array().unwrap().iter().rev().map(|one| one["state"].clone()).collect()
    };
    assert_eq!(place.refusal(&["inbox", "replay"]).0, "invalid_input", "all of them are not meant");
    assert_eq!(place.refusal(&["inbox", "replay", "--unconfirmed"]).0, "invalid_input");
    assert_eq!(place.refusal(&["inbox", "replay", "--source", "other"]).0, "not_found");
    let asked = place.run(&["inbox", "replay", "--source", "fiuu"]);
    assert_eq!(asked.status.code(), Some(2), "it asks: {}", text(&asked.stderr));
    assert_eq!(states(), ["dead", "disagreed", "held"]);
    let replayed = place.say(&["inbox", "replay", "--source", "fiuu"]);
    assert_eq!(replayed, json!({ "replayed": 3 }));
    assert_eq!(states(), ["delivering", "confirming", "confirming"]);
    let ids = ["inbox", "replay", "--id", &ids[1], "--id", &ids[2], "--unconfirmed"];
    assert_eq!(place.say(&ids), json!({ "replayed": 2 }));
    assert_eq!(states(), ["delivering", "delivering", "delivering"]);
    let audited = place.say(&["audit", "list", "--object", "deliveries"]);
    let newest = &audited["items"][0];
    assert_eq!(
        (&newest["action"], &newest["detail"]["unconfirmed"]),
        (&"inbox.replayed".into(), &true.into())
    );
    assert_eq!(newest["detail"]["ids"], json!([ids[3], ids[5]]));
}

/// It shows the last ones that were taken, and then each one that comes.
#[test]
fn what_is_taken_is_followed() {
    let place = Place::new();
    let ids = keep(&place.path("state"));
    let mut child = place.start(&["inbox", "tail", "--last", "2", "--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["delivery"], *ids[1]);
    assert_eq!(next()["delivery"], *ids[2]);
    let later = crate::webhooks::keep_one(&place.path("state"), 9);
    let shown = next();
    assert_eq!((&shown["delivery"], &shown["order"]), (&later.into(), &"order 9".into()));
    child.kill().unwrap();
    child.wait().unwrap();
}
