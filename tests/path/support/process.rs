//! The real program as a process of its own, for signals and for ends that nobody asked for.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::answer::Answer;
use super::client::Client;
use super::request::{HOST, Request};
use super::setup::Setup;
use super::upstream::Upstream;
use super::wait_until;

/// A `countersign serve` that this test started. It is killed when it goes out of scope.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
}

/// A folder with configuration and state, and the upstream that it names.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) setup: Setup,
}

impl Site {
    pub(crate) fn new(setup: Setup) -> Self {
        Self::prepared(setup, |_| {})
    }

    /// The same, with more files in its folder.
    pub(crate) fn prepared(setup: Setup, prepare: impl FnOnce(&Path)) -> Self {
        let (folder, upstream) = (tempfile::tempdir().expect("folder"), Upstream::start());
        Setup::write_certificates(folder.path());
        prepare(folder.path());
        let site = Self { folder, upstream, setup };
        site.write();
        let output = countersign(site.folder.path(), &["init", "--config", "countersign.toml"]);
        assert!(output.0.success(), "{}", output.1);
        site
    }

    pub(crate) fn write(&self) {
        let url = format!("http://localhost:{}", self.upstream.address.port());
        self.setup.write(self.folder.path(), &url);
    }

    pub(crate) fn serve(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--config", "countersign.toml"]);
        self.run(command)
    }

    /// Runs a command that ends up as `countersign serve`.
    pub(crate) fn run(&self, mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = self.spawn(command);
        process.wait_started();
        process
    }

    /// The same with the standard input and output that the command has, and without waiting for
    /// its start.
    pub(crate) fn spawn(&self, mut command: Command) -> Process {
        command.current_dir(self.folder.path());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("program starts");
        let output = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, &output);
        }
        collect(child.stderr.take().expect("stderr"), &output);
        Process {
            child,
            output,
            address: "0.0.0.0:0".parse().expect("address"),
            operations: "0.0.0.0:0".parse().expect("address"),
        }
    }
}

/// Runs the program to its end.
pub(crate) fn countersign(folder: &Path, arguments: &[&str]) -> (ExitStatus, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.args(arguments).current_dir(folder).output().expect("program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&text).into_owned())
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut all = output.lock().expect("lock");
            all.push_str(&line);
            all.push('\n');
        }
    });
}

impl Process {
    pub(crate) fn wait_started(&mut self) {
        wait_until("the program to listen", || self.has_started());
    }

    fn has_started(&mut self) -> bool {
        let output = self.output();
        if let Some(status) = self.child.try_wait().expect("status") {
            panic!("ended with {status}:\n{output}");
        }
        let events = output.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut started = events.filter(|event: &serde_json::Value| event["event"] == "started");
        let Some(event) = started.next() else { return false };
        let address = |name: &str| event[name].as_str().and_then(|text| text.parse().ok());
        self.address = address("address").expect("an address");
        self.operations = address("operations").expect("an address");
        true
    }

    /// Everything it wrote, on both streams.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("lock").clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal sent");
    }

    /// SIGKILL, and wait until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Waits for its end by itself.
    pub(crate) fn ends_within(&mut self, time: Duration) -> ExitStatus {
        let until = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().expect("status") {
                return status;
            }
            assert!(Instant::now() < until, "still running:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn ask(&self, request: &Request) -> Answer {
        Client::connect(self.address).ask(request)
    }

    pub(crate) fn operation(&self, path: &str) -> Answer {
        let mut client = Client::dial(self.operations, HOST, &["http/1.1"]).expect("listener");
        client.ask(&Request::get(path))
    }

    pub(crate) fn wait_ready(&self) {
        wait_until("readiness", || self.operation("/readyz").status == 200);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The system's time in Unix seconds.
pub(crate) fn wall_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}
