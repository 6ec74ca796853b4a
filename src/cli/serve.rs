//! `countersign serve`: runs the gate until a signal ends it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use countersign::app::{self, Gate, Handover, Past, Sockets, StartFault};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::telemetry::LogSink;

use super::notice::say;
use super::signals::{Order, Signals};
use super::{Failure, Supervisor};

/// What to serve.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

/// How often a gate looks whether the one before it is gone.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) fn run(arguments: &Arguments, mut supervisor: Supervisor) -> Result<(), Failure> {
    let runtime = super::runtime()?;
    let signals = runtime.block_on(async { Signals::take() });
    let mut signals = signals.map_err(|e| Failure::because("cannot take signals over", &e))?;
    let sockets = supervisor.sockets()?;
    let begun = begin(&arguments.config, sockets, &supervisor, &mut signals);
    let Some(gate) = runtime.block_on(begun)? else {
        say("told to stop before it was its turn");
        return Ok(());
    };
    supervisor.tell("READY=1\nSTATUS=serving");
    let (address, operations) = (gate.address(), gate.operations_address());
    say(format_args!("listening on https://{address}, operations on https://{operations}"));
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
    supervisor.tell("STOPPING=1\nSTATUS=draining");
    say("draining; a second signal ends at once");
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
            let cut = stopped.cut;
            say(format_args!("stopped, connections cut: {cut}; replay memory saved"));
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

/// Starts a gate: at once, or, where sockets were handed over, as soon as the gate that has the
/// state folder is gone. Nothing where it was told to stop before.
async fn begin(
    path: &Path,
    sockets: Sockets,
    supervisor: &Supervisor,
    signals: &mut Signals,
) -> Result<Option<Gate>, Failure> {
    let config = load(path)?;
    if sockets.is_empty() {
        return start(path, config, Handover::default()).map(Some);
    }
    // What is wrong shows while the gate before still serves.
    app::rehearse(&config, &Clock::system()).map_err(cannot_start)?;
    let mut handover = Handover::of(sockets);
    let mut waiting = false;
    let cannot = |fault| Failure::because("cannot start", &fault);
    while !handover.take_over(&config.state).map_err(cannot)? {
        if !std::mem::replace(&mut waiting, true) {
            supervisor.tell("STATUS=waiting for the gate before to end");
            say("waiting for the gate that is using the state folder to end");
        }
        tokio::select! {
            () = signals.stop() => return Ok(None),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // Files may have changed meanwhile, and from here on the gate looks for changes by itself.
    let config = if waiting { load(path)? } else { config };
    if !handover.fits(&config.state) {
        let problem = "another state folder was configured while this gate waited for its turn";
        return Err(Failure::configuration(problem));
    }
    start(path, config, handover).map(Some)
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map(|(config, _)| config).map_err(Failure::configuration)
}

fn start(path: &Path, config: Config, handover: Handover) -> Result<Gate, Failure> {
    let options =
        app::Options { source: Some(path.to_owned()), log: LogSink::Stdout, past: Past::FromState };
    Gate::succeed(config, Clock::system(), options, handover).map_err(cannot_start)
}

fn cannot_start(fault: StartFault) -> Failure {
    match fault {
        StartFault::Tls(_) | StartFault::Upstream(_) | StartFault::Handover(_) => {
            Failure::configuration(fault)
        }
        _ => Failure::because("cannot start", &fault),
    }
}
