//! The certificate by which the gate tells an upstream who it is (mutual TLS).

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, Error};

use crate::secret::Secret;

/// A certificate chain and its private key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Secret,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.equals(&other.key)
    }
}

impl Eq for Identity {}

impl Identity {
    /// A chain, the gate's own certificate first, and a key in PEM.
    ///
    /// # Errors
    /// When the key is none, or another than that of the certificate.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: Secret) -> Result<Self, Error> {
        let identity = Self { chain, key };
        let (chain, key) = identity.parts()?;
        CertifiedKey::from_der(chain, key, &default_provider())?;
        Ok(identity)
    }

    /// TLS that shows it to whoever asks.
    pub(super) fn shown_by(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, Error> {
        let (chain, key) = self.parts()?;
        builder.with_client_auth_cert(chain, key)
    }

    fn parts(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let key = PrivateKeyDer::from_pem_slice(self.key.expose());
        let key = key.map_err(|_| Error::General("no private key in PEM form".to_owned()))?;
        Ok((self.chain.clone(), key))
    }
}
