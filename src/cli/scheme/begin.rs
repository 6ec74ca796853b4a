use clap::Args;
use crate::cli::Failure;
#[derive(Debug, Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments) -> Result<(), Failure> {
    Ok(())
}
