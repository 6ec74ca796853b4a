//! `listener.client_certificates`: whose certificates clients show, and which credentials are bound
//! to some of them.

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::keyring::KeyId;
use crate::peer::{Bindings, CertificateName};
use crate::serve::ClientCertificates;

/// How a certificate may be named.
const FORMS: &str = "\"sha256:…\", \"dns:…\" or \"subject:CN=…\"";
/// Certificates of one credential.
const NAMES_MAX: usize = 64;

/// What stands in the table.
#[derive(Default)]
pub(super) struct Clients {
    pub(super) certificates: Option<ClientCertificates>,
    pub(super) bindings: Option<Bindings>,
}

pub(super) fn clients(table: &mut Table<'_>) -> Clients {
    table.table("client_certificates", read).unwrap_or_default()
}

fn read(table: &mut Table<'_>) -> Clients {
    let authorities = table.required("ca", value::path);
    let revoked = table.list("crl", value::path);
    let modes = [("required", true), ("optional", false)];
    let required = table.optional("mode", value::choice(&modes)).unwrap_or(true);
    let bindings = bindings(table);
    let certificates =
        authorities.map(|authorities| ClientCertificates { authorities, revoked, required });
    Clients { certificates, bindings }
}

fn bindings(table: &mut Table<'_>) -> Option<Bindings> {
    let node = table.node("credentials")?;
    let path = table.path_of("credentials");
    let entries = node.in_order(&path)?;
    let mut all = Vec::new();
    for (key_id, node) in entries {
        let own = format!("{path}.{key_id}");
        if key_id.parse::<KeyId>().is_err() {
            let expected = "a key id of 1 to 128 visible ASCII characters";
            node.report(own, Mismatch::text(expected, key_id));
            continue;
        }
        let Some(items) = node.value().as_array() else {
            node.report(own, node.wrong_type(format!("an array of {FORMS}")));
            continue;
        };
        if items.is_empty() || items.len() > NAMES_MAX {
            let expected = format!("1 to {NAMES_MAX} certificates");
            node.report(own, Mismatch::text(expected, &items.len().to_string()));
            continue;
        }
        let document = node.document;
        let items = items.iter().enumerate();
        let names = items.filter_map(|(n, value)| {
            Node { document, value }.take(&format!("{own}[{n}]"), certificate)
        });
        all.push((Box::from(key_id), names.collect()));
    }
    Some(all.into_iter().collect())
}

/// `sha256:` with 64 digits, colons between them or not; `dns:` with a host; `subject:` with a
/// subject as RFC 4514 writes it.
fn certificate(node: &Node<'_>) -> Result<CertificateName, Mismatch> {
    let text = node.str(FORMS)?;
    let wrong = |expected: &str| Mismatch::text(expected, text);
    match text.split_once(':') {
        Some(("sha256", digits)) => {
            let digits = digits.replace(':', "").to_ascii_lowercase();
            let good = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let expected = "sha256: and the 64 hexadecimal digits of a certificate's SHA-256";
            good.then(|| CertificateName::Fingerprint(digits.into())).ok_or_else(|| wrong(expected))
        }
        Some(("dns", host)) => {
            let host = host.to_ascii_lowercase();
            let expected = "dns: and one host name, without wildcard";
            value::is_host(&host)
                .then(|| CertificateName::Host(host.into()))
                .ok_or_else(|| wrong(expected))
        }
        Some(("subject", subject)) if subject.contains('=') => {
            Ok(CertificateName::Subject(subject.into()))
        }
        Some(("subject", _)) => Err(wrong("subject: and a subject such as CN=api,O=Acme,C=DE")),
        _ => Err(wrong(FORMS)),
    }
}
