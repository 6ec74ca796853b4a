//! `countersign init`: a state folder for a gate that has no past.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use countersign::config::Config;
use countersign::replay::StateFolder;

use super::Failure;

/// Where to make it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Arguments {
    /// Make the folder that this configuration names
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Make this folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = match (&arguments.state, &arguments.config) {
        (Some(path), _) => path.clone(),
        (None, Some(file)) => Config::load(file).map_err(Failure::configuration)?.0.state,
        (None, None) => return Err(Failure::usage("give --config FILE or --state DIR")),
    };
    StateFolder::init(&path).map_err(Failure::failed)?;
    writeln!(std::io::stdout(), "{}  state of a gate that has no past", path.display())?;
    Ok(())
}
