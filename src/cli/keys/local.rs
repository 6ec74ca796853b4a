//! Commands that work where no store is open yet, or none may be: they are no verbs of the API.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use countersign::clock::Clock;
use countersign::custody::{CustodyFault, MasterSource, Masters};
use countersign::store::Store;

use super::office;
use crate::cli::Failure;
use crate::cli::failure::chain;

/// A command: its words, what it does, and the function that does it.
struct Local {
    topic: &'static str,
    word: &'static str,
    about: &'static str,
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

const ALL: &[Local] = &[Local {
    topic: "master",
    word: "init",
    about: "Make the first master key, where there is none, and an empty store of keys",
    run: master_init,
}];

/// The commands of a topic.
pub(super) fn commands(topic: &str) -> impl Iterator<Item = Command> {
    let own = ALL.iter().filter(move |local| local.topic == topic);
    own.map(|local| Command::new(local.word).about(local.about).arg(config()))
}

/// Runs the command of these words, if it is one of these.
pub(super) fn run(topic: &str, word: &str, matches: &ArgMatches) -> Option<Result<(), Failure>> {
    let local = ALL.iter().find(|local| local.topic == topic && local.word == word)?;
    Some((local.run)(matches))
}

fn config() -> Arg {
    let argument = Arg::new("config").long("config").short('c').value_name("FILE");
    argument.required(true).value_parser(value_parser!(PathBuf)).help("Configuration file")
}

fn master_init(matches: &ArgMatches) -> Result<(), Failure> {
    let path: Option<&PathBuf> = matches.get_one("config");
    let path = path.ok_or_else(|| Failure::usage("give --config FILE"))?;
    let keys = office::configuration(path)?.keys;
    let failed = |fault: CustodyFault| Failure::failed(chain(&fault));
    if keys.store.exists() {
        let place = keys.store.display();
        return Err(Failure::failed(format_args!("{place}: there is a store of keys already")));
    }
    if keys.store.parent().is_some_and(|folder| !folder.is_dir()) {
        let config = path.display();
        return Err(Failure::failed(format_args!(
            "there is no state folder yet; `countersign init --config {config}` makes one"
        )));
    }
    let masters = match Masters::open(&keys.master) {
        Ok(masters) => masters,
        Err(CustodyFault::Absent(_)) => Masters::create(&keys.master).map_err(failed)?,
        Err(fault) => return Err(failed(fault)),
    };
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}  {}", masters.describe(), masters.current())?;
    if matches!(keys.master, MasterSource::File(_)) {
        writeln!(
            out,
            "  Who has this file and the store has every secret. Keep a copy of it apart from the \
             backups of the store: without it nobody opens them. In production the key belongs \
             into a token (docs/keys.md)."
        )?;
    }
    Store::open(&keys.store, masters, Clock::system())
        .map_err(|fault| Failure::failed(chain(&fault)))?;
    writeln!(out, "{}  an empty store of keys", keys.store.display())?;
    Ok(())
}
