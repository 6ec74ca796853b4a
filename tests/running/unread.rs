//! Row 93, of the log: a reader that takes nothing holds up neither requests nor the end of the
//! gate, and lines that are lost for it are counted.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::handover::post;
use crate::support::client::Client;
use crate::support::process::{Process, Site};
use crate::support::request::Request;
use crate::support::setup::Setup;

/// A gate whose standard output, and where `both` its standard error as well, goes into a pipe of
/// which nobody reads more than the beginning.
fn serve(site: &Site, both: bool) -> (Process, BufReader<PipeReader>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");
    let mut command = Command::new("sh");
    command.args(["-c", if both { "exec \"$@\" 2>&1" } else { "exec \"$@\"" }, "sh", program]);
    command.args(["serve", "--config", "countersign.toml"]);
    command.stdin(Stdio::null()).stdout(writer);
    let mut gate = site.spawn(command);
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended: {}", gate.output());
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["event"] == "started" {
            let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
            (gate.address, gate.operations) = (address("address"), address("operations"));
            return (gate, reader);
        }
    }
}

fn dropped(gate: &Process) -> u64 {
    let text = gate.operation("/metrics").text();
    let own = |line: &&str| line.starts_with("countersign_log_lines_dropped_total ");
    text.lines().find(own).unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// More lines than the pipe and the gate's memory for lines hold.
fn fill(gate: &Process) {
    let long = Request::get(&format!("/{}", "x".repeat(8000)));
    let mut client = Client::connect(gate.address);
    // However long it takes: some 1,100 lines fill it.
    let full = (0..40).any(|_| {
        for _ in 0..200 {
            assert!(client.ask(&long).status >= 400);
        }
        dropped(gate) > 0
    });
    assert!(full, "no line was dropped");
}

/// What a gate saved that ended in order: the next one knows what passed.
fn knows_its_past(site: &Site) {
    let next = site.serve();
    next.wait_ready();
    assert!(next.output().contains("\"past\":\"whole\""), "{}", next.output());
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    for both in [false, true] {
        let site = Site::new(Setup::new().with("workers", "1"));
        let (mut gate, reader) = serve(&site, both);
        gate.wait_ready();
        fill(&gate);
        let answer = Client::connect(gate.address).ask(&post("/v2/orders"));
        assert!([200, 429].contains(&answer.status), "{}", answer.text());
        gate.signal(Signal::TERM);
        let status = gate.ends_within(Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "stderr beside it: {both}");
        drop(reader);
        knows_its_past(&site);
    }
}

#[test]
fn a_reader_of_the_log_that_has_gone_holds_up_nothing() {
    let site = Site::new(Setup::new());
    let (mut gate, reader) = serve(&site, true);
    drop(reader);
    gate.wait_ready();
    assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
    gate.signal(Signal::TERM);
    assert_eq!(gate.ends_within(Duration::from_secs(20)).code(), Some(0));
    knows_its_past(&site);
}
