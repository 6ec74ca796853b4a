//! Where a secret goes that is shown once: to a terminal, or into a new file of its own.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use countersign::administration::Outcome;

use crate::cli::Failure;

/// A place that is ready to take a secret. A file that took none is removed again, so that nothing
/// is left that looks like a secret.
pub(super) struct Handover(Option<NewFile>);

/// A file of mode 0600 that was not there before.
struct NewFile {
    path: PathBuf,
    file: File,
    written: bool,
}

/// Where a secret went.
pub(super) enum Handed {
    /// It is to be printed.
    Print,
    /// It is in this file.
    Written(PathBuf),
}

impl Handover {
    /// Makes the place ready, before the secret is made.
    pub(super) fn prepare(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            if std::io::stdout().is_terminal() {
                return Ok(Self(None));
            }
            return Err(Failure::usage(
                "a secret is shown once, and standard output is no terminal: name a new file for \
                 it by --secret-out FILE",
            ));
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|fault| {
            Failure::failed(format_args!("{}: cannot make the file: {fault}", path.display()))
        })?;
        Ok(Self(Some(NewFile { path: path.to_owned(), file, written: false })))
    }

    /// Hands the secret of an outcome over, if it has one.
    pub(super) fn take(self, outcome: &Outcome) -> Result<Handed, Failure> {
        let (Some(mut new), Some(secret)) = (self.0, &outcome.secret) else {
            return Ok(Handed::Print);
        };
        let mut write = || {
            new.file.write_all(secret.expose().as_bytes())?;
            new.file.write_all(b"\n")?;
            new.file.sync_all()
        };
        write().map_err(|fault| {
            Failure::failed(format_args!(
                "{}: the secret was made and could not be written: {fault}; make another",
                new.path.display()
            ))
        })?;
        new.written = true;
        Ok(Handed::Written(new.path.clone()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.written {
            // Where even that fails, an empty file is left.
            drop(std::fs::remove_file(&self.path));
        }
    }
}
