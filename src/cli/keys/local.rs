//! Commands that work where no store is open yet, or none may be: they are no verbs of the API.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use countersign::administration::upkeep::Report;
use countersign::clock::Clock;
use countersign::custody::{CustodyFault, MasterSource, Masters};
use countersign::store::Store;

use super::{confirm, office};
use crate::cli::Failure;
use crate::cli::failure::chain;
use crate::cli::inbox;

/// A command: its words, what it does, its own arguments, and the function that does it.
struct Local {
    topic: &'static str,
    word: &'static str,
    about: &'static str,
    arguments: fn() -> Vec<Arg>,
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

const ALL: &[Local] = &[
    Local {
        topic: "master",
        word: "create",
        about: "Make the master key that is named and not there, and the store where there is none",
        arguments: Vec::new,
        run: create_master,
    },
    Local {
        topic: "store",
        word: "restore",
        about: "Put a backup in the place of the store, which nobody may have open",
        arguments: || {
            let yes = Arg::new("yes").long("yes").action(ArgAction::SetTrue);
            vec![file("from", "The backup"), yes.help("Do not ask whether this is meant")]
        },
        run: restore,
    },
    Local {
        topic: "inbox",
        word: "tail",
        about: "Follow webhooks as they are taken",
        arguments: inbox::arguments,
        run: inbox::tail,
    },
    Local {
        topic: "doctor",
        word: "",
        about: "Prove that a backup can be put back: everything in it opens",
        arguments: || {
            let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
            vec![file("backup", "The backup"), json.help("Print JSON")]
        },
        run: doctor,
    },
];

/// The commands of a topic.
pub(super) fn commands(topic: &str) -> impl Iterator<Item = Command> {
    ALL.iter().filter(move |local| local.topic == topic).map(|local| {
        let name = if local.word.is_empty() { local.topic } else { local.word };
        let config = file("config", "Configuration file").short('c');
        Command::new(name).about(local.about).args((local.arguments)()).arg(config)
    })
}

/// Runs the command of these words, if it is one of these.
pub(super) fn run(topic: &str, word: &str, matches: &ArgMatches) -> Option<Result<(), Failure>> {
    let local = ALL.iter().find(|local| local.topic == topic && local.word == word)?;
    Some((local.run)(matches))
}

fn file(name: &'static str, about: &'static str) -> Arg {
    let argument = Arg::new(name).long(name).value_name("FILE").required(true);
    argument.value_parser(value_parser!(PathBuf)).help(about)
}

/// A file that clap has asked for.
fn given<'m>(matches: &'m ArgMatches, name: &str) -> Result<&'m PathBuf, Failure> {
    let path = matches.get_one::<PathBuf>(name);
    path.ok_or_else(|| Failure::usage(format_args!("give --{name} FILE")))
}

/// Opens a backup in a folder of its own.
fn doctor(matches: &ArgMatches) -> Result<(), Failure> {
    let keys = office::configuration(given(matches, "config")?)?.keys;
    let backup = given(matches, "backup")?;
    let masters = Masters::open(&keys.master).map_err(|fault| Failure::failed(chain(&fault)))?;
    let trial = Store::try_backup(backup, masters, Clock::system());
    let trial = trial.map_err(|fault| Failure::failed(chain(&fault)))?;
    let report = Report::from(&trial);
    let mut out = anstream::stdout().lock();
    if matches.get_flag("json") {
        let report = serde_json::to_string_pretty(&report);
        writeln!(out, "{}", report.map_err(|fault| Failure::because("the report", &fault))?)?;
    } else if report.good {
        writeln!(
            out,
            "{} can be put back: {} merchants, {} credentials, {} secrets and {} rows of the audit \
             log open.",
            backup.display(),
            report.merchants,
            report.credentials,
            report.secrets,
            report.audit_rows
        )?;
    } else {
        for fault in &report.faults {
            writeln!(out, "{fault}")?;
        }
    }
    if report.good { Ok(()) } else { Err(Failure::told()) }
}

fn restore(matches: &ArgMatches) -> Result<(), Failure> {
    let keys = office::configuration(given(matches, "config")?)?.keys;
    let backup = given(matches, "from")?;
    if !matches.get_flag("yes") {
        confirm("store restore", "Put it in the place of the store that is there")?;
    }
    let masters = Masters::open(&keys.master).map_err(|fault| Failure::failed(chain(&fault)))?;
    let trial = Store::restore(backup, &keys.store, masters, Clock::system());
    let trial = trial.map_err(|fault| Failure::failed(chain(&fault)))?;
    let mut out = anstream::stdout().lock();
    let (store, count) = (keys.store.display(), trial.merchants);
    writeln!(out, "{store}  {count} merchants, from {}", backup.display())?;
    if trial.raised > 0 {
        writeln!(out, "{} versions were revoked since, and stay so", trial.raised)?;
    }
    if let Some(doubt) = &trial.unconfirmed {
        writeln!(
            out,
            "{doubt}: what was revoked since may stand here as active, so nothing can be used. \
             Look at it, then: countersign store confirm"
        )?;
    }
    Ok(())
}

/// Makes what is missing of master key and store. A store whose master key file is lost gets no new
/// one: that would not open it.
fn create_master(matches: &ArgMatches) -> Result<(), Failure> {
    let path = given(matches, "config")?;
    let keys = office::configuration(path)?.keys;
    let failed = |fault: CustodyFault| Failure::failed(chain(&fault));
    if keys.store.parent().is_some_and(|folder| !folder.is_dir()) {
        let config = path.display();
        return Err(Failure::failed(format_args!(
            "there is no state folder yet; `countersign init --config {config}` makes one"
        )));
    }
    let in_token = matches!(keys.master, MasterSource::Token(_));
    let masters = match (Masters::open(&keys.master), keys.store.exists()) {
        (Ok(masters), true) => {
            let (place, current) = (masters.describe(), masters.current());
            return Err(Failure::failed(format_args!("{place}: {current} is there already")));
        }
        (Ok(masters), false) => masters,
        (Err(CustodyFault::Absent(_)), there) if in_token || !there => {
            Masters::create(&keys.master).map_err(failed)?
        }
        (Err(fault), _) => return Err(failed(fault)),
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
    if keys.store.exists() {
        writeln!(out, "  wrap by it: countersign master rotate --made")?;
        return Ok(());
    }
    Store::open(&keys.store, masters, Clock::system())
        .map_err(|fault| Failure::failed(chain(&fault)))?;
    writeln!(out, "{}  an empty store of keys", keys.store.display())?;
    Ok(())
}
