//! `check`, `init` and `serve` on configurations as people write them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    for said in ["is good", "localhost", "leaves unsigned: method, target\n", "1 test and 0 live"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let output = run(&["check", "--json", "--config", path(&file)]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    assert_eq!((json["good"].as_bool(), json["credentials"].as_u64()), (Some(true), Some(1)));
}

/// The commands of the README, in a fresh folder; only the ports are other ones.
#[test]
fn the_sample_starts_after_certs_dev() {
    let place = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    fs::create_dir(place.path().join("config")).unwrap();
    for name in ["countersign.toml", "merchants.toml"] {
        let content = fs::read_to_string(source.join(name)).unwrap();
        let content = content.replace(":8443", ":0").replace(":9443", ":0");
        fs::write(place.path().join("config").join(name), content).unwrap();
    }
    let here = |arguments: &[&str]| {
        let mut command = countersign(arguments);
        command.current_dir(place.path());
        command
    };
    good(&here(&["certs", "dev"]).output().unwrap());
    good(&here(&["check", "--config=config/countersign.toml"]).output().unwrap());
    let mut gate = Running::start(here(&["serve", "--config=config/countersign.toml"]));
    gate.error_line("listening on https://127.0.0.1:");
    assert_eq!(gate.terminate().0, Some(0));
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
fn a_second_signal_does_not_wait_for_the_drain() {
    // A service that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (place, file) = place(|good| good.replace("127.0.0.1:9", &address));
    let mut gate = Running::start(countersign(&["serve", "--config", path(&file)]));
    let line = gate.error_line("listening on");
    let port = line.split("https://127.0.0.1:").nth(1).unwrap().split(',').next().unwrap();
    let dev = place.path().join("dev");
    let waiting = Running::start(countersign(&[
        "send",
        "--key-id=pk_test_acme",
        &format!("--secret-list={}/secrets.txt", dev.display()),
        &format!("--ca={}/ca.pem", dev.display()),
        &format!("--url=https://localhost:{port}/v1/orders"),
        &format!("--connect=127.0.0.1:{port}"),
        "--data=x",
    ]));
    let _connection = silent.accept().unwrap();
    gate.signal(Signal::TERM);
    gate.error_line("draining");
    let begin = Instant::now();
    let (status, rest) = gate.terminate();
    assert_eq!(status, Some(1), "{rest}");
    assert!(begin.elapsed() < Duration::from_secs(10), "the drain deadline is 30 seconds");
    drop(waiting);
}

#[test]
fn certificates_that_cannot_be_used_are_configuration() {
    let (place, file) = place(|good| good);
    fs::write(place.path().join("dev/gate.pem"), "nothing").unwrap();
    for command in ["check", "serve"] {
        let output = run(&[command, "--config", path(&file)]);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stderr).contains("gate.pem"), "{}", text(&output.stderr));
    }
    let output = run(&["check", "--json", "--config", path(&file)]);
    let json: serde_json::Value = serde_json::from_str(text(&output.stdout)).unwrap();
    assert!(json["faults"][0]["problem"].as_str().unwrap().contains("gate.pem"));
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
