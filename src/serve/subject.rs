//! The subject of a certificate as text that has one reading (RFC 4514), as
//! `openssl x509 -noout -subject -nameopt RFC2253` prints it.

use std::fmt::Write as _;

use x509_parser::x509::X509Name;

/// Names of attributes that are written by name (RFC 4514, section 3; RFC 2985; RFC 4519).
const NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The subject, last part first. None where it is empty, or has a part that is not text or whose
/// name is not known: what cannot be told apart must not be agreed upon.
pub(super) fn text(subject: &X509Name<'_>) -> Option<Box<str>> {
    let mut text = String::new();
    let parts: Vec<_> = subject.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            let oid = attribute.attr_type().to_id_string();
            let (_, name) = NAMES.iter().find(|(known, _)| *known == oid)?;
            let value = attribute.as_str().ok()?;
            let before = match (text.is_empty(), index) {
                (true, _) => "",
                (false, 0) => ",",
                (false, _) => "+",
            };
            text.push_str(before);
            text.push_str(name);
            text.push('=');
            escape(value, &mut text);
        }
    }
    (!text.is_empty()).then(|| text.into_boxed_str())
}

/// RFC 4514, section 2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if at == 0 => text.push_str("\\#"),
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to memory cannot fail.
            other => drop(write!(text, "\\{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    fn subject_of(parts: Vec<(DnType, &str)>) -> Option<Box<str>> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind, value);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        super::text(parsed.subject())
    }

    #[test]
    fn a_subject_has_one_reading() {
        use DnType::{CommonName, CountryName, OrganizationName};
        let plain = vec![(CountryName, "DE"), (OrganizationName, "Acme"), (CommonName, "api")];
        assert_eq!(subject_of(plain).unwrap().as_ref(), "CN=api,O=Acme,C=DE");
        // A name that tries to be two parts stays one.
        let sly = vec![(CommonName, "api,O=Acme"), (OrganizationName, " Ü+#\"\\ ")];
        assert_eq!(
            subject_of(sly).unwrap().as_ref(),
            "O=\\ \\C3\\9C\\+#\\\"\\\\\\ ,CN=api\\,O=Acme"
        );
        assert_eq!(subject_of(Vec::new()), None);
        let unknown = vec![(CommonName, "api"), (DnType::CustomDnType(vec![1, 2, 3]), "x")];
        assert_eq!(subject_of(unknown), None);
    }
}
