//! Row 44: who is let in by a certificate, and who is not; and what holds while lists of revoked
//! certificates come and end. Row 43 for these files.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{ClientConfig, HandshakeKind};
use time::{Duration, OffsetDateTime};

use crate::authority::{Clients, Shown, far, folder_of};
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::request::{HOST, Request};
use crate::support::setup::{Setup, v1};
use crate::support::upstream::Upstream;
use crate::support::{tls, wait_until};

const BODY: &[u8] = b"{\"amount\":100}";

/// A gate that asks for certificates of an authority, with a list of what it took back.
struct Guarded {
    gateway: Gateway,
    clients: Clients,
}

impl Guarded {
    fn start(mode: &str) -> Self {
        let clients = Clients::new("clients");
        let table = format!("{{ ca = \"clients.pem\", crl = [\"list.pem\"], mode = \"{mode}\" }}");
        let setup = Setup::new().with("listener.client_certificates", &table);
        let gateway = Gateway::altered(setup, Upstream::start(), |config| {
            let folder = folder_of(config);
            clients.write(folder, "clients.pem");
            clients.take_back(&[], far(), &folder.join("list.pem"));
        });
        Self { gateway, clients }
    }

    fn order(&self) -> Request {
        v1().sign(Request::post("/v2/orders", BODY), self.gateway.now())
    }

    fn list(&self) -> std::path::PathBuf {
        self.gateway.folder.path().join("list.pem")
    }

    /// Whether a client gets an answer. A client of TLS 1.3 learns only after its handshake.
    fn answers(&self, config: Arc<ClientConfig>) -> bool {
        answer_of(self.gateway.address, config, &self.order())
    }

    fn lets_in(&self, shown: &Shown) -> bool {
        self.answers(shown.client("http/1.1", rustls::ALL_VERSIONS))
    }

    fn count(&self, reason: &str) -> f64 {
        let label = format!("\"{reason}\"");
        self.gateway.metric("countersign_tls_handshake_failures_total", &[&label])
    }
}

fn answer_of(address: SocketAddr, config: Arc<ClientConfig>, request: &Request) -> bool {
    let Ok(mut client) = Client::dial_with(address, HOST, config) else { return false };
    client.send(request.h1());
    client.try_answer("POST").is_ok_and(|answer| answer.status == 200)
}

#[test]
fn only_good_certificates_are_let_in() {
    let guarded = Guarded::start("required");
    let (gateway, clients) = (&guarded.gateway, &guarded.clients);
    let good = clients.issue(1, "api.acme.example");
    let revoked = clients.issue(2, "api.acme.example");
    clients.take_back(&[&revoked], far(), &guarded.list());
    gateway.reload().unwrap();
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    };
    let ahead = |params: &mut rcgen::CertificateParams| {
        params.not_before = OffsetDateTime::now_utc() + Duration::days(1);
    };
    let of_a_server = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let stranger = Clients::new("stranger").issue(1, "api.acme.example");
    let namesake = Clients::new("clients").issue(1, "api.acme.example");
    let expired = clients.issue_with(3, "api.acme.example", past);
    let early = clients.issue_with(4, "api.acme.example", ahead);
    let server = clients.issue_with(5, "api.acme.example", of_a_server);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (shown, reason) in [
            (&stranger, "certificate_untrusted"),
            (&namesake, "certificate_untrusted"),
            (&expired, "certificate_expired"),
            (&early, "certificate_expired"),
            (&revoked, "certificate_revoked"),
            (&server, "certificate_unusable"),
        ] {
            let before = guarded.count(reason);
            assert!(!guarded.answers(shown.client("http/1.1", &[version])), "{reason}");
            assert!((guarded.count(reason) - before - 1.0).abs() < 0.5, "{reason} is counted");
        }
        let before = guarded.count("certificate_absent");
        assert!(!guarded.answers(tls::client(&["http/1.1"], &[version])));
        assert!(guarded.count("certificate_absent") > before);
        assert!(guarded.answers(good.client("http/1.1", &[version])));
    }
    assert_eq!(gateway.upstream.count(), 2, "the good ones");
    // The log says why, and for good ones by which certificate they came.
    for reason in ["certificate_absent", "certificate_revoked", "certificate_expired"] {
        wait_until("a line for each reason", || {
            gateway.log().lines().any(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["event"] == "client_certificate_refused"
                    && line["reason"] == reason
                    && line["last_peer"] == "127.0.0.1"
                    && line["count"].as_u64() > Some(0)
            })
        });
    }
    let fingerprint = good.fingerprint().replace(':', "").to_lowercase();
    wait_until("two lines", || gateway.request_lines().len() == 2);
    assert!(gateway.request_lines().iter().all(|line| line["certificate"] == fingerprint));
}

#[test]
fn http2_comes_with_a_certificate_too() {
    let guarded = Guarded::start("required");
    let good = guarded.clients.issue(1, "api.acme.example");
    let socket = std::net::TcpStream::connect(guarded.gateway.address).unwrap();
    let config = good.client("h2", rustls::ALL_VERSIONS);
    let client = Http2::over_with(socket, HOST, config);
    assert_eq!(client.ask(&guarded.order()).status, 200);
}

#[test]
fn without_the_table_nobody_is_asked_and_lines_name_no_certificate() {
    let gateway = Gateway::start();
    let order = || v1().sign(Request::post("/v2/orders", BODY), gateway.now());
    assert_eq!(gateway.ask(&order()).status, 200);
    let shown = Clients::new("clients").issue(1, "api.acme.example");
    assert!(answer_of(gateway.address, shown.client("http/1.1", rustls::ALL_VERSIONS), &order()));
    wait_until("two lines", || gateway.request_lines().len() == 2);
    assert!(gateway.request_lines().iter().all(|line| line.get("certificate").is_none()));
}

#[test]
fn an_optional_certificate_may_be_absent_and_never_bad() {
    let guarded = Guarded::start("optional");
    assert!(guarded.answers(tls::client(&["http/1.1"], rustls::ALL_VERSIONS)));
    assert!(guarded.lets_in(&guarded.clients.issue(1, "api.acme.example")));
    assert!(!guarded.lets_in(&Clients::new("stranger").issue(1, "api.acme.example")));
    let revoked = guarded.clients.issue(2, "api.acme.example");
    guarded.clients.take_back(&[&revoked], far(), &guarded.list());
    guarded.gateway.reload().unwrap();
    assert!(!guarded.lets_in(&revoked));
}

/// What was proved once could have been revoked since: every connection proves itself.
#[test]
fn nothing_is_resumed() {
    let guarded = Guarded::start("required");
    let good = guarded.clients.issue(1, "api.acme.example");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = good.client("http/1.1", &[version]);
        for _ in 0..2 {
            let mut client =
                Client::dial_with(guarded.gateway.address, HOST, Arc::clone(&config)).unwrap();
            assert_eq!(client.ask(&guarded.order()).status, 200);
            assert_eq!(client.stream.conn.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(client.stream.conn.tls13_tickets_received(), 0);
        }
    }
}

#[test]
fn a_list_is_taken_whole_or_not_at_all_and_holds_for_new_connections() {
    let guarded = Guarded::start("required");
    let (gateway, clients) = (&guarded.gateway, &guarded.clients);
    let shown = clients.issue(7, "api.acme.example");
    let mut held = shown.dial(gateway.address).unwrap();
    assert_eq!(held.ask(&guarded.order()).status, 200);
    let file = guarded.list();
    let good = fs::read(&file).unwrap();
    let ended = OffsetDateTime::from_unix_timestamp(1_763_999_999).unwrap();
    let ended = clients.list(&[&shown], ended).pem().unwrap();
    for (name, bytes) in [
        ("an empty file", Vec::new()),
        ("half a file", good[..good.len() / 2].to_vec()),
        ("a list that has ended", ended.into_bytes()),
        ("bytes like DER", vec![0x30, 0x82, 1, 1, 0]),
    ] {
        fs::write(&file, bytes).unwrap();
        let fault = gateway.reload().expect_err(name);
        assert!(fault.contains("list.pem"), "{name}: names the file: {fault}");
        assert!(guarded.lets_in(&shown), "{name}");
    }
    // The other form, over a change of the file alone.
    fs::write(&file, clients.list(&[&shown], far()).der()).unwrap();
    wait_until("the list in force", || !guarded.lets_in(&shown));
    assert_eq!(held.ask(&guarded.order()).status, 200, "an open connection goes on");
    assert!(guarded.count("certificate_revoked") > 0.0);
}

/// A list that ends while the gate runs lets nobody in any more, until there is a new one.
#[test]
fn a_list_that_ends_refuses_everybody() {
    let guarded = Guarded::start("required");
    let shown = guarded.clients.issue(1, "api.acme.example");
    let soon = OffsetDateTime::now_utc() + Duration::seconds(5);
    guarded.clients.take_back(&[], soon, &guarded.list());
    guarded.gateway.reload().unwrap();
    let name = "\"list.pem\"";
    let end = guarded.gateway.metric("countersign_crl_expiry_timestamp_seconds", &[name]);
    assert!((end - soon.unix_timestamp() as f64).abs() < 0.5, "its end is shown: {end}");
    wait_until("the end of the list", || !guarded.lets_in(&shown));
    assert!(guarded.count("crl_expired") > 0.0);
    guarded.clients.take_back(&[], far(), &guarded.list());
    guarded.gateway.reload().unwrap();
    assert!(guarded.lets_in(&shown));
}

/// Where there are lists at all, one is needed for each authority.
#[test]
fn an_authority_without_a_list_refuses() {
    let guarded = Guarded::start("required");
    let shown = guarded.clients.issue(1, "api.acme.example");
    assert!(guarded.lets_in(&shown));
    Clients::new("another").take_back(&[], far(), &guarded.list());
    guarded.gateway.reload().unwrap();
    assert!(!guarded.lets_in(&shown));
    assert!(guarded.count("crl_missing") > 0.0);
}

#[test]
fn an_authority_file_is_taken_whole_or_not_at_all() {
    let guarded = Guarded::start("required");
    let shown = guarded.clients.issue(1, "api.acme.example");
    let folder: &Path = guarded.gateway.folder.path();
    let file = folder.join("clients.pem");
    let good = fs::read(&file).unwrap();
    let leaf = fs::read(folder.join("api.pem")).unwrap();
    for (name, bytes) in [
        ("an empty file", Vec::new()),
        ("half a file", good[..good.len() / 2].to_vec()),
        ("a certificate of no authority", leaf),
    ] {
        fs::write(&file, bytes).unwrap();
        let fault = guarded.gateway.reload().expect_err(name);
        assert!(fault.contains("clients.pem"), "{name}: names the file: {fault}");
        assert!(guarded.lets_in(&shown), "{name}");
    }
}
