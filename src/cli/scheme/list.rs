//! `countersign scheme list`: every scheme that can be named.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use countersign::config::scheme::builtin_schemes;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::scheme_source::own;
use crate::cli::table::{Cell, render};

/// What to list, and how.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// File with schemes of your own; may be repeated
    #[arg(long, value_name = "FILE", num_args = 1..)]
    schemes: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut schemes = own(&arguments.schemes)?;
    schemes.extend(builtin_schemes());
    let mut out = anstream::stdout().lock();
    if arguments.json {
        let all = schemes.iter().map(|scheme| {
            json!({
                "name": scheme.name(),
                "about": scheme.definition().about,
                "strength": scheme.strength().as_str(),
                "gateway": scheme.unfit_for_routes().is_empty(),
                "gateway_remembered": scheme.needs_remembering(),
                "unsigned": scheme.coverage().unsigned_parts(),
            })
        });
        writeln!(out, "{:#}", all.collect::<serde_json::Value>())?;
        return Ok(());
    }
    let heading = ["scheme", "routes", "strength", "what it is"].map(Cell::plain);
    let mut lines = vec![heading.to_vec()];
    for scheme in &schemes {
        let fits = match scheme.unfit_for_routes() {
            [] => "yes",
            _ if scheme.needs_remembering() => "remembered",
            _ => "no",
        };
        let cells = [scheme.name(), fits, scheme.strength().as_str(), &scheme.definition().about];
        lines.push(cells.map(Cell::plain).to_vec());
    }
    write!(out, "{}", render(&lines))?;
    Ok(())
}
