//! The test server of an authority that everybody uses, which knows the protocol better than we do:
//! it refuses some good nonces, and looks for names in a DNS of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use countersign::app::{Gate, Handover, Options, Past, Sockets};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::telemetry::LogSink;
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::jws::encode;
use crate::kit::setup;
use crate::proof::shown;
use crate::support::certificates::authority;
use crate::support::process::Site;
use crate::support::request::HOST;
use crate::support::{wait_until, write_private};

const KEY: &[u8] = b"thirty-two bytes of a mac key...";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Running {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap_or_else(|fault| {
        panic!("{name} cannot be run ({fault}); install it: apt-get install pebble")
    }))
}

/// An address that nobody uses, outside of the range from which the system gives ports to others
/// until it is used.
fn free() -> SocketAddr {
    let port = || u16::from_be_bytes(countersign::crypto::random().unwrap()) % 10_000 + 20_000;
    let addresses = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], port())));
    addresses.into_iter().find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

/// Starts the authority before a gate on these ports: its directory.
fn authority_for(folder: &Path, tls: u16, clear: u16) -> (String, [Running; 2]) {
    authority().issue(&["localhost"], 30).write(folder, "pebble");
    let (own, management, dns, dns_management) = (free(), free(), free(), free());
    let config = json!({ "pebble": {
        "listenAddress": own.to_string(),
        "managementListenAddress": management.to_string(),
        "certificate": folder.join("pebble.pem"),
        "privateKey": folder.join("pebble.key"),
        "httpPort": clear,
        "tlsPort": tls,
        "externalAccountBindingRequired": true,
        "externalAccountMACKeys": { "kid-1": encode(KEY) },
    } });
    fs::write(folder.join("pebble.json"), config.to_string()).unwrap();
    let (dns, dns_management) = (dns.to_string(), dns_management.to_string());
    let resolver = run(Command::new("pebble-challtestsrv")
        .args(["-dns01", &dns, "-management", &dns_management, "-defaultIPv6", ""])
        .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]));
    let pebble = run(Command::new("pebble")
        .arg("-config")
        .arg(folder.join("pebble.json"))
        .args(["-dnsserver", &dns])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", "2")
        .env("PEBBLE_AUTHZREUSE", "0"));
    wait_until("pebble", || TcpStream::connect(own).is_ok());
    (format!("https://localhost:{}/dir", own.port()), [pebble, resolver])
}

/// A gate by the system's clock, which is that of pebble, on sockets that stay.
fn gate(site: &Site, sockets: [(&str, &TcpListener); 2]) -> (Gate, Arc<Mutex<Vec<u8>>>) {
    let mut given = Sockets::default();
    for (name, socket) in sockets {
        given.add(name, socket.try_clone().unwrap()).unwrap();
    }
    let file = site.folder.path().join("countersign.toml");
    let (config, _) = Config::load(&file).unwrap_or_else(|faults| panic!("{faults}"));
    let log = Arc::default();
    let sink = LogSink::Memory(Arc::clone(&log));
    let past = Past::FromState;
    let options = Options { source: None, log: sink, past };
    let gate = Gate::succeed(config, Clock::system(), options, Handover::of(given));
    (gate.unwrap_or_else(|fault| panic!("{fault}")), log)
}

#[test]
fn pebble_issues_by_both_challenges() {
    let folder = tempfile::tempdir().unwrap();
    let [tls, clear] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
    let (directory, _running) = authority_for(folder.path(), port(&tls), port(&clear));
    for challenge in ["tls-alpn-01", "http-01"] {
        let external = r#"{ id = "kid-1", key = { file = "external.key" } }"#;
        let setup = setup(&directory, &format!("[\"{HOST}\"]"), challenge)
            .with("listener.acme.external_account", external);
        let site = Site::prepared(setup, |folder| {
            write_private(&folder.join("external.key"), encode(KEY).as_bytes());
        });
        let (gate, log) = gate(&site, [("listener", &tls), ("redirect", &clear)]);
        let until = Instant::now() + Duration::from_secs(60);
        let der = loop {
            if let Ok((_, der)) = shown(gate.address(), HOST, &["http/1.1"]) {
                break der;
            }
            let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
            assert!(!log.contains("certificate_failed"), "{challenge}: {log}");
            assert!(Instant::now() < until, "{challenge}: {log}");
            sleep(Duration::from_millis(50));
        };
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let issuer = certificate.issuer().to_string();
        assert!(issuer.contains("Pebble"), "{challenge}: {issuer}");
        gate.stop();
    }
}
