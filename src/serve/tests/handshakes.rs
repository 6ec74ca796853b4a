//! Who gets in, and with which certificate.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rcgen::date_time_ymd;
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::Tls;
use super::kit::*;
use crate::limit::ConnectionLimits;

fn shown(client: &Client) -> CertificateDer<'static> {
    client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn plain_http_is_told_that_this_port_speaks_tls() {
    let served = Served::start(settings());
    let mut tcp = served.tcp().await;
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    let answer = String::from_utf8(closes_after(&mut tcp, ms(0)).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"bad_request\""));
    drop(tcp);
    served.metric_becomes("tls_handshake_failures_total", "plain_http", 1.0).await;
}

#[tokio::test]
async fn other_bytes_than_tls_are_closed_without_a_word() {
    let served = Served::start(settings());
    let mut tcp = served.tcp().await;
    tcp.write_all(&[0x80, 1, 2, 3]).await.unwrap();
    assert!(closes_after(&mut tcp, ms(0)).await.is_empty());
    served.metric_becomes("tls_handshake_failures_total", "tls", 1.0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_as_such() {
    let served = Served::start(settings());
    drop(served.tcp().await);
    served.metric_becomes("tls_handshake_failures_total", "closed", 1.0).await;
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_at_once_and_slots_come_back() {
    let two = NonZeroUsize::new(2).unwrap();
    let limits = ConnectionLimits { per_address: two, ..ConnectionLimits::default() };
    let served = Served::start_with(settings(), limits, |dir| {
        vec![pair(dir, "first", &["gate.example"], &ecdsa())]
    });
    let mut one = served.h1().await;
    let two = served.h1().await;
    closes_after(&mut served.tcp().await, ms(0)).await;
    served.metric_becomes("connections_refused_total", "address", 1.0).await;
    assert!(ask(&mut one, "/").await.ends_with("ok"));
    drop(two);
    served.metric_becomes("connections_open", "h1", 1.0).await;
    let mut three = served.h1().await;
    assert!(ask(&mut three, "/").await.ends_with("ok"));
    assert_eq!(served.metric("connections_accepted_total", ""), 4.0);
}

#[tokio::test]
async fn the_server_name_chooses_the_certificate() {
    let mut ders = Vec::new();
    let served = Served::start_with(settings(), ConnectionLimits::default(), |dir| {
        let pairs = vec![
            pair(dir, "first", &["gate.example"], &ecdsa()),
            pair(dir, "second", &["other.example", "*.shops.example"], &ecdsa()),
        ];
        ders = pairs.iter().map(|pair| pair.der.clone()).collect();
        pairs
    });
    let expected = [
        ("gate.example", 0, "Some(\"gate.example\") gate.example"),
        ("OTHER.example", 1, "Some(\"other.example\") other.example,*.shops.example"),
        ("a.shops.example", 1, "Some(\"a.shops.example\") other.example,*.shops.example"),
    ];
    for (name, which, names) in expected {
        let mut client = served.tls_client(name, &ders, |_| {}).await.unwrap();
        assert_eq!(shown(&client), ders[which], "{name}");
        assert!(ask(&mut client, "/names").await.ends_with(names), "{name}");
    }
    for name in ["shops.example", "a.b.shops.example", "127.0.0.1"] {
        let error = served.tls_client(name, &ders, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
    let mut no_name = served.tls_client("gate.example", &ders, |c| c.enable_sni = false).await;
    assert!(ask(no_name.as_mut().unwrap(), "/names").await.ends_with("None gate.example"));
}

#[tokio::test]
async fn of_two_key_types_the_client_gets_one_that_it_knows() {
    let mut ders = Vec::new();
    let served = Served::start_with(settings(), ConnectionLimits::default(), |dir| {
        let pairs = vec![
            pair(dir, "rsa", &["gate.example"], &rsa()),
            pair(dir, "ecdsa", &["gate.example"], &ecdsa()),
        ];
        ders = pairs.iter().map(|pair| pair.der.clone()).collect();
        pairs
    });
    let any = served.tls_client("gate.example", &ders, |_| {}).await.unwrap();
    assert_eq!(shown(&any), ders[1], "the cheaper signature is preferred");
    let rsa_only = served.tls_client("gate.example", &ders, |config| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.mapping = RSA_ONLY.with(|mapping| *mapping);
        let mut store = rustls::RootCertStore::empty();
        store.add(ders[0].clone()).unwrap();
        *config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
    });
    assert_eq!(shown(&rsa_only.await.unwrap()), ders[0]);
}

type Mapping = &'static [(
    SignatureScheme,
    &'static [&'static dyn rustls::pki_types::SignatureVerificationAlgorithm],
)];

thread_local! {
    static RSA_ONLY: Mapping = {
        let all = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let named = |scheme: &SignatureScheme| format!("{scheme:?}").starts_with("RSA");
        all.mapping.iter().filter(|(scheme, _)| named(scheme)).copied().collect::<Vec<_>>().leak()
    };
}

#[tokio::test]
async fn new_certificates_keep_open_connections() {
    let served = Served::start(settings());
    let mut old = served.h1().await;
    let renewed = pair(&served.dir, "renewed", &["gate.example"], &ecdsa());
    served.tls.replace_with(Tls::load(&[renewed.files], NOW).unwrap());
    assert!(ask(&mut old, "/").await.ends_with("ok"));
    assert_eq!(shown(&old), served.first);
    let roots = [renewed.der.clone()];
    let new = served.tls_client("gate.example", &roots, |_| {}).await.unwrap();
    assert_eq!(shown(&new), renewed.der);
    assert!(ask(&mut old, "/").await.ends_with("ok"));
}

#[tokio::test]
async fn the_preferred_key_exchange_is_hybrid_and_old_versions_are_refused() {
    let served = Served::start(settings());
    let client = served.h1().await;
    let group = client.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    // A ClientHello of TLS 1.0.
    let mut tcp = served.tcp().await;
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 47, 1, 0]);
    tcp.write_all(&hello).await.unwrap();
    let answer = closes_after(&mut tcp, ms(0)).await;
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

#[tokio::test]
async fn a_ticket_spares_the_second_signature() {
    let served = Served::start(settings());
    // A client resumes only with the very configuration that got the ticket.
    let config = client_config(std::slice::from_ref(&served.first), |_| {});
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut client = served.connect("gate.example", config.clone()).await.unwrap();
        assert!(ask(&mut client, "/").await.ends_with("ok"));
        assert_eq!(client.get_ref().1.handshake_kind(), Some(kind));
        let _ = client.shutdown().await;
        let _ = client.read_u8().await;
    }
}

#[test]
fn every_mistake_in_the_files_is_named() {
    let dir = TempDir::new().unwrap();
    let good = pair(&dir, "good", &["a.example"], &ecdsa());
    let other = pair(&dir, "other", &["b.example"], &ecdsa());
    let expired = dated_pair(&dir, "expired", &["c.example"], &ecdsa(), |mut params| {
        params.not_after = date_time_ymd(2020, 1, 1);
        params
    });
    let mut mixed = good.files.clone();
    mixed.key = other.files.key.clone();
    let mut half = other.files.clone();
    half.chain = dir.path().join("half.pem");
    let whole = std::fs::read(&other.files.chain).unwrap();
    std::fs::write(&half.chain, &whole[..whole.len() / 2]).unwrap();
    half.key = dir.path().join("absent.key");
    let nameless = pair(&dir, "nameless", &[], &ecdsa());
    let files = [good.files.clone(), mixed, expired.files, half, nameless.files];
    let faults = Tls::load(&files, NOW).unwrap_err().to_string();
    let lines: Vec<_> = faults.lines().collect();
    assert_eq!(lines.len(), 5, "{faults}");
    assert!(lines[0].contains("other.key: is not the key of the certificate in"), "{faults}");
    assert!(lines[1].contains("expired.pem: certificate 1 expired on"), "{faults}");
    assert!(lines[2].contains("half.pem"), "{faults}");
    assert!(lines[3].contains("absent.key: cannot be read"), "{faults}");
    assert!(lines[4].contains("names no host"), "{faults}");
    assert!(Tls::load(&[], NOW).is_err());
    let tls = Tls::load(&[good.files], NOW).unwrap();
    assert_eq!(tls.expiries()[0].name, "a.example");
}
