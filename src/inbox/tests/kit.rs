//! A source, an inbox with a journal in memory, and messages to bring.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use crate::clock::{Clock, Hand, Timestamp};
use crate::config::scheme::builtin;
use crate::crypto::{MacKey, hex};
use crate::gateway::admission::budget::Budget;
use crate::inbox::destination::Destination;
use crate::inbox::profile::{AnswerText, Profile};
use crate::inbox::source::{Confirm, Source, SourceKey, SourceKeys, Sources};
use crate::inbox::{Inbox, Unsigned};
use crate::journal::{Journal, JournalLimits, Lane, Task, Work};
use crate::keyring::Keyring;
use crate::limit::{BODY_BYTES_MAX, BodyDeadlines, HeadLimits, Rate, Window};
use crate::outbound::{Caller, Reach};
use crate::peer::{CertNames, Peer};
use crate::quota::{Addresses, Quotas};
use crate::replay::Memory;
use crate::secret::{NamedSecrets, Secret};
use crate::telemetry::{GateMetrics, Log, LogFormat, LogSink, Uses};

pub(super) const SECRET: &[u8] = b"a-secret-of-the-provider-1";
pub(super) const OTHER: &[u8] = b"a-secret-of-the-provider-2";
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_764_000_000);

/// A profile whose messages are JSON, with an order and an id.
pub(super) fn profile() -> Profile {
    let text = |text: &str| text.to_owned();
    let answer = |body: &str| AnswerText {
        content_type: Some(text("text/plain")),
        body: Some(text(body)),
        ..AnswerText::default()
    };
    Profile {
        facts: vec![(text("order"), text("{json:order}")), (text("id"), text("{json:id}"))],
        identity: Some(vec![text("{json:order}"), text("{json:status}")]),
        answers: vec![(text("stored"), answer("kept {json:order}"))],
        ..Profile::default()
    }
}

/// Secrets without an end, numbered from 1.
pub(super) fn own(scheme: &str, secrets: &[&[u8]]) -> SourceKeys {
    let scheme = builtin(scheme).unwrap();
    let key = |(number, secret): (u32, &&[u8])| SourceKey {
        key: scheme.key(&Secret::of_any_length(secret.to_vec()), NamedSecrets::default()).unwrap(),
        number,
        from: Timestamp::from_secs(0),
        until: Timestamp::MAX,
    };
    SourceKeys::Own((1..).zip(secrets).map(key).collect())
}

/// A source at `/webhooks/NAME`.
pub(super) fn source(name: &str, scheme: &str, profile: &Profile) -> Source {
    let built = builtin(scheme).unwrap();
    let compiled = profile.compile(&built, &|_| None).unwrap();
    Source {
        name: name.into(),
        hosts: Vec::new(),
        path: format!("/webhooks/{name}").parse().unwrap(),
        methods: vec![Method::POST],
        probes: vec![Method::GET],
        keys: own(scheme, &[SECRET]),
        unsigned: false,
        window: Window::default(),
        body_bytes_max: BODY_BYTES_MAX,
        public_url: None,
        reading: compiled.reading,
        answers: compiled.answers,
        strength: built.strength(),
        confirm: None,
        post_back: None,
        destination: Arc::new(destination("shop")),
        pass: Vec::new(),
        remember: Duration::from_secs(400 * 24 * 60 * 60),
        values: NamedSecrets::default(),
        scheme: built,
    }
}

fn destination(name: &str) -> Destination {
    let one = NonZeroU32::MIN;
    Destination {
        name: name.into(),
        url: "https://shop.example/webhooks".parse().unwrap(),
        caller: Caller::new(&Reach { authorities: Some(Vec::new()), ..Reach::default() }).unwrap(),
        secrets: Vec::new(),
        deadline: Duration::from_secs(15),
        concurrency: NonZeroUsize::MIN,
        rate: Rate { per_second: one, burst: one },
        ordered: false,
        schedule: Vec::new(),
    }
}

/// Somebody can be asked.
pub(super) fn confirm() -> Confirm {
    Confirm {
        provider: None,
        order: None,
        every: Duration::from_secs(1),
        pending_for: Duration::from_secs(3 * 24 * 60 * 60),
    }
}

/// An inbox of one source.
pub(super) struct Desk {
    pub(super) inbox: Inbox,
    pub(super) hand: Hand,
    pub(super) metrics: GateMetrics,
    log: Arc<Mutex<Vec<u8>>>,
    peer: Rc<Peer>,
}

impl Desk {
    pub(super) fn new(source: Source) -> Self {
        let (clock, hand) = Clock::by_hand(NOW);
        let metrics = GateMetrics::new().unwrap();
        let memory = Memory::without_past(NonZeroUsize::MIN.saturating_add(1 << 20)).unwrap();
        let keyring = Keyring::build(Vec::new(), &memory, &Quotas::new()).unwrap();
        let dropped = metrics.log_lines_dropped.clone();
        let lines = Arc::default();
        let sink = LogSink::Memory(Arc::clone(&lines));
        let log = Log::open(LogFormat::Json, sink, clock.clone(), dropped).unwrap();
        let journal = Journal::in_memory(clock.clone(), metrics.inbox.journal.clone()).unwrap();
        journal.set_limits(JournalLimits::default());
        let inbox = Inbox {
            sources: Arc::new(Sources::new(vec![source])),
            keyring: Arc::new(ArcSwap::from_pointee(keyring)),
            journal,
            clock,
            budget: Budget::new(1 << 30),
            addresses: Arc::new(Addresses::new(Addresses::ENTRIES, Rate::FAILURES).unwrap()),
            head: HeadLimits::default(),
            body: BodyDeadlines::default(),
            started: Instant::now(),
            log,
            access_log: true,
            metrics: metrics.inbox.clone(),
            uses: Uses::default(),
            unsigned: Arc::new(Unsigned::default()),
            panics: metrics.panics.clone(),
        };
        let ip = IpAddr::from([203, 0, 113, 7]);
        let peer = Rc::new(Peer {
            address: (ip, 50_000).into(),
            ip,
            socket: ip,
            unclear: false,
            server_name: None,
            names: CertNames::new(vec!["gate.example".into()]),
            certificate: None,
            forwarded_for: HeaderValue::from_static("203.0.113.7"),
        });
        Self { inbox, hand, metrics, log: lines, peer }
    }

    /// Brings a message, and gives status and body of its answer.
    pub(super) async fn bring<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
    ) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let source = self.inbox.source_of(&head).expect("a source");
        self.inbox.receive(source, Box::new(head), body, &self.peer).await
    }

    /// The same for a message that is a body with the right signature of GitHub's scheme.
    pub(super) async fn bring_signed(&self, body: &str, secret: &[u8]) -> (StatusCode, String) {
        let answer = self.bring(signed(body, secret)).await;
        (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    /// What is to be done first for what was kept.
    pub(super) fn due(&self, work: Work) -> Vec<Task> {
        let name = if work == Work::Deliver { "shop" } else { "github" };
        let lane = Lane { work, name: name.into() };
        let now = self.inbox.clock.now_millis();
        self.inbox.journal.due(&lane, now, false, 100, &Default::default()).unwrap()
    }

    /// How often the log has an event. Nothing is said to it afterwards.
    pub(super) fn told(&self, event: &str) -> usize {
        self.inbox.log.close();
        let log = self.log.lock().unwrap();
        let event = format!("\"event\":\"{event}\"");
        String::from_utf8_lossy(&log).matches(&event).count()
    }

    /// How often messages ended so.
    pub(super) fn counted(&self, outcome: &str) -> u64 {
        let name = self.inbox.sources.iter().next().unwrap().name.clone();
        self.metrics.inbox.webhooks.with_label_values(&[&*name, outcome]).get()
    }
}

/// A message for the source `github`, signed by its scheme.
pub(super) fn signed(body: &str, secret: &[u8]) -> Request<Full<Bytes>> {
    let mut mac = MacKey::new(&Secret::of_any_length(secret.to_vec())).begin();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", String::from_utf8_lossy(&hex(&mac.finish())));
    let mut request = plain("/webhooks/github", body);
    request.headers_mut().insert("x-hub-signature-256", signature.parse().unwrap());
    request
}

/// A message without any signature.
pub(super) fn plain(target: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(target).header("host", "gate.example");
    request.body(Full::from(body.to_owned())).unwrap()
}
