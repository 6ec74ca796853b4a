//! An authority for certificates that does what RFC 8555, 8737 and 9773 say, and misbehaves on
//! demand. Everything that it is told it checks, and a gate that says something wrong fails the
//! test.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509CertificationRequest};

use crate::jws::{Message, decode, encode, thumbprint};
use crate::proof;
use crate::support::certificates::authority;
use crate::support::tls;
use crate::wire::{Asked, Reply, serve};

/// Longer than anything takes that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an authority does wrong from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Nothing.
    None,
    /// 503, not even in JSON.
    Unavailable,
    /// Orders are refused for so many seconds.
    RateLimited(u64),
    /// No proof is ever seen.
    Blind,
    /// Orders are never done.
    Stuck,
    /// The certificate is for another key.
    OtherKey,
    /// The certificate is for another name.
    OtherName,
    /// What is downloaded is no certificate.
    Garbage,
    /// Orders are answered with something else.
    Nonsense,
    /// An answer that is too long.
    TooLong,
    /// An answer without an end.
    Endless,
    /// The directory names a place in clear.
    InClear,
    /// The directory names what is no place at all.
    NoUrl,
    /// Everything is elsewhere.
    Redirected,
    /// Everything is to be asked for again later than any clock tells.
    Patient,
    /// Nothing is said that may be left out.
    Curt,
    /// The token of a challenge is one that no authority gives.
    BadToken,
}

/// What is known of one order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) replaces: Option<String>,
    pub(crate) profile: Option<String>,
    status: &'static str,
    authorization: &'static str,
    fault: Option<Value>,
    token: String,
    certificate: Option<String>,
}

/// Everything that a test looks at or changes.
pub(crate) struct State {
    pub(crate) mischief: Mischief,
    /// Whether the next message is told that its nonce is bad.
    pub(crate) bad_nonce: bool,
    /// The key id and MAC key that new accounts must be bound to.
    pub(crate) external: Option<(String, Vec<u8>)>,
    /// When certificates are to be renewed; none: the authority does not say.
    pub(crate) window: Option<(String, String)>,
    /// Where the names lead.
    pub(crate) gate: Option<(SocketAddr, Option<SocketAddr>)>,
    /// Nothing is answered while this holds.
    pub(crate) held: bool,
    /// No proof is looked at while this holds.
    pub(crate) proofs_held: bool,
    pub(crate) orders: Vec<Order>,
    /// By account URL: its key, and what it said when it was made.
    pub(crate) accounts: Vec<(Value, Value)>,
    /// What came, as `METHOD path`.
    pub(crate) asked: Vec<String>,
    /// Certificates that were asked about (RFC 9773).
    pub(crate) renewals_asked: Vec<String>,
    nonces: HashSet<String>,
    counter: u64,
}

/// A running authority.
pub(crate) struct Acme {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    base: Mutex<String>,
}

impl Acme {
    pub(crate) fn start() -> Self {
        let state = State {
            mischief: Mischief::None,
            bad_nonce: false,
            external: None,
            window: None,
            gate: None,
            held: false,
            proofs_held: false,
            orders: Vec::new(),
            accounts: Vec::new(),
            asked: Vec::new(),
            renewals_asked: Vec::new(),
            nonces: HashSet::new(),
            counter: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            base: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let certificate = authority().issue(&["localhost"], 30);
        let address = serve(tls::server(&certificate), move |asked| own.answer(asked));
        *shared.base.lock().unwrap() = format!("https://localhost:{}", address.port());
        Self { shared }
    }

    pub(crate) fn directory(&self) -> String {
        format!("{}/directory", self.shared.base.lock().unwrap())
    }

    /// Looks at the state, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let outcome = look(&mut self.shared.state());
        self.shared.changed.notify_all();
        outcome
    }

    pub(crate) fn does(&self, mischief: Mischief) {
        self.with(|state| state.mischief = mischief);
    }

    /// How many orders were made, good or not.
    pub(crate) fn orders(&self) -> usize {
        self.with(|state| state.orders.len())
    }

    /// Requests for this so far.
    pub(crate) fn asked(&self, request: &str) -> usize {
        self.with(|state| state.asked.iter().filter(|own| *own == request).count())
    }
}

/// What a certificate is called in renewal information (RFC 9773, section 4.1).
pub(crate) fn certificate_id(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let issuer = certificate.extensions().iter().find_map(|one| match one.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(own) => own.key_identifier.clone(),
        _ => None,
    });
    format!("{}.{}", encode(issuer.unwrap().0), encode(certificate.raw_serial()))
}

/// The state folder of the authority with a directory, found by what is in it.
pub(crate) fn kept(state: &Path, file: &str) -> std::path::PathBuf {
    let folders = std::fs::read_dir(state.join("acme")).unwrap();
    let mut folders = folders.map(|entry| entry.unwrap().path());
    folders.find(|folder| folder.join(file).exists()).map(|folder| folder.join(file)).unwrap()
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.lock().unwrap())
    }

    /// Waits until a test lets go.
    fn wait_while(&self, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.state(), PATIENCE, |state| holds(state));
        waited.unwrap().0
    }

    fn answer(self: &Arc<Self>, asked: &Asked) -> Reply {
        let mut state = self.wait_while(|state| state.held);
        state.asked.push(format!("{} {}", asked.method, asked.path));
        assert!(asked.header("user-agent").unwrap().starts_with("countersign/"));
        match state.mischief {
            Mischief::Unavailable => return text(503, "<html>maintenance</html>"),
            Mischief::TooLong => return Reply { body: vec![b' '; 1 << 20], ..text(200, "") },
            Mischief::Redirected => {
                let place = ("location", self.url("/directory"));
                return Reply { headers: vec![place], ..text(302, "") };
            }
            Mischief::Endless => return Reply { endless: true, ..text(200, "{") },
            _ => {}
        }
        let nonce = fresh(&mut state);
        let mut reply = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/directory") => self.directory(&state),
            ("HEAD", "/nonce") => text(200, ""),
            ("GET", path) if path.starts_with("/renewal/") => renewal(&mut state, &path[9..]),
            ("POST", _) => self.message(&mut state, asked),
            (method, path) => panic!("{method} {path}"),
        };
        if asked.method != "GET" {
            reply.headers.push(("replay-nonce", nonce));
        }
        if matches!(state.mischief, Mischief::Patient | Mischief::Curt) {
            reply.headers.retain(|(name, _)| *name != "retry-after");
        }
        match state.mischief {
            Mischief::Patient => reply.headers.push(("retry-after", u64::MAX.to_string())),
            Mischief::Curt if asked.method == "HEAD" => reply.status = 204,
            _ => {}
        }
        reply
    }

    fn directory(&self, state: &State) -> Reply {
        let url = |path| self.url(path);
        let mut directory = json!({
            "newNonce": url("/nonce"),
            "newAccount": url("/account"),
            "newOrder": url("/order"),
            "revokeCert": url("/revoke"),
            "meta": { "termsOfService": url("/terms") },
        });
        if state.window.is_some() {
            directory["renewalInfo"] = json!(url("/renewal"));
        }
        if state.mischief == Mischief::InClear {
            directory["newNonce"] = json!(url("/nonce").replace("https:", "http:"));
        }
        if state.mischief == Mischief::NoUrl {
            directory["newNonce"] = json!("no place\r\nat all");
        }
        text(200, &directory.to_string())
    }

    /// A signed message: by whom, with which nonce, for which place.
    fn message(self: &Arc<Self>, state: &mut State, asked: &Asked) -> Reply {
        assert_eq!(asked.header("content-type"), Some("application/jose+json"));
        let message = Message::read(&serde_json::from_slice(&asked.body).unwrap());
        let head = &message.head;
        assert_eq!((&head["alg"], &head["url"]), (&json!("ES256"), &json!(self.url(&asked.path))));
        let known = state.nonces.remove(head["nonce"].as_str().unwrap());
        if std::mem::take(&mut state.bad_nonce) {
            return problem(400, "badNonce", "use another");
        }
        assert!(known, "a nonce that was used before, or never given");
        let jwk = match head.get("kid") {
            Some(kid) => {
                assert!(head.get("jwk").is_none());
                let number = kid.as_str().unwrap().rsplit('/').next().unwrap();
                state.accounts[number.parse::<usize>().unwrap()].0.clone()
            }
            None => head["jwk"].clone(),
        };
        assert!(message.is_by(&jwk), "a signature of another key");
        let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        let payload = message.payload;
        match path.as_slice() {
            ["account"] => self.account(state, &jwk, &payload.unwrap()),
            ["account", number] => {
                let own = &mut state.accounts[number.parse::<usize>().unwrap()].1;
                own["contact"] = payload.unwrap()["contact"].clone();
                text(200, &own.to_string())
            }
            ["order"] => self.new_order(state, &payload.unwrap()),
            [kind, number] => {
                let number = number.parse().unwrap();
                match *kind {
                    "order" => self.order(state, number, payload.as_ref()),
                    "authorization" => self.authorization(state, number, payload.as_ref()),
                    "challenge" => self.challenge(state, number, &jwk, &payload.unwrap()),
                    "finalize" => self.finalize(state, number, &payload.unwrap()),
                    "certificate" => download(state, number, payload.as_ref()),
                    other => panic!("{other}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn account(&self, state: &mut State, jwk: &Value, payload: &Value) -> Reply {
        let place = |number: usize| ("location", self.url(&format!("/account/{number}")));
        let found = state.accounts.iter().position(|(own, _)| own == jwk);
        if let Some(number) = found {
            let body = state.accounts[number].1.to_string();
            return Reply { headers: vec![place(number)], ..text(200, &body) };
        }
        if payload["onlyReturnExisting"] == true {
            return problem(400, "accountDoesNotExist", "nobody");
        }
        assert_eq!(payload["termsOfServiceAgreed"], true);
        if let Some((id, key)) = &state.external {
            let Some(binding) = payload.get("externalAccountBinding") else {
                return problem(403, "externalAccountRequired", "no binding");
            };
            let binding = Message::read(binding);
            assert_eq!(binding.head["alg"], "HS256");
            assert_eq!(binding.head["url"], json!(self.url("/account")));
            assert!(binding.head.get("nonce").is_none());
            if binding.head["kid"] != json!(id) || !binding.has_mac_of(key) {
                return problem(403, "unauthorized", "another key");
            }
            assert_eq!(binding.payload.as_ref(), Some(jwk));
        }
        let number = state.accounts.len();
        let document = json!({ "status": "valid", "contact": payload["contact"] });
        state.accounts.push((jwk.clone(), document.clone()));
        Reply { headers: vec![place(number)], ..text(201, &document.to_string()) }
    }

    fn new_order(&self, state: &mut State, payload: &Value) -> Reply {
        match state.mischief {
            Mischief::RateLimited(seconds) => {
                let mut reply = problem(429, "rateLimited", "too many\r\n\u{1b}[2Jorders");
                reply.headers.push(("retry-after", seconds.to_string()));
                return reply;
            }
            Mischief::Nonsense => return text(201, "[1, 2, {\"status\": \"READY?\"}]"),
            _ => {}
        }
        let identifiers = payload["identifiers"].as_array().unwrap();
        assert_eq!(identifiers.len(), 1);
        assert_eq!(identifiers[0]["type"], "dns");
        let text = |name: &str| payload.get(name).map(|text| text.as_str().unwrap().to_owned());
        let replaces = text("replaces");
        let earlier = state.orders.iter().filter(|order| order.status == "valid");
        if replaces.is_some() && earlier.clone().any(|order| order.replaces == replaces) {
            return problem(409, "alreadyReplaced", "by another order");
        }
        let order = Order {
            name: identifiers[0]["value"].as_str().unwrap().to_owned(),
            replaces,
            profile: text("profile"),
            status: "pending",
            authorization: "pending",
            fault: None,
            token: match state.mischief {
                Mischief::BadToken => "../../v2/orders?x=".into(),
                _ => fresh(state),
            },
            certificate: None,
        };
        state.orders.push(order);
        let number = state.orders.len() - 1;
        let mut reply = self.order(state, number, None);
        reply.status = 201;
        reply.headers.push(("location", self.url(&format!("/order/{number}"))));
        reply
    }

    fn order(&self, state: &State, number: usize, payload: Option<&Value>) -> Reply {
        assert_eq!(payload, None, "an order is only read");
        let order = &state.orders[number];
        let mut document = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.name }],
            "authorizations": [self.url(&format!("/authorization/{number}"))],
            "finalize": self.url(&format!("/finalize/{number}")),
        });
        let told = order.replaces.as_ref().filter(|_| state.mischief != Mischief::Curt);
        if let Some(replaces) = told {
            document["replaces"] = json!(replaces);
        }
        if order.certificate.is_some() {
            document["certificate"] = json!(self.url(&format!("/certificate/{number}")));
        }
        text(200, &document.to_string())
    }

    fn authorization(&self, state: &State, number: usize, payload: Option<&Value>) -> Reply {
        assert_eq!(payload, None, "an authorization is only read");
        let order = &state.orders[number];
        let challenge = |kind: &str| {
            let place = if kind == "http-01" { 10 * number } else { 10 * number + 1 };
            json!({
                "type": kind,
                "url": self.url(&format!("/challenge/{place}")),
                "token": order.token,
                "status": order.authorization,
                "error": order.fault,
            })
        };
        let document = json!({
            "identifier": { "type": "dns", "value": order.name },
            "status": order.authorization,
            "challenges": [
                { "type": "dns-01", "url": self.url("/none"), "status": "pending", "token": "x" },
                challenge("http-01"),
                challenge("tls-alpn-01"),
            ],
        });
        text(200, &document.to_string())
    }

    /// Begins to look whether the name leads to the gate.
    fn challenge(
        self: &Arc<Self>,
        state: &mut State,
        place: usize,
        jwk: &Value,
        payload: &Value,
    ) -> Reply {
        assert_eq!(*payload, json!({}));
        let (number, over_tls) = (place / 10, place % 10 == 1);
        let order = &mut state.orders[number];
        order.authorization = "processing";
        let (name, token) = (order.name.clone(), order.token.clone());
        let wanted = format!("{token}.{}", thumbprint(jwk));
        let own = Arc::clone(self);
        std::thread::spawn(move || {
            let state = own.wait_while(|state| state.gate.is_none() || state.proofs_held);
            let (blind, gate) = (state.mischief == Mischief::Blind, state.gate);
            drop(state);
            let (tls, clear) = gate.unwrap();
            let seen = match over_tls {
                _ if blind => Err("connection refused".to_owned()),
                true => proof::over_tls(tls, &name, &wanted),
                false => proof::in_clear(clear.unwrap(), &name, &token, &wanted),
            };
            let mut state = own.state();
            let order = &mut state.orders[number];
            let outcome = if seen.is_ok() { ("ready", "valid") } else { ("invalid", "invalid") };
            (order.status, order.authorization) = outcome;
            order.fault = seen.err().map(
                |why| json!({ "type": "urn:ietf:params:acme:error:connection", "detail": why }),
            );
        });
        let kind = if over_tls { "tls-alpn-01" } else { "http-01" };
        let document = json!({ "type": kind, "status": "processing", "url": self.url("/x") });
        text(200, &document.to_string())
    }

    fn finalize(&self, state: &mut State, number: usize, payload: &Value) -> Reply {
        let mischief = state.mischief;
        let order = &mut state.orders[number];
        assert_eq!(order.status, "ready");
        let request = decode(payload["csr"].as_str().unwrap());
        order.status = "processing";
        if mischief != Mischief::Stuck {
            order.certificate = Some(issue(&request, &order.name, mischief));
            order.status = "valid";
        }
        self.order(state, number, None)
    }
}

/// The public key of a request, for a certificate.
struct Requested(Vec<u8>, &'static rcgen::SignatureAlgorithm);

impl Requested {
    /// Whoever asks must have the key.
    fn of(request: &X509CertificationRequest<'_>) -> Self {
        let info = &request.certification_request_info;
        let key = info.subject_pki.subject_public_key.data.to_vec();
        let (algorithm, verification): (_, &dyn VerificationAlgorithm) = match key.len() {
            65 => (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1),
            97 => (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1),
            _ => (&PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        };
        let public = UnparsedPublicKey::new(verification, &key);
        public.verify(info.raw, &request.signature_value.data).unwrap();
        Self(key, algorithm)
    }
}

impl rcgen::PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1
    }
}

fn issue(request: &[u8], name: &str, mischief: Mischief) -> String {
    let (_, request) = X509CertificationRequest::from_der(request).unwrap();
    let key = Requested::of(&request);
    let names: Vec<_> = request
        .requested_extensions()
        .unwrap()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(matches!(names.as_slice(), [GeneralName::DNSName(own)] if *own == name), "{names:?}");
    assert_eq!(request.certification_request_info.subject.iter().count(), 0);
    let name = if mischief == Mischief::OtherName { "other.example.com" } else { name };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    match mischief {
        Mischief::OtherKey => authority().sign(params, &KeyPair::generate().unwrap()),
        Mischief::Garbage => {
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()
        }
        _ => authority().sign(params, &key),
    }
}

fn download(state: &State, number: usize, payload: Option<&Value>) -> Reply {
    assert_eq!(payload, None, "a certificate is only read");
    text(200, state.orders[number].certificate.as_ref().unwrap())
}

fn renewal(state: &mut State, certificate: &str) -> Reply {
    state.renewals_asked.push(certificate.to_owned());
    let (start, end) = state.window.clone().unwrap();
    let document = json!({ "suggestedWindow": { "start": start, "end": end } });
    Reply { headers: vec![("retry-after", "60".to_owned())], ..text(200, &document.to_string()) }
}

fn fresh(state: &mut State) -> String {
    state.counter += 1;
    let nonce = encode(format!("a nonce or token {:08}", state.counter).as_bytes());
    state.nonces.insert(nonce.clone());
    nonce
}

fn text(status: u16, body: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec(), endless: false }
}

fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let mut reply = text(status, &json!({ "type": kind, "detail": detail }).to_string());
    reply.headers.push(("content-type", "application/problem+json".to_owned()));
    reply
}
