//! Sockets that are handed to the program as systemd hands them: numbered from 3, with names. The
//! test is the parent that keeps them open.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::client::Client;
use crate::support::process::{Process, Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::wait_until;

/// Two sockets that outlive every gate they are handed to.
pub(crate) struct Holder {
    sockets: [TcpListener; 2],
    names: &'static str,
}

impl Holder {
    /// One socket for all workers, and that of operations.
    pub(crate) fn new() -> Self {
        let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
        Self { sockets: [socket(), socket()], names: "listener:operations" }
    }

    /// A socket for each of two workers, on one port.
    fn per_worker() -> Self {
        let two = std::num::NonZeroUsize::new(2).unwrap();
        let both = countersign::serve::bind("127.0.0.1:0".parse().unwrap(), two).unwrap();
        Self { sockets: both.try_into().unwrap(), names: "listener:listener" }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sockets[0].local_addr().unwrap()
    }

    /// Where a gate that has both is asked for metrics and health.
    pub(crate) fn operations(&self) -> SocketAddr {
        self.sockets[1].local_addr().unwrap()
    }

    /// The command of a gate that has the sockets. They travel as standard input and output, which
    /// any program can be given, and a shell puts them where systemd would. The log goes to
    /// standard error.
    pub(crate) fn command(&self) -> Command {
        const AS_SYSTEMD: &str = "export LISTEN_PID=$$ LISTEN_FDS=2; \
                                  exec \"$@\" 3<&0 4<&1 0</dev/null 1>&2";
        let handed = |socket: &TcpListener| Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        let mut command = Command::new("sh");
        command.args(["-c", AS_SYSTEMD, "sh", env!("CARGO_BIN_EXE_countersign")]);
        command.args(["serve", "--config", "countersign.toml"]);
        command.env("LISTEN_FDNAMES", self.names);
        command.stdin(handed(&self.sockets[0])).stdout(handed(&self.sockets[1]));
        command
    }
}

pub(crate) fn post(target: &str) -> Request {
    v1().sign(Request::post(target, b"{\"amount\":100}"), wall_now())
}

/// A gate that is handed this must end with the status of a wrong configuration, and say this.
fn is_refused(site: &Site, holder: &Holder, words: &[&str]) {
    let mut process = site.spawn(holder.command());
    let status = process.ends_within(Duration::from_secs(60));
    assert_eq!(status.code(), Some(78), "{}", process.output());
    wait_until(&format!("{words:?}"), || {
        let said = process.output();
        words.iter().all(|word| said.contains(word))
    });
}

#[test]
fn a_gate_serves_on_sockets_that_it_was_handed_and_tells_how_it_stands() {
    let site = Site::new(Setup::new());
    let holder = Holder::new();
    let ear = UnixDatagram::bind(site.folder.path().join("ear")).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut text = [0; 200];
        let length = ear.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = holder.command();
    command.env("NOTIFY_SOCKET", site.folder.path().join("ear"));
    let mut gate = site.spawn(command);
    gate.wait_started();
    assert_eq!(gate.address, holder.address());
    assert!(hear().lines().any(|line| line == "READY=1"));
    assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
    gate.wait_ready();
    gate.signal(Signal::TERM);
    assert!(hear().lines().any(|line| line == "STOPPING=1"));
    assert_eq!(gate.ends_within(Duration::from_secs(60)).code(), Some(0), "{}", gate.output());
    // The socket is still there, and who comes now waits for the next gate.
    let address = holder.address();
    let early = std::thread::spawn(move || Client::connect(address).ask(&post("/v2/early")).status);
    let mut next = site.spawn(holder.command());
    next.wait_started();
    assert_eq!(early.join().unwrap(), 200);
}

/// Every socket of a group that the kernel spreads connections over has a core that accepts.
#[test]
fn a_socket_for_each_worker_leaves_no_connection_waiting() {
    let site = Site::new(Setup::new());
    let holder = Holder::per_worker();
    let mut gate = site.spawn(holder.command());
    gate.wait_started();
    for _ in 0..40 {
        assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
    }
}

#[test]
fn what_cannot_be_used_of_a_handover_is_said() {
    let site = Site::new(Setup::new().with("workers", "1"));
    is_refused(&site, &Holder::per_worker(), &["2 sockets `listener`"]);
    let unnamed = Holder { names: "listener:countersign.socket", ..Holder::new() };
    is_refused(&site, &unnamed, &["countersign.socket", "operations"]);
    let site = Site::new(Setup::new().with("listener.address", "\"127.0.0.1:9\""));
    is_refused(&site, &Holder::new(), &["127.0.0.1:9"]);
}

/// Waits until a gate says that it waits for the one before it.
pub(crate) fn wait_waiting(process: &Process) {
    wait_until("the successor to wait", || process.output().contains("waiting for the gate"));
}

/// A successor that could not serve says so while the gate before it still does.
#[test]
fn a_successor_with_a_mistake_ends_and_the_gate_before_it_serves_on() {
    let mut site = Site::new(Setup::new());
    let holder = Holder::new();
    let mut gate = site.spawn(holder.command());
    gate.wait_started();
    let good = site.setup.clone();
    site.setup.set("workers", "0");
    site.write();
    is_refused(&site, &holder, &["workers"]);
    site.setup = good;
    site.write();
    std::fs::write(site.folder.path().join("api.pem"), "no certificate").unwrap();
    is_refused(&site, &holder, &["api.pem"]);
    assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
}

/// A successor that is not needed after all goes without a trace.
#[test]
fn a_successor_that_waits_can_be_told_to_stop() {
    let site = Site::new(Setup::new());
    let holder = Holder::new();
    let mut gate = site.spawn(holder.command());
    gate.wait_started();
    let mut next = site.spawn(holder.command());
    wait_waiting(&next);
    next.signal(Signal::TERM);
    assert_eq!(next.ends_within(Duration::from_secs(60)).code(), Some(0), "{}", next.output());
    for _ in 0..20 {
        assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
    }
    assert!(TcpStream::connect(holder.address()).is_ok());
}
