//! The account with the authority: its key, and what is signed by it (RFC 8555, section 6.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ExternalAccount;
use super::fault::{Fault, Reason};
use crate::crypto::asymmetric::{Algorithm, PrivateKey};
use crate::crypto::{MacKey, sha256};

/// What the uncompressed form of a point begins with (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The key of the account: ECDSA on P-256.
pub(super) struct AccountKey {
    key: PrivateKey,
    /// The public half (RFC 7518, section 6.2.1).
    x: String,
    y: String,
}

/// Whose key a message is signed by.
#[derive(Clone, Copy)]
pub(super) enum SignedBy<'a> {
    /// One that the authority does not know yet.
    Key,
    /// That of the account with this URL.
    Account(&'a str),
}

impl AccountKey {
    /// A new one, as PEM.
    pub(super) fn make() -> Result<Zeroizing<String>, Fault> {
        let made = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Zeroizing::new);
        let made = made.map_err(|fault| Fault::new(Reason::Local, fault.to_string()))?;
        Ok(Zeroizing::new(made.serialize_pem()))
    }

    /// Reads one from PEM; none where it is damaged.
    pub(super) fn read(pem: &[u8]) -> Option<Self> {
        let pair = KeyPair::from_pem(std::str::from_utf8(pem).ok()?).map(Zeroizing::new).ok()?;
        let key = PrivateKey::read(pem, Algorithm::EcdsaP256).ok()?;
        let (form, point) = pair.public_key_raw().split_first()?;
        let (x, y) = point.split_at_checked(32).filter(|_| *form == UNCOMPRESSED)?;
        Some(Self { key, x: encode(x), y: encode(y) })
    }

    fn jwk(&self) -> Value {
        json!({ "crv": "P-256", "kty": "EC", "x": self.x, "y": self.y })
    }

    /// What stands for the key in proofs (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        let (x, y) = (&self.x, &self.y);
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        encode(&sha256(canonical.as_bytes()))
    }

    /// A signed message: nothing but a signature where there is no payload.
    pub(super) fn sign(
        &self,
        by: SignedBy<'_>,
        nonce: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<String, Fault> {
        let mut head = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        if let Some(head) = head.as_object_mut() {
            match by {
                SignedBy::Key => head.insert("jwk".into(), self.jwk()),
                SignedBy::Account(url) => head.insert("kid".into(), json!(url)),
            };
        }
        let head = encode(head.to_string().as_bytes());
        let payload = payload.map(|payload| encode(payload.to_string().as_bytes()));
        let payload = payload.unwrap_or_default();
        let mut message = Algorithm::EcdsaP256.begin();
        message.update(format!("{head}.{payload}").as_bytes());
        let signed = self.key.sign(message);
        let signed = signed.map_err(|fault| Fault::new(Reason::Local, fault.to_string()))?;
        Ok(joined(&head, &payload, &signed).to_string())
    }

    /// What binds the account to one that was made elsewhere (RFC 8555, section 7.3.4).
    pub(super) fn bound_to(&self, external: &ExternalAccount, url: &str) -> Value {
        let head = json!({ "alg": "HS256", "kid": external.id, "url": url });
        let head = encode(head.to_string().as_bytes());
        let payload = encode(self.jwk().to_string().as_bytes());
        let mut mac = MacKey::new(&external.key).begin();
        mac.update(format!("{head}.{payload}").as_bytes());
        joined(&head, &payload, &mac.finish())
    }
}

fn joined(head: &str, payload: &str, signature: &[u8]) -> Value {
    json!({ "protected": head, "payload": payload, "signature": encode(signature) })
}

/// Bytes as the protocol writes them.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
