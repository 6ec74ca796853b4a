//! The secret and the named values for an envelope, each from a file.

use std::path::PathBuf;

use clap::Args;
use countersign::envelope::{Envelope, Prepared};
use countersign::secret::NamedSecrets;

use crate::cli::Failure;
use crate::cli::secret_source::secret_in;

/// Where secrets come from.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// File that holds the secret and nothing else (a line break at its end does not count)
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Another value: its name, `=`, and the file that holds it
    #[arg(long = "value", value_name = "NAME=FILE", value_parser = named)]
    values: Vec<(String, PathBuf)>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("a value is written NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

impl Keys {
    /// The envelope, ready with these.
    pub(super) fn prepare(&self, envelope: &Envelope) -> Result<Prepared, Failure> {
        let secret = match &self.secret_file {
            Some(path) => Some(secret_in(path)?),
            None => None,
        };
        let mut values = NamedSecrets::default();
        for (name, path) in &self.values {
            values.insert(name, secret_in(path)?);
        }
        envelope.prepare(secret.as_deref(), &values).map_err(|_| {
            let needs = envelope.needs().join(", ");
            Failure::failed(format_args!(
                "the secrets do not fit {}: it needs {needs}, each of the form and length that \
                 its cipher wants",
                envelope.name()
            ))
        })
    }
}
