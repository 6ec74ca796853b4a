//! `countersign sign`: the headers that sign a request, or the curl line that sends it.

use std::ffi::OsString;
use std::io::Write;

use clap::Args;

use super::signing::{Signed, SigningArguments};
use super::{Failure, curl, now};

/// What to sign, and how to print it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    signing: SigningArguments,

    /// Print a curl command line instead of headers
    #[arg(long, conflicts_with = "json", help_heading = "What is printed")]
    curl: bool,

    /// Print JSON instead of headers
    #[arg(long, help_heading = "What is printed")]
    json: bool,
}

pub(crate) fn run(
    arguments: &Arguments,
    secret: impl FnOnce() -> Option<OsString>,
) -> Result<(), Failure> {
    let (signed, _) = arguments.signing.sign(now(), secret)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json(&signed))?;
    } else if arguments.curl {
        writeln!(out, "{}", curl::line(&signed).map_err(Failure::usage)?)?;
    } else {
        for (name, value) in signed.all_headers() {
            writeln!(out, "{name}: {value}")?;
        }
    }
    Ok(())
}

fn json(signed: &Signed) -> serde_json::Value {
    let headers: Vec<_> = signed.all_headers().map(|(name, value)| [name, value]).collect();
    serde_json::json!({
        "scheme": signed.scheme,
        "method": signed.method.as_str(),
        "url": signed.url.to_string(),
        "headers": headers,
        "body_bytes": signed.body.bytes().len(),
    })
}
