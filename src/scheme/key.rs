//! A secret made ready for one scheme.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use smallvec::SmallVec;

use crate::crypto::asymmetric::PrivateKey;
use crate::crypto::{NoRandom, hex, random};
use crate::recipe::{Evaluation, Subject};
use crate::secret::{NamedSecrets, Secret};

use super::algorithm::{Algorithm, Key, KeyFault, Method};
use super::http_signatures::Signer;
use super::protocol::Protocol;
use super::{Scheme, decoy};

/// A secret made ready for one scheme: everything that depends on nothing but the credential is
/// done once, when keys change.
#[derive(Clone)]
pub struct VerifyingKey {
    secret: Secret,
    values: NamedSecrets,
    /// By the slots of the scheme's places.
    pub(super) ready: SmallVec<[Key; 1]>,
    /// What signs by a protocol; none where only a public key is known.
    pub(super) signer: Option<Arc<Signer>>,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹key›")
    }
}

impl VerifyingKey {
    /// The secret, for bodies that are sealed with it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The named values beside it.
    pub fn values(&self) -> &NamedSecrets {
        &self.values
    }

    /// A message as it is looked at with this key's secret.
    pub(super) fn subject<'a>(&'a self, subject: &Subject<'a>) -> Subject<'a> {
        Subject { secret: Some(self.secret.expose()), values: &self.values, ..*subject }
    }
}

impl Scheme {
    /// Makes a secret ready to sign with: where a protocol has key pairs, that is a private key.
    ///
    /// # Errors
    /// As [`Scheme::key`].
    pub fn signing_key(
        &self,
        secret: &Secret,
        values: NamedSecrets,
    ) -> Result<VerifyingKey, KeyFault> {
        match self.protocol.as_ref().map(Protocol::method) {
            Some(Method::Public(algorithm)) => {
                let private = PrivateKey::read(secret.expose(), algorithm)?;
                let ready = smallvec::smallvec![Key::Public(Box::new(private.public_key()?))];
                let signer = Some(Arc::new(Signer::Private(private)));
                Ok(VerifyingKey { secret: secret.clone(), values, ready, signer })
            }
            _ => self.key(secret, values),
        }
    }

    /// Makes a secret ready, once, when keys change. Where the scheme has public keys, the secret
    /// is one. `values` are what the scheme reads as `cred:NAME`.
    ///
    /// # Errors
    /// When the scheme cannot make a key of them, or a value is not given.
    pub fn key(&self, secret: &Secret, values: NamedSecrets) -> Result<VerifyingKey, KeyFault> {
        for name in self.value_names() {
            if values.get(name).is_none() {
                return Err(KeyFault::Value(name.to_owned()));
            }
        }
        let (mut ready, mut signer) = (SmallVec::new(), None);
        if let Some(protocol) = &self.protocol {
            ready.push(Key::new(protocol.method(), secret.expose())?);
            signer = protocol.signer(secret).map(Arc::new);
        }
        let headers = HeaderMap::new();
        let nothing = nothing(&headers, &values);
        for plan in self.plans() {
            let Algorithm::Fixed(method) = &plan.algorithm else { continue };
            for place in plan.places.iter().filter(|place| place.slot.is_some()) {
                let subject = Subject { secret: Some(secret.expose()), ..nothing };
                let bytes = Evaluation::new(subject, &plan.scope).secret_bytes(&place.key)?;
                ready.push(Key::new(*method, &bytes)?);
            }
        }
        Ok(VerifyingKey { secret: secret.clone(), values, ready, signer })
    }

    /// A key that nobody knows, for key ids that do not exist. It costs what another costs.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn decoy(&self) -> Result<VerifyingKey, NoRandom> {
        // Hexadecimal text of this length is good base64 as well, whatever the scheme decodes.
        let text = || random::<32>().map(|bytes| hex(&bytes).to_vec());
        let mut values = NamedSecrets::default();
        for name in self.value_names() {
            values.insert(name, text()?);
        }
        let mut ready = SmallVec::new();
        let bytes = |method| match method {
            Method::Public(algorithm) => Ok(decoy::public_key(algorithm)),
            Method::Mac(_) | Method::Comparison => random::<32>().map(|bytes| bytes.to_vec()),
        };
        if let Some(method) = self.protocol.as_ref().map(Protocol::method) {
            ready.extend(Key::new(method, &bytes(method)?).ok());
        }
        for plan in self.plans() {
            let Algorithm::Fixed(method) = plan.algorithm else { continue };
            let bytes = bytes(method)?;
            let slots = plan.places.iter().filter(|place| place.slot.is_some());
            ready.extend(slots.filter_map(|_| Key::new(method, &bytes).ok()));
        }
        Ok(VerifyingKey { secret: Secret::of_any_length(text()?), values, ready, signer: None })
    }
}

/// A message without anything.
fn nothing<'a>(headers: &'a HeaderMap, values: &'a NamedSecrets) -> Subject<'a> {
    Subject {
        method: "",
        scheme: "https",
        authority: "",
        target: "",
        headers,
        body: &[],
        status: None,
        public_url: None,
        secret: None,
        values,
    }
}
