//! What an authority for certificates needs of a listener: certificates that it issued, and proofs
//! that a name leads here (TLS-ALPN-01, RFC 8737).
//!
//! Promises that a proof is shown to nobody but who asks for `acme-tls/1` alone, for a name whose
//! proof is under way. Everybody else meets the listener's own settings, which do not know that
//! protocol.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::certificate::{Certificate, TlsFaults};

/// The protocol by which an authority asks for a proof (RFC 8737, section 6.2).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// A certificate that was issued, with its chain and key.
#[derive(Clone, Debug)]
pub struct Issued(pub(super) Arc<Certificate>);

impl Issued {
    /// Reads and checks a chain and its key, which stand in one PEM text, at `wall_millis` (Unix
    /// milliseconds). `place` is what faults and metrics call it.
    ///
    /// # Errors
    /// Every mistake in it, as for files.
    pub fn read(pem: &[u8], place: &Path, wall_millis: u64) -> Result<Self, TlsFaults> {
        let now = i64::try_from(wall_millis / 1000).unwrap_or(i64::MAX);
        let read = Certificate::of_pem(pem, place, &aws_lc_rs::default_provider(), now);
        read.map(|certificate| Self(Arc::new(certificate))).map_err(TlsFaults)
    }

    /// Whether clients that ask for this host, in lower case, find it in the certificate.
    pub fn stands_for(&self, name: &str) -> bool {
        self.0.names.iter().any(|own| own == name)
    }

    /// The certificate itself, without its chain.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.0.key.cert.first()
    }

    /// The first Unix second at which some certificate of its chain is no longer good.
    pub fn expiry(&self) -> i64 {
        self.0.expiry
    }
}

/// Proofs that are under way, by name.
#[derive(Debug, Default)]
pub struct Proofs(ArcSwap<HashMap<Box<str>, Arc<ServerConfig>>>);

impl Proofs {
    /// Shows the proof for a name, in lower case, from now on.
    ///
    /// # Errors
    /// When the key is of no use.
    pub fn show(
        &self,
        name: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = provider.key_provider.load_private_key(key)?;
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.insert(name.into(), Arc::clone(&config));
            all
        });
        Ok(())
    }

    /// Shows the proof for a name no longer.
    pub fn withdraw(&self, name: &str) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.remove(name);
            all
        });
    }

    /// Whether any is under way.
    pub(super) fn are_under_way(&self) -> bool {
        !self.0.load().is_empty()
    }

    /// What answers a client that asks for a proof, and for nothing else.
    pub(super) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        let alone = protocols.next() == Some(ACME_TLS) && protocols.next().is_none();
        let name = hello.server_name().filter(|_| alone)?;
        self.0.load().get(name).map(Arc::clone)
    }
}
