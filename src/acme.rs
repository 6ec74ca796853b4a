//! Certificates of the main listener from an authority: ordered, proved, kept and renewed (ACME,
//! RFC 8555; TLS-ALPN-01, RFC 8737; renewal information, RFC 9773).
//!
//! Promises that a certificate is served only when it is whole, good now, and of its own key; that
//! the one before stays in force until then; and that whatever the authority does costs no more
//! than a bounded order and a later try. Nothing here is on the path of a request.

mod account;
mod answers;
mod authority;
mod fault;
mod keeper;
mod order;
mod plan;
mod shelf;
mod vault;

use std::time::Duration;

pub use answers::Answers;
pub use keeper::Keeper;
pub use shelf::{Change, Shelf, Standing};
pub use vault::Vault;

use crate::outbound::Caller;
use crate::secret::Secret;

/// What configuration says of an authority and of what is ordered there.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The URL of its directory (RFC 8555, section 7.1.1), `https`.
    pub directory: Box<str>,
    /// Makes the calls.
    pub caller: Caller,
    /// URLs by which the authority reaches people.
    pub contacts: Vec<Box<str>>,
    /// Host names in lower case, each of which gets a certificate of its own.
    pub names: Vec<Box<str>>,
    /// How it is proved that the names lead here.
    pub challenge: Challenge,
    /// The account with the authority that the gate's belongs to.
    pub external: Option<ExternalAccount>,
    /// Which of the authority's kinds of certificates.
    pub profile: Option<Box<str>>,
    /// The keys of certificates.
    pub key: CertificateKey,
    /// How long one order may take.
    pub deadline: Duration,
}

/// How it is proved that a name leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A certificate that only the authority sees, on port 443 (RFC 8737).
    TlsAlpn01,
    /// An answer in clear, on port 80 (RFC 8555, section 8.3).
    Http01,
}

impl Challenge {
    /// Its name, as the protocol has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

/// An account with the authority that was made elsewhere (RFC 8555, section 7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// Its name.
    pub id: Box<str>,
    /// The key of the MAC that shows that it is ours.
    pub key: Secret,
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKey {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits, for clients that know nothing else.
    Rsa2048,
}
