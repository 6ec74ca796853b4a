//! What other processes and the kernel may have of the program's memory: nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::*;

/// A user that owns nothing.
const NOBODY: &str = "65534";

/// A command as a user that is not root, whom the kernel lets read everything.
fn as_nobody(program: &str) -> Command {
    let mut command = Command::new(program);
    if rustix::process::getuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program]);
    }
    command.stdin(Stdio::null());
    command
}

/// Whether another process of its user reads a process's environment, which the kernel allows to
/// whom it lets read the memory.
fn is_read(process: &Running) -> bool {
    let file = format!("/proc/{}/environ", process.id());
    as_nobody("cat").arg(file).output().unwrap().status.success()
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_gate_shows_its_memory_to_no_other_process_and_in_no_core_file() {
    let place = tempfile::tempdir().unwrap();
    allow(place.path(), 0o777);
    // Where a user can run it who cannot enter the folder of the build.
    let program = place.path().join("countersign");
    fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
    allow(&program, 0o755);

    let mut demo = as_nobody(path(&program));
    demo.args(["demo", "--port=0"]).env("TMPDIR", place.path()).current_dir(place.path());
    let mut demo = Running::start(demo);
    demo.read_until("Ctrl-C ends");
    let limits = fs::read_to_string(format!("/proc/{}/limits", demo.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert!(!is_read(&demo));
    let ended = demo.end_by(Signal::ABORT);
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));

    // Of a program that does not care, all of it would have been seen.
    let mut other = as_nobody("bash");
    other.args(["-c", "ulimit -c unlimited; echo begun; exec sleep 60"]);
    let mut other = Running::start({
        other.current_dir(place.path());
        other
    });
    other.read_until("begun");
    assert!(is_read(&other));
}
