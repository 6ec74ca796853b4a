//! A certificate authority that lives as long as this process, and what it issues.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

use countersign::clock::Timestamp;
use countersign::crypto::NoRandom;

/// Names and addresses that a development certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long certificates are good, in days.
const VALID_DAYS: i64 = 90;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertFault {
    /// The library refuses.
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    /// The clock shows a year that no certificate can name.
    #[error("the clock is wrong")]
    Clock(#[from] time::error::ComponentRange),
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// The kind of key that a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyKind {
    EcdsaP256,
    Rsa2048,
}

/// A new authority.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    now: OffsetDateTime,
}

/// A certificate, and its key in PKCS #8, both as PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    /// Makes an authority with a new key, for certificates that begin now.
    pub(crate) fn new(now: Timestamp) -> Result<Self, CertFault> {
        let now = i64::try_from(now.secs()).unwrap_or(i64::MAX);
        let now = OffsetDateTime::from_unix_timestamp(now)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Countersign development authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key), now })
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A certificate for this machine.
    pub(crate) fn issue(&self, kind: KeyKind) -> Result<Issued, CertFault> {
        let key = match kind {
            KeyKind::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
        };
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, self.now);
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { chain, key: key.serialize_pem() })
    }
}

/// From an hour ago, for clocks that lag, to [`VALID_DAYS`] from now.
fn set_validity(params: &mut CertificateParams, now: OffsetDateTime) {
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(Duration::days(VALID_DAYS));
}
