//! `countersign scheme`: looks at schemes, tries them on recorded messages, and begins new ones.

mod begin;
mod construction;
mod explain;
mod list;
mod recipe;
mod test;

use clap::Subcommand;

use super::Failure;

/// What to do with schemes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the built-in schemes, and your own.
    List(list::Arguments),
    /// Show what a scheme signs, piece by piece, and what it leaves open.
    Explain(explain::Arguments),
    /// Try schemes on recorded messages: recipe files, matched by their id.
    Test(test::Arguments),
    /// Begin a scheme from an example of a request.
    New(begin::Arguments),
}

/// Runs the command.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::New(arguments) => begin::run(&arguments),
    }
}
