//! `countersign provider`: list and show, and that what is pasted loads.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::*;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(good(&run(arguments))).unwrap()
}

#[test]
fn the_list_tells_strength_and_what_follows() {
    let output = run(&["provider", "list"]);
    let text = good(&output);
    for (name, words) in [
        ("fiuu", ["partial", "always"]),
        ("kwikpaisa", ["full", "where asked for"]),
        ("paykun", ["partial", "always"]),
        ("stripe", ["full", "no"]),
    ] {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    let all = json(&["provider", "list", "--json"]);
    assert_eq!(all.as_array().unwrap().len() + 1, text.lines().count());
}

#[test]
fn a_provider_is_shown_whole() {
    let output = run(&["provider", "show", "fiuu"]);
    let text = good(&output);
    for words in [
        "the secret key, not the verify key",
        "needs the value                 verify_key",
        "fiuu, strength partial",
        "{form:tranID}, {form:status}, {form:nbcb | default('')}",
        "always, by asking the provider",
        "POST https://api.fiuu.com/",
        "{inner | md5 | hex}",
        "Open: there is no time",
        "form:nbcb is not signed, and is one of",
        "CBTOKEN:MPSTATOK",
        "[sources.fiuu]\nprovider = \"fiuu\"",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    let stripe = json(&["provider", "show", "stripe", "--json"]);
    assert_eq!(stripe["strength"], "full");
    assert_eq!(stripe["identity"][0], "{json:id}");
    let output = run(&["provider", "show", "striep"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(crate::support::text(&output.stderr).contains("no provider is named striep"));
}

fn write(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// A key of the form that the scheme takes; most take any text.
fn secret_of(name: &str) -> String {
    match name {
        "adyen" => "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056".to_owned(),
        "standard-webhooks" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        other => format!("{other}-secret-0123456789"),
    }
}

/// Those whose secret is a public key of the provider.
const PUBLIC_KEYS: [&str; 2] = ["midtrans-snap", "standard-webhooks-v1a"];

/// A folder with certificates and a secret of a destination.
fn folder() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    good(&certs_dev(place.path(), &[]));
    let secrets = place.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    write(&secrets.join("shop.whsec"), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    place
}

/// What `check` says of a configuration that takes webhooks only.
fn check(place: &Path, webhooks: &str) -> Value {
    let main = "state = \"state\"\n[listener]\naddress = \"127.0.0.1:8443\"\n\
                certificates = [{ chain = \"dev/gate.pem\", key = \"dev/gate.key\" }]\n";
    let file = place.join("gate.toml");
    write(&file, &format!("{main}{webhooks}"));
    let check = countersign(&["check", "--config", path(&file), "--json"])
        .env("SSL_CERT_FILE", place.join("dev/ca.pem"))
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(told.get("good").and_then(Value::as_bool), Some(true), "{told:#}");
    told
}

#[test]
fn every_pasted_table_loads() {
    let place = folder();
    let secrets = place.path().join("secrets");
    let mut main = String::new();
    let mut count = 0;
    for one in json(&["provider", "list", "--json"]).as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        if PUBLIC_KEYS.contains(&name) {
            continue;
        }
        let shown = json(&["provider", "show", name, "--json"]);
        write(&secrets.join(name), &secret_of(name));
        for value in shown["values"].as_array().unwrap() {
            write(&secrets.join(format!("{name}-{}", value.as_str().unwrap())), "value");
        }
        if count == 0 {
            main = format!("{main}{}\n", shown["destination"].as_str().unwrap());
        }
        main = format!("{main}{}\n", shown["table"].as_str().unwrap());
        count += 1;
    }
    assert!(count > 30);
    let told = check(place.path(), &main);
    assert_eq!(told["sources"].as_array().unwrap().len(), count);
}

/// All tables that docs/webhooks.md shows stand in one configuration.
#[test]
fn what_the_document_shows_loads() {
    let place = folder();
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhooks.md");
    let text = fs::read_to_string(text).unwrap();
    let blocks = text.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let all: String = blocks.collect();
    for file in all.split("file = \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let file = place.path().join(file);
        if !file.exists() {
            let name = file.file_name().unwrap().to_str().unwrap();
            write(&file, &format!("{name}-0123456789abcdef"));
        }
    }
    let told = check(place.path(), &all);
    let sources = told["sources"].as_array().unwrap();
    let named = |name: &str| sources.iter().find(|source| source["name"] == name).unwrap();
    assert!(sources.len() >= 10, "{told:#}");
    assert_eq!(named("fiuu")["asks_provider"], true);
    assert_eq!(named("fiuu")["posts_back"], true);
    assert_eq!(named("stripe")["asks_provider"], false);
    assert_eq!(named("kwikpaisa-test")["asks_provider"], true);
    assert_eq!(named("paykun")["unsigned"], true);
    assert_eq!(named("acme-token")["asks_order"], true);
}
