//! Where a secret goes that is shown once: to a terminal, or into a new file of its own.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use countersign::administration::Outcome;

use crate::cli::Failure;

/// A place that is ready to take a secret.
pub(super) enum Handover {
    /// Standard output, which is a terminal.
    Terminal,
    /// A file of mode 0600 that was not there before.
    File(PathBuf, File),
}

/// What became of it.
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
                return Ok(Self::Terminal);
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
        Ok(Self::File(path.to_owned(), file))
    }

    /// Hands the secret of an outcome over, if it has one.
    pub(super) fn take(self, outcome: &Outcome) -> Result<Handed, Failure> {
        let Self::File(path, mut file) = self else { return Ok(Handed::Print) };
        let Some(secret) = &outcome.secret else {
            // Nothing may be left that looks like a secret.
            std::fs::remove_file(&path)?;
            return Ok(Handed::Print);
        };
        let written = file
            .write_all(secret.expose().as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all());
        match written {
            Ok(()) => Ok(Handed::Written(path)),
            Err(fault) => Err(Failure::failed(format_args!(
                "{}: the secret was made and could not be written: {fault}; make another",
                path.display()
            ))),
        }
    }
}
