//! Row 93: nothing is done that the audit log cannot say. While it cannot be written, whatever
//! changes something or shows a secret is refused whole and loudly; requests go on.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::json;

use crate::api::{Api, CONFIG, Operator, code, credential_of};
use crate::support::process::{countersign, wall_now};
use crate::support::request::Request;
use crate::support::setup::v1;
use crate::support::wait_until;
use crate::webhooks::{BODY, keep};

fn store(api: &Api) -> Connection {
    Connection::open(api.state().join("keys.db")).unwrap()
}

/// Everything in the store but what the gate notes by itself: the use of secrets, and in the head
/// how often anything was written.
fn rows(store: &Connection) -> BTreeMap<String, Vec<String>> {
    let list = "SELECT name FROM sqlite_schema WHERE type = 'table' \
                AND name NOT IN ('usage', 'head')";
    let names: Vec<String> = {
        let mut statement = store.prepare(list).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let read = |name: String| {
        let mut statement = store.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let width = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let cell = |at| row.get::<_, rusqlite::types::Value>(at).map(|v| format!("{v:?}"));
            (0..width).map(cell).collect::<Result<Vec<_>, _>>().map(|cells| cells.join("|"))
        };
        let all = statement.query_map([], text).unwrap().map(Result::unwrap).collect();
        (name, all)
    };
    names.into_iter().map(read).collect()
}

/// Requests that change something, or show what only the log's reader may know was shown.
fn acts(owner: &Operator<'_>, key_id: &str, delivery: &str) -> Vec<Request> {
    let path = format!("/admin/v1/credentials/{key_id}");
    let post = |target: &str, body| owner.with_body("POST", target, &body);
    vec![
        post("/admin/v1/merchants", json!({ "merchant": "late", "name": "L", "rate": "9/9" })),
        owner.with_body("PATCH", "/admin/v1/merchants/shop", &json!({ "name": "Other" })),
        post("/admin/v1/merchants/shop:suspend", json!({ "reason": "r" })),
        post("/admin/v1/credentials", credential_of("shop")),
        post(&format!("{path}:suspend"), json!({ "reason": "r" })),
        post(&format!("{path}:rotate"), json!({ "overlap": "1h" })),
        post(&format!("{path}/secrets"), json!({})),
        post(&format!("{path}/secrets:import"), json!({ "secret": "a-secret-of-the-partners" })),
        post(&format!("{path}/secrets/signing/1:revoke"), json!({ "reason": "r" })),
        owner.request("POST", &format!("{path}/secrets/signing/2:reveal")),
        post("/admin/v1/policies", json!({ "policy": "yearly", "max_age": "365d" })),
        post("/admin/v1/tokens", json!({ "name": "n", "role": "owner" })),
        post("/admin/v1/keks:rotate", json!({})),
        owner.request("GET", &format!("/admin/v1/deliveries/{delivery}?body=true")),
        post("/admin/v1/deliveries:replay", json!({ "ids": [delivery], "reason": "r" })),
        post("/admin/v1/destinations/shop:resume", json!({})),
    ]
}

/// Requests of merchants do not wait for the audit log.
fn serves(api: &Api) {
    let order = v1().sign(Request::post("/v2/orders", b"{}"), wall_now());
    assert_eq!(api.gate.ask(&order).status, 200);
}

/// The store as it is, but no row can be added to the log.
#[test]
fn what_the_audit_log_cannot_say_is_not_done() {
    let api = Api::start();
    let owner = api.owner();
    let (key_id, secret) = api.credential("shop");
    let waiting = format!("/admin/v1/credentials/{key_id}/secrets");
    assert_eq!(owner.post(&waiting, json!({ "reveal_later": true })).status, 201);
    let auditor = api.operator("auditor", None);
    let ids = keep(&api.state());
    let raw = store(&api);
    let silenced = "CREATE TRIGGER silenced BEFORE INSERT ON audit \
                    BEGIN SELECT RAISE(ABORT, 'the log is away'); END";
    raw.execute_batch(silenced).unwrap();
    let before = rows(&raw);
    let failures = || {
        let text = api.gate.operation("/metrics").text();
        let line = text.lines().find(|line| line.starts_with("countersign_key_store_failures_t"));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    let (began, acts) = (failures(), acts(&owner, &key_id, &ids[0]));
    for (count, act) in acts.iter().enumerate() {
        let answer = owner.send(&act.clone().header("Idempotency-Key", format!("k{count}")));
        let shown = format!("{} {}: {}", act.method, act.target, answer.text());
        assert_eq!((answer.status, code(&answer).as_str()), (503, "store"), "{shown}");
        assert!(!shown.contains(BODY) && !shown.contains(&secret), "{shown}");
        assert!(failures() > began + count as u64, "never in silence: {shown}");
    }
    // Nor by a token that may not, whose attempt cannot be noted.
    let answer = auditor.post("/admin/v1/keks:rotate", json!({}));
    assert_eq!((answer.status, code(&answer).as_str()), (503, "store"));
    // Nor by the command line.
    let suspend = ["merchant", "suspend", "shop", "--yes", "--reason", "r", "--config", CONFIG];
    let (status, said) = countersign(api.site.folder.path(), &suspend);
    assert!(!status.success() && said.contains("the log is away"), "{said}");
    for (table, rows) in rows(&raw) {
        assert!(before[&table] == rows, "{table} was changed");
    }
    let destinations = owner.get("/admin/v1/destinations").json();
    assert_eq!(destinations["items"][0]["destination"], "shop", "it is stopped still");
    let told = |line: &str| line.contains("\"admin_call\"") && line.contains("\"store\"");
    wait_until("a line for each", || {
        api.gate.output().lines().filter(|line| told(line)).count() > acts.len()
    });
    // What needs no row goes on.
    assert_eq!(auditor.get("/admin/v1/merchants/shop").json()["name"], "M");
    serves(&api);
    // And once it can be written again, the same calls are carried out.
    raw.execute_batch("DROP TRIGGER silenced").unwrap();
    let resumed = owner.send(&acts[0].clone().header("Idempotency-Key", "k0"));
    assert_eq!(resumed.status, 201, "{}", resumed.text());
    assert_eq!(owner.send(&acts[9]).status, 200, "the secret was not shown before");
    let verified = owner.post("/admin/v1/audit:verify", json!({}));
    assert_eq!(verified.status, 200, "{}", verified.text());
}

/// Another program holds the store, as a backup or a shell that was forgotten does.
#[test]
fn a_log_that_is_held_up_holds_up_operators_only() {
    let api = Api::start();
    let owner = api.owner();
    api.credential("shop");
    let raw = store(&api);
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let change = owner.with_body("PATCH", "/admin/v1/merchants/shop", &json!({ "name": "Other" }));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| owner.send(&change));
        for _ in 0..20 {
            serves(&api);
            assert_eq!(owner.get("/admin/v1/merchants/shop").json()["name"], "M");
        }
        let answer = held.join().unwrap();
        assert_eq!((answer.status, code(&answer).as_str()), (503, "store"));
    });
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(owner.send(&change).status, 200);
}

/// Row 92: no room. A file may not grow any more, which is what a full disk is to a database.
#[test]
fn a_full_disk_refuses_operators_and_loses_nothing() {
    let mut api = Api::start();
    api.credential("shop");
    stop(&mut api);
    let mut command = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 1000; exec \"$0\" serve --config countersign.toml";
    command.args(["-c", limited, env!("CARGO_BIN_EXE_countersign")]);
    api.gate = api.site.run(command);
    api.gate.wait_ready();
    let make = |api: &Api, number: usize| {
        let body = json!({ "merchant": format!("m{number}"), "name": "M", "rate": "9/9" });
        api.owner().post("/admin/v1/merchants", body)
    };
    let refused = (0..2000).find(|number| {
        let answer = make(&api, *number);
        if answer.status == 201 {
            return false;
        }
        assert_eq!((answer.status, code(&answer).as_str()), (503, "store"));
        true
    });
    let refused = refused.expect("no limit");
    assert!(refused > 0, "there was room at first");
    assert_eq!(api.owner().get("/admin/v1/merchants/shop").status, 200);
    serves(&api);
    stop(&mut api);
    // With room again, what was answered is there, and what was refused is not.
    api.gate = api.site.serve();
    api.gate.wait_ready();
    let found = |number: usize| api.owner().get(&format!("/admin/v1/merchants/m{number}")).status;
    assert_eq!((found(0), found(refused - 1), found(refused)), (200, 200, 404));
    assert_eq!(make(&api, refused).status, 201);
    assert_eq!(api.owner().post("/admin/v1/audit:verify", json!({})).status, 200);
}

fn stop(api: &mut Api) {
    api.gate.signal(Signal::TERM);
    assert!(api.gate.ends_within(Duration::from_secs(20)).code().is_some());
}
