//! Mutual TLS: the gate tells a service who it is, and who does not ask for it is told nothing.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::kit::{load, post, sorted};
use crate::support::certificates::{Certificate, authority};
use crate::support::gateway::Gateway;
use crate::support::setup::{Setup, route};
use crate::support::upstream::{Upstream, own_target};

/// A second authority, and a certificate of it.
fn stranger() -> (CertificateDer<'static>, Certificate) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["gate.other".to_owned()]).unwrap();
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    (own.der().clone(), Certificate { chain, key: key.serialize_pem() })
}

/// A service that answers only to whom these authorities vouch for.
fn service(roots: RootCertStore) -> Upstream {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let own = &authority().api;
    let chain = CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![chain], PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap());
    let service = Upstream::start_with(Arc::new(config.unwrap()));
    service.answer_with(own_target);
    service
}

fn table(service: &Upstream, more: &str) -> String {
    let port = service.address.port();
    format!("[upstreams.many]\nurl = \"https://localhost:{port}\"\nca = \"ca.pem\"\n{more}\n")
}

/// A gate whose `/v2/many/*` goes to such a service, and whose folder holds `gate.pem`.
fn gate(service: &Upstream, own: &Certificate, more: &str) -> Gateway {
    let mut setup = Setup::new().with("workers", "1");
    let to = "upstream = \"many\"";
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
    // Without a certificate first: the files have to be there before they are named.
    setup.upstreams.push(table(service, ""));
    let mut gateway = Gateway::with(setup);
    own.write(gateway.folder.path(), "gate");
    let more = table(service, more);
    gateway.change(|setup| setup.upstreams[0] = more).unwrap();
    gateway
}

const SHOWN: &str = "certificate = \"gate.pem\"\nkey = \"gate.key\"";

#[test]
fn a_service_that_asks_who_it_is_gets_an_answer() {
    let service = service((*authority().roots()).clone());
    let gateway = gate(&service, &authority().issue(&["gate.example"], 30), SHOWN);
    assert_eq!(sorted(&load(&gateway, 2, 10, post)), (20, Vec::new()));
}

/// Without a certificate, with one of somebody else's authority, and with one that has run out, not
/// a request arrives.
#[test]
fn whoever_is_not_known_gets_nothing() {
    let service = service((*authority().roots()).clone());
    let expired = authority().issue(&["gate.example"], -1);
    for (own, more) in [(expired.clone(), ""), (stranger().1, SHOWN), (expired, SHOWN)] {
        let gateway = gate(&service, &own, more);
        let (good, bad) = sorted(&load(&gateway, 1, 4, post));
        assert_eq!(good, 0);
        // TLS 1.3 lets the gate send before it is told that it is not believed.
        let known = |(code, _): &(String, String)| {
            ["upstream_unreachable", "upstream_broke"].contains(&code.as_str())
        };
        assert!(bad.iter().all(known), "{bad:?}");
    }
    assert_eq!(service.count(), 0);
}

/// A renewed certificate is in force with the next connection, and its key must be its own.
#[test]
fn a_certificate_is_renewed_by_a_reload() {
    let (root, own) = stranger();
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let service = service(roots);
    let gateway = gate(&service, &authority().issue(&["gate.example"], 30), SHOWN);
    assert_eq!(sorted(&load(&gateway, 1, 4, post)).0, 0);
    std::fs::write(gateway.folder.path().join("gate.pem"), &own.chain).unwrap();
    let refused = gateway.reload().unwrap_err();
    assert!(refused.contains("the private key of `certificate`"), "{refused}");
    assert!(!refused.contains("BEGIN"), "{refused}");
    own.write(gateway.folder.path(), "gate");
    gateway.reload().unwrap();
    assert_eq!(sorted(&load(&gateway, 1, 4, post)), (4, Vec::new()));
}
