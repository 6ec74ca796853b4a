//! A stranger's scanner, sslyze, judges both listeners by Mozilla's intermediate profile: versions,
//! suites, curves, certificates and their ages, and known faults of TLS programs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use time::{Duration, OffsetDateTime};

use crate::authority::{Clients, far};
use crate::support::certificates::Certificate;
use crate::support::gateway::{Gateway, START};
use crate::support::process::wall_now;

/// A gate by the clock of the machine, whose certificates are as a public authority makes them:
/// ECDSA for one name, RSA for the other, good for 90 days.
fn gateway() -> Gateway {
    let mut gateway = Gateway::start();
    gateway.advance(wall_now() - START);
    let folder = gateway.folder.path().to_owned();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "public authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("public.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    issue(&issuer, "api.example.com", &PKCS_ECDSA_P256_SHA256).write(&folder, "api");
    issue(&issuer, "shop.example.com", &PKCS_RSA_SHA256).write(&folder, "shop");
    gateway.change(|_| {}).unwrap();
    gateway
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
    algorithm: &'static SignatureAlgorithm,
) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = params.not_before + Duration::days(90);
    let key = KeyPair::generate_for(algorithm).unwrap();
    let own = params.signed_by(&key, issuer).unwrap();
    Certificate { chain: own.pem(), key: key.serialize_pem() }
}

/// Whether a listener fits a profile, by what the scanner says of it.
fn fits(gateway: &Gateway, address: SocketAddr, profile: &str, more: &[&str]) -> (bool, String) {
    let output = Command::new(tool())
        .current_dir(gateway.folder.path())
        .args(["--mozilla_config", profile, "--certinfo_ca_file", "public.pem"])
        .args(more)
        .arg(address.to_string())
        .output()
        .expect("sslyze runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = told + &String::from_utf8_lossy(&output.stderr);
    let compliant = told.contains("OK - Compliant");
    assert_eq!(compliant, output.status.success(), "{told}");
    (compliant, told)
}

#[test]
fn both_listeners_fit_the_intermediate_profile() {
    let gateway = gateway();
    for (address, name) in [
        (gateway.address, "api.example.com"),
        (gateway.address, "shop.example.com"),
        (gateway.operations, "api.example.com"),
    ] {
        let (fit, told) = fits(&gateway, address, "intermediate", &["--sni", name]);
        assert!(fit, "{name}: {told}");
    }
    // The scanner does see what it finds: the modern profile has TLS 1.3 alone.
    let (fit, told) = fits(&gateway, gateway.address, "modern", &["--sni", "api.example.com"]);
    assert!(!fit && told.contains("TLS versions {'TLSv1.2'} are supported"), "{told}");
}

#[test]
fn a_listener_that_asks_for_certificates_fits_it_too() {
    let mut gateway = gateway();
    let folder = gateway.folder.path().to_owned();
    let clients = Clients::new("clients");
    clients.write(&folder, "clients.pem");
    clients.take_back(&[], far(), &folder.join("list.pem"));
    clients.issue(1, "scanner.example").write(&folder, "scanner");
    let table = "{ ca = \"clients.pem\", crl = [\"list.pem\"] }";
    gateway.change(|setup| setup.set("listener.client_certificates", table)).unwrap();
    let shown = ["--sni", "api.example.com", "--cert", "scanner.pem", "--key", "scanner.key"];
    let (fit, told) = fits(&gateway, gateway.address, "intermediate", &shown);
    assert!(fit, "{told}");
}

/// Where `tests/run` puts it.
fn tool() -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sslyze/bin/sslyze");
    assert!(
        tool.exists(),
        "{}: tests/run installs it, or: /usr/bin/python3 -m venv target/sslyze && \
         target/sslyze/bin/pip install -r tests/certificates/requirements.txt",
        tool.display()
    );
    tool
}
