//! A gate with rolling keys, and a partner that seals for it.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use countersign::client::roll::{Sealed, Unproved, Wallet};
use countersign::clock::Timestamp;
use countersign::roll::keys::Root;
use countersign::roll::session::PATH;
use countersign::roll::{AnchorSpec, EpochSpec, Epochs, KeySet, Label, Material};
use countersign::secret::Secret;
use http::HeaderMap;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, START};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant, route, v1};
use crate::support::signer::Signer;
use crate::support::upstream::Upstream;

/// A root and one anchor, told apart by a byte.
pub(crate) fn material(byte: u8) -> Material {
    let secret = Secret::new(vec![byte; 32]).unwrap();
    let keys = KeySet::from_bytes(&anchor_bytes(byte));
    let root = Root { secret, since: Timestamp::from_secs(0) };
    Material { root, anchors: vec![AnchorSpec { version: NonZeroU32::MIN, keys, until: None }] }
}

pub(crate) fn anchor_bytes(byte: u8) -> [u8; 160] {
    std::array::from_fn(|at| byte.wrapping_add(u8::try_from(at).unwrap()))
}

/// The epoch that every gate begins with.
pub(crate) fn first_epoch() -> EpochSpec {
    EpochSpec {
        number: 1,
        not_before: Timestamp::from_secs(START - 1000),
        not_after: Timestamp::from_secs(START + 86_400),
        secret: Secret::new(vec![0xe1; 32]).unwrap(),
    }
}

/// Another merchant with rolling keys.
pub(crate) fn other() -> Signer {
    Signer::v1("pk_live_initech", "initech-live-77c1d0f2a9e84b35")
}

/// A gate on whose routes `/v2/*` keys roll.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) epochs: Arc<Epochs>,
    client: Mutex<Option<Client>>,
}

pub(crate) fn setup(preset: &str, more: &str) -> Setup {
    let mut setup = Setup::new();
    setup.routes = vec![
        route("v1", "/v2/*", "countersign-v1", &format!("rolling = \"{preset}\"\n{more}")),
        route("kwik", "/v1/*", "kwikpaisa", ""),
    ];
    let table = credential("initech", &other(), "live", "");
    setup.merchant(merchant("initech", GENEROUS, &[table]), &[&other()])
}

impl Site {
    pub(crate) fn start(preset: &str) -> Self {
        Self::with(setup(preset, ""))
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::behind(setup, Upstream::start(), |material| material)
    }

    /// A gate whose merchants have rolling keys, altered by the test.
    pub(crate) fn behind(
        setup: Setup,
        upstream: Upstream,
        alter: impl Fn(Material) -> Material,
    ) -> Self {
        let gateway = Gateway::altered(setup, upstream, |config| {
            for merchant in &mut config.merchants {
                for credential in &mut merchant.credentials {
                    let byte = match credential.key_id.as_str() {
                        "pk_live_globex" => 1,
                        "pk_live_initech" => 2,
                        _ => continue,
                    };
                    credential.rolling = Some(alter(material(byte)));
                }
            }
        });
        let site = Self::of(gateway);
        site.epochs.replace(vec![first_epoch()]);
        site
    }

    /// A gate whose rolling keys come from elsewhere.
    pub(crate) fn of(gateway: Gateway) -> Self {
        let epochs = Arc::clone(&gateway.roll().epochs);
        Self { gateway, epochs, client: Mutex::default() }
    }

    /// Sends on a new connection from now on.
    pub(crate) fn forget_connection(&self) {
        *self.client.lock().unwrap() = None;
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.gateway.now())
    }

    /// Sends on a connection that is kept.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        let mut kept = self.client.lock().unwrap();
        let mut client = kept.take().unwrap_or_else(|| self.gateway.client());
        let answer = client.ask(request);
        if answer.value("connection") != Some("close") {
            *kept = Some(client);
        }
        answer
    }

    /// A partner of the first merchant that has begun its chain.
    pub(crate) fn partner(&self) -> Partner<'_> {
        let mut partner = self.stranger();
        partner.begin();
        partner
    }

    /// The same without a chain.
    pub(crate) fn stranger(&self) -> Partner<'_> {
        let wallet = Wallet::new(1, material(1).anchors[0].keys.clone());
        Partner { site: self, signer: v1(), wallet }
    }

    /// How often something happened to chains, by the name of its event.
    pub(crate) fn told(&self, event: &str) -> f64 {
        self.gateway.metric("countersign_rolling_events_total", &[event])
    }
}

/// One worker of a merchant.
#[derive(Clone)]
pub(crate) struct Partner<'s> {
    pub(crate) site: &'s Site,
    pub(crate) signer: Signer,
    pub(crate) wallet: Wallet,
}

impl Partner<'_> {
    /// A sealed request before it is signed.
    pub(crate) fn seal(&mut self, method: &str, target: &str, body: &[u8]) -> (Request, Sealed) {
        let sealed = self.wallet.seal(self.site.now(), method, target, body);
        let sealed = sealed.unwrap().expect("a key set");
        (put_up(method, target, &sealed, !body.is_empty()), sealed)
    }

    pub(crate) fn sign(&self, request: Request) -> Request {
        self.signer.sign(request, self.site.gateway.now())
    }

    /// Sends a message and opens its answer; the refusal's code where it is plain.
    pub(crate) fn sends(
        &mut self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let (request, sealed) = self.seal(method, target, body);
        let answer = self.site.ask(&self.sign(request));
        self.opens(&sealed, &answer)
    }

    /// A payment that must pass.
    pub(crate) fn pays(&mut self) {
        let answer = self.sends("POST", "/v2/payments", b"{\"amount\":1000}");
        assert_eq!(answer, Ok((200, b"{\"ok\":true}".to_vec())));
    }

    /// A payment that must be refused in clear; nothing of it arrives.
    pub(crate) fn is_refused(&mut self, code: &str) {
        let before = self.site.gateway.upstream.bytes();
        let answer = self.sends("POST", "/v2/payments", b"{\"amount\":1000}");
        assert_eq!(answer, Err(code.to_owned()));
        assert_eq!(self.site.gateway.upstream.bytes(), before, "{code}");
    }

    pub(crate) fn opens(
        &mut self,
        sealed: &Sealed,
        answer: &Answer,
    ) -> Result<(u16, Vec<u8>), String> {
        if answer.value("x-seal-kid").is_none() {
            return Err(answer.refusal().code);
        }
        let (headers, body) = (headers(answer), Bytes::from(answer.body.clone()));
        let text = self.wallet.open(sealed, answer.status, &headers, &body);
        Ok((answer.status, text.map_err(|Unproved| "unproved")?.to_vec()))
    }

    /// The code by which a payment is refused now, if it is.
    pub(crate) fn refusal(&mut self) -> Option<String> {
        self.sends("POST", "/v2/payments", b"{\"amount\":1000}").err()
    }

    /// Asks for a chain, which may not be had yet.
    pub(crate) fn tries(&mut self) -> Result<(), String> {
        let call = self.wallet.seal_call(self.site.now(), PATH).unwrap();
        let answer = self.site.ask(&self.sign(put_up("POST", PATH, &call, true)));
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    }

    /// Asks for a chain.
    pub(crate) fn begin(&mut self) {
        let call = self.wallet.seal_call(self.site.now(), PATH).unwrap();
        let answer = self.site.ask(&self.sign(put_up("POST", PATH, &call, true)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (headers, body) = (headers(&answer), Bytes::from(answer.body.clone()));
        self.wallet.begin(&call, 200, &headers, &body).expect("fresh keys");
    }

    /// The place of its newest set in its chain.
    pub(crate) fn generation(&self) -> u32 {
        self.wallet.newest().unwrap().kid.generation
    }
}

/// A sealed message as a request.
pub(crate) fn put_up(method: &str, target: &str, sealed: &Sealed, has_body: bool) -> Request {
    let request = Request::new(method, target).header("X-SEAL-KID", sealed.label().to_string());
    match has_body {
        false => request.header("X-SEAL-PROOF", sealed.text()),
        true => request
            .header("Content-Type", "application/vnd.countersign.sealed")
            .body(sealed.bytes()),
    }
}

pub(crate) fn headers(answer: &Answer) -> HeaderMap {
    let pairs = answer.headers.iter();
    let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    pairs.collect::<Vec<(http::HeaderName, http::HeaderValue)>>().into_iter().collect()
}

impl Partner<'_> {
    /// Seals any text by the anchor.
    pub(crate) fn seal_by_anchor(&self, target: &str, text: &[u8]) -> Sealed {
        let keys = material(1).anchors[0].keys.clone();
        Sealed::by((Label::Anchor(1), keys), self.site.now(), "POST", target, text).unwrap()
    }
}
