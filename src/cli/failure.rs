//! How a command that did not succeed ends: one message on standard error, one exit status.

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// What was asked for failed: exit status 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { status: 1, message: message.to_string() }
    }

    /// What was asked for failed, and the command has printed why.
    pub(crate) fn told() -> Self {
        Self { status: 1, message: String::new() }
    }

    /// The command line asks for something that cannot be: exit status 2.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { status: 2, message: message.to_string() }
    }

    /// The configuration is wrong: exit status 78, as `sysexits.h` has it.
    pub(crate) fn configuration(message: impl fmt::Display) -> Self {
        Self { status: 78, message: message.to_string() }
    }

    /// The error and everything that caused it, with what was being done first.
    pub(crate) fn because(what: impl fmt::Display, error: &dyn Error) -> Self {
        Self::failed(format_args!("{what}: {}", chain(error)))
    }

    /// Prints the message and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            // Without a reader there is nobody to tell; the status says enough.
            drop(writeln!(std::io::stderr(), "countersign: {}", self.message));
        }
        ExitCode::from(self.status)
    }
}

/// Only printing goes without a message of its own; files are named where they fail.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // The reader has seen enough, as with `| head`.
            std::io::ErrorKind::BrokenPipe => Self::told(),
            _ => Self::failed(format_args!("cannot write the output: {error}")),
        }
    }
}

/// An error and its causes in one line; causes that only repeat are left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn causes_follow_in_one_line() {
        assert_eq!(chain(&Outer(Inner)), "outer: inner");
        assert_eq!(chain(&Inner), "inner");
    }
}
