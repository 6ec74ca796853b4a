//! The test server of an authority that everybody uses, which knows the protocol better than we do:
//! it refuses some good nonces, and looks for names in a DNS of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::jws::encode;
use crate::proof::shown;
use crate::support::certificates::authority;
use crate::support::process::Site;
use crate::support::request::HOST;
use crate::support::setup::Setup;
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

/// An address that nobody uses now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts the authority before a gate on these addresses: its directory.
fn authority_for(folder: &Path, tls: SocketAddr, clear: SocketAddr) -> (String, [Running; 2]) {
    authority().issue(&["localhost"], 30).write(folder, "pebble");
    let (own, management, dns, dns_management) = (free(), free(), free(), free());
    let config = json!({ "pebble": {
        "listenAddress": own.to_string(),
        "managementListenAddress": management.to_string(),
        "certificate": folder.join("pebble.pem"),
        "privateKey": folder.join("pebble.key"),
        "httpPort": clear.port(),
        "tlsPort": tls.port(),
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
        .env("PEBBLE_WFE_NONCEREJECT", "5")
        .env("PEBBLE_AUTHZREUSE", "0"));
    wait_until("pebble", || TcpStream::connect(own).is_ok());
    (format!("https://localhost:{}/dir", own.port()), [pebble, resolver])
}

#[test]
fn pebble_issues_by_both_challenges() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, clear) = (free(), free());
    let (directory, _running) = authority_for(folder.path(), tls, clear);
    for challenge in ["tls-alpn-01", "http-01"] {
        let mut setup = Setup::new().without("listener.certificates");
        for (key, value) in [
            ("operations.certificates", r#"[{ chain = "api.pem", key = "api.key" }]"#),
            ("listener.address", &format!("\"{tls}\"")),
            ("listener.redirect", &format!("\"{clear}\"")),
            ("listener.acme.directory", &format!("\"{directory}\"")),
            ("listener.acme.ca", r#""ca.pem""#),
            ("listener.acme.networks", r#"["127.0.0.0/8", "::1/128"]"#),
            ("listener.acme.names", &format!("[\"{HOST}\"]")),
            ("listener.acme.challenge", &format!("\"{challenge}\"")),
            (
                "listener.acme.external_account",
                r#"{ id = "kid-1", key = { file = "external.key" } }"#,
            ),
            ("listener.acme.terms_agreed", "true"),
        ] {
            setup.set(key, value);
        }
        let site = Site::prepared(setup, |folder| {
            write_private(&folder.join("external.key"), encode(KEY).as_bytes());
        });
        let gate = site.serve();
        let until = Instant::now() + Duration::from_secs(60);
        while gate.operation("/readyz").status != 200 {
            let output = gate.output();
            assert!(!output.contains("certificate_failed"), "{challenge}: {output}");
            assert!(Instant::now() < until, "{challenge}: {output}");
            sleep(Duration::from_millis(50));
        }
        let (_, der) = shown(gate.address, HOST, &["http/1.1"]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let issuer = certificate.issuer().to_string();
        assert!(issuer.contains("Pebble"), "{challenge}: {issuer}");
    }
}
