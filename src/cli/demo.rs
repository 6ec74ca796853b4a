//! `countersign demo`: a whole gate on loopback, a tour of what it lets through and refuses, and a
//! command line to go on with.

mod echo;
mod scene;
mod tour;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use countersign::app::{self, Gate, Past};
use countersign::client::Client;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::telemetry::LogSink;
use tokio::runtime::Runtime;

use super::failure::chain;
use super::signals::{Order, Signals};
use super::table::{Cell, render};
use super::{Failure, now};
use echo::Echo;
use scene::{Addresses, Scene};
use tour::{Outcome, Step};

const GATE_PORT: u16 = 8443;
const OPERATIONS_PORT: u16 = 9443;
/// How long a line of the log is on its way at most.
const LOG_DELAY: Duration = Duration::from_millis(200);
/// How soon a request shows in the log on the screen.
const LOG_PACE: Duration = Duration::from_millis(100);

/// How the demo runs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// End after the tour, with status 0 only if every outcome was as expected
    #[arg(long)]
    exit: bool,

    /// Port of the gate on 127.0.0.1; 0 is any free one
    #[arg(long, value_name = "N", default_value_t = GATE_PORT)]
    port: u16,

    /// Port of the operations listener on 127.0.0.1 [default: 9443, or any with --port 0]
    #[arg(long, value_name = "N")]
    operations_port: Option<u16>,

    /// Print the outcomes as JSON
    #[arg(long)]
    json: bool,
}

type Lines = Arc<Mutex<Vec<u8>>>;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = super::runtime()?;
    let signals = runtime.block_on(async { Signals::take() });
    let mut signals = signals.map_err(|e| Failure::because("cannot take signals over", &e))?;
    let stage = Stage::raise(arguments)?;
    let stepped = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = signals.next() => None,
            outcomes = stage.tour() => Some(outcomes),
        }
    });
    let ending = match stepped {
        None => Err(Failure::failed("stopped before the tour was over")),
        Some(Err(failure)) => Err(failure),
        Some(Ok(outcomes)) => stage.show(arguments, &outcomes).and_then(|()| {
            if !arguments.exit {
                stage.stay(arguments, &runtime, &mut signals)?;
            }
            verdict(&outcomes)
        }),
    };
    stage.gate.stop();
    ending
}

/// Everything that runs during a demo. The echo service and the folder outlive the gate.
struct Stage {
    gate: Gate,
    log: Lines,
    echo: Echo,
    scene: Scene,
}

type Outcomes = Vec<(Step, Outcome)>;

impl Stage {
    fn raise(arguments: &Arguments) -> Result<Self, Failure> {
        let echo =
            Echo::start().map_err(|e| Failure::because("cannot start the echo service", &e))?;
        let any = if arguments.port == 0 { 0 } else { OPERATIONS_PORT };
        let addresses = Addresses {
            gate: free(arguments.port, "--port")?,
            operations: free(arguments.operations_port.unwrap_or(any), "--operations-port")?,
            echo: echo.address(),
        };
        let scene = Scene::set(now(), addresses)?;
        let source = scene.config();
        let (config, _) = Config::load(&source)
            .map_err(|faults| Failure::failed(format_args!("the demo's own files:\n{faults}")))?;
        let log = Lines::default();
        let options = app::Options {
            source: Some(source),
            log: LogSink::Memory(Arc::clone(&log)),
            past: Past::None,
        };
        let gate = Gate::start(config, Clock::system(), options)
            .map_err(|fault| Failure::because("cannot start the gate", &fault))?;
        Ok(Self { gate, log, echo, scene })
    }

    async fn tour(&self) -> Result<Outcomes, Failure> {
        let client = Client::trusting(&self.scene.ca()).map_err(|e| Failure::failed(chain(&e)))?;
        let mut outcomes = Vec::new();
        for step in tour::steps(&self.scene.secrets, now()) {
            let outcome = step.take(&client, self.gate.address(), &self.echo).await;
            outcomes.push((step, outcome));
        }
        Ok(outcomes)
    }

    fn show(&self, arguments: &Arguments, outcomes: &Outcomes) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        if arguments.json {
            writeln!(out, "{:#}", self.json(outcomes))?;
            return Ok(());
        }
        let bold = Style::new().bold();
        let Addresses { gate, operations, echo } = self.addresses();
        writeln!(out, "{bold}Countersign demo{bold:#}")?;
        writeln!(out, "  gate        https://{gate}")?;
        writeln!(out, "  operations  https://{operations}")?;
        writeln!(out, "  service     http://{echo}, an echo")?;
        writeln!(out, "  files       {}, until the end\n", self.scene.folder().display())?;
        writeln!(out, "{}", table(outcomes))?;
        let good = outcomes.iter().filter(|(step, outcome)| step.expected.is(outcome)).count();
        writeln!(out, "{good} of {} as expected.", outcomes.len())?;
        Ok(())
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            gate: self.gate.address(),
            operations: self.gate.operations_address(),
            echo: self.echo.address(),
        }
    }

    fn json(&self, outcomes: &Outcomes) -> serde_json::Value {
        let Addresses { gate, operations, .. } = self.addresses();
        let outcome = |(step, outcome): &(Step, Outcome)| {
            serde_json::json!({
                "sent": step.sent,
                "request": step.line(),
                "expected": { "status": step.expected.status, "code": step.expected.code },
                "status": outcome.status.as_ref().ok(),
                "code": outcome.code,
                "error": outcome.status.as_ref().err(),
                "merchant": outcome.merchant,
                "requests": outcome.requests,
                "forwarded": outcome.forwarded,
                "as_expected": step.expected.is(outcome),
            })
        };
        serde_json::json!({
            "gate": format!("https://{gate}"),
            "operations": format!("https://{operations}"),
            "outcomes": outcomes.iter().map(outcome).collect::<Vec<_>>(),
            "as_expected": verdict(outcomes).is_ok(),
            "curl": self.scene.curl_line(gate),
        })
    }

    /// Keeps the gate open until a signal, and shows its log meanwhile.
    fn stay(
        &self,
        arguments: &Arguments,
        runtime: &Runtime,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let mut out = anstream::stdout();
        // The lines of the tour come a moment after its answers.
        runtime.block_on(async { tokio::time::sleep(LOG_DELAY).await });
        let told = self.fresh_log();
        if !arguments.json {
            let Addresses { gate, operations, .. } = self.addresses();
            let bold = Style::new().bold();
            writeln!(
                out,
                "\n{bold}Now you.{bold:#} This line signs when it is run (with OpenSSL):\n"
            )?;
            writeln!(out, "{}\n", self.scene.curl_line(gate))?;
            writeln!(
                out,
                "Run twice within one second, the second is a replay. OpenSSL shows its key to"
            )?;
            writeln!(
                out,
                "every user of this machine: outside a demo use `countersign sign`. Metrics:\n"
            )?;
            writeln!(out, "{}\n", self.scene.metrics_line(operations))?;
            let first = String::from_utf8_lossy(&told);
            let first = first.lines().find(|line| line.contains("/v1/")).unwrap_or_default();
            writeln!(out, "The access log, beginning with the first order; Ctrl-C ends:\n{first}")?;
        }
        out.flush()?;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    biased;
                    order = signals.next() => match order {
                        // A closed terminal must not leave the folder behind.
                        Order::Stop | Order::Reload => return Ok(()),
                        Order::ConfirmClock => {}
                    },
                    () = tokio::time::sleep(LOG_PACE) => {
                        let lines = self.fresh_log();
                        if !arguments.json {
                            out.write_all(&lines)?;
                            out.flush()?;
                        }
                    }
                }
            }
        })
    }

    /// The log since it was last asked for.
    fn fresh_log(&self) -> Vec<u8> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The loopback address with this port, unless somebody has it.
fn free(port: u16, option: &str) -> Result<SocketAddr, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(e) => Err(Failure::failed(format_args!(
            "{address}: {e}; choose another port with {option} N (0 is any free one)"
        ))),
    }
}

fn verdict(outcomes: &Outcomes) -> Result<(), Failure> {
    let wrong = outcomes.iter().filter(|(step, outcome)| !step.expected.is(outcome)).count();
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::failed(format_args!("{wrong} outcomes were not as expected"))),
    }
}

fn table(outcomes: &Outcomes) -> String {
    let bold = Style::new().bold();
    let heading = ["request", "what it is", "expected", "came back", "forwarded", "right"];
    let mut lines = vec![heading.map(|text| Cell::styled(text, bold)).to_vec()];
    lines.extend(outcomes.iter().map(|(step, outcome)| row(step, outcome)));
    render(&lines)
}

fn row(step: &Step, outcome: &Outcome) -> Vec<Cell> {
    let Step { sent, expected, .. } = step;
    let merchant = outcome.merchant.as_ref().map(|merchant| format!("as {merchant}"));
    let came = match (&outcome.status, outcome.code.as_deref().or(merchant.as_deref())) {
        (Ok(status), Some(more)) => format!("{status} {more}"),
        (Ok(status), None) => status.to_string(),
        (Err(why), _) => why.clone(),
    };
    let forwarded = match (outcome.requests, outcome.forwarded) {
        (1, 0) => "no".to_owned(),
        (1, 1) => "yes".to_owned(),
        (requests, forwarded) => format!("{forwarded} of {requests}"),
    };
    let mark = if expected.is(outcome) {
        Cell::styled("ok", AnsiColor::Green.on_default())
    } else {
        let wanted = expected.code.unwrap_or("to be forwarded");
        Cell::styled(format!("WRONG, {wanted} was expected"), AnsiColor::Red.on_default())
    };
    vec![
        Cell::plain(step.line()),
        Cell::plain(*sent),
        Cell::plain(expected.status.to_string()),
        Cell::plain(came),
        Cell::plain(forwarded),
        mark,
    ]
}
