//! `countersign certs renew`: asks a running gate for a certificate before its time.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use countersign::acme::Vault;
use countersign::config::Config;

use crate::cli::Failure;
use crate::cli::check::colour;

/// Which certificate is wanted.
#[derive(Debug, Args)]
pub(crate) struct RenewArguments {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,

    /// A name in listener.acme.names
    name: String,
}

pub(crate) fn renew(arguments: &RenewArguments) -> Result<(), Failure> {
    let (config, _) = Config::load(&arguments.config)
        .map_err(|faults| Failure::configuration(faults.render(colour())))?;
    let Some(acme) = &config.listener.acme else {
        return Err(Failure::failed("no authority issues certificates: see listener.acme"));
    };
    let name = arguments.name.to_ascii_lowercase();
    if !acme.names.iter().any(|own| **own == *name) {
        let names = acme.names.join(", ");
        return Err(Failure::failed(format_args!("{name} is none of the names: {names}")));
    }
    let vault = Vault::of(Some(&config.state), &acme.directory);
    vault.ask_for(&name).map_err(|fault| match fault.kind() {
        ErrorKind::NotFound => Failure::failed(format_args!(
            "nothing was ordered for {} yet: a gate orders as soon as it runs",
            config.state.display()
        )),
        _ => Failure::because("the gate cannot be asked", &fault),
    })?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "A gate that runs on {} orders {name} now.", config.state.display())?;
    writeln!(out, "Its log says what came of it: certificate_issued or certificate_failed.")?;
    Ok(())
}
