//! A certificate authority and its certificates, made once a run and never kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::gateway::START;

/// A chain and its private key as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Certificate {
    /// Writes `NAME.pem` and `NAME.key` into a folder and tells their paths.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let chain = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        fs::write(&chain, &self.chain).expect("chain written");
        super::write_private(&key, self.key.as_bytes());
        (chain, key)
    }
}

/// The authority of this run and what it signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    /// ECDSA, for `api.example.com`, `localhost` and 127.0.0.1.
    pub(crate) api: Certificate,
    /// RSA, for `shop.example.com`.
    pub(crate) shop: Certificate,
}

/// The one authority of this run.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::make)
}

impl Authority {
    fn make() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "path test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let own = params.self_signed(&key).expect("authority");
        let issuer = Issuer::new(params, key);
        let names = ["api.example.com", "localhost", "127.0.0.1"];
        let api = issue(&issuer, &names, &PKCS_ECDSA_P256_SHA256, 30);
        let shop = issue(&issuer, &["shop.example.com"], &PKCS_RSA_SHA256, 30);
        Self { issuer, pem: own.pem(), der: own.der().clone(), api, shop }
    }

    /// A certificate of its own for a test; one of a negative number of days has run out already.
    pub(crate) fn issue(&self, names: &[&str], days: i64) -> Certificate {
        issue(&self.issuer, names, &PKCS_ECDSA_P256_SHA256, days)
    }

    /// Signs for a public key that somebody else has, good by the gate's clock and by the clients'
    /// own: the certificate as PEM.
    pub(crate) fn sign(&self, mut params: CertificateParams, key: &impl PublicKeyData) -> String {
        (params.not_before, params.not_after) = long(30);
        params.signed_by(key, &self.issuer).expect("certificate").pem()
    }

    /// Writes the authority's certificate as `ca.pem`.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        fs::write(&path, &self.pem).expect("authority written");
        path
    }

    /// What a client trusts.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("root");
        Arc::new(roots)
    }
}

/// Good by the hand-moved clock of the gate as well as by the clients' own.
fn long(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let start = i64::try_from(START).expect("a time");
    let start = OffsetDateTime::from_unix_timestamp(start).expect("a time");
    let end = if days < 0 { start } else { OffsetDateTime::now_utc() };
    (start - Duration::days(60), end + Duration::days(days))
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    names: &[&str],
    algorithm: &'static SignatureAlgorithm,
    days: i64,
) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, names[0].as_str());
    (params.not_before, params.not_after) = long(days);
    let key = KeyPair::generate_for(algorithm).expect("key");
    let own = params.signed_by(&key, issuer).expect("certificate");
    Certificate { chain: own.pem(), key: key.serialize_pem() }
}
