//! `countersign provider`: looks at the built-in profiles of payment providers.

mod list;
mod show;

use std::sync::Arc;

use clap::Subcommand;
use countersign::config::provider::builtin;
use countersign::config::scheme;
use countersign::inbox::profile::{Compiled, Profile};
use countersign::scheme::{Scheme, Strength};

use super::Failure;

/// What to do with providers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the built-in providers.
    List(list::Arguments),
    /// Show what is read of a provider's webhooks, what its signature proves, and a table to paste.
    Show(show::Arguments),
}

/// Runs the command.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Show(arguments) => show::run(arguments),
    }
}

/// A built-in provider, as a source has it that states nothing else.
struct Provider {
    name: String,
    profile: &'static Profile,
    scheme: Arc<Scheme>,
    compiled: Compiled,
}

impl Provider {
    fn find(name: &str) -> Result<Self, Failure> {
        let profile = builtin(name).ok_or_else(|| {
            let hint = "`countersign provider list` shows the names";
            Failure::usage(format_args!("no provider is named {name}; {hint}"))
        })?;
        let scheme = profile.scheme.as_deref().and_then(scheme::builtin);
        let scheme = scheme.ok_or_else(|| Failure::failed(format_args!("{name} has no scheme")))?;
        let compiled = effective(profile, &scheme).compile(&scheme, &scheme::builtin);
        let compiled = compiled
            .map_err(|_| Failure::failed(format_args!("the profile of {name} is at fault")))?;
        Ok(Self { name: name.to_owned(), profile, scheme, compiled })
    }

    /// Whether its messages are confirmed without being asked for.
    fn must_confirm(&self) -> bool {
        must_confirm(self.profile, &self.scheme)
    }
}

fn must_confirm(profile: &Profile, scheme: &Scheme) -> bool {
    scheme.strength() < Strength::Full || profile.unsigned.is_some()
}

/// The profile with the calls that are made by default.
fn effective(profile: &Profile, scheme: &Scheme) -> Profile {
    let mut profile = profile.clone();
    if !must_confirm(&profile, scheme) {
        profile.confirm = None;
    }
    profile
}
