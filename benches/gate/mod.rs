//! The gate without its sockets that the benches of decisions share: real keys, real replay memory,
//! real limits.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use countersign::clock::{Clock, Timestamp};
use countersign::config::scheme::builtin;
use countersign::doctor::Practice;
use countersign::gateway::admission::budget::Budget;
use countersign::gateway::admission::intake::{Intake, Visit};
use countersign::gateway::admission::{Admission, View};
use countersign::gateway::rejection::Rejection;
use countersign::gateway::reply::ReplySlot;
use countersign::gateway::route::{Answers, Route, RouteSpec, Routes};
use countersign::gateway::upstream::{Upstream, UpstreamSpec, UpstreamUrl};
use countersign::keyring::{
    CredentialSpec, Environment, Keyring, MerchantSpec, State, VersionSpec,
};
use countersign::limit::{BodyDeadlines, HeadLimits, Rate, Window};
use countersign::peer::{CertNames, Peer};
use countersign::quota::{Addresses, Quotas};
use countersign::replay::Memory;
use countersign::roll::{Chains, Roll};
use countersign::scheme::{Outgoing, Scheme};
use countersign::secret::{NamedSecrets, Secret};
use countersign::telemetry::{Code, GateMetrics, Lane, Log, LogFormat, LogSink, Record, Uses};
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SECRET: &[u8] = b"a-secret-of-the-bench-0123456789";
/// A gate without sockets.
pub(crate) struct Bench {
    view: View,
    lane: Lane,
    peer: Rc<Peer>,
    scheme: Arc<Scheme>,
    count: std::cell::Cell<u64>,
    /// Where the gate looks into a refusal after its answer. Nothing here runs it.
    _entered: tokio::task::LocalEnterGuard,
    _local: tokio::task::LocalSet,
}

/// A request as it comes out of the HTTP library.
pub(crate) struct Case {
    pub(crate) head: Parts,
    pub(crate) body: Full<Bytes>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = Clock::system();
        let metrics = GateMetrics::new().expect("metrics");
        let memory = Memory::without_past(NonZeroUsize::new(8 << 30).expect("not zero"));
        let memory = Arc::new(memory.expect("random bytes"));
        let scheme = builtin("kwikpaisa").expect("a preset");
        let quotas = Quotas::new();
        let merchants = vec![
            merchant("open", &scheme, u32::MAX, &[]),
            merchant("slow", &scheme, 1, &[]),
            merchant("away", &scheme, u32::MAX, &["203.0.113.0/24"]),
        ];
        let keyring = Keyring::build(merchants, &memory, &quotas).expect("a keyring");
        let rate = Rate { per_second: NonZeroU32::MAX, burst: NonZeroU32::MAX };
        let addresses = Addresses::new(Addresses::ENTRIES, rate).expect("random bytes");
        let addresses = Arc::new(addresses);
        let log = Log::open(
            LogFormat::Json,
            LogSink::Discard,
            clock.clone(),
            metrics.log_lines_dropped.clone(),
        );
        let queue = log.expect("a thread").queue(None);
        let unrouted = metrics.route("none");
        let lane =
            Lane::new(clock.clone(), metrics.stage_times(), unrouted, Some(queue), Uses::default());
        let admission = Admission {
            clock,
            intake: Intake::new(HeadLimits::default(), Arc::clone(&addresses), Instant::now()),
            routes: Routes::new(vec![route(&scheme, &metrics)]),
            keyring: Arc::new(ArcSwap::from_pointee(keyring)),
            memory,
            addresses,
            budget: Budget::new(256 << 20),
            practice: Arc::new(Practice::new(&metrics.mistakes)),
            roll: Arc::new(Roll::new(Arc::default(), Chains::new(0), Box::new(|_| {}))),
            body: BodyDeadlines::default(),
            bindings: None,
        };
        let peer = Rc::new(Peer {
            address: ([127, 0, 0, 1], 50_000).into(),
            ip: IpAddr::from([127, 0, 0, 1]),
            socket: IpAddr::from([127, 0, 0, 1]),
            unclear: false,
            server_name: Some("localhost".into()),
            names: CertNames::new(vec!["localhost".into()]),
            certificate: None,
            forwarded_for: HeaderValue::from_static("127.0.0.1"),
        });
        let lane = lane.expect("random bytes");
        let admission = Arc::new(admission);
        let view = View::of(&admission, &View::keys_of(&admission));
        let local = tokio::task::LocalSet::new();
        let entered = local.enter();
        Self {
            view,
            lane,
            peer,
            scheme,
            count: std::cell::Cell::new(0),
            _entered: entered,
            _local: local,
        }
    }

    /// A good request of the merchant's, unlike any before.
    pub(crate) fn signed(&self, merchant: &str, bytes: usize) -> Case {
        let count = self.count.get() + 1;
        self.count.set(count);
        let mut body = format!("{{\"n\":\"{count:016}\",\"p\":\"").into_bytes();
        body.resize(bytes, b'x');
        let secret = [SECRET, merchant.as_bytes()].concat();
        let secret = Secret::new(secret).expect("a secret");
        let key = self.scheme.key(&secret, NamedSecrets::default()).expect("a key");
        let outgoing = Outgoing {
            key_id: merchant,
            timestamp: Timestamp::from_secs(self.view.clock.now().secs()),
            method: &Method::POST,
            authority: "localhost",
            target: "/v1/orders",
            content_type: "application/json",
            headers: &HeaderMap::new(),
            body: &body,
        };
        let mut request = Request::post("/v1/orders").header("host", "localhost");
        request = request.header("content-type", "application/json");
        request = request.header("content-length", bytes).header("user-agent", "bench/1");
        for (name, value) in self.scheme.sign(&key, &outgoing).expect("signed") {
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        Case { head, body: Full::new(Bytes::from(body)) }
    }

    pub(crate) fn with(&self, merchant: &str, bytes: usize, change: impl Fn(&mut Parts)) -> Case {
        let mut case = self.signed(merchant, bytes);
        change(&mut case.head);
        case
    }

    pub(crate) fn admit(&self, case: Case) -> Option<Rejection> {
        let (rejection, record) = self.decide(case);
        self.finish(&record);
        rejection
    }

    /// The decision without the end of its record, which the gate writes before the answer leaves.
    pub(crate) fn decide(&self, mut case: Case) -> (Option<Rejection>, Rc<Record>) {
        let target = case.head.uri.path_and_query();
        let record = self.lane.begin(&case.head.method, target, case.head.version, &self.peer);
        let visit = Visit { peer: Rc::clone(&self.peer), record: Rc::clone(&record) };
        let slot = ReplySlot::default();
        let outcome = self.view.admit(Box::new(case.head), &mut case.body, visit, &slot);
        let rejection = outcome.now_or_never().expect("nothing to wait for").err();
        let rejection = rejection.and_then(|refused| refused.rejection());
        (rejection, record)
    }

    pub(crate) fn finish(&self, record: &Record) {
        self.lane.finish(record, Code::Forwarded, 200);
    }
}

fn merchant(id: &str, scheme: &Arc<Scheme>, rate: u32, networks: &[&str]) -> MerchantSpec {
    let rate = NonZeroU32::new(rate).expect("not zero");
    let secret = Secret::new([SECRET, id.as_bytes()].concat()).expect("a secret");
    let key = scheme.key(&secret, NamedSecrets::default()).expect("a key");
    MerchantSpec {
        id: id.into(),
        rate: Rate { per_second: rate, burst: rate },
        addresses: networks.iter().map(|net| net.parse().expect("a network")).collect(),
        credentials: vec![CredentialSpec {
            envelope: None,
            answer_key: None,
            rolling: None,
            key_id: id.parse().expect("a key id"),
            environment: Environment::Live,
            scheme: Arc::clone(scheme),
            rate: None,
            addresses: Vec::new(),
            scopes: vec!["POST /v1/orders".parse().expect("a scope")],
            repeatable_reads: false,
            expires: None,
            suspended: false,
            versions: vec![VersionSpec {
                key,
                number: 0,
                state: State::Active,
                on_first_use: false,
                until: None,
            }],
        }],
    }
}

fn route(scheme: &Arc<Scheme>, metrics: &GateMetrics) -> Arc<Route> {
    let name: Arc<str> = Arc::from("bench");
    let url = UpstreamUrl { host: "127.0.0.1".into(), port: 1 };
    let upstream = UpstreamSpec {
        connections_max: NonZeroUsize::MIN,
        ..UpstreamSpec::new(Arc::clone(&name), vec![url])
    };
    let upstream = Upstream::new(upstream, metrics.upstream(&name), None).expect("an upstream");
    let spec = RouteSpec {
        name: Arc::clone(&name),
        hosts: Vec::new(),
        path: "/v1/*".parse().expect("a pattern"),
        methods: Vec::new(),
        upstream: Arc::clone(&name),
        scheme: Arc::clone(scheme),
        window: Window { past: Duration::from_secs(300), ahead: Duration::from_secs(30) },
        body_bytes_max: NonZeroUsize::new(1 << 20).expect("not zero"),
        body_deadline: None,
        environment: None,
        credential: None,
        public_url: None,
        opener: None,
        answers: Answers::default(),
        rolling: None,
        unique_order: None,
        remember: false,
        answer_idle: None,
        observe: None,
        changes: countersign::gateway::route::Changes::default(),
    };
    let upstream = Some(Arc::new(upstream));
    Arc::new(Route { spec, upstream, metrics: metrics.route(&name), ledger: None })
}
