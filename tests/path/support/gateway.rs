//! A gate that a test starts, asks, reloads and stops.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::app::{Gate, Options, Past};
use countersign::clock::{Clock, Hand, Timestamp};
use countersign::config::Config;
use countersign::replay::StateFolder;
use countersign::roll::Roll;
use countersign::telemetry::LogSink;
use tempfile::TempDir;

use super::answer::{ADDED_HEADERS, Answer, Refusal, status_of};
use super::client::Client;
use super::frames::Frames;
use super::http2::Http2;
use super::request::{Framing, HOST, Request};
use super::setup::Setup;
use super::upstream::Upstream;

/// The gate's time when a test begins.
pub(crate) const START: u64 = 1_764_000_000;

/// A running gate with everything around it.
pub(crate) struct Gateway {
    gate: Mutex<Option<Gate>>,
    clock: Clock,
    pub(crate) hand: Hand,
    pub(crate) upstream: Upstream,
    pub(crate) setup: Setup,
    pub(crate) folder: TempDir,
    log: Arc<Mutex<Vec<u8>>>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) operations: std::net::SocketAddr,
}

impl Gateway {
    /// The standard one.
    pub(crate) fn start() -> Self {
        Self::with(Setup::new())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::before(setup, Upstream::start(), "http")
    }

    /// Before a service that is there already, by a scheme of its URL.
    pub(crate) fn before(setup: Setup, upstream: Upstream, scheme: &str) -> Self {
        Self::make(setup, upstream, scheme, Past::None, |_| {})
    }

    /// With configuration that is changed after it was loaded.
    pub(crate) fn altered(
        setup: Setup,
        upstream: Upstream,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::make(setup, upstream, "http", Past::None, change)
    }

    /// With a state folder, so that it can be started again.
    pub(crate) fn with_state(setup: Setup) -> Self {
        Self::prepared(setup, |_| {})
    }

    /// The same, with more files in its folder, which is in `state` already.
    pub(crate) fn prepared(setup: Setup, prepare: impl FnOnce(&Path)) -> Self {
        Self::made(setup, Upstream::start(), "http", Past::FromState, |_| {}, prepare)
    }

    fn make(
        setup: Setup,
        upstream: Upstream,
        scheme: &str,
        past: Past,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::made(setup, upstream, scheme, past, change, |_| {})
    }

    fn made(
        setup: Setup,
        upstream: Upstream,
        scheme: &str,
        past: Past,
        change: impl FnOnce(&mut Config),
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (clock, hand) = Clock::by_hand(Timestamp::from_secs(START));
        let log = Arc::default();
        let url = format!("{scheme}://localhost:{}", upstream.address.port());
        Setup::write_certificates(folder.path());
        let file = setup.write(folder.path(), &url);
        if past == Past::FromState {
            let state = folder.path().join("state");
            StateFolder::init(&state).unwrap_or_else(|fault| panic!("{fault}"));
        }
        prepare(folder.path());
        let mut config = load(&file);
        change(&mut config);
        let gate = open(config, &file, &clock, &log, past);
        let (address, operations) = (gate.address(), gate.operations_address());
        Self {
            gate: Mutex::new(Some(gate)),
            clock,
            hand,
            upstream,
            setup,
            folder,
            log,
            address,
            operations,
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("countersign.toml")
    }

    /// The gate's clock, for clients that sign by it.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Epochs and chains of rolling keys.
    pub(crate) fn roll(&self) -> Arc<Roll> {
        Arc::clone(self.gate.lock().expect("lock").as_ref().expect("running").roll())
    }

    /// The gate's time in Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock().now().secs()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
        self.clock.tick();
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn http2(&self) -> Http2 {
        Http2::connect(self.address)
    }

    pub(crate) fn frames(&self) -> Frames {
        Frames::connect(self.address)
    }

    /// Sends a request on a new HTTP/1.1 connection.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.client().ask(request)
    }

    /// Sends a request on a new HTTP/2 connection.
    pub(crate) fn ask_h2(&self, request: &Request) -> Answer {
        self.http2().ask(request)
    }

    /// The request must come back refused with this code over HTTP/1.1 and HTTP/2, and no byte of
    /// it may reach the upstream.
    pub(crate) fn refuses(&self, request: &Request, code: &str) {
        self.refuses_h1(request, code);
        if request.framing != Framing::ByHand {
            let before = self.upstream.bytes();
            let answer = self.ask_h2(request);
            self.holds(&answer, code, request);
            assert_eq!(self.upstream.bytes(), before, "nothing forwarded of {request:?}");
        }
    }

    pub(crate) fn refuses_h1(&self, request: &Request, code: &str) {
        let before = self.upstream.bytes();
        let answer = self.ask(request);
        self.holds(&answer, code, request);
        assert_eq!(self.upstream.bytes(), before, "nothing forwarded of {request:?}");
    }

    fn holds(&self, answer: &Answer, code: &str, request: &Request) {
        let forwarded = match code {
            "replayed" | "duplicate_order" => "earlier",
            "stale_timestamp" if answer.text().contains("may have been accepted") => "maybe",
            _ => "no",
        };
        let expected =
            Refusal { status: status_of(code), code: code.into(), forwarded: forwarded.into() };
        assert_eq!(answer.refusal(), expected, "{request:?}");
    }

    /// Sends exact bytes on a new connection; the answer must be a refusal with this code, and
    /// nothing may reach the upstream.
    pub(crate) fn refuses_bytes(&self, bytes: &[u8], code: &str) -> Client {
        let before = self.upstream.bytes();
        let mut client = self.client();
        client.send(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
        let answer = client
            .try_answer("GET")
            .unwrap_or_else(|ended| panic!("{ended:?} instead of {code}: {shown}"));
        assert_eq!(answer.refusal().code, code, "{shown}");
        assert_eq!(self.upstream.bytes(), before, "nothing forwarded of {shown}");
        client
    }

    /// Sends exact bytes on a new connection, which must be refused with one of these statuses, by
    /// a problem document or by the bare answer to a head that cannot be parsed. The gate must
    /// close the connection, and nothing may reach the upstream.
    pub(crate) fn drops(&self, bytes: &[u8], statuses: &[u16]) {
        let (mut client, shown) = self.refused_by(bytes, statuses);
        assert!(client.ends_within(Duration::from_secs(5)), "still open: {shown}");
    }

    /// The same of what is refused whole, so that the connection may go on.
    pub(crate) fn drops_quietly(&self, bytes: &[u8], statuses: &[u16]) {
        self.refused_by(bytes, statuses);
    }

    fn refused_by(&self, bytes: &[u8], statuses: &[u16]) -> (Client, String) {
        let before = self.upstream.bytes();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
        let mut client = self.client();
        client.send(bytes);
        let answer = client
            .try_answer("GET")
            .unwrap_or_else(|ended| panic!("{ended:?} instead of {statuses:?}: {shown}"));
        assert!(statuses.contains(&answer.status), "{answer:?} {}: {shown}", answer.text());
        if !answer.body.is_empty() {
            answer.refusal();
        }
        assert_eq!(self.upstream.bytes(), before, "nothing forwarded of {shown}");
        (client, shown)
    }

    /// The request must be forwarded and answered over HTTP/1.1.
    pub(crate) fn accepts(&self, request: &Request) -> Answer {
        let before = self.upstream.count();
        let answer = self.ask(request);
        assert_eq!(answer.status, 200, "{request:?}: {}", answer.text());
        assert_eq!(self.upstream.count(), before + 1, "forwarded once: {request:?}");
        keeps_header_rules(&answer);
        answer
    }

    /// A HEAD, which is answered without a body.
    pub(crate) fn accepts_head(&self, request: &Request) {
        let before = self.upstream.count();
        let answer = self.ask(request);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{request:?}");
        assert_eq!(self.upstream.count(), before + 1, "forwarded once: {request:?}");
    }

    /// The same over HTTP/2.
    pub(crate) fn accepts_h2(&self, request: &Request) -> Answer {
        let before = self.upstream.count();
        let answer = self.ask_h2(request);
        assert_eq!(answer.status, 200, "{request:?}: {}", answer.text());
        assert_eq!(self.upstream.count(), before + 1, "forwarded once: {request:?}");
        keeps_header_rules(&answer);
        answer
    }

    /// Changes the configuration and its files, and loads them.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Setup)) -> Result<(), String> {
        change(&mut self.setup);
        self.write();
        self.reload()
    }

    /// Writes the configuration's files anew.
    pub(crate) fn write(&self) {
        let url = format!("http://localhost:{}", self.upstream.address.port());
        self.setup.write(self.folder.path(), &url);
    }

    pub(crate) fn reload(&self) -> Result<(), String> {
        let gate = self.gate.lock().expect("lock");
        gate.as_ref().expect("running").reload().map_err(|fault| fault.to_string())
    }

    /// The gate itself, to be stopped by the test.
    pub(crate) fn take(&self) -> Gate {
        self.gate.lock().expect("lock").take().expect("running")
    }

    /// Stops and says how many requests were cut.
    pub(crate) fn stop(&self) -> usize {
        self.take().stop().cut
    }

    /// Stops in order and starts again with the same state and the same clock.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Starts again on what the state folder holds.
    pub(crate) fn start_again(&mut self) {
        let file = self.file();
        let gate = open(load(&file), &file, &self.clock, &self.log, Past::FromState);
        self.address = gate.address();
        self.operations = gate.operations_address();
        self.gate = Mutex::new(Some(gate));
    }

    /// Where clients in clear are sent on from, if anywhere.
    pub(crate) fn redirects(&self) -> Option<std::net::SocketAddr> {
        self.gate.lock().expect("lock").as_ref().and_then(Gate::redirect_address)
    }

    /// Asks the operations listener.
    pub(crate) fn operation(&self, path: &str) -> Answer {
        let mut client =
            Client::dial(self.operations, HOST, &["http/1.1"]).expect("operations listener");
        client.ask(&Request::get(path))
    }

    /// The sum of a metric over all lines that hold each of these label texts.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.operation("/metrics").text();
        let mut sum = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.rsplit_once(' ') else { continue };
            let own = key.split('{').next().unwrap_or_default();
            if own == name && labels.iter().all(|label| key.contains(label)) {
                *sum.get_or_insert(0.0) += value.parse::<f64>().expect("a number");
            }
        }
        sum.unwrap_or_else(|| panic!("no metric {name} {labels:?} in\n{text}"))
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.lock().expect("log").clone()).expect("text")
    }

    /// The lines of the log that are of requests, as JSON.
    pub(crate) fn request_lines(&self) -> Vec<serde_json::Value> {
        let all = self.log();
        let lines = all.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: {line}"))
        });
        lines.filter(|line: &serde_json::Value| line.get("request_id").is_some()).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.upstream.release();
        // A test that failed while it held the lock has nothing to stop in order.
        if let Ok(Some(gate)) = self.gate.get_mut().map(Option::take) {
            gate.stop();
        }
    }
}

fn load(file: &Path) -> Config {
    Config::load(file).unwrap_or_else(|faults| panic!("{faults}")).0
}

fn open(config: Config, file: &Path, clock: &Clock, log: &Arc<Mutex<Vec<u8>>>, past: Past) -> Gate {
    let log = LogSink::Memory(Arc::clone(log));
    let options = Options { source: Some(file.to_path_buf()), log, past };
    Gate::start(config, clock.clone(), options).unwrap_or_else(|fault| panic!("{fault}"))
}

/// Every header of a forwarded answer is the upstream's or one that the gate adds.
fn keeps_header_rules(answer: &Answer) {
    for (name, _) in &answer.headers {
        let known = ADDED_HEADERS.contains(&name.as_str()) || name == "content-type";
        assert!(known, "header {name} in {answer:?}");
    }
}
