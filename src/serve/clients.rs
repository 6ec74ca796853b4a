//! Certificates of clients: which authorities are believed, what was revoked, and what a
//! certificate that was accepted says.
//!
//! A list of revoked certificates that has ended, or that is missing for one authority of a chain,
//! refuses: nobody can know then who is still good.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::certificate::{Expiry, TlsFault, fault, hosts_of, read_chain};
use super::subject;
use crate::crypto::{hex, sha256};
use crate::peer::ClientCertificate;
use crate::telemetry::connections::CertificateFault;

/// The first byte of a list in DER: a SEQUENCE (X.690, section 8.9).
const DER_SEQUENCE: u8 = 0x30;

/// Whose certificates a listener asks its clients for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// PEM: the authorities that are believed.
    pub authorities: PathBuf,
    /// Lists of revoked certificates (RFC 5280, section 5), PEM or DER.
    pub revoked: Vec<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub required: bool,
}

/// What a listener believes of its clients, and until when.
pub(super) struct Believed {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    pub(super) authorities: Expiry,
    pub(super) lists: Vec<Expiry>,
}

/// Reads and checks all files at `now` (Unix seconds).
pub(super) fn load(
    clients: &ClientCertificates,
    provider: Arc<CryptoProvider>,
    now: i64,
) -> Result<Believed, Vec<TlsFault>> {
    let mut faults = Vec::new();
    let roots =
        authorities(&clients.authorities, now).map_err(|mut found| faults.append(&mut found));
    let (mut lists, mut ends) = (Vec::new(), Vec::new());
    for file in &clients.revoked {
        match revoked(file, now) {
            Ok((mut found, end)) => {
                lists.append(&mut found);
                ends.push(end);
            }
            Err(found) => faults.push(found),
        }
    }
    let Ok((roots, authorities)) = roots else { return Err(faults) };
    if !faults.is_empty() {
        return Err(faults);
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .enforce_revocation_expiration();
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| {
        vec![fault(&clients.authorities, format!("clients cannot be checked by it: {error}"))]
    })?;
    Ok(Believed { verifier, authorities, lists: ends })
}

fn authorities(file: &Path, now: i64) -> Result<(RootCertStore, Expiry), Vec<TlsFault>> {
    let chain = read_chain(file)?;
    let (mut roots, mut faults, mut earliest) = (RootCertStore::empty(), Vec::new(), i64::MAX);
    for (index, der) in chain.into_iter().enumerate() {
        let place = index + 1;
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
            faults.push(fault(file, format!("certificate {place} is damaged")));
            continue;
        };
        let end = certificate.validity().not_after;
        earliest = earliest.min(end.timestamp());
        if end.timestamp() < now {
            faults.push(fault(file, format!("certificate {place} expired on {end}")));
        } else if !certificate.is_ca() {
            faults.push(fault(file, format!("certificate {place} is not of an authority")));
        } else if let Err(error) = roots.add(der.clone()) {
            faults.push(fault(file, format!("certificate {place} cannot be used: {error}")));
        }
    }
    if faults.is_empty() { Ok((roots, expiry(file, earliest))) } else { Err(faults) }
}

type RevocationList = CertificateRevocationListDer<'static>;

/// The lists in one file, and when the first of them ends.
fn revoked(file: &Path, now: i64) -> Result<(Vec<RevocationList>, Expiry), TlsFault> {
    let bytes = std::fs::read(file).map_err(|e| fault(file, format!("cannot be read: {e}")))?;
    let lists: Vec<_> = if bytes.first() == Some(&DER_SEQUENCE) {
        vec![CertificateRevocationListDer::from(bytes)]
    } else {
        let all: Result<_, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
        all.map_err(|e| fault(file, format!("is not good PEM: {e}")))?
    };
    if lists.is_empty() {
        return Err(fault(file, "holds no list of revoked certificates"));
    }
    let mut earliest = i64::MAX;
    for list in &lists {
        let Ok((_, read)) = CertificateRevocationList::from_der(list) else {
            return Err(fault(file, "holds a damaged list of revoked certificates"));
        };
        let Some(end) = read.next_update() else {
            return Err(fault(file, "does not say until when it is good (nextUpdate)"));
        };
        if end.timestamp() < now {
            return Err(fault(file, format!("the list of revoked certificates ended on {end}")));
        }
        earliest = earliest.min(end.timestamp());
    }
    Ok((lists, expiry(file, earliest)))
}

/// When a file is no longer good, under its own name.
fn expiry(file: &Path, seconds: i64) -> Expiry {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Expiry { name, chain: file.to_owned(), seconds }
}

/// What the certificate at the head of a chain says, where the client showed one.
pub(super) fn shown(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<ClientCertificate>> {
    let der = chain?.first()?;
    let parsed = X509Certificate::from_der(der).ok();
    let (hosts, subject) = parsed.map_or_else(Default::default, |(_, certificate)| {
        (hosts_of(&certificate), subject::text(certificate.subject()))
    });
    let fingerprint = hex(&sha256(der));
    let fingerprint = std::str::from_utf8(&fingerprint).unwrap_or_default();
    Some(ClientCertificate::new(fingerprint, hosts, subject))
}

/// Why a client's certificate was refused, where that ended the handshake.
pub(super) fn fault_of(error: &std::io::Error) -> Option<CertificateFault> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::NoCertificatesPresented => Some(CertificateFault::Absent),
        rustls::Error::InvalidCertificate(why) => Some(match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => CertificateFault::Expired,
            CertificateError::Revoked => CertificateFault::Revoked,
            CertificateError::UnknownRevocationStatus => CertificateFault::ListMissing,
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => {
                CertificateFault::ListExpired
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertificateFault::Untrusted
            }
            _ => CertificateFault::Unusable,
        }),
        _ => None,
    }
}
