//! `countersign certs dev`, judged by OpenSSL.

use crate::support::*;
use std::os::unix::fs::PermissionsExt;

const FILES: [(&str, u32); 6] = [
    ("ca.pem", 0o644),
    ("gate.pem", 0o644),
    ("gate.key", 0o600),
    ("gate-rsa.pem", 0o644),
    ("gate-rsa.key", 0o600),
    ("secrets.txt", 0o600),
];

#[test]
fn openssl_verifies_what_is_made() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dev");
    let output = certs_dev(place.path(), &[]);
    let shown = good(&output);
    for (name, mode) in FILES {
        let file = dir.join(name);
        assert!(shown.contains(path(&file)), "{shown}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    for name in ["gate", "gate-rsa"] {
        for subject in ["-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_ip ::1"] {
            let verified = shell(&format!(
                "cd {} && openssl verify -x509_strict -purpose sslserver {subject} \
                 -CAfile ca.pem {name}.pem",
                path(&dir)
            ));
            assert_eq!(good(&verified).trim(), format!("{name}.pem: OK"));
        }
        let same_key = shell(&format!(
            "cd {} && diff <(openssl x509 -in {name}.pem -noout -pubkey) \
             <(openssl pkey -in {name}.key -pubout)",
            path(&dir)
        ));
        good(&same_key);
    }
    // Good for 89 days from now, and no longer good after 91.
    let ends = |days: u32| {
        let script = format!("openssl x509 -in gate.pem -noout -checkend {}", days * 86_400);
        shell(&format!("cd {} && {script}", path(&dir))).status.success()
    };
    assert!(ends(89) && !ends(91));
    let secrets = std::fs::read_to_string(dir.join("secrets.txt")).unwrap();
    for secret in secrets.split_whitespace().filter(|word| !word.starts_with("pk_")) {
        assert!(secret.len() >= 64 && !shown.contains(secret));
    }
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dev");
    std::fs::create_dir(&dir).unwrap();
    let key = dir.join("gate.key");
    std::fs::write(&key, "precious").unwrap();
    let refused = certs_dev(place.path(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("gate.key: exists already"));
    assert_eq!(std::fs::read(&key).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    let state = dir.join("state");
    good(&certs_dev(place.path(), &["--force"]));
    assert_ne!(std::fs::read(&key).unwrap(), b"precious");
    // A state that exists outlives even that.
    std::fs::write(state.join("kept"), "").unwrap();
    assert!(good(&certs_dev(place.path(), &["--force"])).contains("kept as it was"));
    assert!(state.join("kept").exists());
}
