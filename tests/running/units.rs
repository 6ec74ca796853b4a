//! The units in `deploy/` with systemd's own programs: they are read, rated, and their sockets are
//! handed over as systemd does it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::handover::post;
use crate::support::client::Client;
use crate::support::process::{Site, countersign};
use crate::support::setup::Setup;

const SERVICE: &str = "countersign.service";
const SOCKETS: [&str; 2] = ["countersign.socket", "countersign-operations.socket"];
/// Ten times the exposure that `systemd-analyze security` may find: below 2 is "OK".
const EXPOSURE_MAX: &str = "--threshold=19";

fn unit(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(path).unwrap()
}

/// The one value of a key.
fn value<'u>(unit: &'u str, key: &str) -> &'u str {
    let values: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    assert_eq!(values.len(), 1, "{key} in {unit}");
    values[0]
}

/// The units in a folder, with the program where it is.
fn units(folder: &Path) {
    let program = env!("CARGO_BIN_EXE_countersign");
    for name in SOCKETS.into_iter().chain([SERVICE]) {
        let text = unit(name).replace("/usr/local/bin/countersign", program);
        fs::write(folder.join(name), text).unwrap();
    }
}

fn analyze(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).current_dir(folder).env("SYSTEMD_COLORS", "0");
    command.output().expect("systemd-analyze, of Debian's package systemd")
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn systemd_reads_every_line_of_the_units() {
    let folder = tempfile::tempdir().unwrap();
    units(folder.path());
    let verify = |name: &str| analyze(folder.path(), &["verify", "--man=no", &format!("./{name}")]);
    for name in SOCKETS.into_iter().chain([SERVICE]) {
        let output = verify(name);
        let said = said(&output);
        // Units of the machine may have mistakes of their own.
        let ours = said.lines().find(|line| line.contains("countersign"));
        assert!(output.status.success() && ours.is_none(), "{name}: {said}");
    }
    // A gate that fails is started again for ever: giving up would close the sockets.
    assert_eq!(value(&unit(SERVICE), "StartLimitIntervalSec"), "0");
    // And it would be noticed.
    let wrong = unit(SERVICE).replace("ProtectSystem=strict", "ProtectSystem=strickt");
    fs::write(folder.path().join(SERVICE), wrong).unwrap();
    assert!(said(&verify(SERVICE)).contains("strickt"));
}

#[test]
fn a_reload_by_systemd_tells_by_its_status() {
    let site = Site::new(Setup::new());
    let text = unit(SERVICE);
    let reload: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
    let [check, kill] = reload[..] else { panic!("{reload:?}") };
    assert_eq!(kill, "/bin/kill -HUP $MAINPID");
    let check: Vec<&str> = check.split(' ').collect();
    assert_eq!(check[0], "/usr/local/bin/countersign");
    let arguments: Vec<&str> =
        check[1..].iter().map(|one| one.strip_prefix("/etc/countersign/").unwrap_or(one)).collect();
    let (status, said) = countersign(site.folder.path(), &arguments);
    assert!(status.success(), "{said}");
    fs::write(site.folder.path().join("api.key"), "none").unwrap();
    let (status, said) = countersign(site.folder.path(), &arguments);
    assert!(!status.success() && said.contains("api.key"), "{said}");
}

#[test]
fn the_service_is_given_little() {
    let folder = tempfile::tempdir().unwrap();
    units(folder.path());
    let service = format!("./{SERVICE}");
    let arguments = ["security", "--offline=true", "--no-pager", EXPOSURE_MAX, &service];
    let rate = || analyze(folder.path(), &arguments);
    let output = rate();
    assert!(output.status.success(), "{}", said(&output));
    let taken = ["NoNewPrivileges=", "RestrictNamespaces=", "SystemCallFilter="];
    let open = taken.iter().fold(unit(SERVICE), |text, key| text.replace(key, "#"));
    fs::write(folder.path().join(SERVICE), open).unwrap();
    assert!(!rate().status.success(), "it would be noticed");
}

/// `systemd-socket-activate` holds the sockets, under the names that the units give them, and
/// starts the gate when somebody comes.
#[test]
fn a_gate_that_systemd_starts_for_its_first_client_serves_him() {
    // A loopback address of this process's own, so that fixed ports are free.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let at = |port: u16| SocketAddr::from(([127, 100 + (high & 0x3f), low, 1], port));
    let addresses = [at(8443), at(9443)];
    let [listener, operations] = addresses.map(|address| format!("\"{address}\""));
    let setup = Setup::new().with("listener.address", &listener);
    let site = Site::new(setup.with("operations.address", &operations));
    let ear = UnixDatagram::bind(site.folder.path().join("ear")).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = Command::new("systemd-socket-activate");
    for (name, address) in SOCKETS.into_iter().zip(addresses) {
        let own = value(&unit(name), "ListenStream").rsplit_once(':').unwrap().1.to_owned();
        assert_eq!(own, address.port().to_string(), "the port in {name}");
        command.args(["--listen", &address.to_string()]);
    }
    let names = SOCKETS.map(|name| value(&unit(name), "FileDescriptorName").to_owned()).join(":");
    command.args(["--fdname", &names]);
    let told = format!("NOTIFY_SOCKET={}", site.folder.path().join("ear").display());
    command.args(["--setenv", &told, env!("CARGO_BIN_EXE_countersign")]);
    command.args(["serve", "--config", "countersign.toml"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut gate = site.spawn(command);
    crate::support::wait_until("the sockets", || gate.output().contains("Listening on"));
    let answer = Client::connect(addresses[0]).ask(&post("/v2/orders"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    gate.wait_started();
    assert_eq!((gate.address, gate.operations), (addresses[0], addresses[1]));
    let mut text = [0; 200];
    let length = ear.recv(&mut text).unwrap();
    assert!(String::from_utf8_lossy(&text[..length]).contains("READY=1"));
    gate.wait_ready();
    gate.signal(Signal::TERM);
    assert_eq!(gate.ends_within(Duration::from_secs(20)).code(), Some(0), "{}", gate.output());
}
