//! `listener.client_certificates`.

use super::*;

fn with(table: &str) -> String {
    change(
        MAIN,
        "[upstreams.app]",
        &format!("[listener.client_certificates]\n{table}\n[upstreams.app]"),
    )
}

const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

#[test]
fn certificates_of_clients_are_read_and_watched() {
    let names = format!("\"sha256:{DIGITS}\", \"dns:Api.acme.example\", \"subject:CN=a\"");
    let table =
        format!("ca = \"ca.pem\"\ncrl = [\"a.crl\"]\ncredentials = {{ pk_acme = [{names}] }}");
    let folder = Folder::with(&with(&table), MERCHANTS);
    let (config, notes) = folder.load().unwrap();
    let clients = config.listener.client_certificates.unwrap();
    assert!(clients.required, "the strict mode is the default");
    assert_eq!(clients.authorities, folder.path("ca.pem"));
    for name in ["ca.pem", "a.crl"] {
        assert!(config.watched.contains(&folder.path(name)), "{name} is watched");
    }
    let bindings = config.listener.bindings.unwrap();
    assert!(!bindings.allow("pk_acme", None) && bindings.allow("pk_other", None));
    assert!(!notes.iter().any(|note| note.text.contains("certificates are asked for")));
    let optional = Folder::with(&with("ca = \"ca.pem\"\nmode = \"optional\""), MERCHANTS);
    let config = optional.load().unwrap().0;
    assert!(!config.listener.client_certificates.unwrap().required);
    assert!(config.listener.bindings.is_none());
}

#[test]
fn a_binding_of_nobody_is_noted() {
    let table = "ca = \"ca.pem\"\ncredentials = { pk_acmee = [\"dns:acme.example\"] }";
    let (_, notes) = Folder::with(&with(table), MERCHANTS).load().unwrap();
    let note = notes.iter().find(|note| note.text.contains("pk_acmee")).unwrap();
    assert_eq!(note.weight, crate::config::Weight::Warning);
}

#[test]
fn mistakes_are_told_in_their_place() {
    for (table, expected) in [
        ("mode = \"optional\"", "`ca`"),
        ("ca = \"ca.pem\"\nmode = \"requird\"", "`required`"),
        ("ca = \"ca.pem\"\ncrls = []", "`crl`"),
        ("ca = \"ca.pem\"\ncredentials = { pk = [] }", "1 to 64 certificates"),
        ("ca = \"ca.pem\"\ncredentials = { pk = \"dns:a.example\" }", "an array"),
        ("ca = \"ca.pem\"\ncredentials = { \"p k\" = [\"dns:a.example\"] }", "key id"),
        ("ca = \"ca.pem\"\ncredentials = { pk = [\"a.example\"] }", "sha256:"),
        ("ca = \"ca.pem\"\ncredentials = { pk = [\"sha256:0011\"] }", "64 hexadecimal digits"),
        ("ca = \"ca.pem\"\ncredentials = { pk = [\"dns:*.acme.example\"] }", "without wildcard"),
        ("ca = \"ca.pem\"\ncredentials = { pk = [\"subject:acme\"] }", "CN=api"),
    ] {
        let faults = Folder::with(&with(table), MERCHANTS).load().unwrap_err().to_string();
        assert!(faults.contains(expected), "{table}: {faults}");
    }
}
