//! `countersign provider list`: every provider that a source can name.

use std::io::Write;

use clap::Args;
use countersign::config::provider::builtin_names;
use serde_json::json;

use super::Provider;
use crate::cli::Failure;
use crate::cli::table::{Cell, render};

/// How to list them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let all = builtin_names().map(Provider::find).collect::<Result<Vec<_>, _>>()?;
    let mut out = anstream::stdout().lock();
    if arguments.json {
        let all = all.iter().map(|one| {
            json!({
                "name": one.name,
                "about": one.profile.about,
                "scheme": one.scheme.name(),
                "strength": one.scheme.strength().as_str(),
                "confirmed": one.must_confirm(),
                "can_confirm": one.profile.confirm.is_some(),
            })
        });
        writeln!(out, "{:#}", all.collect::<serde_json::Value>())?;
        return Ok(());
    }
    let heading = ["provider", "strength", "confirmed", "what it is"].map(Cell::plain);
    let mut lines = vec![heading.to_vec()];
    for one in &all {
        let confirmed = match (one.must_confirm(), one.profile.confirm.is_some()) {
            (true, true) => "always",
            (true, false) => "by your service",
            (false, true) => "where asked for",
            (false, false) => "no",
        };
        let strength = one.scheme.strength().as_str();
        let cells = [one.name.as_str(), strength, confirmed, &one.profile.about];
        lines.push(cells.map(Cell::plain).to_vec());
    }
    write!(out, "{}", render(&lines))?;
    Ok(())
}
