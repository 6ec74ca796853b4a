//! `countersign inbox tail`: follows webhooks as they are taken, beside a running gate.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use countersign::administration::Problem;
use countersign::administration::inbox::Item;
use countersign::clock::Clock;
use countersign::config::keys::KeysConfig;
use countersign::journal::{Delivery, Desk, Filter};

use super::Failure;
use super::check::colour;

/// How often it looks for new ones.
const PAUSE: Duration = Duration::from_millis(250);
/// How many are read at once.
const PAGE: usize = 100;
/// How many that came before are shown first, where nothing is said.
const LAST: &str = "10";

/// The arguments of `inbox tail`.
pub(super) fn arguments() -> Vec<Arg> {
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TEXT").help(help)
    };
    let last = Arg::new("last").long("last").value_name("NUMBER").default_value(LAST);
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    vec![
        text("source", "Those that come to this source"),
        text("destination", "Those for this destination"),
        last.value_parser(value_parser!(u16)).help("How many that came before are shown first"),
        json.help("Print JSON, one webhook a line"),
    ]
}

/// Follows what is taken until it is stopped, or nobody reads any more.
pub(super) fn tail(matches: &ArgMatches) -> Result<(), Failure> {
    let config: Option<&PathBuf> = matches.get_one("config");
    let config = config.ok_or_else(|| Failure::usage("give --config FILE"))?;
    let keys = KeysConfig::load(config)
        .map_err(|faults| Failure::configuration(faults.render(colour())))?
        .keys;
    let desk = Desk::open(&keys.state, Clock::system()).map_err(told)?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let mut filter =
        Filter { source: text("source"), destination: text("destination"), ..Filter::default() };
    let last = matches.get_one::<u16>("last").copied().map_or(0, usize::from);
    let json = matches.get_flag("json");
    let newest = desk.list(&Filter::default(), 1).map_err(told)?;
    let newest = newest.first().map_or(0, |one| one.sequence);
    filter.before = Some(newest.saturating_add(1));
    let before = desk.list(&filter, last).map_err(told)?;
    before.iter().rev().try_for_each(|one| print(one, json))?;
    filter.before = None;
    filter.after = Some(newest);
    loop {
        let some = desk.after(&filter, PAGE).map_err(told)?;
        some.iter().try_for_each(|one| print(one, json))?;
        match some.last() {
            Some(one) => filter.after = Some(one.sequence),
            None => std::thread::sleep(PAUSE),
        }
    }
}

fn told(fault: countersign::journal::JournalFault) -> Failure {
    Failure::failed(Problem::from(fault))
}

fn print(delivery: &Delivery, json: bool) -> Result<(), Failure> {
    let item = Item::from(delivery);
    let mut out = anstream::stdout().lock();
    if json {
        let line = serde_json::to_string(&item);
        let line = line.map_err(|fault| Failure::because("a webhook", &fault))?;
        writeln!(out, "{line}")?;
    } else {
        let Item { received_at, delivery, source, destination, state, order, .. } = item;
        // What an order is called is the sender's to say, and this goes to a terminal.
        let order = order.unwrap_or_default().replace(char::is_control, "\u{fffd}");
        let line = format!("{received_at}  {delivery}  {source} > {destination}  {state}  {order}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(out.flush()?)
}
