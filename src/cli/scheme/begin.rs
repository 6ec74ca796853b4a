//! `countersign scheme new`: begins a scheme from an example of a request.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::scheme::{Definition, Formula, Vector};

use super::construction::{self, Example};
use crate::cli::Failure;
use crate::cli::http_file::SavedRequest;
use crate::cli::secret_source::secret_in;

/// What to begin from.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// File with a whole signed request, as HTTP/1.1 has it
    #[arg(long, value_name = "FILE.http")]
    request: PathBuf,

    /// File with the secret that signed it: usual constructions are tried until one fits
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// The name of the new scheme
    #[arg(long, default_value = "partner", value_name = "NAME")]
    name: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let message = request(&arguments.request)?;
    let example = Example::of(&message);
    let found = match &arguments.secret_file {
        Some(path) => construction::find(&example, &message, secret_in(path)?),
        None => None,
    };
    let definition = found.clone().unwrap_or_else(|| example.guess());
    let mut out = anstream::stdout().lock();
    let words = match (&found, &arguments.secret_file) {
        (Some(_), _) => "It verifies the example. Try it on others before you rely on it.",
        (None, Some(_)) => {
            "No usual construction gives this signature: message, mac and key are guesses."
        }
        (None, None) => "A guess from names and lengths: give --secret-file to have it tried.",
    };
    writeln!(out, "# {words}")?;
    write!(out, "{}", written(&arguments.name, &definition))?;
    match (found, &arguments.secret_file) {
        (None, Some(_)) => Err(Failure::told()),
        _ => Ok(()),
    }
}

/// The request in a file.
fn request(path: &Path) -> Result<Vector, Failure> {
    let saved = SavedRequest::read(path)?;
    let body = String::from_utf8(saved.body.to_vec())
        .map_err(|_| Failure::failed(format_args!("{}: the body is no text", path.display())))?;
    let host = if saved.authority.is_empty() { "example.com" } else { &saved.authority };
    Ok(Vector {
        url: format!("https://{host}{}", saved.target),
        method: saved.method,
        headers: saved.written,
        body,
        ..Vector::default()
    })
}

/// A definition as TOML.
fn written(name: &str, definition: &Definition) -> String {
    let text = |formula: &Option<Formula>| match formula {
        Some(Formula::Always(text)) => Some(text.clone()),
        _ => None,
    };
    let keys = [
        ("key_id", text(&definition.key_id)),
        ("time", text(&definition.time)),
        ("time_unit", definition.time_unit.clone()),
        ("nonce", text(&definition.nonce)),
        ("message", text(&definition.message)),
        ("mac", definition.mac.clone()),
        ("key", text(&definition.key)),
        ("encode", definition.encode.clone()),
        ("signature", text(&definition.signature)),
    ];
    let mut toml = format!("[{name}]\nabout     = \"what it is, in a line\"\n");
    for (key, value) in keys {
        if let Some(value) = value {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            toml.push_str(&format!("{key:9} = \"{value}\"\n"));
        }
    }
    toml
}
