//! The certificate that a client showed, and which certificates a credential is bound to.
//!
//! A name is compared whole and byte for byte: a certificate is not looked at for names that are
//! like the one that was agreed.

use std::collections::HashMap;
use std::sync::Arc;

/// What a client's certificate says. The TLS layer has checked that a trusted authority signed it,
/// and that the client holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    fingerprint: Box<str>,
    /// Host names among its alternative names, in lower case.
    hosts: Box<[Box<str>]>,
    /// As RFC 4514 writes it; none where it has parts that this does not write.
    subject: Option<Box<str>>,
}

/// By what a certificate is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The SHA-256 of the whole certificate (DER), in lower-case hexadecimal digits.
    Fingerprint(Box<str>),
    /// One of its alternative names that are host names, in lower case.
    Host(Box<str>),
    /// Its subject as RFC 4514 writes it.
    Subject(Box<str>),
}

/// Which certificates credentials are bound to, by key id. One that is not in here may be used over
/// any connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings(HashMap<Box<str>, Box<[CertificateName]>>);

impl ClientCertificate {
    /// A certificate with this SHA-256 (lower-case hexadecimal digits) that says this of itself.
    pub fn new(fingerprint: &str, hosts: Vec<Box<str>>, subject: Option<Box<str>>) -> Arc<Self> {
        Arc::new(Self { fingerprint: fingerprint.into(), hosts: hosts.into(), subject })
    }

    /// Its SHA-256 in lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn is(&self, name: &CertificateName) -> bool {
        match name {
            CertificateName::Fingerprint(own) => self.fingerprint == *own,
            CertificateName::Host(own) => self.hosts.contains(own),
            CertificateName::Subject(own) => self.subject.as_ref() == Some(own),
        }
    }
}

impl Bindings {
    /// Whether a credential may be used over a connection with this certificate, or with none.
    pub fn allow(&self, key_id: &str, certificate: Option<&ClientCertificate>) -> bool {
        let Some(names) = self.0.get(key_id) else { return true };
        certificate.is_some_and(|shown| names.iter().any(|name| shown.is(name)))
    }

    /// The key ids that are bound, in no order.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

impl FromIterator<(Box<str>, Vec<CertificateName>)> for Bindings {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Vec<CertificateName>)>>(all: I) -> Self {
        Self(all.into_iter().map(|(key_id, names)| (key_id, names.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_credential_needs_one_of_its_certificates() {
        let shown = ClientCertificate::new(
            "00ff",
            vec!["api.acme.example".into(), "*.acme.example".into()],
            Some("CN=acme,O=Acme".into()),
        );
        let other = ClientCertificate::new("00fe", Vec::new(), None);
        for name in [
            CertificateName::Fingerprint("00ff".into()),
            CertificateName::Host("api.acme.example".into()),
            CertificateName::Subject("CN=acme,O=Acme".into()),
        ] {
            let unlike = CertificateName::Host("another.example".into());
            let bindings = Bindings::from_iter([("pk".into(), vec![unlike, name])]);
            assert!(bindings.allow("pk", Some(&shown)));
            assert!(!bindings.allow("pk", Some(&other)));
            assert!(!bindings.allow("pk", None));
            assert!(bindings.allow("pk2", None), "not bound");
        }
        for name in [
            CertificateName::Host("acme.example".into()),
            CertificateName::Host("www.acme.example".into()),
            CertificateName::Subject("CN=acme".into()),
        ] {
            let bindings = Bindings::from_iter([("pk".into(), vec![name])]);
            assert!(!bindings.allow("pk", Some(&shown)), "{bindings:?}");
        }
        let nobody = Bindings::from_iter([("pk".into(), Vec::new())]);
        assert!(!nobody.allow("pk", Some(&shown)));
    }
}
