//! What an operator orders and is told: obstacles, the clock, the drain, a refused configuration, a
//! memory that could not be saved.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::process::{Process, Site};
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::Step;
use crate::support::wait_until;

const BODY: &[u8] = b"{\"amount\":100}";

/// The events of a log with this name.
fn events(log: &str, name: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["event"] == name).collect()
}

fn served(process: &Process, name: &str) -> Vec<Value> {
    events(&process.output(), name)
}

/// Each obstacle is told once when it begins, with its cause, and once when it ends.
#[test]
fn a_mark_that_cannot_be_written_is_told_once_with_its_cause() {
    let gateway = Gateway::with_state(Setup::new());
    gateway.advance(60);
    wait_until("readiness", || gateway.operation("/readyz").status == 200);
    let (state, away) = (gateway.folder.path().join("state"), gateway.folder.path().join("away"));
    fs::rename(&state, &away).unwrap();
    gateway.advance(60);
    wait_until("the event", || gateway.log().contains("mark_overdue"));
    thread::sleep(Duration::from_millis(1500));
    let told = events(&gateway.log(), "not_ready");
    let told: Vec<_> = told
        .iter()
        .filter(|event| event["obstacles"].to_string().contains("mark_overdue"))
        .collect();
    assert_eq!(told.len(), 1, "{}", gateway.log());
    assert!(told[0]["cause"].as_str().unwrap().contains("No such file"), "{}", told[0]);
    let ready = events(&gateway.log(), "ready").len();
    fs::rename(&away, &state).unwrap();
    wait_until("the end", || events(&gateway.log(), "ready").len() == ready + 1);
}

/// A step of the wall clock counts at once when an operator says so.
#[test]
fn a_step_of_the_clock_can_be_confirmed() {
    let gateway = Gateway::start();
    gateway.hand.step_wall(3600);
    let (before, step) = (gateway.now(), "clock_stepped_ahead");
    assert!(gateway.operation("/readyz").text().contains(step));
    wait_until("the event", || gateway.log().contains(step));
    let gate = gateway.take();
    assert_eq!(gate.confirm_clock(), Some(Duration::from_secs(3600)));
    assert_eq!(gateway.now(), before + 3600);
    assert_eq!(gateway.operation("/readyz").status, 200);
    wait_until("the end", || !events(&gateway.log(), "ready").is_empty());
    assert_eq!(gate.confirm_clock(), None, "nothing is left to confirm");
    gate.stop();
    assert_eq!(events(&gateway.log(), "clock_confirmed")[0]["step_seconds"], 3600);
}

#[test]
fn sigusr1_confirms_the_clock_and_ends_nothing() {
    let gate = Site::new(Setup::new()).serve();
    gate.signal(Signal::USR1);
    wait_until("the event", || served(&gate, "clock_confirmed").len() == 1);
    gate.wait_ready();
}

/// The drain deadline is the one in force when the gate stops.
#[test]
fn a_reloaded_drain_deadline_counts() {
    let mut gateway = Gateway::with(Setup::new().deadline("drain", 60_000));
    gateway.change(|setup| setup.set("listener.deadlines.drain", "\"300ms\"")).unwrap();
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut client = gateway.client();
    client.send(v1().sign(Request::post("/v2/orders", BODY), gateway.now()).h1());
    gateway.upstream.wait_for(1);
    let started = Instant::now();
    assert_eq!(gateway.stop(), 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// A file that only the refused configuration names is waited for.
#[test]
fn a_refused_configuration_is_tried_again_when_what_it_lacked_is_there() {
    let mut gateway = Gateway::start();
    let both = ["applied", "refused"].map(|result| {
        gateway.metric("countersign_reloads_total", &[&format!("result=\"{result}\"")])
    });
    assert_eq!(both, [0.0, 0.0], "both are there from the start");
    let list = "list = \"secrets.txt\", id = \"pk_live_globex\"";
    let table = gateway.setup.merchants.iter_mut().find(|table| table.contains(list)).unwrap();
    *table = table.replace(list, "file = \"late.txt\"");
    gateway.write();
    wait_until("the refusal", || gateway.log().contains("reload_refused"));
    thread::sleep(Duration::from_millis(10_500));
    assert_eq!(events(&gateway.log(), "reload_refused").len(), 1, "told once");
    let secret = String::from_utf8(v1().secret).unwrap();
    crate::support::write_private(&gateway.folder.path().join("late.txt"), secret.as_bytes());
    let until = Instant::now() + Duration::from_secs(15);
    while events(&gateway.log(), "reload_applied").is_empty() {
        assert!(Instant::now() < until, "{}", gateway.log());
        thread::sleep(Duration::from_millis(100));
    }
    gateway.accepts(&v1().sign(Request::post("/v2/orders", BODY), gateway.now()));
}

/// The certificates of both listeners are watched.
#[test]
fn the_ends_of_all_certificates_are_shown() {
    let certificates = |name: &str| format!("[{{ chain = \"{name}.pem\", key = \"{name}.key\" }}]");
    let setup = Setup::new()
        .with("listener.certificates", &certificates("shop"))
        .with("operations.certificates", &certificates("api"));
    let gateway = Gateway::with(setup);
    let name = "countersign_certificate_expiry_timestamp_seconds";
    for certificate in ["certificate=\"api.", "certificate=\"shop."] {
        assert!(gateway.metric(name, &[certificate]) > 0.0);
    }
}

/// A memory that could not be saved is no clean stop, and whoever asked for one is told.
#[test]
fn a_stop_without_saving_fails() {
    let site = Site::new(Setup::new());
    let mut gate = site.serve();
    gate.wait_ready();
    fs::rename(site.folder.path().join("state"), site.folder.path().join("away")).unwrap();
    gate.signal(Signal::TERM);
    let status = gate.ends_within(Duration::from_secs(5));
    wait_until("the message", || gate.output().contains("could not be saved"));
    assert_eq!(status.code(), Some(1), "{}", gate.output());
    assert_eq!(served(&gate, "replay_memory_not_saved").len(), 1);
}
