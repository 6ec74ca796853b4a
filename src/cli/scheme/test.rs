//! `countersign scheme test`: tries schemes on recorded messages.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use countersign::config::scheme::builtin;
use countersign::scheme::Scheme;
use serde_json::{Value, json};

use super::recipe::{Expected, Recipe, Trial};
use crate::cli::Failure;
use crate::cli::scheme_source::own;

/// What to try on what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recipe files: JSON with the id of a scheme, a vector and cases
    #[arg(value_name = "FILE.json", required = true)]
    recipes: Vec<PathBuf>,

    /// File with the schemes that are tried, instead of the built-in ones; may be repeated
    #[arg(long, value_name = "FILE.toml")]
    schemes: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let (files, recipes) = arguments.sorted();
    let own = own(&files)?;
    let find = |id: &str| match files.as_slice() {
        [] => builtin(id),
        _ => own.iter().find(|scheme| scheme.name() == id).cloned(),
    };
    let mut results = Vec::new();
    let mut good = true;
    for path in &recipes {
        let recipe = Recipe::read(path)?;
        let faults = match find(&recipe.id) {
            Some(scheme) => faults(&scheme, &recipe),
            None => vec!["no scheme has this id".to_owned()],
        };
        good &= faults.is_empty();
        if arguments.json {
            results.push(json!({
                "id": recipe.id,
                "good": faults.is_empty(),
                "messages": recipe.trials().len(),
                "faults": faults,
            }));
        } else if faults.is_empty() {
            writeln!(out, "good  {} ({} messages)", recipe.id, recipe.trials().len())?;
        } else {
            writeln!(out, "BAD   {}: {}", recipe.id, faults.join("; "))?;
        }
    }
    if arguments.json {
        writeln!(out, "{:#}", json!({ "good": good, "recipes": Value::Array(results) }))?;
    }
    if good { Ok(()) } else { Err(Failure::told()) }
}

impl Arguments {
    /// Scheme files and recipe files, wherever they stand: `--schemes a.toml b.json c.json`.
    fn sorted(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let all = self.schemes.iter().chain(&self.recipes).cloned();
        all.partition(|path| path.extension().is_some_and(|extension| extension == "toml"))
    }
}

/// Every message of a recipe that does not end as it must.
fn faults(scheme: &Scheme, recipe: &Recipe) -> Vec<String> {
    recipe.trials().iter().filter_map(|trial| fault(scheme, trial)).collect()
}

fn fault(scheme: &Scheme, trial: &Trial) -> Option<String> {
    match (trial.expected, trial.message.verify(scheme)) {
        (Expected::Accept, Ok(())) | (Expected::Reject, Err(_)) => None,
        (Expected::Accept, Err(refusal)) => {
            Some(format!("\"{}\" is refused: {refusal}", trial.name))
        }
        (Expected::Reject, Ok(())) => Some(format!("\"{}\" is accepted", trial.name)),
    }
}
