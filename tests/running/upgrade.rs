//! Row 89, and more: twenty upgrades in a row under load, without a request lost, a replay let
//! through or a webhook forgotten.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::handover::{Holder, post, wait_waiting};
use crate::support::client::Client;
use crate::support::frames::{Frames, GOAWAY, Outcome};
use crate::support::process::{Process, Site};
use crate::support::request::{HOST, Request};
use crate::support::setup::Setup;
use crate::support::signer::hmac_hex;
use crate::support::{wait_until, write_private};

const UPGRADES: usize = 20;
/// Between the requests of a client: it is to be there all the time, not to fill the machine.
const PAUSE: Duration = Duration::from_millis(4);
pub(crate) const PROVIDER: &str = "first-secret-of-the-provider";
const SHOP: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the clients saw.
struct Load {
    address: SocketAddr,
    operations: SocketAddr,
    checks: AtomicUsize,
    over: AtomicBool,
    next: AtomicUsize,
    accepted: Mutex<Vec<Request>>,
    webhooks: Mutex<BTreeSet<String>>,
    replays_refused: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn new(holder: &Holder) -> Self {
        Self {
            address: holder.address(),
            operations: holder.operations(),
            checks: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            accepted: Mutex::default(),
            webhooks: Mutex::default(),
            replays_refused: AtomicUsize::new(0),
            failures: Mutex::default(),
        }
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn fresh(&self) -> Request {
        post(&format!("/v2/{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn failed(&self, what: &str, why: impl std::fmt::Debug) {
        self.failures.lock().unwrap().push(format!("{what}: {why:?}"));
    }

    fn passed(&self, request: Request, status: u16) {
        match status {
            200 => self.accepted.lock().unwrap().push(request),
            other => self.failed(&request.target, other),
        }
    }

    fn count(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Asks on connections that are kept as long as the gate keeps them.
    fn h1(&self) {
        while self.goes_on() {
            let mut client = match Client::dial(self.address, HOST, &["http/1.1"]) {
                Ok(client) => client,
                Err(fault) => return self.failed("dial", fault),
            };
            while self.goes_on() {
                let request = self.fresh();
                // Nobody may send a POST again of whose fate he knows nothing.
                client.send(request.h1());
                let answer = match client.try_answer("POST") {
                    Ok(answer) => answer,
                    Err(ended) => return self.failed("no answer on a kept connection", ended),
                };
                self.passed(request, answer.status);
                if answer.value("connection") == Some("close") {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// The same over HTTP/2, where a stream above the last that the gate says it took goes again.
    fn h2(&self) {
        let mut again = None;
        while self.goes_on() {
            let mut frames = match Frames::try_connect(self.address) {
                Ok(frames) => frames,
                Err(fault) => return self.failed("dial h2", fault),
            };
            for n in 0..400 {
                let request = again.take().unwrap_or_else(|| self.fresh());
                let stream = 2 * n + 1;
                frames.request(stream, &request);
                match frames.outcome(stream) {
                    Outcome::Answer { status, .. } => self.passed(request, status),
                    Outcome::Gone if not_taken(&frames, stream) => again = Some(request),
                    other => return self.failed("h2", other),
                }
                let told = frames.seen.iter().any(|frame| frame.kind == GOAWAY);
                if told || !self.goes_on() {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Sends again what was accepted: the newest, and one of long ago.
    fn replay(&self) {
        while self.goes_on() {
            let seen = {
                let accepted = self.accepted.lock().unwrap();
                let old = accepted.get(accepted.len() / 3);
                [accepted.last(), old].map(|request| request.cloned())
            };
            for request in seen.into_iter().flatten() {
                match Client::dial(self.address, HOST, &["http/1.1"]) {
                    Ok(mut client) => {
                        client.send(request.h1());
                        match client.try_answer("POST") {
                            Ok(answer) if answer.text().contains("\"replayed\"") => {
                                self.replays_refused.fetch_add(1, Ordering::Relaxed);
                            }
                            other => self.failed("a replay", other.map(|answer| answer.text())),
                        }
                    }
                    Err(fault) => self.failed("dial for a replay", fault),
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Asks whether the gate is well, on a connection for each question.
    fn check(&self) {
        while self.goes_on() {
            match Client::dial(self.operations, HOST, &["http/1.1"]) {
                Ok(mut client) => {
                    client.send(Request::get("/healthz").h1());
                    match client.try_answer("GET") {
                        Ok(answer) if answer.status == 200 => {
                            self.checks.fetch_add(1, Ordering::Relaxed);
                        }
                        other => self.failed("a check", other.map(|answer| answer.text())),
                    }
                }
                Err(fault) => self.failed("dial for a check", fault),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// A provider: what was acknowledged must arrive at the merchant's service.
    fn provide(&self) {
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let order = format!("order-{n}");
            let body = format!("{{\"order\":\"{order}\"}}");
            let hex = hmac_hex(PROVIDER.as_bytes(), body.as_bytes());
            let message = Request::post("/webhooks/github", body.as_bytes())
                .header("X-Hub-Signature-256", format!("sha256={hex}"));
            match Client::dial(self.address, HOST, &["http/1.1"]) {
                Ok(mut client) => {
                    client.send(message.h1());
                    match client.try_answer("POST") {
                        Ok(answer) if answer.status / 100 == 2 => {
                            self.webhooks.lock().unwrap().insert(order);
                        }
                        other => self.failed("a webhook", other.map(|answer| answer.text())),
                    }
                }
                Err(fault) => self.failed("dial for a webhook", fault),
            }
            std::thread::sleep(5 * PAUSE);
        }
    }
}

/// Whether the gate said that it did not take this stream (RFC 9113, section 6.8).
fn not_taken(frames: &Frames, stream: u32) -> bool {
    frames.seen.iter().any(|frame| {
        let last = frame.payload.get(..4).map(|last| u32::from_be_bytes(last.try_into().unwrap()));
        frame.kind == GOAWAY && last.is_some_and(|last| last & 0x7fff_ffff < stream)
    })
}

/// A gate that takes webhooks beside requests.
pub(crate) fn site() -> Site {
    let mut setup = Setup::new();
    // Connections are to end by upgrades only.
    setup.set("listener.connections.requests", "1000000");
    setup.named_secret("first", PROVIDER);
    let mut site = Site::new(setup);
    write_private(&site.folder.path().join("shop.whsec"), SHOP.as_bytes());
    let port = site.upstream.address.port();
    site.setup.upstreams = vec![format!(
        "[destinations.shop]\nurl = \"http://localhost:{port}/from-gate\"\n\
         networks = [\"127.0.0.0/8\"]\nsecrets = [{{ file = \"shop.whsec\" }}]\n\
         [sources.github]\nscheme = \"github\"\npath = \"/webhooks/github\"\n\
         destination = \"shop\"\nsecrets = [{{ list = \"secrets.txt\", id = \"first\" }}]\n\
         [sources.github.facts]\norder = \"{{json:order}}\"\n"
    )];
    site.write();
    site
}

/// The successor is there before its predecessor goes, and serves when it is gone.
fn upgrade(site: &Site, holder: &Holder, before: &mut Process) -> Process {
    let mut next = site.spawn(holder.command());
    wait_waiting(&next);
    before.signal(Signal::TERM);
    let status = before.ends_within(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", before.output());
    // Its last words are read by a thread of their own.
    wait_until("its last words", || before.output().contains("replay memory saved"));
    let said = before.output();
    assert!(said.contains("connections cut: 0; replay memory saved"), "{said}");
    next.wait_started();
    wait_until("the memory", || next.output().contains("\"past\":\"whole\""));
    next
}

/// Ends the load, also when the test fails: what waits for its clients would wait for ever.
struct Ending<'l>(&'l Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn twenty_upgrades_under_load_lose_nothing_and_let_no_replay_through() {
    let (site, holder) = (site(), Holder::new());
    let mut gate = site.spawn(holder.command());
    gate.wait_started();
    gate.wait_ready();
    let load = Load::new(&holder);
    std::thread::scope(|scope| {
        let clients: [fn(&Load); 6] =
            [Load::h1, Load::h1, Load::h2, Load::replay, Load::provide, Load::check];
        for client in clients {
            let load = &load;
            scope.spawn(move || client(load));
        }
        let ending = Ending(&load);
        for n in 0..UPGRADES {
            let so_far = load.count();
            let until = Instant::now() + Duration::from_secs(60);
            while load.count() < so_far + 10 && load.failures.lock().unwrap().is_empty() {
                if Instant::now() > until {
                    load.failed("no load before upgrade", n);
                }
                std::thread::sleep(PAUSE);
            }
            if !load.failures.lock().unwrap().is_empty() {
                break;
            }
            let next = upgrade(&site, &holder, &mut gate);
            gate = next;
        }
        drop(ending);
    });
    let failures = load.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures:#?}\n{}", gate.output());
    let accepted = load.accepted.into_inner().unwrap();
    assert!(accepted.len() >= 10 * UPGRADES && load.replays_refused.into_inner() >= UPGRADES);
    assert!(load.checks.into_inner() >= UPGRADES);
    let forwarded = site.upstream.count_of(|request| request.target.starts_with("/v2/"));
    assert_eq!(forwarded, accepted.len(), "each was forwarded once");
    let webhooks = load.webhooks.into_inner().unwrap();
    assert!(webhooks.len() >= UPGRADES, "{}", webhooks.len());
    wait_until("the webhooks", || {
        let is = |order: &String| format!("\"{order}\"");
        let arrived = |order: &String| {
            site.upstream.count_of(|request| {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                request.target == "/from-gate" && body.contains(&is(order))
            })
        };
        webhooks.iter().all(|order| arrived(order) > 0)
    });
}
