//! Signing a request, as a client does. The gate itself uses none of this on the path of a request.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::clock::Timestamp;
use crate::crypto::{NoRandom, hex, random};

use super::{
    Claims, Message, Recipe, Scheme, VerifyingKey, X_API_KEY, X_NONCE, X_SIGNATURE, X_TIMESTAMP,
};

/// A request to be signed.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The public key id.
    pub key_id: &'a str,
    /// The time to sign.
    pub timestamp: Timestamp,
    /// The method.
    pub method: &'a Method,
    /// Host, with its port where that is not 443, as it will be sent.
    pub authority: &'a str,
    /// Path and query as they will be sent.
    pub target: &'a str,
    /// `Content-Type` as it will be sent; empty when none is.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    /// A key id that no header can carry.
    #[error("a key id is 1 to 128 visible ASCII characters")]
    KeyId,
    /// A content type that no header can carry.
    #[error("a content type is a header value: visible ASCII and spaces")]
    ContentType,
    /// No random bytes for a nonce.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Scheme {
    /// The headers that make a request signed, in the order in which to send them.
    ///
    /// # Errors
    /// When the key id cannot be sent or there are no random bytes for a nonce.
    pub fn sign(
        &self,
        key: &VerifyingKey,
        request: &Outgoing<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignFault> {
        let value = |text: &[u8]| HeaderValue::from_bytes(text).map_err(|_| SignFault::KeyId);
        if !super::claims::is_key_id(request.key_id.as_bytes()) {
            return Err(SignFault::KeyId);
        }
        let nonce = match self.recipe {
            Recipe::KwikPaisa => None,
            Recipe::CountersignV1 => {
                let text = hex(&random::<32>()?);
                Some(value(text.get(..32).unwrap_or_default())?)
            }
        };
        let claims = Claims {
            key_id: value(request.key_id.as_bytes())?,
            timestamp: request.timestamp,
            timestamp_text: HeaderValue::from(request.timestamp.secs()),
            nonce,
            signature: [0; 32],
        };
        let body = [Bytes::copy_from_slice(request.body)];
        let mut sent = HeaderMap::new();
        if !request.content_type.is_empty() {
            let text = HeaderValue::from_str(request.content_type);
            sent.insert(CONTENT_TYPE, text.map_err(|_| SignFault::ContentType)?);
        }
        let message = Message {
            claims: &claims,
            method: request.method,
            authority: request.authority,
            target: request.target,
            headers: &sent,
            body: &body,
        };
        let mac = self.verify(&[key], message).macs().into_iter().next().unwrap_or_default();
        let signature = value(&hex(&mac))?;
        let mut headers = vec![(X_API_KEY, claims.key_id), (X_TIMESTAMP, claims.timestamp_text)];
        headers.extend(claims.nonce.map(|nonce| (X_NONCE, nonce)));
        headers.push((X_SIGNATURE, signature));
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn signed(scheme: &str, body: &[u8]) -> (HeaderMap, VerifyingKey) {
        let scheme = Scheme::preset(scheme).unwrap();
        let key = scheme.key(&Secret::new(b"0123456789abcdef0123".to_vec()).unwrap());
        let request = Outgoing {
            key_id: "pk_test_1",
            timestamp: Timestamp::from_secs(1_700_000_000),
            method: &Method::POST,
            authority: "API.example.com",
            target: "/v1/orders?a=1",
            content_type: "application/json",
            body,
        };
        (scheme.sign(&key, &request).unwrap().into_iter().collect(), key)
    }

    fn verdict(scheme: &str, headers: &HeaderMap, key: &VerifyingKey, target: &str) -> bool {
        let scheme = Scheme::preset(scheme).unwrap();
        let claims = scheme.claims(headers).unwrap();
        let body = [Bytes::from_static(b"{\"a\""), Bytes::from_static(b":1}")];
        let decoy = VerifyingKey::decoy().unwrap();
        let mut sent = HeaderMap::new();
        sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let message = Message {
            claims: &claims,
            method: &Method::POST,
            authority: "api.example.com",
            target,
            headers: &sent,
            body: &body,
        };
        let verdict = scheme.verify(&[&decoy, key], message).finish();
        assert!(verdict.matched.is_none_or(|index| index == 1));
        verdict.matched.is_some()
    }

    #[test]
    fn what_is_signed_verifies_in_any_pieces() {
        for name in Scheme::PRESETS {
            let (headers, key) = signed(name, b"{\"a\":1}");
            assert!(verdict(name, &headers, &key, "/v1/orders?a=1"), "{name}");
            let (headers, _) = signed(name, b"{\"a\":2}");
            assert!(!verdict(name, &headers, &key, "/v1/orders?a=1"), "{name}");
        }
    }

    #[test]
    fn coverage_tells_the_truth_about_the_target() {
        for name in Scheme::PRESETS {
            let (headers, key) = signed(name, b"{\"a\":1}");
            let bound = Scheme::preset(name).unwrap().coverage().target;
            assert_eq!(verdict(name, &headers, &key, "/v1/refunds"), !bound, "{name}");
        }
    }

    /// Computed with another implementation (OpenSSL 3.0, `openssl dgst -sha256 -hmac`).
    #[test]
    fn kwikpaisa_agrees_with_openssl() {
        let (headers, _) = signed("kwikpaisa", b"{\"a\":1}");
        assert_eq!(headers["x-signature"], EXPECTED);
    }

    const EXPECTED: &str = "ea401317b54f3a4a168f7108eb6ba29f3d4685bdbd85863be455d76a2c503519";
}
