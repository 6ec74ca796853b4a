//! A merchant and its keys from the first day to the last, over HTTP, by every verb that there is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use countersign::administration::verbs;
use serde_json::{Value, json};

use crate::api::{Api, Operator, code, credential_of, verb_of};
use crate::support::answer::Answer;
use crate::support::request::Request;

struct Life<'a> {
    api: &'a Api,
    owner: Operator<'a>,
    done: RefCell<BTreeSet<&'static str>>,
}

impl Life<'_> {
    /// Carries out a verb; it must succeed.
    fn ask(&self, request: &Request) -> Answer {
        let answer = self.owner.send(request);
        assert!(answer.status < 300, "{request:?}: {answer:?} {}", answer.text());
        assert_eq!(answer.value("content-type"), Some("application/json"));
        assert_eq!(answer.value("cache-control"), Some("no-store"));
        self.done.borrow_mut().insert(verb_of(request));
        answer
    }

    fn get(&self, target: &str) -> Value {
        self.ask(&self.owner.request("GET", target)).json()
    }

    fn post(&self, target: &str, body: Value) -> Value {
        self.ask(&self.owner.with_body("POST", target, &body)).json()
    }

    fn patch(&self, target: &str, body: Value) -> Value {
        self.ask(&self.owner.with_body("PATCH", target, &body)).json()
    }

    fn delete(&self, target: &str) -> Value {
        self.ask(&self.owner.request("DELETE", target)).json()
    }

    /// Does something that needs no input.
    fn act(&self, target: &str) -> Value {
        self.ask(&self.owner.request("POST", target)).json()
    }
}

#[test]
fn every_verb_is_carried_out() {
    let api = Api::start();
    let life = Life { api: &api, owner: api.owner(), done: RefCell::default() };
    let path = begin(&life);
    rotate(&life, &path);
    end_versions(&life, &path);
    roll(&life, &path);
    by_policy(&life, &path);
    keep(&life);
    look_back(&life);
    look_after_webhooks(&life);
    assert_eq!(life.post("/admin/v1/merchants/shop:close", json!({}))["status"], "closed");
    let done = life.done.borrow();
    let left: Vec<_> = verbs().map(|verb| verb.name).filter(|name| !done.contains(name)).collect();
    assert!(left.is_empty(), "verbs that no call reaches: {left:?}");
}

fn begin(life: &Life<'_>) -> String {
    let merchant = json!({
        "merchant": "shop",
        "name": "Shop",
        "rate": "50/100",
        "addresses": ["203.0.113.0/24"],
        "contacts": ["keys@shop.example"],
    });
    let request = life.owner.with_body("POST", "/admin/v1/merchants", &merchant);
    let made = life.ask(&request);
    assert_eq!((made.status, made.value("etag")), (201, Some("\"1\"")));
    assert_eq!(made.value("location"), Some("/admin/v1/merchants/shop"));
    assert_eq!(life.get("/admin/v1/merchants/shop"), made.json());
    assert_eq!(life.get("/admin/v1/merchants")["items"][0], made.json());
    let update = life.patch("/admin/v1/merchants/shop", json!({ "rate": "70/100" }));
    assert_eq!((&update["rate"], &update["revision"]), (&json!("70/100"), &json!(2)));
    assert_eq!(life.act("/admin/v1/merchants/shop:suspend")["status"], "suspended");
    assert_eq!(life.act("/admin/v1/merchants/shop:resume")["status"], "active");
    let request = life.owner.with_body("POST", "/admin/v1/credentials", &credential_of("shop"));
    let made = life.ask(&request);
    let key_id = made.json()["key_id"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/credentials/{key_id}");
    assert_eq!((made.status, made.value("location")), (201, Some(path.as_str())));
    assert!(made.json()["secret"].as_str().unwrap().starts_with("csh_test_"));
    assert_eq!(
        life.get("/admin/v1/credentials?merchant=shop&limit=5")["items"][0]["name"],
        "Orders"
    );
    assert_eq!(life.get(&path)["versions"][0]["state"], "active");
    let end = "2099-01-01T00:00:00Z";
    let changed = life.patch(&path, json!({ "rate": "5/9", "expires_at": end }));
    assert_eq!((&changed["rate"], &changed["expires_at"]), (&json!("5/9"), &json!(end)));
    let changed = life.patch(&path, json!({ "rate": null }));
    assert_eq!((&changed["rate"], &changed["expires_at"]), (&Value::Null, &json!(end)));
    let written = life.get(&format!("/admin/v1/audit?object={}", path.rsplit('/').next().unwrap()));
    assert_eq!(written["items"][0]["detail"]["rate"], Value::Null);
    assert!(written["items"][0]["detail"].get("expires_at").is_none(), "{written:#}");
    assert_eq!(life.post(&format!("{path}:suspend"), json!({ "reason": "r" }))["suspended"], true);
    assert_eq!(life.act(&format!("{path}:resume"))["suspended"], false);
    path
}

fn rotate(life: &Life<'_>, path: &str) {
    let secrets = format!("{path}/secrets");
    let made = life.post(&format!("{path}:rotate"), json!({ "overlap": "7d" }));
    assert_eq!((&made["version"], &made["state"]), (&json!(2), &json!("active")));
    let listed = life.get(&secrets);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(life.get(&format!("{secrets}/signing/2")), listed["items"][1]);
    assert_eq!(life.act(&format!("{secrets}/signing/1:promote"))["state"], "active");
    assert_eq!(life.act(&format!("{secrets}/signing/2:retire"))["state"], "revoked");
    let generate = life.owner.with_body("POST", &secrets, &json!({ "reveal_later": true }));
    let made = life.ask(&generate);
    assert_eq!(made.status, 201);
    assert!(made.value("location").unwrap().starts_with(&format!("{secrets}/signing/3")));
    let revealed = life.act(&format!("{secrets}/signing/3:reveal"));
    assert!(revealed["secret"].as_str().unwrap().starts_with("csh_test_"));
    let again =
        life.owner.send(&life.owner.request("POST", &format!("{secrets}/signing/3:reveal")));
    assert_eq!((again.status, code(&again).as_str()), (409, "already_shown"));
    assert_eq!(life.delete(&format!("{secrets}/signing/3"))["state"], "destroyed");
    let brought = json!({ "secret": "the-partners-own-secret-of-old" });
    let made = life.post(&format!("{secrets}:import"), brought);
    assert_eq!((&made["origin"], &made["secret"]), (&json!("imported"), &Value::Null));
    let version = &made["version"];
    assert_eq!(version, 4, "3 stays taken");
    let active = life.act(&format!("{secrets}/signing/{version}:activate"));
    assert_eq!(active["state"], "active");
    assert!(life.get(&format!("{path}/usage"))["items"].is_array());
}

fn end_versions(life: &Life<'_>, path: &str) {
    let version = |word: &str, body: Value| {
        life.post(&format!("{path}/secrets/signing/1:{word}"), body)["state"].clone()
    };
    assert_eq!(version("suspend", json!({ "reason": "seen" })), "suspended");
    assert_eq!(version("resume", json!({})), "retiring");
    assert_eq!(version("revoke", json!({ "reason": "lost" })), "revoked");
    let early = life.owner.post(&format!("{path}/secrets/signing/1:destroy"), json!({}));
    assert_eq!((early.status, code(&early).as_str()), (409, "too_early"));
    assert!(early.json()["at"].as_str().unwrap().ends_with('Z'));
    assert!(early.value("retry-after").unwrap().parse::<u64>().unwrap() > 86_400);
    assert_eq!(version("destroy", json!({ "now": true })), "destroyed");
}

fn roll(life: &Life<'_>, path: &str) {
    for kind in ["anchor", "root"] {
        let body = json!({ "kind": kind, "reveal_later": kind == "root" });
        let made = life.post(&format!("{path}/secrets"), body);
        let target = format!("{path}/secrets/{kind}/{}:activate", made["version"]);
        assert_eq!(life.act(&target)["state"], "active");
    }
    assert!(life.act(&format!("{path}/chains:kill"))["root_version"].is_u64());
    let made = life.ask(&life.owner.with_body("POST", "/admin/v1/epochs", &json!({})));
    let epoch = made.json()["epoch"].clone();
    let place = format!("/admin/v1/epochs/{epoch}");
    assert_eq!((made.value("location"), life.get(&place)), (Some(place.as_str()), made.json()));
    let destroyed = life.post(&format!("/admin/v1/epochs/{epoch}:destroy"), json!({ "now": true }));
    assert!(destroyed["destroyed_at"].is_string());
    assert!(!life.get("/admin/v1/epochs")["items"].as_array().unwrap().is_empty());
    let (scheme, name) = scheme_with_a_value();
    let mut credential = credential_of("shop");
    credential["scheme"] = scheme.into();
    credential["scopes"] = json!(["* /*"]);
    credential["values"] = json!({ name.as_str(): "first-value" });
    let made = life.post("/admin/v1/credentials", credential);
    let key_id = made["key_id"].as_str().unwrap();
    let set = life.post(
        &format!("/admin/v1/credentials/{key_id}:set-value"),
        json!({ "name": name, "secret": "second-value" }),
    );
    assert_eq!((&set["version"], &set["state"]), (&json!(2), &json!("active")));
}

/// A built-in scheme that reads one value beside the secret, and can use text as its secret.
fn scheme_with_a_value() -> (String, String) {
    use countersign::secret::{NamedSecrets, Secret};
    let secret = Secret::new(b"csh_test_0123456789abcdef".to_vec()).unwrap();
    let fitting = countersign::config::scheme::builtin_schemes().find_map(|scheme| {
        let names: Vec<String> = scheme.value_names().map(str::to_owned).collect();
        let [name] = names.as_slice() else { return None };
        let mut values = NamedSecrets::default();
        values.insert(name, b"first-value".to_vec());
        scheme.key(&secret, values).ok()?;
        Some((scheme.name().to_owned(), name.clone()))
    });
    fitting.unwrap()
}

fn by_policy(life: &Life<'_>, path: &str) {
    let policy = json!({ "policy": "yearly", "max_age": "365d", "remind_days": [30, 1] });
    let made = life.ask(&life.owner.with_body("POST", "/admin/v1/policies", &policy));
    assert_eq!(made.value("location"), Some("/admin/v1/policies/yearly"));
    let twice = life.owner.post("/admin/v1/policies", policy);
    assert_eq!((twice.status, code(&twice).as_str()), (409, "exists"));
    let changed = life.patch("/admin/v1/policies/yearly", json!({ "overlap": "7d" }));
    assert_eq!(life.get("/admin/v1/policies/yearly"), changed);
    assert_eq!(life.get("/admin/v1/policies")["items"][0], changed);
    let assign = format!("{path}:assign-policy");
    assert_eq!(life.post(&assign, json!({ "policy": "yearly" }))["policy"], "yearly");
    let used = life.owner.delete("/admin/v1/policies/yearly");
    assert_eq!((used.status, code(&used).as_str()), (409, "in_use"));
    assert!(life.post(&assign, json!({ "policy": null }))["policy"].is_null());
    life.delete("/admin/v1/policies/yearly");
}

/// The keys that keep keys, and copies of the store.
fn keep(life: &Life<'_>) {
    assert_eq!(life.act("/admin/v1/keks:rotate")["current"], true);
    life.act("/admin/v1/keks:rewrap");
    assert_eq!(life.act("/admin/v1/store:verify")["faults"], json!([]));
    assert_eq!(life.delete("/admin/v1/keks/1")["kek"], 1);
    assert!(!life.get("/admin/v1/keks")["items"].as_array().unwrap().is_empty());
    let before = life.get("/admin/v1/master");
    life.act("/admin/v1/master:rotate");
    assert_eq!(life.act("/admin/v1/store:verify")["good"], true);
    let earlier = before["masters"][0]["master"].as_str().unwrap();
    life.delete(&format!("/admin/v1/masters/{earlier}"));
    back_up(life);
    let nothing = life.owner.post("/admin/v1/store:confirm", json!({}));
    assert!(nothing.status == 409, "{nothing:?} {}", nothing.text());
    // As after a restore without its file of what is dead.
    std::fs::remove_file(life.api.state().join("keys.tombstones")).unwrap();
    assert_eq!(life.act("/admin/v1/store:confirm")["confirmed"], true);
}

/// From afar a copy has a name and no place, and never takes that of another.
fn back_up(life: &Life<'_>) {
    let backup = "/admin/v1/store:backup";
    let folder = life.api.state().join("backups");
    let elsewhere = life.api.site.folder.path().join("copy.db");
    let refused = |to: &str| {
        let answer = life.owner.post(backup, json!({ "to": to }));
        (answer.status, code(&answer))
    };
    let long = "x".repeat(65);
    let linked = "backups/../copy.db";
    for to in ["", ".", "..", ".hidden", linked, "/copy.db", elsewhere.to_str().unwrap(), &long] {
        assert_eq!(refused(to), (400, "invalid_input".to_owned()), "{to}");
    }
    assert!(!elsewhere.exists() && !folder.exists(), "nothing was made");
    let copied = life.post(backup, json!({ "to": "copy.db" }));
    assert!(copied["to"].as_str().unwrap().ends_with("state/backups/copy.db"), "{copied}");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("copy.db"))), (0o700, 0o600));
    assert_eq!(refused("copy.db"), (409, "exists".to_owned()));
    std::os::unix::fs::symlink(&elsewhere, folder.join("link.db")).unwrap();
    assert_eq!(refused("link.db"), (409, "exists".to_owned()));
    assert!(!elsewhere.exists(), "a copy follows no link");
}

fn look_after_webhooks(life: &Life<'_>) {
    let ids = crate::webhooks::keep(&life.api.state());
    let dead = life.get("/admin/v1/deliveries?state=dead&source=fiuu");
    assert_eq!(dead["items"][0]["delivery"], *ids[0]);
    let path = format!("/admin/v1/deliveries/{}", ids[0]);
    let shown = life.get(&path);
    assert!(shown["body"].is_null() && !shown.to_string().contains(crate::webhooks::SIGNATURE));
    assert_eq!(life.get(&format!("{path}?body=true"))["body"], crate::webhooks::BODY);
    assert_eq!(life.get("/admin/v1/refusals?source=fiuu")["items"][0]["body_bytes"], 20);
    let again = json!({ "ids": [ids[0]], "reason": "they are back" });
    assert_eq!(life.post("/admin/v1/deliveries:replay", again)["replayed"], 1);
    assert_eq!(life.get("/admin/v1/destinations")["items"][0]["destination"], "shop");
    assert_eq!(life.act("/admin/v1/destinations/shop:resume")["resumed"], true);
    let noted = life.get(&format!("/admin/v1/audit?object={}", ids[0]));
    let actions = noted["items"].as_array().unwrap().iter().map(|event| &event["action"]);
    assert_eq!(actions.collect::<Vec<_>>(), ["inbox.replayed", "inbox.body_shown"]);
}

fn look_back(life: &Life<'_>) {
    let token = json!({ "name": "ci", "role": "admin", "merchant": "shop", "life": "1h" });
    let made = life.ask(&life.owner.with_body("POST", "/admin/v1/tokens", &token));
    let place = format!("/admin/v1/tokens/{}", made.json()["token"].as_str().unwrap());
    assert_eq!(made.value("location"), Some(place.as_str()));
    let revoked = life.act(&format!("{place}:revoke"));
    assert!(revoked["revoked_at"].is_string());
    let shown = life.get(&place);
    assert!(shown == revoked && shown.get("secret").is_none(), "{shown:#}");
    let listed = life.get("/admin/v1/tokens");
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "the first one, and this");
    let inventory = life.get("/admin/v1/inventory?merchant=shop");
    assert!(!inventory["items"].as_array().unwrap().is_empty());
    assert!(life.act("/admin/v1/audit:verify")["rows"].as_u64().unwrap() > 10);
    assert!(life.get("/admin/v1/audit:export")["newest_digest"].is_string());
    let events = life.get("/admin/v1/audit?object=shop&limit=1000");
    let event = &events["items"][0];
    assert_eq!((&event["actor_kind"], &event["address"]), (&json!("api"), &json!("127.0.0.1")));
    assert!(event["request_id"].is_string());
}
