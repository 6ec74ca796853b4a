//! What authorities are shown: answers in clear for HTTP-01, certificates for TLS-ALPN-01. Each as
//! long as its proof is under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::Challenge;
use super::fault::Fault;
use crate::crypto::sha256;
use crate::redirect::Challenges;
use crate::serve::Proofs;

/// Proofs that are under way.
#[derive(Debug)]
pub struct Answers {
    /// Key authorizations by token (RFC 8555, section 8.1).
    tokens: Mutex<HashMap<String, String>>,
    /// Whether authorities may ask in clear at all.
    in_clear: AtomicBool,
    proofs: Arc<Proofs>,
}

/// A proof that is shown until this is dropped.
pub(super) struct Shown<'a> {
    answers: &'a Answers,
    challenge: Challenge,
    name: &'a str,
    token: String,
}

impl Answers {
    /// Nothing is under way; `proofs` are those of the listener.
    pub fn new(proofs: Arc<Proofs>) -> Self {
        Self { tokens: Mutex::default(), in_clear: AtomicBool::new(false), proofs }
    }

    /// Says whether authorities may ask in clear.
    pub fn expect_in_clear(&self, expected: bool) {
        self.in_clear.store(expected, Ordering::Relaxed);
    }

    /// Shows what proves that the name leads here: the key authorization of a token.
    pub(super) fn show<'a>(
        &'a self,
        challenge: Challenge,
        name: &'a str,
        token: String,
        authorization: &str,
    ) -> Result<Shown<'a>, Fault> {
        match challenge {
            Challenge::Http01 => {
                self.tokens().insert(token.clone(), authorization.to_owned());
            }
            Challenge::TlsAlpn01 => self.show_certificate(name, authorization)?,
        }
        Ok(Shown { answers: self, challenge, name, token })
    }

    fn show_certificate(&self, name: &str, authorization: &str) -> Result<(), Fault> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(Fault::local)?;
        params.distinguished_name = DistinguishedName::new();
        let digest = sha256(authorization.as_bytes());
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        let key = KeyPair::generate().map(Zeroizing::new).map_err(Fault::local)?;
        let own = params.self_signed(&*key).map_err(Fault::local)?;
        let der = PrivatePkcs8KeyDer::from(key.serialized_der()).clone_key();
        let shown = self.proofs.show(name, own.der().clone(), der.into());
        shown.map_err(Fault::local)
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Challenges for Answers {
    fn are_expected(&self) -> bool {
        self.in_clear.load(Ordering::Relaxed)
    }

    fn answer(&self, token: &str) -> Option<String> {
        self.tokens().get(token).cloned()
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        match self.challenge {
            Challenge::Http01 => {
                self.answers.tokens().remove(&self.token);
            }
            Challenge::TlsAlpn01 => self.answers.proofs.withdraw(self.name),
        }
    }
}
