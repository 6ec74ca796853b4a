//! `listener.acme`.

use super::*;
use crate::acme::{CertificateKey, Challenge};

/// A right table; tests change pieces of it.
const TABLE: &str = r#"
directory = "https://ca.example/acme/directory"
names = ["api.example.com", "Shop.Example.com"]
terms_agreed = true
"#;

/// A main file with this table, and no certificate from files but for operations.
fn main_with(table: &str) -> String {
    let own = "[operations]\ncertificates = [{ chain = \"o.pem\", key = \"o.key\" }]";
    let main = change(MAIN, "certificates = [{ chain = \"gate.pem\", key = \"gate.key\" }]", "");
    change(&main, "[upstreams.app]", &format!("[listener.acme]{table}{own}\n[upstreams.app]"))
}

fn load(table: &str) -> Result<Config, String> {
    let loaded = Folder::with(&main_with(table), MERCHANTS).load();
    loaded.map(|(config, _)| config).map_err(|faults| faults.to_string())
}

#[test]
fn the_smallest_table_has_the_defaults() {
    let config = load(TABLE).unwrap();
    assert!(config.listener.certificates.is_empty());
    let acme = config.listener.acme.unwrap();
    assert_eq!(&*acme.directory, "https://ca.example/acme/directory");
    assert_eq!(acme.names, ["api.example.com".into(), "shop.example.com".into()]);
    assert_eq!((acme.challenge, acme.key), (Challenge::TlsAlpn01, CertificateKey::P256));
    assert_eq!(acme.deadline.as_secs(), 300);
    assert!(acme.contacts.is_empty() && acme.external.is_none() && acme.profile.is_none());
}

#[test]
fn an_external_account_is_read_and_watched() {
    let more = "external_account = { id = \"kid-1\", key = { file = \"external.key\" } }\n\
                contacts = [\"mailto:a@example.com\"]\n\
                profile = \"shortlived\"\nkey = \"rsa-2048\"\n";
    let folder = Folder::with(&main_with(&format!("{TABLE}{more}")), MERCHANTS);
    folder.write("external.key", "dGhpcnR5LXR3byBieXRlcyBvZiBhIG1hYyBrZXkuLi4\n");
    let config = folder.load().unwrap().0;
    assert!(config.watched.contains(&folder.path("external.key")));
    let acme = config.listener.acme.unwrap();
    assert_eq!(acme.external.unwrap().key.expose(), b"thirty-two bytes of a mac key...");
    assert_eq!((acme.key, acme.profile.as_deref()), (CertificateKey::Rsa2048, Some("shortlived")));
    for (text, expected) in [
        ("acme-secret-0123456789", "base64url of 16 bytes"),
        ("c2hvcnQ", "base64url of 16 bytes"),
        ("not base64!", "base64url of 16 bytes"),
    ] {
        folder.write("external.key", text);
        let faults = folder.faults().to_string();
        assert!(faults.contains(expected) && !faults.contains(text), "{text}: {faults}");
    }
}

#[test]
fn mistakes_are_told_in_their_place() {
    let names = "[\"api.example.com\", \"Shop.Example.com\"]";
    for (from, to, expected) in [
        ("terms_agreed = true", "", "`terms_agreed`"),
        ("= true", "= false", "terms_agreed = true"),
        ("directory = \"https://ca.example/acme/directory\"", "", "`directory`"),
        ("https://ca", "http://ca", "https only"),
        ("https://ca.example", "https://me:pw@ca.example", "https URL of a directory"),
        ("https://ca.example", "https://127.0.0.1:14000", "networks = [\"127.0.0.1\"]"),
        (names, "[]", "1 to 100 names"),
        (names, "[\"*.example.com\"]", "wildcard"),
        (names, "[\"192.0.2.1\"]", "host names only"),
        (names, "[\"[::1]\"]", "host names only"),
        (names, "[\"a b\"]", "a host name"),
        (names, "[\"a..example\"]", "a host name"),
        (names, "[\"../account\"]", "a host name"),
        (names, "[\"a.example\", \"A.example\"]", "twice"),
        ("terms", "contacts = [\"ops@example.com\"]\nterms", "mailto:ops@example.com"),
        ("terms", "contacts = [\"mailto:a@b.example,c@d.example\"]\nterms", "a contact"),
        ("terms", "challenge = \"dns-01\"\nterms", "tls-alpn-01"),
        ("terms", "challenge = \"http-01\"\nterms", "redirect = "),
        ("terms", "key = \"p-521\"\nterms", "p-256"),
        ("terms", "deadline = \"2h\"\nterms", "1s to 1h"),
        ("terms", "external_account = { id = \"k\" }\nterms", "`key`"),
        ("terms", "external_account = { id = \"k\", key = \"AAAA\" }\nterms", "literal secret"),
        ("terms", "ca = \"absent.pem\"\nterms", "absent.pem"),
        ("terms", "email = \"a@example.com\"\nterms", "listener.acme.email"),
    ] {
        let faults = load(&change(TABLE, from, to)).unwrap_err();
        assert!(faults.contains(expected), "{to}: {faults}");
    }
}

#[test]
fn a_listener_without_files_needs_a_certificate_for_operations() {
    let main =
        change(&main_with(TABLE), "certificates = [{ chain = \"o.pem\", key = \"o.key\" }]", "");
    let faults = Folder::with(&main, MERCHANTS).faults().to_string();
    assert!(faults.contains("a certificate of its own"), "{faults}");
    let neither = change(MAIN, "certificates = [{ chain = \"gate.pem\", key = \"gate.key\" }]", "");
    let faults = Folder::with(&neither, MERCHANTS).faults().to_string();
    assert!(faults.contains("`certificates`"), "{faults}");
}

#[test]
fn a_listener_that_demands_certificates_cannot_be_proved_over_tls() {
    let demand = |mode: &str| format!("client_certificates = {{ ca = \"ca.pem\", mode = {mode} }}");
    let with = |mode: &str, more: &str| {
        let main = main_with(&format!("{TABLE}{more}"));
        let address = "address = \"127.0.0.1:8443\"";
        let own = format!("{address}\nredirect = \"127.0.0.1:8080\"\n{}", demand(mode));
        Folder::with(&change(&main, address, &own), MERCHANTS).load()
    };
    let faults = with("\"required\"", "").unwrap_err().to_string();
    assert!(faults.contains("challenge = \"http-01\""), "{faults}");
    with("\"optional\"", "").unwrap();
    let config = with("\"required\"", "challenge = \"http-01\"\n").unwrap().0;
    assert_eq!(config.listener.acme.unwrap().challenge, Challenge::Http01);
}
