//! `check`, `init` and `serve` on configurations as people write them.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::*;

/// A folder with certificates, secrets and a configuration, and the file of the latter.
fn place(change: impl FnOnce(String) -> String) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    good(&certs_dev(place.path(), &[]));
    let file = place.path().join("countersign.toml");
    fs::write(&file, change(CONFIGURATION.to_owned())).unwrap();
    fs::write(place.path().join("merchants.toml"), MERCHANTS).unwrap();
    (place, file)
}

const CONFIGURATION: &str = r#"
state = "dev/state"
workers = 1
merchants = "merchants.toml"

[listener]
address = "127.0.0.1:0"
certificates = [
  { chain = "dev/gate.pem", key = "dev/gate.key" },
  { chain = "dev/gate-rsa.pem", key = "dev/gate-rsa.key" },
]

[operations]
address = "127.0.0.1:0"

[upstreams.orders]
url = "http://127.0.0.1:9"

[[routes]]
name = "orders"
path = "/v1/*"
upstream = "orders"
"#;

const MERCHANTS: &str = r#"
[merchants.acme]
rate = { per_second = 10, burst = 10 }

[merchants.acme.credentials.pk_test_acme]
environment = "test"
scopes = ["POST /v1/orders"]
secrets = [{ list = "dev/secrets.txt" }]
"#;

#[test]
fn a_good_configuration_is_summed_up() {
    let (_place, file) = place(|good| good);
    let output = run(&["check", "--config", path(&file)]);
    let shown = good(&output);
    for said in
        ["is good", "localhost", "leaves unsigned: method, target, nonce", "1 test and 0 live"]
    {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let output = run(&["check", "--json", "--config", path(&file)]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    assert_eq!((json["good"].as_bool(), json["credentials"].as_u64()), (Some(true), Some(1)));
}

#[test]
fn every_mistake_is_shown_at_once() {
    let (_place, file) = place(|good| {
        good.replace("workers = 1", "wrokers = 1")
            .replace("upstream = \"orders\"", "upstream = \"oders\"")
            .replace("[operations]", "[operations]\nport = 1")
    });
    let output = run(&["check", "--config", path(&file)]);
    assert_eq!(output.status.code(), Some(78));
    let shown = text(&output.stderr);
    for said in ["countersign.toml:3", "wrokers", "workers", "oders", "port", "3 mistakes"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let output = run(&["check", "--json", "--config", path(&file)]);
    assert_eq!(output.status.code(), Some(78));
    let json: serde_json::Value = serde_json::from_str(text(&output.stdout)).unwrap();
    assert_eq!(json["faults"].as_array().unwrap().len(), 3);
    let output = run(&["serve", "--config", path(&file)]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(78), shown));
}

#[test]
fn a_state_folder_is_made_once() {
    let (place, file) = place(|good| good.replace("dev/state", "other/state"));
    good(&run(&["init", "--config", path(&file)]));
    let state = place.path().join("other/state");
    assert!(state.is_dir());
    let again = run(&["init", "--state", path(&state)]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("state: "), "{}", text(&again.stderr));
    assert_eq!(run(&["init"]).status.code(), Some(2));
}

#[test]
fn serve_reloads_on_sighup_and_drains_on_sigterm() {
    let (_place, file) = place(|good| good);
    let mut gate = Running::start(countersign(&["serve", "--config", path(&file)]));
    let line = gate.error_line("listening on https://127.0.0.1:");
    assert!(line.contains("operations on https://127.0.0.1:"), "{line}");
    gate.signal(Signal::HUP);
    gate.read_until("reload_applied");
    fs::write(&file, "broken").unwrap();
    gate.signal(Signal::HUP);
    gate.read_until("reload_refused");
    let (status, rest) = gate.terminate();
    assert_eq!(status, Some(0), "{rest}");
    assert!(rest.contains("stopped"), "{rest}");
}

#[test]
fn a_port_in_use_ends_serve() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_place, file) = place(|good| good.replacen("127.0.0.1:0", &address, 1));
    let output = run(&["serve", "--config", path(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}
