//! `countersign top`: for programs once, for people in a terminal that is as it was afterwards.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::handover::post;
use crate::support::process::{Process, Site, countersign};
use crate::support::request::HOST;
use crate::support::setup::Setup;
use crate::support::wait_until;

fn arguments(gate: &Process) -> Vec<String> {
    let url = format!("--operations=https://{HOST}");
    let connect = format!("--connect={}", gate.operations);
    vec!["top".into(), url, "--ca=ca.pem".into(), connect, "--every=1".into()]
}

#[test]
fn once_and_as_json_it_tells_what_happens() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let over = AtomicBool::new(false);
    let (status, said) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
                let forged = post("/v2/orders").set("X-SIGNATURE", "0".repeat(64));
                assert_eq!(gate.ask(&forged).status, 401);
            }
        });
        let mut own = arguments(&gate);
        own.extend(["--once".into(), "--json".into()]);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let done = countersign(site.folder.path(), &own);
        over.store(true, Ordering::Relaxed);
        done
    });
    assert!(status.success(), "{said}");
    let all: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{said}"));
    assert!(number(&all["seconds"]) >= 0.9);
    let (forwarded, refused) = (
        number(&all["forwarded_per_second"]),
        number(&all["refused_per_second"]["invalid_signature"]),
    );
    assert!(forwarded > 0.0 && refused > 0.0, "{said}");
    assert!((number(&all["requests_per_second"]) - forwarded - refused).abs() < 1.0, "{said}");
    let ms = |name: &str| number(&all["latency_ms"][name]);
    assert!(0.0 < ms("p50") && ms("p50") <= ms("p99"), "{said}");
    assert_eq!(all["not_ready"], json!([]));
    assert!(number(&all["upstreams"]["service"]["connections"]) >= 1.0, "{said}");
    assert!(number(&all["replay"]["entries"]) >= 1.0, "{said}");
    assert!(number(&all["replay"]["entries_max"]) > 1_000_000.0, "{said}");
}

/// A program in a terminal of its own, which `script` makes.
struct Terminal {
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    fn run(site: &Site, arguments: &[String]) -> Self {
        // A shell that stays beside the program would take Ctrl-C for itself.
        let line = format!("exec {} {}", env!("CARGO_BIN_EXE_countersign"), arguments.join(" "));
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).current_dir(site.folder.path());
        // Whatever shell the account has: that of a service account runs nothing.
        command.env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("script, of Debian's package bsdutils");
        let seen = Arc::new(Mutex::new(String::new()));
        let (all, mut out) = (Arc::clone(&seen), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Self { child, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Presses Ctrl-C, and waits for the end.
    fn interrupt(mut self) -> (Option<i32>, String) {
        self.child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        let status = std::cell::Cell::new(None);
        wait_until("the end", || {
            status.set(self.child.try_wait().unwrap());
            status.get().is_some()
        });
        wait_until("the terminal", || self.seen().contains("\u{1b}[?1049l"));
        (status.get().unwrap().code(), self.seen())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_terminal_is_as_it_was_after_ctrl_c() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let top = Terminal::run(&site, &arguments(&gate));
    wait_until("a picture", || top.seen().contains("replay memory"));
    wait_until("the upstream", || top.seen().contains("service"));
    // A gate that is gone is told, and waited for.
    gate.kill();
    wait_until("no answer", || top.seen().contains("no answer: "));
    let (status, seen) = top.interrupt();
    assert_eq!(status, Some(0), "{seen:?}");
    let at = |text: &str| seen.find(text).unwrap_or_else(|| panic!("{text:?} in {seen:?}"));
    assert!(at("\u{1b}[?1049h\u{1b}[?25l") < at("ready"), "{seen:?}");
    assert!(seen.trim_end().ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{seen:?}");
}

#[test]
fn without_a_terminal_or_a_gate_it_says_so() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    let run = |more: &[&str]| {
        let own = arguments(&gate);
        let own: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
        countersign(site.folder.path(), &own)
    };
    let (status, said) = run(&[]);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("--once"), "{said}");
    let dead = format!("--connect=127.0.0.1:{}", {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    });
    let own = ["top", "--operations=https://api.example.com", "--ca=ca.pem", &dead, "--once"];
    let (status, said) = countersign(site.folder.path(), &own);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("cannot connect"), "{said}");
    let (status, said) = countersign(
        site.folder.path(),
        &["top", "--operations=http://localhost:1", "--once", "--ca=ca.pem"],
    );
    assert_eq!(status.code(), Some(2), "{said}");
}
