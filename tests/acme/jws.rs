//! Signed messages as the authority checks them (RFC 7515, RFC 8555 section 6.2): by itself, and by
//! nothing of the gate's.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A message that came: its head, its payload, and what is signed of it by what.
pub(crate) struct Message {
    pub(crate) head: Value,
    /// None where there is no payload at all.
    pub(crate) payload: Option<Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Message {
    pub(crate) fn read(value: &Value) -> Self {
        let object = value.as_object().unwrap();
        assert_eq!(object.len(), 3, "{value}");
        let text = |name: &str| object[name].as_str().unwrap();
        let (head, payload) = (text("protected"), text("payload"));
        let parsed = (!payload.is_empty()).then(|| {
            let bytes = decode(payload);
            serde_json::from_slice(&bytes).unwrap()
        });
        Self {
            head: serde_json::from_slice(&decode(head)).unwrap(),
            payload: parsed,
            signed: format!("{head}.{payload}"),
            signature: decode(text("signature")),
        }
    }

    pub(crate) fn is_by(&self, jwk: &Value) -> bool {
        assert_eq!((&jwk["kty"], &jwk["crv"]), (&json!("EC"), &json!("P-256")));
        let coordinate = |name: &str| decode(jwk[name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        assert_eq!(point.len(), 65);
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// Whether a MAC with this key stands in the place of the signature.
    pub(crate) fn has_mac_of(&self, key: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, self.signed.as_bytes(), &self.signature).is_ok()
    }
}

/// RFC 7638.
pub(crate) fn thumbprint(jwk: &Value) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    encode(digest(&SHA256, text.as_bytes()).as_ref())
}
