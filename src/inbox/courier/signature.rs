//! The signature under which the merchant's service gets a delivery: Standard Webhooks 1.0.0,
//! version 1 (HMAC-SHA256).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::crypto::MacKey;
use crate::secret::Secret;

/// The value of `webhook-signature`: `v1,` and base64 of the HMAC over id, time and body, joined by
/// full stops; once for every secret, with a space between.
pub(super) fn signatures(secrets: &[Secret], id: &str, now: Timestamp, body: &[u8]) -> String {
    let time = now.secs().to_string();
    let mut text = String::new();
    for secret in secrets {
        let mut mac = MacKey::new(secret).begin();
        for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
            mac.update(part);
        }
        let space = if text.is_empty() { "" } else { " " };
        text.push_str(space);
        text.push_str("v1,");
        STANDARD.encode_string(mac.finish(), &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification publishes.
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()).unwrap()
    }

    #[test]
    fn the_published_example_is_signed_as_published() {
        let now = Timestamp::from_secs(1_614_265_330);
        assert_eq!(signatures(&[secret()], ID, now, BODY), SIGNATURE);
    }

    #[test]
    fn every_secret_signs_in_its_order() {
        let now = Timestamp::from_secs(1_614_265_330);
        let other = Secret::new(vec![7; 24]).unwrap();
        let alone = signatures(std::slice::from_ref(&other), ID, now, BODY);
        let both = signatures(&[other, secret()], ID, now, BODY);
        assert_eq!(both, format!("{alone} {SIGNATURE}"));
        assert_ne!(alone, SIGNATURE);
    }
}
