//! `countersign send -n N`: many requests on connections that are kept, each signed anew, and how
//! long their answers took.

mod summary;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use countersign::client::{Client, Kept, Options};
use countersign::clock::Clock;
use futures_util::future::try_join_all;
use http::Request;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::super::Failure;
use super::super::failure::chain;
use super::super::signing::{Ready, SigningArguments};
use summary::Tally;

/// How many requests are sent, and how fast.
#[derive(Debug, Args)]
#[command(next_help_heading = "How many are sent")]
pub(crate) struct LoadArguments {
    /// Send so many requests, each signed anew, and tell how long their answers took; the letter n
    /// in braces stands for the number of the request, in URL and body. Signatures of answers are
    /// not checked
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "answer_secret_file")]
    requests: Option<NonZeroU64>,

    /// On so many connections at once
    #[arg(long, short, value_name = "C", default_value_t = 1, requires = "requests")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,

    /// At most so many a second in all; times are counted from when each was due
    #[arg(long, value_name = "PER_SECOND", requires = "requests")]
    rate: Option<NonZeroU32>,
}

impl LoadArguments {
    /// How many are to be sent; none: one, which is shown.
    pub(super) fn requests(&self) -> Option<NonZeroU64> {
        self.requests
    }
}

/// What all connections share.
struct Load<'a> {
    ready: Ready<'a>,
    client: &'a Client,
    options: &'a Options,
    clock: Clock,
    requests: u64,
    rate: Option<NonZeroU32>,
    begun: Instant,
    /// Requests that were begun.
    next: Cell<u64>,
    tally: RefCell<Tally>,
    progress: ProgressBar,
}

/// Sends all of them and prints what came of it; what came so far, when it is interrupted.
pub(super) fn run(
    signing: &SigningArguments,
    load: &LoadArguments,
    (client, options): (&Client, &Options),
    json: bool,
    secret: impl FnOnce() -> Option<OsString>,
) -> Result<(), Failure> {
    let LoadArguments { requests, connections, rate } = *load;
    let requests = requests.map_or(0, NonZeroU64::get);
    let load = Load {
        ready: signing.ready(secret)?,
        client,
        options,
        clock: Clock::system(),
        requests,
        rate,
        begun: Instant::now(),
        next: Cell::new(0),
        tally: RefCell::default(),
        progress: progress(requests),
    };
    let interrupted = super::super::runtime()?.block_on(async {
        let lines = (0..connections).map(|_| load.keep_asking());
        tokio::select! {
            done = try_join_all(lines) => done.map(|_| false),
            _ = tokio::signal::ctrl_c() => Ok(true),
        }
    })?;
    load.progress.finish_and_clear();
    let took = load.begun.elapsed();
    let tally = load.tally.take();
    tally.print(&mut std::io::stdout().lock(), (connections, took), json)?;
    if tally.is_good() && !interrupted { Ok(()) } else { Err(Failure::told()) }
}

fn progress(requests: u64) -> ProgressBar {
    let progress = ProgressBar::new(requests);
    let style = "{wide_bar} {pos}/{len}  {per_sec}  {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        progress.set_style(style);
    }
    progress
}

impl Load<'_> {
    /// Asks on one connection, and on another when that is ended.
    async fn keep_asking(&self) -> Result<(), Failure> {
        let mut kept = None;
        loop {
            let number = self.next.get() + 1;
            if number > self.requests {
                return Ok(());
            }
            self.next.set(number);
            let due = self.wait_for(number).await;
            let signed = self.ready.sign(self.clock.now(), Some(number))?;
            let request = signed.to_request();
            let request = request.map_err(|e| Failure::because(&signed.url, &e))?;
            self.ask(&mut kept, request, due).await;
            self.progress.inc(1);
        }
    }

    /// Waits until a request is due, and says when that was: without a rate, now.
    async fn wait_for(&self, number: u64) -> Instant {
        let Some(rate) = self.rate else { return Instant::now() };
        let nanos = u128::from(number - 1) * 1_000_000_000 / u128::from(rate.get());
        let after = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let due = self.begun + after;
        tokio::time::sleep_until(due).await;
        due
    }

    /// Sends one request, once, and notes what came of it.
    async fn ask(&self, kept: &mut Option<Kept>, request: Request<Bytes>, due: Instant) {
        let open = match kept.take() {
            Some(mut open) => open.is_ready().await.then_some(open),
            None => None,
        };
        let open = match open {
            Some(open) => Ok(open),
            None => self.client.open(request.uri(), self.options).await,
        };
        let answered = match open {
            Ok(mut open) => {
                let answered = open.send(request).await;
                *kept = answered.is_ok().then_some(open);
                answered
            }
            Err(fault) => Err(fault),
        };
        let mut tally = self.tally.borrow_mut();
        match answered {
            Ok(answer) => tally.answered(&answer, due.elapsed()),
            Err(fault) => tally.failed(chain(&fault)),
        }
    }
}
