//! Credentials that may be used only over connections with one of their certificates.

use std::sync::Arc;

use crate::authority::{Clients, Shown, far, folder_of};
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::request::{HOST, Request};
use crate::support::setup::{Setup, kwik, v1};
use crate::support::signer::Signer;
use crate::support::tls;
use crate::support::upstream::Upstream;

const BODY: &[u8] = b"{\"amount\":100}";

struct Bound {
    gateway: Gateway,
    own: Shown,
    other: Shown,
}

impl Bound {
    /// `globex` is bound to a certificate, which `name` names; nobody else is.
    fn start(name: impl Fn(&Shown) -> String) -> Self {
        let clients = Clients::new("clients");
        let own = clients.issue(1, "api.globex.example");
        let other = clients.issue(2, "api.globex.example.evil.example");
        let setup = Setup::new().with("listener.client_certificates", &table(&name(&own)));
        let gateway = Gateway::altered(setup, Upstream::start(), |config| {
            let folder = folder_of(config);
            clients.write(folder, "clients.pem");
            clients.take_back(&[], far(), &folder.join("list.pem"));
        });
        Self { gateway, own, other }
    }

    fn order(&self, signer: &Signer, path: &str) -> Request {
        signer.sign(Request::post(path, BODY), self.gateway.now())
    }

    fn ask_over(&self, shown: Option<&Shown>, request: &Request) -> Answer {
        let none = || tls::client(&["http/1.1"], rustls::ALL_VERSIONS);
        let config =
            shown.map_or_else(none, |shown| shown.client("http/1.1", rustls::ALL_VERSIONS));
        Client::dial_with(self.gateway.address, HOST, Arc::clone(&config)).unwrap().ask(request)
    }
}

fn table(name: &str) -> String {
    let name = toml::Value::from(name);
    format!(
        "{{ ca = \"clients.pem\", crl = [\"list.pem\"], mode = \"optional\", \
         credentials = {{ pk_live_globex = [{name}] }} }}"
    )
}

#[test]
fn a_bound_credential_is_good_over_its_certificates_only() {
    let names: [fn(&Shown) -> String; 4] = [
        |shown| format!("sha256:{}", shown.fingerprint()),
        |shown| format!("sha256:{}", shown.fingerprint().replace(':', "").to_lowercase()),
        |_| "dns:API.globex.example".to_owned(),
        |_| "subject:CN=api.globex.example,O=Acme\\, Inc.".to_owned(),
    ];
    for name in names {
        let bound = Bound::start(name);
        let order = || bound.order(&v1(), "/v2/orders");
        bound.gateway.refuses(&order(), "certificate_not_allowed");
        let before = bound.gateway.upstream.bytes();
        let answer = bound.ask_over(Some(&bound.other), &order());
        assert_eq!(answer.refusal().code, "certificate_not_allowed");
        assert_eq!(bound.gateway.upstream.bytes(), before);
        assert_eq!(bound.ask_over(Some(&bound.own), &order()).status, 200);
        // Nobody else is bound: neither without a certificate nor with one.
        for shown in [None, Some(&bound.other)] {
            // This scheme signs no nonce: a second later it is another request.
            bound.gateway.advance(1);
            assert_eq!(bound.ask_over(shown, &bound.order(&kwik(), "/v1/orders")).status, 200);
        }
    }
}

/// Only who can sign learns that a credential is bound.
#[test]
fn the_signature_is_looked_at_first() {
    let bound = Bound::start(|_| "dns:api.globex.example".to_owned());
    let guesser = Signer::v1("pk_live_globex", "a-guess-at-the-secret-0123456789");
    bound.gateway.refuses(&bound.order(&guesser, "/v2/orders"), "invalid_signature");
    let own = bound.ask_over(Some(&bound.own), &bound.order(&guesser, "/v2/orders"));
    assert_eq!(own.refusal().code, "invalid_signature");
}

/// A request that was refused for its connection is not spent: it passes over the right one, once.
#[test]
fn a_refusal_claims_nothing() {
    let bound = Bound::start(|_| "dns:api.globex.example".to_owned());
    let order = bound.order(&v1(), "/v2/orders");
    bound.gateway.refuses(&order, "certificate_not_allowed");
    assert_eq!(bound.ask_over(Some(&bound.own), &order).status, 200);
    assert_eq!(bound.ask_over(Some(&bound.own), &order).refusal().code, "replayed");
}

#[test]
fn a_reload_binds_connections_that_are_open() {
    let mut bound = Bound::start(|_| "dns:api.globex.example".to_owned());
    let mut held = bound.own.dial(bound.gateway.address).unwrap();
    assert_eq!(held.ask(&bound.order(&v1(), "/v2/orders")).status, 200);
    let fresh = table("dns:new.globex.example");
    let gateway = &mut bound.gateway;
    gateway.change(|setup| setup.set("listener.client_certificates", &fresh)).unwrap();
    let answer = held.ask(&bound.order(&v1(), "/v2/orders"));
    assert_eq!(answer.refusal().code, "certificate_not_allowed");
}
