//! One certificate chain with its key: read, checked, and its names taken out.
//!
//! It refuses what clients would refuse, and says which file is wrong; it never prints key bytes.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::peer::CertNames;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Where one certificate lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate and its intermediates, leaf first.
    pub chain: PathBuf,
    /// PEM: the private key of the leaf.
    pub key: PathBuf,
}

/// One mistake in the certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct TlsFault {
    /// The file that is wrong.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// Every mistake in the certificates, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFaults(pub Vec<TlsFault>);

impl fmt::Display for TlsFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsFaults {}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its first name.
    pub name: String,
    /// The file of its chain, which tells certificates of one name apart.
    pub chain: PathBuf,
    /// The first Unix second at which some certificate of its chain is no longer good.
    pub seconds: i64,
}

/// A certificate that is ready for use.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: CertNames,
    /// The file that its chain came from.
    pub(super) chain: PathBuf,
    /// The first second at which some certificate of the chain is no longer good.
    pub(super) expiry: i64,
}

impl Certificate {
    /// Reads and checks one pair of files at `now` (Unix seconds).
    pub(super) fn load(
        files: &CertificateFiles,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, Vec<TlsFault>> {
        let chain = read_chain(&files.chain);
        let key = std::fs::read(&files.key)
            .map(zeroize::Zeroizing::new)
            .map_err(|e| fault(&files.key, format!("cannot be read: {e}")))
            .and_then(|pem| key_of(&pem, &files.key, provider));
        Self::join(files, chain, key, now)
    }

    /// The same of a chain and its key that stand in one text.
    pub(super) fn of_pem(
        pem: &[u8],
        place: &Path,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, Vec<TlsFault>> {
        let files = CertificateFiles { chain: place.to_owned(), key: place.to_owned() };
        Self::join(&files, chain_of(pem, place), key_of(pem, place, provider), now)
    }

    fn join(
        files: &CertificateFiles,
        chain: Result<Vec<CertificateDer<'static>>, Vec<TlsFault>>,
        key: Result<Arc<dyn rustls::sign::SigningKey>, TlsFault>,
        now: i64,
    ) -> Result<Self, Vec<TlsFault>> {
        let chain = chain.and_then(|chain| {
            let facts = examine(&chain, &files.chain, now)?;
            Ok((chain, facts))
        });
        let ((chain, (names, expiry)), key) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => {
                return Err(chain.err().into_iter().flatten().chain(key.err()).collect());
            }
        };
        let key = CertifiedKey::new(chain, key);
        if let Err(error) = key.keys_match() {
            let what = match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!("is not the key of the certificate in {}", files.chain.display())
                }
                other => format!("cannot be compared with the certificate: {other}"),
            };
            return Err(vec![fault(&files.key, what)]);
        }
        Ok(Self { key: Arc::new(key), names, chain: files.chain.clone(), expiry })
    }

    /// What the certificate is called in metrics: its first name.
    pub(super) fn name(&self) -> &str {
        self.names.iter().next().unwrap_or_default()
    }
}

/// A mistake in a file.
pub(super) fn fault(file: &Path, what: impl Into<String>) -> TlsFault {
    TlsFault { file: file.to_owned(), what: what.into() }
}

/// The certificates of a file in PEM, at least one.
pub(super) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Vec<TlsFault>> {
    let pem = std::fs::read(file).map(zeroize::Zeroizing::new);
    let pem = pem.map_err(|e| vec![fault(file, format!("cannot be read: {e}"))])?;
    chain_of(&pem, file)
}

fn chain_of(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, Vec<TlsFault>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(vec![fault(file, "holds no certificate in PEM form")]),
        Ok(chain) => Ok(chain),
        Err(e) => Err(vec![fault(file, format!("is not good PEM: {e}"))]),
    }
}

fn key_of(
    pem: &[u8],
    file: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsFault> {
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| fault(file, "holds no private key in PEM form"))?;
    let load = provider.key_provider.load_private_key(key);
    load.map_err(|_| fault(file, "holds a private key that is damaged or of an unknown kind"))
}

/// Names and expiry of a chain that is good at `now`.
fn examine(
    chain: &[CertificateDer<'_>],
    file: &Path,
    now: i64,
) -> Result<(CertNames, i64), Vec<TlsFault>> {
    let mut faults = Vec::new();
    let mut names = Vec::new();
    let mut expiry = i64::MAX;
    for (index, der) in chain.iter().enumerate() {
        let place = index + 1;
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            faults.push(fault(file, format!("certificate {place} is damaged")));
            continue;
        };
        let validity = certificate.validity();
        if validity.not_after.timestamp() < now {
            let when = validity.not_after;
            faults.push(fault(file, format!("certificate {place} expired on {when}")));
        }
        if validity.not_before.timestamp() > now {
            let when = validity.not_before;
            faults.push(fault(file, format!("certificate {place} is not valid before {when}")));
        }
        expiry = expiry.min(validity.not_after.timestamp());
        if index == 0 {
            names = names_of(&certificate);
            if names.is_empty() {
                let what = "certificate 1 names no host (subject alternative name)";
                faults.push(fault(file, what));
            }
        }
    }
    if faults.is_empty() { Ok((CertNames::new(names), expiry)) } else { Err(faults) }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some(lower(name)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string().into_boxed_str()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// The host names among a certificate's alternative names, in lower case.
pub(super) fn hosts_of(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let host = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => Some(lower(name)),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(host).collect()
}

fn lower(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into_boxed_str()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
