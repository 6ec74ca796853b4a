//! `countersign envelope`: sealed bodies away from the gate. Secrets come from files; a text that
//! was opened goes to standard output, and nowhere else.

mod keys;
mod message;
mod vector;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use countersign::config::envelope::{builtin, builtin_names, load_envelopes};
use countersign::envelope::{Envelope, Fixed};
use serde_json::json;
use zeroize::Zeroizing;

use super::Failure;
use super::table::{Cell, render};
use keys::Keys;
use message::read_message;

/// What to do with envelopes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the envelopes that come with the program, and those of files.
    List(ListArguments),
    /// Show how an envelope seals, and whether it notices altered messages.
    Explain(NamedArguments),
    /// Run files with messages against envelopes: each must open, seal or be refused as it says.
    Test(TestArguments),
    /// Seal a text from standard input and print the message. For tests: the text is a secret.
    Seal(SealArguments),
    /// Open a message and print what is in it. Beware: THE TEXT IS PRINTED IN CLEAR.
    Open(OpenArguments),
}

/// Where envelopes come from.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// File with envelopes, one table each, beside those that come with the program
    #[arg(long = "envelopes", value_name = "FILE.toml")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    source: Source,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArguments {
    /// Name of the envelope
    name: String,

    #[command(flatten)]
    source: Source,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    #[command(flatten)]
    source: Source,

    /// Files with messages; each names its envelope by `id`
    #[arg(value_name = "FILE.json", required = true)]
    vectors: Vec<PathBuf>,

    /// Print JSON, one line a message
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SealArguments {
    /// Name of the envelope
    name: String,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    keys: Keys,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    /// Name of the envelope
    name: String,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    keys: Keys,

    /// File with the message: a request as it is sent, or only its body
    #[arg(long, value_name = "FILE")]
    message: PathBuf,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Explain(arguments) => explain(arguments),
        Command::Test(arguments) => vector::run(arguments),
        Command::Seal(arguments) => seal(arguments),
        Command::Open(arguments) => open(arguments),
    }
}

impl Source {
    /// Envelopes of the files; one of theirs hides a built-in one of its name.
    fn own(&self) -> Result<Vec<Arc<Envelope>>, Failure> {
        load_envelopes(&self.files)
            .map_err(|faults| Failure::configuration(faults.render(super::check::colour())))
    }

    fn all(&self) -> Result<Vec<Arc<Envelope>>, Failure> {
        let mut all = self.own()?;
        for envelope in builtin_names().filter_map(builtin) {
            if all.iter().all(|own| own.name() != envelope.name()) {
                all.push(envelope);
            }
        }
        all.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(all)
    }

    /// The envelope of a name.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Envelope>, Failure> {
        let mut all = self.all()?.into_iter();
        all.find(|envelope| envelope.name() == name).ok_or_else(|| {
            Failure::usage(format_args!(
                "no envelope is named {name}; `countersign envelope list` shows them"
            ))
        })
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let all = arguments.source.all()?;
    let mut out = anstream::stdout().lock();
    if arguments.json {
        let all: Vec<_> = all.iter().map(|envelope| described(envelope)).collect();
        writeln!(out, "{:#}", json!(all))?;
        return Ok(());
    }
    let mut lines = vec![["name", "authenticates", "about"].map(Cell::plain).to_vec()];
    lines.extend(all.iter().map(|envelope| {
        let good = if envelope.authenticates() { "yes" } else { "no" };
        [envelope.name(), good, envelope.about()].map(Cell::plain).to_vec()
    }));
    write!(out, "{}", render(&lines))?;
    Ok(())
}

fn described(envelope: &Envelope) -> serde_json::Value {
    let reads: Vec<String> = envelope.reads().iter().map(ToString::to_string).collect();
    json!({
        "name": envelope.name(),
        "about": envelope.about(),
        "cipher": envelope.cipher(),
        "authenticates": envelope.authenticates(),
        "reads": reads,
        "needs": envelope.needs(),
        "seals": envelope.seals(),
        "rsa": envelope.is_costly(),
    })
}

fn explain(arguments: &NamedArguments) -> Result<(), Failure> {
    let envelope = arguments.source.find(&arguments.name)?;
    let mut out = anstream::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", described(&envelope))?;
        return Ok(());
    }
    let reads: Vec<String> = envelope.reads().iter().map(ToString::to_string).collect();
    writeln!(out, "{}: {}\n", envelope.name(), envelope.about())?;
    writeln!(out, "cipher          {}", envelope.cipher())?;
    writeln!(out, "ciphertext in   {}", reads.join(", "))?;
    writeln!(out, "needs           {}", envelope.needs().join(", "))?;
    writeln!(out, "can seal        {}", if envelope.seals() { "yes" } else { "no" })?;
    if envelope.authenticates() {
        writeln!(out, "altered bodies  are noticed")?;
    } else {
        writeln!(
            out,
            "altered bodies  MAY PASS: use it only on routes whose scheme signs the whole body"
        )?;
    }
    Ok(())
}

fn seal(arguments: &SealArguments) -> Result<(), Failure> {
    let envelope = arguments.source.find(&arguments.name)?;
    let prepared = arguments.keys.prepare(&envelope)?;
    let mut text = Zeroizing::new(Vec::new());
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(|e| Failure::because("cannot read standard input", &e))?;
    let sealed = envelope.seal(&prepared, &text, &Fixed::default(), None);
    let sealed = sealed.map_err(|_| Failure::failed(NO_SEAL))?;
    let mut out = std::io::stdout().lock();
    if !sealed.query.is_empty() {
        writeln!(out, "?{}", sealed.query)?;
    }
    for (name, value) in &sealed.headers {
        writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    if !sealed.query.is_empty() || !sealed.headers.is_empty() {
        writeln!(out)?;
    }
    out.write_all(&sealed.body)?;
    Ok(())
}

const NO_SEAL: &str = "this cannot be sealed: the envelope has no table `seal`, needs a value that \
     was not given, or the text does not fit";

fn open(arguments: &OpenArguments) -> Result<(), Failure> {
    let envelope = arguments.source.find(&arguments.name)?;
    let prepared = arguments.keys.prepare(&envelope)?;
    let message = read_message(&arguments.message)?;
    let opened = envelope.open(&prepared, &message.subject());
    let opened = opened.map_err(Failure::failed)?;
    std::io::stdout().lock().write_all(&opened.text)?;
    Ok(())
}
