//! An authority that signs certificates of clients and lists of those that it took back.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use countersign::config::Config;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, SupportedProtocolVersion};
use time::{Duration, OffsetDateTime};

use crate::support::certificates::{Certificate, authority};
use crate::support::client::Client;
use crate::support::gateway::START;
use crate::support::request::HOST;

/// An authority for clients.
pub(crate) struct Clients {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a client shows.
pub(crate) struct Shown {
    pub(crate) der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
    serial: u64,
}

/// From long ago until long from now, by the gate's clock as well as by that of TLS.
fn long() -> (OffsetDateTime, OffsetDateTime) {
    let start = OffsetDateTime::from_unix_timestamp(START.try_into().unwrap()).unwrap();
    (start - Duration::days(60), OffsetDateTime::now_utc() + Duration::days(30))
}

impl Clients {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with a serial number, for a host.
    pub(crate) fn issue(&self, serial: u64, host: &str) -> Shown {
        self.issue_with(serial, host, |_| {})
    }

    /// The same, changed.
    pub(crate) fn issue_with(
        &self,
        serial: u64,
        host: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Shown {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = long();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Shown { der: own.der().clone(), pem: own.pem(), key, serial }
    }

    /// Writes its certificate.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(name), &self.pem).unwrap();
    }

    /// Writes a list of what it took back, good until then, as PEM.
    pub(crate) fn take_back(&self, all: &[&Shown], until: OffsetDateTime, file: &Path) {
        fs::write(file, self.list(all, until).pem().unwrap()).unwrap();
    }

    /// A list of what it took back.
    pub(crate) fn list(
        &self,
        all: &[&Shown],
        until: OffsetDateTime,
    ) -> rcgen::CertificateRevocationList {
        let (since, _) = long();
        let taken = |shown: &&Shown| RevokedCertParams {
            serial_number: SerialNumber::from(shown.serial),
            revocation_time: since,
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: since,
            next_update: until,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: all.iter().map(taken).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap()
    }
}

/// When lists end that are not about ending.
pub(crate) fn far() -> OffsetDateTime {
    long().1
}

/// The folder of a configuration that was loaded, before its certificates are read.
pub(crate) fn folder_of(config: &Config) -> &Path {
    config.listener.client_certificates.as_ref().unwrap().authorities.parent().unwrap()
}

impl Shown {
    /// Its SHA-256, as `openssl x509 -fingerprint -sha256` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = countersign::crypto::sha256(&self.der);
        digest.map(|byte| format!("{byte:02X}")).join(":")
    }

    /// Writes it and its key, as `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        Certificate { chain: self.pem.clone(), key: self.key.serialize_pem() }.write(folder, name);
    }

    /// A client that shows it.
    pub(crate) fn client(
        &self,
        alpn: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority().roots())
            .with_client_auth_cert(vec![self.der.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Arc::new(config)
    }

    /// Connects and shows it.
    pub(crate) fn dial(&self, address: SocketAddr) -> io::Result<Client> {
        Client::dial_with(address, HOST, self.client("http/1.1", rustls::ALL_VERSIONS))
    }
}
