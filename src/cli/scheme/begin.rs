//! `countersign scheme new`: begins a scheme from an example of a request.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign::scheme::{Definition, Formula, Vector};

use super::construction::{self, Example};
use crate::cli::Failure;
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

/// The request in a file. Lines of its head may end with a line feed alone.
fn request(path: &Path) -> Result<Vector, Failure> {
    let wrong = |what: &str| Failure::failed(format_args!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(&e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text"))?;
    let crlf = text.split_once("\r\n\r\n");
    let (head, body) = crlf.or_else(|| text.split_once("\n\n")).unwrap_or((&text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(wrong("the first line is METHOD TARGET HTTP/1.1"));
    };
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("a header is NAME: VALUE"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map_or("example.com", |(_, value)| value);
    let url = match target.starts_with('/') {
        true => format!("https://{host}{target}"),
        false => target.to_owned(),
    };
    Ok(Vector {
        method: method.to_owned(),
        url,
        headers,
        body: body.to_owned(),
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
