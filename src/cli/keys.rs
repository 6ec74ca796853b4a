//! Commands about merchants, their keys, and webhooks: made from the table of verbs, so that they
//! are what the admin API is. They open the store themselves; a gate on it follows within a second.

mod argument;
mod handover;
mod local;
mod office;
mod print;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use countersign::administration::{Code, Problem, Verb, verbs};
use serde_json::{Map, Value, json};

use super::Failure;
use handover::Handover;

/// What each first word of a verb is about.
const TOPICS: [(&str, &str); 14] = [
    ("merchant", "Merchants: who owns credentials"),
    ("credential", "Credentials: public key ids and what they may do"),
    ("secret", "Versions of a credential's secrets, and their life"),
    ("policy", "Policies by which secrets are rotated"),
    ("audit", "What was done, by whom"),
    ("kek", "Keys that wrap merchants' data keys"),
    ("master", "The master key, which keeps all others"),
    ("epoch", "Epochs of rolling keys"),
    ("token", "Tokens of the admin API"),
    ("chain", "Chains of rolling keys"),
    ("inventory", ""),
    ("inbox", "Webhooks: what was taken, what was refused, and what is done once more"),
    ("store", "The store of keys as a whole: proof, copies, restore"),
    ("doctor", ""),
];

/// Runs what the command line names, if it is one of these commands.
pub(super) fn run(matches: &ArgMatches) -> Option<Result<(), Failure>> {
    let (topic, inner) = matches.subcommand()?;
    let (word, inner) = inner.subcommand().unwrap_or(("", inner));
    if let Some(done) = local::run(topic, word, inner) {
        return Some(done);
    }
    let verb = verbs().find(|verb| words(verb) == (topic, word))?;
    Some(Call { verb, matches: inner }.run())
}

/// A verb and what was given to it.
struct Call<'m> {
    verb: &'static Verb,
    matches: &'m ArgMatches,
}

/// Adds the commands to those of the program.
pub(super) fn add_to(mut program: Command) -> Command {
    for (topic, about) in TOPICS {
        let own = verbs().filter(|verb| words(verb).0 == topic);
        let mut commands: Vec<Command> = own
            .map(|verb| match words(verb).1 {
                "" => command(topic, verb),
                word => command(word, verb),
            })
            .chain(local::commands(topic))
            .collect();
        // A topic of one word is its only command.
        program = program.subcommand(match commands.pop() {
            Some(only) if only.get_name() == topic => only,
            last => {
                let group = Command::new(topic).about(about).subcommands(commands);
                let group = group.subcommands(last);
                group.subcommand_required(true).arg_required_else_help(true)
            }
        });
    }
    program
}

/// The two words of a verb's name; the second may be missing.
fn words(verb: &Verb) -> (&'static str, &'static str) {
    verb.name.split_once(' ').unwrap_or((verb.name, ""))
}

fn command(word: &'static str, verb: &'static Verb) -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let file = |name: &'static str, help: &'static str| {
        let parser = value_parser!(PathBuf);
        Arg::new(name).long(name).value_name("FILE").value_parser(parser).help(help)
    };
    // A version is what many verbs are about, and not that of the program.
    let mut command = Command::new(word)
        .disable_version_flag(true)
        .about(verb.summary)
        .args(argument::of(verb))
        .arg(file("config", "Configuration file").short('c').required(true))
        .arg(flag("json", "Print JSON"));
    if !verb.columns.is_empty() {
        let csv = flag("csv", "Print comma-separated values (RFC 4180)");
        command = command.arg(csv.conflicts_with("json"));
    }
    if verb.drastic {
        command = command.arg(flag("yes", "Do not ask whether this is meant"));
    }
    if verb.discloses {
        let help = "Write the secret into this new file, of mode 0600, instead of showing it";
        command = command.arg(file("secret-out", help));
    }
    command
}

/// A member of an object; null where there is none.
fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// Asks at the terminal whether something is meant.
fn confirm(what: &str, summary: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format_args!("{what}: say --yes, since nobody can be asked")));
    }
    let mut err = std::io::stderr();
    write!(err, "{what}\n{summary}? [yes/no] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::failed("nothing was done")) }
}

impl Call<'_> {
    /// Does it.
    fn run(&self) -> Result<(), Failure> {
        let input = argument::input(self.verb, self.matches)?;
        let config: Option<&PathBuf> = self.matches.get_one("config");
        let config = config.ok_or_else(|| Failure::usage("give --config FILE"))?;
        self.confirm(&input)?;
        let office = office::open(config, self.verb)?;
        let handover = self.handover(&input)?;
        let outcome = match self.carry_out(&office, input) {
            Ok(outcome) => outcome,
            Err(problem) => return Err(self.tell(&problem)),
        };
        let handover = handover.map(|handover| handover.take(&outcome)).transpose()?;
        let mut out = anstream::stdout().lock();
        if self.is_set("json") {
            return print::json(&mut out, &outcome, handover.as_ref());
        }
        if self.is_set("csv") {
            return print::csv(&mut out, self.verb, &outcome.value);
        }
        print::people(&mut out, self.verb, &outcome, handover.as_ref())
    }

    /// Runs the verb; a list is followed to its end, unless a limit was given.
    fn carry_out(
        &self,
        office: &countersign::administration::Office,
        input: Map<String, Value>,
    ) -> Result<countersign::administration::Outcome, Problem> {
        let actor = office::actor();
        let mut outcome = self.verb.run(office, &actor, Value::Object(input.clone()))?;
        if input.contains_key("limit") {
            return Ok(outcome);
        }
        while let Some(next) = member(&outcome.value, "next").as_str() {
            let mut input = input.clone();
            input.insert("after".to_owned(), json!(next));
            let mut page = self.verb.run(office, &actor, Value::Object(input))?.value;
            let items = |value: &mut Value| match value.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            let mut all = items(&mut outcome.value);
            all.append(&mut items(&mut page));
            let next = page.get("next").cloned().unwrap_or_default();
            if let Some(members) = outcome.value.as_object_mut() {
                members.insert("items".to_owned(), Value::Array(all));
                members.insert("next".to_owned(), next);
            }
        }
        Ok(outcome)
    }

    fn is_set(&self, flag: &str) -> bool {
        matches!(self.matches.try_get_one::<bool>(flag), Ok(Some(true)))
    }

    /// Asks whether a drastic verb is meant.
    fn confirm(&self, input: &Map<String, Value>) -> Result<(), Failure> {
        if !self.verb.drastic || self.is_set("yes") {
            return Ok(());
        }
        let target = self.verb.path_members().filter_map(|name| input.get(name));
        let target: Vec<String> = target.map(print::text).collect();
        confirm(&format!("{} {}", self.verb.name, target.join(" ")), self.verb.summary)
    }

    /// Where a secret goes that the verb may show, settled before anything is made.
    fn handover(&self, input: &Map<String, Value>) -> Result<Option<Handover>, Failure> {
        let brought = input.contains_key("secret") || input.contains_key("reveal_later");
        if !self.verb.discloses || brought {
            return Ok(None);
        }
        let path = self.matches.get_one::<PathBuf>("secret-out");
        Handover::prepare(path.map(PathBuf::as_path)).map(Some)
    }

    /// Prints a problem where programs read; people find it on standard error.
    fn tell(&self, problem: &Problem) -> Failure {
        let at = problem.at.map(|at| countersign::administration::form::Moment(at).to_string());
        if self.is_set("json") {
            let told = json!({
                "code": problem.code.as_str(),
                "status": problem.code.status(),
                "title": problem.code.title(),
                "detail": problem.detail,
                "at": at,
            });
            return match writeln!(std::io::stdout(), "{told:#}") {
                Ok(()) => Failure::told(),
                Err(error) => error.into(),
            };
        }
        let at = at.map(|at| format!("; from {at} on it can be done")).unwrap_or_default();
        let text = format!("{}{at} ({})", problem.detail, problem.code.as_str());
        match problem.code {
            Code::InvalidInput => Failure::usage(text),
            _ => Failure::failed(text),
        }
    }
}
