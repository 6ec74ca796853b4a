//! `countersign top`: what a running gate does, live in the terminal, from its metrics.

mod picture;
mod reading;
mod screen;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use countersign::client::{Client, Kept, Options, Trust};
use http::{Request, Uri};

use super::Failure;
use super::failure::chain;
use super::signals::Signals;
use picture::Picture;
use reading::Reading;
use screen::Screen;

/// Which gate, and how.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Operations listener of the gate: https://host:port
    #[arg(long, value_name = "URL", default_value = "https://localhost:9443")]
    operations: Uri,

    /// PEM file with the certificate authorities to believe [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Connect to this host:port instead of the one in the URL
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<String>,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,

    /// Print what happens between two looks, and end
    #[arg(long)]
    once: bool,

    /// Print JSON
    #[arg(long, requires = "once")]
    json: bool,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.once && !std::io::stdout().is_terminal() {
        return Err(Failure::usage("standard output is no terminal: give --once"));
    }
    let trust = arguments.ca.clone().map_or(Trust::SystemRoots, Trust::File);
    let client = Client::new(&trust).map_err(|e| Failure::failed(chain(&e)))?;
    let connect = arguments.connect.as_deref().map(super::send::resolve).transpose()?;
    let options = Options { connect, deadline: PATIENCE, ..Options::default() };
    let mut gate =
        Watched { client, options, url: metrics_url(&arguments.operations)?, kept: None };
    let every = Duration::from_secs(arguments.every);
    let runtime = super::runtime()?;
    runtime.block_on(async {
        match arguments.once {
            true => once(&mut gate, every, arguments.json).await,
            false => live(&mut gate, every).await,
        }
    })
}

fn metrics_url(operations: &Uri) -> Result<Uri, Failure> {
    let authority = operations.authority().filter(|_| operations.scheme_str() == Some("https"));
    let wrong =
        || Failure::usage(format_args!("--operations {operations}: give https://host:port"));
    let authority = authority.ok_or_else(wrong)?;
    format!("https://{authority}/metrics").parse().map_err(|_| wrong())
}

async fn once(gate: &mut Watched, every: Duration, json: bool) -> Result<(), Failure> {
    let before = gate.read().await.map_err(Failure::failed)?;
    tokio::time::sleep(every).await;
    let after = gate.read().await.map_err(Failure::failed)?;
    let picture = Picture::between(&before, &after);
    let mut out = std::io::stdout().lock();
    match json {
        true => {
            let text = serde_json::to_string(&picture);
            writeln!(out, "{}", text.map_err(|e| Failure::because("cannot print", &e))?)?;
        }
        false => picture.lines().iter().try_for_each(|line| writeln!(out, "{}", line.text))?,
    }
    Ok(out.flush()?)
}

/// Shows one picture after another until it is stopped. A gate that does not answer is asked again.
async fn live(gate: &mut Watched, every: Duration) -> Result<(), Failure> {
    let signals = Signals::take();
    let mut signals = signals.map_err(|e| Failure::because("cannot take signals over", &e))?;
    let mut screen = Screen::open()?;
    let mut before = None;
    loop {
        let read = tokio::select! {
            read = gate.read() => read,
            () = signals.stop() => return Ok(()),
        };
        match (&before, &read) {
            (Some(before), Ok(after)) => screen.show(&Picture::between(before, after).lines())?,
            (None, Ok(_)) => screen.tell(&format!("{}: looking", gate.url))?,
            (_, Err(why)) => screen.tell(&format!("no answer: {why}"))?,
        }
        before = read.ok();
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = signals.stop() => return Ok(()),
        }
    }
}

/// A gate that is asked for its metrics.
struct Watched {
    client: Client,
    options: Options,
    url: Uri,
    kept: Option<Kept>,
}

impl Watched {
    /// Its metrics now.
    ///
    /// # Errors
    /// Why there are none, in one line.
    async fn read(&mut self) -> Result<Reading, String> {
        let kept = match self.kept.take() {
            Some(mut kept) => kept.is_ready().await.then_some(kept),
            None => None,
        };
        let mut open = match kept {
            Some(kept) => kept,
            None => {
                let opened = self.client.open(&self.url, &self.options).await;
                opened.map_err(|fault| format!("{}: {}", self.url, chain(&fault)))?
            }
        };
        let request = Request::get(&self.url).body(Bytes::new());
        let request = request.map_err(|fault| fault.to_string())?;
        let answer = open.send(request).await;
        let answer = answer.map_err(|fault| format!("{}: {}", self.url, chain(&fault)))?;
        if !answer.status().is_success() {
            return Err(format!("{}: {}", self.url, answer.status()));
        }
        self.kept = Some(open);
        Ok(Reading::parse(&String::from_utf8_lossy(answer.body())))
    }
}
