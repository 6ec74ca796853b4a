//! `countersign serve`: runs the gate until a signal ends it.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign::app::{self, Gate, Past, Rolling, StartFault};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::telemetry::LogSink;

use super::Failure;
use super::signals::{Order, Signals};

/// What to serve.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = super::runtime()?;
    let signals = runtime.block_on(async { Signals::take() });
    let mut signals = signals.map_err(|e| Failure::because("cannot take signals over", &e))?;
    let gate = start(&arguments.config)?;
    eprintln!(
        "countersign: listening on https://{}, operations on https://{}",
        gate.address(),
        gate.operations_address()
    );
    runtime.block_on(async {
        loop {
            // On this thread: a second order waits until the first is carried out. What came of it
            // is in the gate's own log.
            match signals.next().await {
                Order::Reload => drop(gate.reload()),
                Order::ConfirmClock => drop(gate.confirm_clock()),
                Order::Stop => return,
            }
        }
    });
    eprintln!("countersign: draining; a second signal ends at once");
    let stopped = runtime.block_on(async {
        tokio::select! {
            biased;
            stopped = tokio::task::spawn_blocking(move || gate.stop()) => Some(stopped),
            () = signals.stop() => None,
        }
    });
    // A drain that was cut short still runs: it ends with the process.
    runtime.shutdown_background();
    match stopped {
        Some(Ok(stopped)) if stopped.saved => {
            eprintln!(
                "countersign: stopped, connections cut: {}; replay memory saved",
                stopped.cut
            );
            Ok(())
        }
        // The next start refuses what may have been accepted: whoever restarts must know.
        Some(Ok(stopped)) => Err(Failure::failed(format_args!(
            "stopped, connections cut: {}, but the replay memory could not be saved; the log says \
             why, and the next start refuses timestamps up to the last mark",
            stopped.cut
        ))),
        Some(Err(panic)) => Err(Failure::because("the drain broke off", &panic)),
        None => Err(Failure::failed("ended before the drain was over")),
    }
}

fn start(path: &Path) -> Result<Gate, Failure> {
    let (config, _) = Config::load(path).map_err(Failure::configuration)?;
    let options = app::Options {
        source: Some(path.to_owned()),
        log: LogSink::Stdout,
        past: Past::FromState,
        rolling: Rolling::default(),
    };
    Gate::start(config, Clock::system(), options).map_err(|fault| match fault {
        StartFault::Tls(_) | StartFault::Upstream(_) => Failure::configuration(fault),
        _ => Failure::because("cannot start", &fault),
    })
}
