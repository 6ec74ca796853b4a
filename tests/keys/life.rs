//! A merchant and its keys from the first day to the last, by every verb that there is.

use crate::support::{Place, everything_in, good, text};

#[test]
fn a_whole_life_by_every_verb() {
    let place = Place::new();
    let key_id = begin(&place);
    rotate(&place, &key_id);
    end_versions(&place, &key_id);
    roll(&place, &key_id);
    by_policy(&place, &key_id);
    keep(&place);
    tokens(&place);
    crate::inbox::look_after(&place);
    leave(&place, &key_id);
    assert_eq!(place.unsaid(), Vec::<&str>::new(), "verbs that no test runs");
}

/// A merchant, a credential whose secret the partner brings, values, and looks at all of it.
fn begin(place: &Place) -> String {
    let made = place.say(&[
        "merchant",
        "create",
        "--merchant",
        "acme",
        "--name",
        "Acme Ltd",
        "--rate",
        "50/100",
        "--address",
        "203.0.113.0/24",
        "--contact",
        "keys@acme.example",
    ]);
    assert_eq!((&made["status"], &made["revision"]), (&"active".into(), &1.into()));
    let made = place.say(&["merchant", "update", "acme", "--rate", "70/100", "--revision", "1"]);
    assert_eq!((&made["rate"], &made["name"]), (&"70/100".into(), &"Acme Ltd".into()));
    assert_eq!(place.say(&["merchant", "list"])["items"][0]["merchant"], "acme");
    assert_eq!(place.say(&["merchant", "show", "acme"])["contacts"][0], "keys@acme.example");
    assert_eq!(place.say(&["merchant", "suspend", "acme"])["status"], "suspended");
    assert_eq!(place.say(&["merchant", "resume", "acme"])["status"], "active");
    let (made, secret) = place.secret(&[
        "credential",
        "create",
        "--merchant",
        "acme",
        "--name",
        "Orders",
        "--environment",
        "live",
        "--scheme",
        "kwikpaisa",
        "--scope",
        "POST /v1/orders",
    ]);
    assert!(secret.starts_with("csh_live_"));
    assert!(made["secret"].is_null());
    let key_id = made["key_id"].as_str().unwrap().to_owned();
    assert!(key_id.starts_with("pk_live_"));
    let update =
        place.say(&["credential", "update", &key_id, "--scope", "* /v2/*", "--rate", "5/9"]);
    assert_eq!((&update["scopes"][0], &update["rate"]), (&"* /v2/*".into(), &"5/9".into()));
    assert_eq!(place.say(&["credential", "list", "--merchant", "acme"])["items"][0], update);
    let end = ["--expires-at", "2099-01-01T00:00:00Z"];
    let update = place.say(&[&["credential", "update", &key_id], &end[..]].concat());
    assert_eq!((&update["expires_at"], &update["rate"]), (&end[1].into(), &"5/9".into()));
    let update = place.say(&["credential", "update", &key_id, "--no-rate", "--no-expires-at"]);
    assert!(update["rate"].is_null() && update["expires_at"].is_null(), "{update:#}");
    assert_eq!(update["scopes"][0], "* /v2/*");
    let suspended = place.say(&["credential", "suspend", &key_id, "--reason", "looked into"]);
    assert_eq!(suspended["suspended"], true);
    assert_eq!(place.say(&["credential", "resume", &key_id])["suspended"], false);
    let shown = place.say(&["credential", "show", &key_id]);
    assert_eq!(shown["versions"][0]["state"], "active");
    key_id
}

/// New secrets in the place of old ones, and back.
fn rotate(place: &Place, key_id: &str) {
    let (made, secret) = place.secret(&["credential", "rotate", key_id, "--overlap", "7d"]);
    assert_eq!((&made["version"], &made["state"]), (&2.into(), &"active".into()));
    assert!(secret.starts_with("csh_live_"));
    assert_eq!(place.states(key_id, "signing"), ["retiring", "active"]);
    let shown = place.say(&["secret", "show", key_id, "signing", "2"]);
    assert_eq!((&shown["version"], &shown["state"]), (&2.into(), &"active".into()));
    assert!(shown.get("secret").is_none(), "{shown:#}");
    assert_eq!(place.refusal(&["secret", "show", key_id, "signing", "3"]).0, "not_found");
    assert_eq!(place.say(&["secret", "promote", key_id, "signing", "1"])["state"], "active");
    assert_eq!(place.states(key_id, "signing"), ["active", "retiring"]);
    assert_eq!(place.say(&["secret", "retire", key_id, "signing", "2"])["state"], "revoked");
    // One that waits for its first use, thought better of.
    place.secret(&["credential", "rotate", key_id, "--cutover", "on_first_use"]);
    let discarded = place.say(&["secret", "discard", key_id, "signing", "3"]);
    assert_eq!((&discarded["version"], &discarded["state"]), (&3.into(), &"destroyed".into()));
    assert_eq!(place.refusal(&["secret", "reveal", key_id, "signing", "3"]).0, "already_shown");
    // One that the partner brings, and one that is revealed later.
    let brought = place.file(b"the-partners-own-secret-of-old\n");
    let made = place.say(&["secret", "import", key_id, "--secret-file", &brought]);
    assert_eq!(made["version"], 4, "3 stays taken");
    let number = made["version"].to_string();
    assert_eq!((&made["origin"], &made["state"]), (&"imported".into(), &"pending".into()));
    assert_eq!(place.say(&["secret", "activate", key_id, "signing", &number])["state"], "active");
    let made = place.say(&["secret", "generate", key_id, "--reveal-later"]);
    let number = made["version"].to_string();
    assert_eq!(made["shown"], false);
    let (revealed, secret) = place.secret(&["secret", "reveal", key_id, "signing", &number]);
    assert_eq!(revealed["shown"], true);
    assert!(secret.starts_with("csh_live_"));
    let (code, _) = place.refusal(&["secret", "reveal", key_id, "signing", &number]);
    assert_eq!(code, "already_shown");
    place.say(&["secret", "discard", key_id, "signing", &number]);
    let used = place.say(&["credential", "usage", key_id]);
    assert!(used["items"].as_array().unwrap().iter().all(|item| item["last_at"].is_null()));
}

/// What ends a version.
fn end_versions(place: &Place, key_id: &str) {
    let states = ["retiring", "revoked", "destroyed", "active", "destroyed"];
    assert_eq!(place.states(key_id, "signing"), states);
    let version = |word: &str, number: &str, more: &[&str]| {
        place.say(&[&["secret", word, key_id, "signing", number], more].concat())
    };
    assert_eq!(version("suspend", "1", &["--reason", "seen"])["state"], "suspended");
    assert_eq!(version("resume", "1", &[])["state"], "retiring");
    let since = ["--reason", "lost", "--compromised-since", "2026-01-02T03:04:05Z"];
    let revoked = version("revoke", "1", &since);
    assert_eq!(revoked["compromised_since"], "2026-01-02T03:04:05Z");
    let (code, problem) = place.refusal(&["secret", "destroy", key_id, "signing", "1"]);
    assert_eq!(code, "too_early");
    assert!(problem["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(version("destroy", "1", &["--now"])["state"], "destroyed");
    let (code, _) = place.refusal(&["secret", "resume", key_id, "signing", "1"]);
    assert_eq!(code, "wrong_state");
}

/// Rolling keys: anchors, epochs, chains; and values beside the secret.
fn roll(place: &Place, key_id: &str) {
    let (made, anchor) = place.secret(&["secret", "generate", key_id, "--kind", "anchor"]);
    assert_eq!((&made["kind"], &made["state"]), (&"anchor".into(), &"pending".into()));
    assert!(anchor.starts_with("css_live_"));
    place.say(&["secret", "activate", key_id, "anchor", "1"]);
    assert_eq!(place.states(key_id, "root"), ["active"], "the first anchor brings it");
    let killed = place.say(&["chain", "kill", key_id, "--chain", "00112233445566aa"]);
    assert!(killed["root_version"].is_null());
    assert_eq!(place.say(&["chain", "kill", key_id])["root_version"], 2);
    assert_eq!(place.states(key_id, "root"), ["revoked", "active"]);
    let first = place.say(&["epoch", "create", "--length", "1h"]);
    let second = place.say(&["epoch", "create"]);
    assert_eq!((&first["epoch"], &second["epoch"]), (&1.into(), &2.into()));
    assert!(second["not_before"].as_str() > first["not_after"].as_str());
    let (code, _) = place.refusal(&["epoch", "destroy", "1"]);
    assert_eq!(code, "too_early");
    assert!(place.say(&["epoch", "destroy", "1", "--now"])["destroyed_at"].is_string());
    let listed = place.say(&["epoch", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(place.say(&["epoch", "show", "2"]), second);
    assert_eq!(place.refusal(&["epoch", "show", "3"]).0, "not_found");
    let (scheme, value) = scheme_with_a_value();
    let bytes = place.file(b"first-value");
    let (made, _) = place.secret(&[
        "credential",
        "create",
        "--merchant",
        "acme",
        "--name",
        "Beside",
        "--environment",
        "test",
        "--scheme",
        scheme,
        "--scope",
        "* /*",
        "--value",
        &format!("{value}={bytes}"),
    ]);
    let key_id = made["key_id"].as_str().unwrap();
    let bytes = place.file(b"second-value");
    let set =
        place.say(&["credential", "set-value", key_id, "--name", value, "--secret-file", &bytes]);
    assert_eq!((&set["version"], &set["state"]), (&2.into(), &"active".into()));
    assert_eq!(place.states(key_id, &format!("value:{value}")), ["revoked", "active"]);
}

/// A built-in scheme that reads one value beside the secret, and can use text as its secret.
fn scheme_with_a_value() -> (&'static str, &'static str) {
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
    let (scheme, name) = fitting.unwrap();
    (Box::leak(scheme.into_boxed_str()), Box::leak(name.into_boxed_str()))
}

fn by_policy(place: &Place, key_id: &str) {
    let made = place.say(&[
        "policy",
        "create",
        "yearly",
        "--max-age",
        "365d",
        "--overlap",
        "7d",
        "--cutover",
        "on_first_use",
        "--remind-day",
        "30",
        "--remind-day",
        "1",
    ]);
    assert_eq!(made["remind_days"], serde_json::json!([30, 1]));
    let (code, _) = place.refusal(&["policy", "create", "yearly", "--max-age", "30d"]);
    assert_eq!(code, "exists");
    let made = place.say(&["policy", "update", "yearly", "--automatic", "true"]);
    assert_eq!((&made["automatic"], &made["max_age"]), (&true.into(), &"365d".into()));
    assert_eq!(place.say(&["policy", "show", "yearly"]), made);
    place.say(&["policy", "update", "yearly", "--max-messages", "9"]);
    let (code, _) =
        place.refusal(&["policy", "update", "yearly", "--no-max-age", "--no-max-messages"]);
    assert_eq!(code, "invalid_input", "a policy says when");
    let made = place.say(&["policy", "update", "yearly", "--no-max-messages"]);
    assert_eq!((&made["max_messages"], &made["max_age"]), (&().into(), &"365d".into()));
    assert_eq!(place.say(&["policy", "list"])["items"][0], made);
    let given = place.say(&["policy", "assign", key_id, "--policy", "yearly"]);
    assert_eq!(given["policy"], "yearly");
    // What a rotation does not say, the policy says.
    let (rotated, _) = place.secret(&["credential", "rotate", key_id]);
    assert_eq!((&rotated["state"], &rotated["on_first_use"]), (&"pending".into(), &true.into()));
    let (code, _) = place.refusal(&["policy", "delete", "yearly"]);
    assert_eq!(code, "in_use");
    assert!(place.say(&["policy", "assign", key_id])["policy"].is_null());
    place.say(&["policy", "delete", "yearly"]);
}

/// The keys that keep keys, and copies of the store.
fn keep(place: &Place) {
    let made = place.say(&["kek", "rotate"]);
    let version = made["kek"].as_u64().unwrap();
    assert_eq!(made["current"], true);
    let (code, _) = place.refusal(&["kek", "remove", "1"]);
    assert_eq!(code, "in_use");
    assert_eq!(place.say(&["kek", "rewrap"])["moved"], 1);
    assert_eq!(place.say(&["kek", "rewrap"])["moved"], 0);
    assert_eq!(place.say(&["store", "verify"])["good"], true);
    assert_eq!(place.say(&["kek", "remove", "1"])["kek"], 1);
    let keks = place.say(&["kek", "list"]);
    let current = keks["items"].as_array().unwrap().iter().find(|kek| kek["kek"] == version);
    assert_eq!(current.unwrap()["wraps"].as_u64().map(|wraps| wraps > 0), Some(true));
    let before = place.say(&["master", "status"]);
    let earlier = before["masters"][0]["master"].as_str().unwrap();
    let after = place.say(&["master", "rotate"]);
    assert_ne!(after["masters"][0]["master"], before["masters"][0]["master"]);
    assert_eq!(place.say(&["store", "verify"])["faults"], serde_json::json!([]));
    let left = place.say(&["master", "remove", earlier]);
    assert_eq!(left["masters"].as_array().unwrap().len(), 1);
    let copy = place.path("copy.db");
    let copy = copy.to_str().unwrap();
    place.say(&["store", "backup", "--to", copy]);
    let doctor = place.run(&["doctor", "--backup", copy, "--json"]);
    let report: serde_json::Value = serde_json::from_str(good(&doctor)).unwrap();
    assert_eq!((&report["good"], &report["merchants"]), (&true.into(), &1.into()));
    restore(place, copy);
    let rows = place.say(&["audit", "verify"])["rows"].as_u64().unwrap();
    let listed = place.say(&["audit", "list"]);
    assert_eq!(u64::try_from(listed["items"].as_array().unwrap().len()).unwrap(), rows);
    let exported = place.say(&["audit", "export"]);
    assert_eq!(exported["newest_digest"], exported["items"][0]["digest"]);
    let inventory = place.say(&["inventory"]);
    let items = inventory["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["algorithm"] == "kwikpaisa" && item["bits"] == 256));
    let csv = place.run(&["inventory", "--csv"]);
    let lines = good(&csv).lines().count();
    assert_eq!(lines, items.len() + 1, "a heading, and a line for each");
}

/// A copy takes the place of the store; without the file of what is dead it must be confirmed.
fn restore(place: &Place, copy: &str) {
    let tombstones = place.path("state/keys.tombstones");
    std::fs::remove_file(&tombstones).unwrap();
    let refused = place.run(&["store", "restore", "--from", copy]);
    assert_eq!(refused.status.code(), Some(2), "it asks: {}", text(&refused.stderr));
    good(&place.run(&["store", "restore", "--from", copy, "--yes"]));
    assert_eq!(place.say(&["store", "confirm"])["confirmed"], true);
    assert_eq!(place.say(&["store", "verify"])["good"], true);
}

fn tokens(place: &Place) {
    let (made, token) =
        place.secret(&["token", "create", "--name", "ci", "--role", "admin", "--merchant", "acme"]);
    assert!(token.starts_with("csa_"));
    assert!(made["secret"].is_null());
    let id = made["token"].as_str().unwrap();
    let kept = everything_in(&place.path("state"));
    assert!(!kept.windows(token.len()).any(|part| part == token.as_bytes()), "only its digest");
    let revoked = place.say(&["token", "revoke", id]);
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(place.say(&["token", "show", id]), revoked);
    assert_eq!(place.refusal(&["token", "show", "tok_1"]).0, "not_found");
    assert_eq!(place.say(&["token", "list"])["items"][0]["token"], id);
}

/// The merchant goes, and all its secrets with it.
fn leave(place: &Place, key_id: &str) {
    assert_eq!(place.say(&["merchant", "close", "acme"])["status"], "closed");
    let states = place.states(key_id, "signing");
    assert!(states.iter().all(|state| state == "destroyed"), "{states:?}");
    let (code, _) = place.refusal(&["credential", "resume", key_id]);
    assert_eq!(code, "wrong_state");
    assert_eq!(
        place.say(&["audit", "list", "--object", "acme"])["items"][0]["action"],
        "merchant.closed"
    );
}

#[test]
fn people_read_tables() {
    let (place, key_id, _) = Place::with_credential();
    let list = place.run(&["secret", "list", &key_id]);
    let lines: Vec<&str> = good(&list).lines().collect();
    assert!(lines[0].starts_with("kind") && lines[0].contains("check_value"), "{lines:?}");
    assert!(lines[1].starts_with("signing  1        active"), "{lines:?}");
    let shown = place.run(&["credential", "show", &key_id]);
    assert!(good(&shown).starts_with(&format!("key_id            {key_id}\n")));
    let none = place.run(&["policy", "list"]);
    assert_eq!(good(&none), "none\n");
}
