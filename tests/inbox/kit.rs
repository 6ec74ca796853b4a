//! A gate with sources, a merchant's service that writes everything down, and a provider's API.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::provider::{FIUU, FIUU_VERIFY, KWIK, PAYKUN, SHOP, STRIPE, standard};
use super::support::answer::Answer;
use super::support::gateway::Gateway;
use super::support::request::Request;
use super::support::setup::Setup;
use super::support::upstream::{Recorded, Step, Upstream, answer};

/// A gate with an inbox.
pub(crate) struct Inbox {
    pub(crate) gate: Gateway,
    /// The merchant's service.
    pub(crate) shop: Upstream,
    /// The provider's API.
    pub(crate) api: Upstream,
}

/// What a test changes of the standard sources.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) shop: Upstream,
    pub(crate) api: Upstream,
    /// More keys of `[destinations.shop]`.
    pub(crate) destination: String,
    /// Tables of sources and other destinations.
    pub(crate) tables: Vec<String>,
}

/// Networks that tests may call.
pub(crate) const LOOPBACK: &str = "networks = [\"127.0.0.0/8\", \"::1/128\"]";

impl Plan {
    pub(crate) fn new() -> Self {
        let mut setup = Setup::new();
        for (id, secret) in [
            ("shop", SHOP),
            ("stripe", STRIPE),
            ("kwik-hook", KWIK),
            ("paykun", PAYKUN),
            ("fiuu", FIUU),
            ("fiuu-verify", FIUU_VERIFY),
            ("fiuu-domain", "shop_MY"),
            ("kwik-key", "pk_live_shop0001"),
            ("paykun-id", "merchant0001"),
            ("paykun-token", "token0123456789abcd"),
        ] {
            setup.named_secret(id, secret);
        }
        Self {
            setup,
            shop: Upstream::start(),
            api: Upstream::start(),
            destination: String::new(),
            tables: Vec::new(),
        }
    }

    /// More keys of the destination.
    pub(crate) fn destination(mut self, more: &str) -> Self {
        self.destination.push_str(more);
        self.destination.push('\n');
        self
    }

    /// One more table.
    pub(crate) fn table(mut self, table: impl Into<String>) -> Self {
        self.tables.push(table.into());
        self
    }

    /// Stripe, with these secrets of the list.
    pub(crate) fn stripe(self, secrets: &[&str], more: &str) -> Self {
        let secrets: Vec<String> = secrets.iter().map(|id| listed(id)).collect();
        self.table(format!(
            "[sources.stripe]\nprovider = \"stripe\"\npath = \"/webhooks/stripe\"\n\
             destination = \"shop\"\nsecrets = [{}]\n{more}\n",
            secrets.join(", ")
        ))
    }

    /// Fiuu, asking the API that stands in for the provider's.
    pub(crate) fn fiuu(self, more: &str) -> Self {
        let url = format!("http://localhost:{}/RMS/API/gate-query/index.php", self.api_port());
        let (secret, verify, domain) =
            (listed("fiuu"), listed("fiuu-verify"), listed("fiuu-domain"));
        self.table(format!(
            "[sources.fiuu]\nprovider = \"fiuu\"\npath = \"/webhooks/fiuu\"\n\
             destination = \"shop\"\nsecrets = [{secret}]\n\
             values = {{ verify_key = {verify}, domain = {domain} }}\n\
             confirm.url = \"{url}\"\nconfirm.{LOOPBACK}\nconfirm.every = \"10ms\"\n{more}\n"
        ))
    }

    pub(crate) fn kwikpaisa(self, more: &str) -> Self {
        let url = format!("http://localhost:{}/api/v3/pg/order/status", self.api_port());
        let (secret, key) = (listed("kwik-hook"), listed("kwik-key"));
        self.table(format!(
            "[sources.kwikpaisa]\nprovider = \"kwikpaisa\"\npath = \"/webhooks/kwikpaisa\"\n\
             destination = \"shop\"\nsecrets = [{secret}]\nvalues = {{ key_id = {key} }}\n\
             confirm.url = \"{url}\"\nconfirm.{LOOPBACK}\nconfirm.every = \"10ms\"\n{more}\n"
        ))
    }

    pub(crate) fn paykun(self, more: &str) -> Self {
        let url = format!("http://localhost:{}", self.api_port());
        let url = format!("{url}/v1/merchant/transaction/{{transaction | urlencode}}/");
        let (secret, id, token) = (listed("paykun"), listed("paykun-id"), listed("paykun-token"));
        self.table(format!(
            "[sources.paykun]\nprovider = \"paykun\"\npath = \"/webhooks/paykun\"\n\
             destination = \"shop\"\nsecrets = [{secret}]\n\
             values = {{ merchant_id = {id}, access_token = {token} }}\n\
             confirm.url = \"{url}\"\nconfirm.{LOOPBACK}\nconfirm.every = \"10ms\"\n{more}\n"
        ))
    }

    fn api_port(&self) -> u16 {
        self.api.address.port()
    }

    /// The setup with all of it.
    pub(crate) fn write(&mut self) {
        let url = format!("http://localhost:{}/webhooks", self.shop.address.port());
        let (secret, more) = (listed("shop"), &self.destination);
        self.setup.upstreams = vec![format!(
            "[destinations.shop]\nurl = \"{url}\"\nsecrets = [{secret}]\n{LOOPBACK}\n{more}\n"
        )];
        self.setup.upstreams.extend(self.tables.iter().cloned());
    }

    /// Starts with a journal in memory.
    pub(crate) fn start(mut self) -> Inbox {
        self.write();
        let gate = Gateway::with(self.setup);
        Inbox { gate, shop: self.shop, api: self.api }
    }

    /// Starts with a state folder.
    pub(crate) fn start_on_disk(mut self) -> Inbox {
        self.write();
        let gate = Gateway::with_state(self.setup);
        Inbox { gate, shop: self.shop, api: self.api }
    }
}

/// A secret of the list.
pub(crate) fn listed(id: &str) -> String {
    format!("{{ list = \"secrets.txt\", id = \"{id}\" }}")
}

impl Inbox {
    /// The gate's time.
    pub(crate) fn now(&self) -> u64 {
        self.gate.now()
    }

    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.gate.ask(request)
    }

    /// The message must be taken, with this body as the answer.
    pub(crate) fn takes(&self, request: &Request, answered: &str) -> Answer {
        let answer = self.ask(request);
        assert_eq!((answer.status, answer.text().as_str()), (200, answered), "{request:?}");
        answer
    }

    /// The message must be refused with a status, under a code, and nothing of it kept.
    pub(crate) fn refuses(&self, request: &Request, status: u16, code: &str) {
        let before = self.refused(code);
        let answer = self.ask(request);
        assert_eq!(answer.status, status, "{code}: {request:?} {}", answer.text());
        assert_eq!(self.refused(code), before + 1.0, "{code}: {request:?}");
    }

    fn refused(&self, code: &str) -> f64 {
        self.count(&format!("outcome=\"{code}\""))
    }

    /// Messages with an outcome.
    pub(crate) fn count(&self, label: &str) -> f64 {
        let text = self.gate.operation("/metrics").text();
        let lines = text.lines().filter(|line| line.starts_with("countersign_webhooks_total{"));
        let of = lines.filter(|line| line.contains(label));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// Waits for so many calls of the merchant's service, and gives them.
    pub(crate) fn delivered(&self, count: usize) -> Vec<Recorded> {
        all_of(&self.shop, count)
    }

    /// Nothing more is delivered for a while in which it would have been.
    pub(crate) fn delivers_nothing_more_than(&self, count: usize) {
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(self.shop.count(), count, "{:?}", self.shop.last());
    }

    /// Nothing was delivered at all.
    pub(crate) fn delivers_nothing(&self) {
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(self.shop.count(), 0);
    }

    /// Lets time pass until the service has had so many calls.
    pub(crate) fn advance_until_delivered(&self, step: u64, count: usize) -> Vec<Recorded> {
        let until = Instant::now() + Duration::from_secs(20);
        while self.shop.count() < count {
            assert!(Instant::now() < until, "{} of {count}: {}", self.shop.count(), self.log());
            self.gate.advance(step);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.delivered(count)
    }

    /// Waits until so many attempts have come to their end.
    pub(crate) fn settled(&self, count: usize) {
        super::support::wait_until(&format!("{count} attempts to end"), || {
            let text = self.gate.operation("/metrics").text();
            let lines = text.lines();
            let of = lines.filter(|line| line.starts_with("countersign_webhook_attempts_total{"));
            let ended = of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap());
            ended.sum::<usize>() >= count
        });
    }

    pub(crate) fn log(&self) -> String {
        self.gate.log()
    }

    /// Waits until a line of the log holds all of these.
    pub(crate) fn wait_for_log(&self, parts: &[&str]) {
        super::support::wait_until(&format!("a line with {parts:?}"), || {
            self.log().lines().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    }
}

/// All calls of a service, once there are so many.
pub(crate) fn all_of(service: &Upstream, count: usize) -> Vec<Recorded> {
    service.wait_for(count);
    let all = std::sync::Mutex::new(Vec::new());
    service.count_of(|one| {
        all.lock().unwrap().push(one.clone());
        true
    });
    all.into_inner().unwrap()
}

/// The delivery must be signed as Standard Webhooks says; its id.
pub(crate) fn signed(call: &Recorded, secrets: &[&str]) -> String {
    let (id, at) = (call.value("webhook-id"), call.value("webhook-timestamp"));
    let expected: BTreeSet<String> =
        secrets.iter().map(|secret| standard(secret, &id, &at, &call.body)).collect();
    let given = call.value("webhook-signature");
    let given: BTreeSet<String> = given.split(' ').map(str::to_owned).collect();
    assert_eq!(given, expected, "of {call:?}");
    assert!(id.starts_with("dlv_") && id.len() == 30, "{id}");
    id
}

/// An answer with a status and no body.
pub(crate) fn status(line: &str) -> Vec<Step> {
    vec![Step::Send(answer(line, &[], b""))]
}

/// An answer with JSON.
pub(crate) fn json(body: &str) -> Vec<Step> {
    vec![Step::Send(answer("200 OK", &[("Content-Type", "application/json")], body.as_bytes()))]
}
