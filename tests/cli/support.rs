//! Running the program and looking at what came of it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal};

/// A run of the program, without what the environment of the test brings along.
pub(crate) fn countersign(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_remove("COUNTERSIGN_SECRET").stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    countersign(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a run that must succeed.
pub(crate) fn good(output: &Output) -> &str {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn shell(script: &str) -> Output {
    Command::new("bash").args(["-c", script]).output().unwrap()
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `certs dev` into the folder `dev`.
pub(crate) fn certs_dev(place: &Path, more: &[&str]) -> Output {
    let dir = place.join("dev");
    let arguments = ["certs", "dev", "--dir", path(&dir)];
    run(&[&arguments[..], more].concat())
}

/// A program that goes on running; it is killed when the test ends before it does.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: Option<ChildStderr>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = child.stderr.take();
        Self { child, out, err }
    }

    /// Standard output up to the first line that holds `mark`, this line included.
    pub(crate) fn read_until(&mut self, mark: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains(mark)) {
            let more = self.out.read_line(&mut text).unwrap();
            assert_ne!(more, 0, "ended before {mark:?}: {text}");
        }
        text
    }

    /// The first line of standard error that holds `mark`.
    pub(crate) fn error_line(&mut self, mark: &str) -> String {
        let err = self.err.as_mut().unwrap();
        // Byte by byte, so that nothing of what follows is lost.
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            assert_eq!(err.read(&mut byte).unwrap(), 1, "ended before {mark:?}");
            if byte == [b'\n'] {
                let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
                if text.contains(mark) {
                    return text;
                }
            } else {
                line.push(byte[0]);
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal that ends it, and waits for the end.
    pub(crate) fn end_by(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Sends SIGTERM and waits for the end: exit status, and the rest of standard error.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.err.take().unwrap().read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
