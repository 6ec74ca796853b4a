//! The commands of the program, one file each. A command reads its arguments, calls the library and
//! prints; it decides nothing about requests.

mod certs;
mod check;
mod curl;
mod demo;
mod envelope;
mod expected;
mod explain;
mod failure;
mod http_file;
mod inbox;
mod init;
mod keys;
mod notice;
mod provider;
mod rolling;
mod scan;
mod scheme;
mod scheme_source;
mod sealing;
mod secret_source;
mod send;
mod serve;
mod sign;
mod signals;
mod signing;
mod supervisor;
mod table;
mod top;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use countersign::clock::{Clock, Timestamp};
use tokio::runtime::Runtime;

pub(crate) use failure::Failure;
pub(crate) use supervisor::Supervisor;

/// The environment variable that may hold the secret for `sign` and `send`.
pub(crate) const SECRET_VARIABLE: &str = "COUNTERSIGN_SECRET";

const EXIT_STATUS: &str = "\
Exit status: 0 all is well, 1 what was asked for failed, 2 the command line is wrong, \
78 the configuration is wrong.";

/// Countersign, a gate in front of merchant APIs: it verifies every signature, refuses every replay
/// and passes only clean requests on.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS, propagate_version = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it out: a whole gate on this machine, and a tour of what it lets through and refuses.
    Demo(demo::Arguments),
    /// Run the gate until SIGTERM; SIGHUP reloads its files, SIGUSR1 confirms its clock.
    Serve(serve::Arguments),
    /// Show every mistake in a configuration, or what it amounts to.
    Check(check::Arguments),
    /// Make the state folder of a gate that has never run.
    Init(init::Arguments),
    /// Make certificates and secrets for development.
    #[command(subcommand)]
    Certs(certs::Command),
    /// Sealed bodies: list, explain and test envelopes, seal and open by hand.
    #[command(subcommand)]
    Envelope(envelope::Command),
    /// Look at schemes: list, explain, test and begin them.
    #[command(subcommand)]
    Scheme(scheme::Command),
    /// Look at the built-in payment providers whose webhooks can be taken.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Say why a saved request's signature matches or does not: what is signed, and the mistake.
    Explain(explain::Arguments),
    /// Sign a request: print its headers, or a curl line that sends it.
    Sign(sign::Arguments),
    /// Sign a request, send it over HTTPS and show the answer.
    Send(send::Arguments),
    /// Watch a running gate: requests, refusals, times, upstreams, replay memory, webhooks.
    Top(top::Arguments),
    /// Find secrets and master keys that lie in files where they should not.
    Scan(scan::Arguments),
}

/// Runs the command that the command line names. `secret` reads the environment, for those that
/// sign; `supervisor` reads there what this process was given, for the one that serves.
pub(crate) fn run(
    secret: impl FnOnce() -> Option<OsString>,
    supervisor: impl FnOnce() -> Supervisor,
) -> Result<(), Failure> {
    let matches = keys::add_to(Arguments::command()).get_matches();
    if let Some(done) = keys::run(&matches) {
        return done;
    }
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|fault| fault.exit());
    match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments, supervisor()),
        Command::Check(arguments) => check::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Certs(certs::Command::Dev(arguments)) => certs::dev(&arguments),
        Command::Certs(certs::Command::Renew(arguments)) => certs::renew(&arguments),
        Command::Envelope(command) => envelope::run(&command),
        Command::Scheme(command) => scheme::run(command),
        Command::Provider(command) => provider::run(&command),
        Command::Explain(arguments) => explain::run(&arguments, secret),
        Command::Sign(arguments) => sign::run(&arguments, secret),
        Command::Send(arguments) => send::run(&arguments, secret),
        Command::Top(arguments) => top::run(&arguments),
        Command::Scan(arguments) => scan::run(&arguments),
    }
}

/// The time to sign, by the wall clock.
fn now() -> Timestamp {
    Clock::system().now()
}

/// A runtime for one command: signals, a client, waiting.
fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::because("cannot start a runtime", &e))
}
