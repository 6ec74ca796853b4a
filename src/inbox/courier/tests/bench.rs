//! A courier at work over a journal of its own.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Method;
use prometheus::IntCounter;
use tempfile::TempDir;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::scheme::builtin;
use crate::inbox::courier::Courier;
use crate::inbox::destination::Destination;
use crate::inbox::profile::{CallText, InquiryText, PostBackText, Profile};
use crate::inbox::source::{Asked, Confirm, PostBack, Source, SourceKey, SourceKeys, Sources};
use crate::journal::{
    Attempt, DeliveryId, Desk, History, Journal, JournalLimits, Kept, NewDelivery, State, Verdict,
    Work,
};
use crate::keyring::Keyring;
use crate::limit::{MIB, Rate, Window};
use crate::outbound::{Caller, Reach};
use crate::quota::Quotas;
use crate::scheme::Strength;
use crate::secret::{NamedSecrets, Secret};
use crate::telemetry::{GateMetrics, InboxMetrics, Log, LogFormat, LogSink};

/// How long a test waits for what should come at once.
const LONG: Duration = Duration::from_secs(20);

/// A courier, and all that it works with.
pub(super) struct Bench {
    folder: TempDir,
    pub(super) journal: Arc<Journal>,
    pub(super) sources: Arc<ArcSwap<Sources>>,
    pub(super) clock: Clock,
    pub(super) metrics: InboxMetrics,
    log: Log,
    lines: Arc<Mutex<Vec<u8>>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    kept: u8,
}

/// Runs a test as the courier's thread runs.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}

/// Waits until something is so.
pub(super) async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < LONG, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn secret(byte: u8) -> Secret {
    Secret::new(vec![byte; 32]).unwrap()
}

fn caller() -> Caller {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    Caller::new(&Reach { networks, authorities: Some(Vec::new()) }).unwrap()
}

/// A destination that tries three times, quickly.
pub(super) fn destination(name: &str, address: SocketAddr) -> Destination {
    let [per_second, burst] = [1000, 1000].map(|n| NonZeroU32::new(n).unwrap());
    Destination {
        name: name.into(),
        url: format!("http://{address}/webhooks?shop=1").parse().unwrap(),
        caller: caller(),
        secrets: vec![secret(1)],
        deadline: ms(1000),
        concurrency: NonZeroUsize::new(8).unwrap(),
        rate: Rate { per_second, burst },
        ordered: false,
        schedule: vec![ms(20), ms(20)],
    }
}

/// A source for a destination. `change` adds to its profile.
pub(super) fn source(
    name: &str,
    destination: Destination,
    change: impl FnOnce(&mut Profile),
) -> Source {
    let scheme = builtin("standard-webhooks").unwrap();
    let facts = [("order", "{json:order}"), ("state", "{json:state}")];
    let facts = facts.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut profile = Profile { facts: facts.into(), ..Profile::default() };
    change(&mut profile);
    let compiled = profile.compile(&scheme, &|name| builtin(name));
    let compiled = compiled.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let asked = |inquiry| Asked { inquiry, caller: caller() };
    let (provider, order) = (compiled.confirm.map(asked), compiled.order.map(asked));
    let confirm = (provider.is_some() || order.is_some()).then(|| Confirm {
        provider,
        order,
        every: Duration::ZERO,
        pending_for: Duration::from_secs(3 * 86_400),
    });
    let post_back = compiled.post_back;
    let post_back = post_back.map(|(call, when)| PostBack { call, caller: caller(), when });
    let text = Secret::of_any_length(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec());
    let key = scheme.key(&text, NamedSecrets::default()).unwrap();
    let (from, until) = (Timestamp::from_secs(0), Timestamp::MAX);
    Source {
        name: name.into(),
        hosts: Vec::new(),
        path: format!("/{name}").parse().unwrap(),
        methods: vec![Method::POST],
        probes: Vec::new(),
        keys: SourceKeys::Own(vec![SourceKey { key, number: 1, from, until }]),
        scheme,
        unsigned: false,
        window: Window::default(),
        body_bytes_max: NonZeroUsize::new(MIB).unwrap(),
        public_url: None,
        reading: compiled.reading,
        answers: compiled.answers,
        strength: Strength::Full,
        confirm,
        post_back,
        destination: Arc::new(destination),
        pass: vec!["x-passed".parse().unwrap(), "authorization".parse().unwrap()],
        remember: Duration::from_secs(86_400),
        values: NamedSecrets::default(),
    }
}

/// What asks a service about an order.
pub(super) fn inquiry(address: SocketAddr) -> InquiryText {
    InquiryText {
        call: CallText {
            url: format!("http://{address}/ask?order={{order | urlencode}}"),
            ..Default::default()
        },
        facts: [("order", "{json:order}"), ("state", "{json:state}")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
        ..InquiryText::default()
    }
}

/// What posts a message back to a service.
pub(super) fn posting_back(address: SocketAddr) -> PostBackText {
    let call = CallText {
        url: format!("http://{address}/back"),
        body: Some("{body}&treq=1".to_owned()),
        ..CallText::default()
    };
    PostBackText { call, when: None }
}

impl Bench {
    /// A journal, and no courier yet.
    pub(super) fn new(sources: Vec<Source>, clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = GateMetrics::new().unwrap().inbox;
        let journal = Journal::open(folder.path(), clock.clone(), metrics.journal.clone()).unwrap();
        journal.set_limits(JournalLimits {
            bytes: 1 << 30,
            open: 10_000,
            keys: 10_000,
            refusals: 10,
            keep_done: LONG * 1000,
            keep_failed: LONG * 1000,
            keep_refusals: LONG * 1000,
        });
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = LogSink::Memory(Arc::clone(&lines));
        let dropped = IntCounter::new("dropped", "lines").unwrap();
        let log = Log::open(LogFormat::Json, sink, clock.clone(), dropped).unwrap();
        let sources = Arc::new(ArcSwap::from_pointee(Sources::new(sources)));
        let (running, kept) = (None, 0);
        Self { folder, journal, sources, clock, metrics, log, lines, running, kept }
    }

    /// A journal, and a courier at work.
    pub(super) fn working(sources: Vec<Source>) -> Self {
        let mut bench = Self::new(sources, Clock::system());
        bench.start();
        bench
    }

    pub(super) fn start(&mut self) {
        let memory =
            crate::replay::Memory::without_past(NonZeroUsize::new(16 * MIB).unwrap()).unwrap();
        let keyring = Keyring::build([], &memory, &Quotas::new()).unwrap();
        let courier = Courier {
            journal: Arc::clone(&self.journal),
            sources: Arc::clone(&self.sources),
            keyring: Arc::new(ArcSwap::from_pointee(keyring)),
            clock: self.clock.clone(),
            log: self.log.clone(),
            metrics: self.metrics.clone(),
        };
        let stop = CancellationToken::new();
        let handle = tokio::task::spawn_local(courier.run(stop.clone()));
        self.running = Some((stop, handle));
    }

    /// Tells the courier to stop, and waits until it did.
    pub(super) async fn stop(&mut self) {
        let (stop, handle) = self.running.take().unwrap();
        stop.cancel();
        handle.await.unwrap();
    }

    /// Lets the courier die where it stands, as a process does that is killed.
    pub(super) async fn kill(&mut self) {
        let (_, handle) = self.running.take().unwrap();
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
    }

    /// Puts other sources in force.
    pub(super) fn reload(&self, sources: Vec<Source>) {
        self.sources.store(Arc::new(Sources::new(sources)));
    }

    /// Keeps a message as the door does, about an order.
    pub(super) async fn keep(&mut self, source: &str, order: &str) -> DeliveryId {
        let message = self.message(source, order);
        self.keep_this(message).await
    }

    pub(super) async fn keep_this(&mut self, message: NewDelivery) -> DeliveryId {
        let Ok(Kept::Stored(id)) = self.journal.keep(message).await else { panic!("not stored") };
        id
    }

    /// A message of a source that is in force.
    pub(super) fn message(&mut self, source: &str, order: &str) -> NewDelivery {
        self.kept += 1;
        let sources = self.sources.load_full();
        let source = sources.named(source).unwrap();
        let confirms = source.confirm.is_some();
        let fields = [
            ("content-type", "application/json"),
            ("webhook-id", "msg_1"),
            ("webhook-signature", "v1,abc"),
            ("x-passed", "one"),
            ("x-passed", "two"),
            ("x-other", "three"),
            ("authorization", "Bearer token"),
        ];
        let header = |(name, value): (&str, &'static str)| (name.to_owned(), Bytes::from(value));
        let facts = [("order", order), ("state", "succeeded")];
        NewDelivery {
            source: Arc::clone(&source.name),
            destination: Arc::clone(&source.destination.name),
            key: [self.kept; 32],
            secret: Some([1; 16]),
            key_until: Timestamp::MAX,
            received_millis: self.clock.now_millis(),
            method: "POST".to_owned(),
            target: format!("/{}?a=b", source.name),
            headers: fields.map(header).into(),
            body: Bytes::from(format!("{{\"order\": \"{order}\"}}")),
            verdict: Verdict {
                scheme: "standard-webhooks".to_owned(),
                strength: "full".to_owned(),
                secret_version: Some(1),
                stated: None,
                provider_id: None,
                must_confirm: confirms.then(|| "asked_for".to_owned()),
            },
            facts: facts.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            order_key: Some(order.to_owned()),
            first: Some(if confirms { Work::Confirm } else { Work::Deliver }),
            post_back: source.post_back.is_some(),
        }
    }

    pub(super) fn desk(&self) -> Desk {
        Desk::open(self.folder.path(), self.clock.clone()).unwrap()
    }

    pub(super) fn history(&self, id: &DeliveryId) -> History {
        self.desk().show(id.as_str()).unwrap().unwrap()
    }

    pub(super) fn state(&self, id: &DeliveryId) -> State {
        self.history(id).delivery.state
    }

    pub(super) async fn until_state(&self, id: &DeliveryId, state: State) {
        until(&format!("{state:?}"), || self.state(id) == state).await;
    }

    /// What came of the attempts at one kind of work.
    pub(super) fn outcomes(&self, id: &DeliveryId, work: Work) -> Vec<String> {
        self.attempts(id, work).into_iter().map(|attempt| attempt.outcome).collect()
    }

    pub(super) fn attempts(&self, id: &DeliveryId, work: Work) -> Vec<Attempt> {
        let attempts = self.history(id).attempts.into_iter();
        attempts.filter(|(of, _)| *of == work).map(|(_, attempt)| attempt).collect()
    }

    /// Waits until the log tells of something.
    pub(super) async fn until_told(&self, event: &str) {
        let event = format!("\"event\":\"{event}\"");
        let lines = || String::from_utf8_lossy(&self.lines.lock().unwrap()).into_owned();
        until(&event, || lines().contains(&event)).await;
    }
}
