//! Public keys that belong to nobody: what unknown key ids are checked with, at the same cost.
//!
//! Their private halves were thrown away when they were made. Somebody who had one would gain
//! nothing: a decoy that matches has no credential.

use crate::crypto::asymmetric::{Algorithm, KeyKind};

/// A public key of the kind that an algorithm needs, as DER in base64.
pub(super) fn public_key(algorithm: Algorithm) -> Vec<u8> {
    let text = match algorithm.key_kind() {
        KeyKind::Ed25519 => ED25519,
        KeyKind::P256 => P256,
        KeyKind::P384 => P384,
        KeyKind::Rsa => RSA,
    };
    text.as_bytes().to_vec()
}

const ED25519: &str = "MCowBQYDK2VwAyEA1xEou2liKXhLMjC1JbeNZJKLgL2MKLZ+/HjpMngbtXk=";
const P256: &str = "\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErEcrN2GfIYrVwNyjl8ep3bTVWTe8HT/+x94EOpxEK6HY\
    iB/PWjqNrhbLATvJjg/PLom6ATC/8KKaUd+jS8LnGA==";
const P384: &str = "\
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAErKznO9PbBQN82EBRLUnOuDg9R7Svm1BKUuCpO+GJpvLbIb/q\
    8sL51iUWruVVo9JFZV5WeNtrTSCZNEKOtq87P5rFYhYF+ObjG78o5ZVmOz+0ihsNywmYHKqiP0YEXprq";
const RSA: &str = "\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtm9l/mR/nXKv4a7dxqJO1tFRnYJ6MhROqthc\
    3kAZPk8pqnXHFIdV3kbUhXcni+l/SfeWM3N45zWPDqZK3AUtp/D+OuC7Qx77zu1OBRdri/Df+gcakw/O\
    X9Mu4gI2H+BPA4prZw22/hmt0bnPU3KAfeKVJwxOCk40siFJFjLKlsjMwUJ9XAeSbgJZoUEDuPHOoMJJ\
    b4FMK/5QFk7nJeV5ffU3/dio6X/lRuIcCg9FpWLF/aY5PeUBjCIZ8RdgsmEV0QI1mp59y8dhN47fYNpD\
    3LCznYzuhZqXtsOOin3Kn7A3y89bhBRUytG4cdfUlBAc0LcrfBWmu5wWAu6Bd5rpZwIDAQAB";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::asymmetric::PublicKey;

    #[test]
    fn there_is_one_for_every_algorithm() {
        for algorithm in Algorithm::ALL {
            assert!(PublicKey::read(&public_key(algorithm), algorithm).is_ok(), "{algorithm:?}");
        }
    }
}
