//! `[inbox]` and `[destinations.NAME]`: what loads, and every mistake at its place.

use std::time::Duration;

use super::*;

/// A right destination; tests change pieces of it.
pub(super) const SHOP: &str = r#"
[destinations.shop]
url = "http://127.0.0.1:8090/webhooks?of=gate"
networks = ["127.0.0.1"]
secrets = [{ file = "shop.whsec" }]
"#;

const URL: &str = "url = \"http://127.0.0.1:8090/webhooks?of=gate\"";
const SECRETS: &str = "secrets = [{ file = \"shop.whsec\" }]";
/// 32 bytes.
const TEXT: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn folder(shop: &str) -> Folder {
    let folder = Folder::with(&format!("{MAIN}{shop}"), MERCHANTS);
    folder.write("shop.whsec", &format!("{TEXT}\n"));
    folder
}

fn check(folder: &Folder, key: &str, words: &str) {
    let faults = folder.faults();
    let all: Vec<_> = faults.iter().collect();
    assert_eq!(all.len(), 1, "{faults}");
    assert_eq!(all[0].key, format!("destinations.shop{key}"), "{faults}");
    assert!(all[0].line.is_some(), "{faults}");
    let text = all[0].to_string();
    assert!(text.contains(words), "{words:?} is not in\n{text}");
}

fn notes(folder: &Folder) -> String {
    let (_, notes) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    notes.iter().map(|note| format!("{note}\n")).collect()
}

#[test]
fn a_destination_has_the_defaults_that_are_documented() {
    let faults = folder(SHOP).load();
    let (config, _) = faults.unwrap_or_else(|faults| panic!("{faults}"));
    assert!(config.sources.is_empty());
    assert_eq!(config.inbox, crate::config::inbox::DEFAULT);
    let main = change(SHOP, URL, "url = \"https://[2606:4700::1111]/x\"\nca = \"ca.pem\"")
        .replace("networks = [\"127.0.0.1\"]\n", "");
    let folder = folder(&main);
    let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
    folder.write("ca.pem", &ca.cert.pem());
    let (config, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    for name in ["ca.pem", "shop.whsec"] {
        assert!(config.watched.contains(&folder.path(name)), "{name} is watched");
    }
}

#[test]
fn everything_of_the_inbox_can_be_said() {
    let main = "[inbox]\nsize = \"1GiB\"\nopen = 1\nkeys = 2\nrefusals = 3\nkeep = \"1h\"\n\
                keep_failed = \"2h\"\nkeep_refusals = \"3660d\"\n";
    let (config, _) = folder(main).load().unwrap_or_else(|faults| panic!("{faults}"));
    let limits = config.inbox;
    assert_eq!((limits.bytes, limits.open, limits.keys, limits.refusals), (1 << 30, 1, 2, 3));
    assert_eq!((limits.keep_done, limits.keep_failed), (HOUR, HOUR * 2));
    assert_eq!(limits.keep_refusals, HOUR * 24 * 3660);
    for (line, key, words) in [
        ("size = \"1MiB\"", "inbox.size", "a size from 16MiB"),
        ("open = 0", "inbox.open", "zero does not mean unlimited"),
        ("keys = 10000000001", "inbox.keys", "from 1 to 10000000000"),
        ("keep = \"59m\"", "inbox.keep", "from 1h to 3660d"),
        ("keep_faild = \"1d\"", "inbox.keep_faild", "did you mean `keep_failed`?"),
    ] {
        let faults = folder(&format!("[inbox]\n{line}\n")).faults();
        let all: Vec<_> = faults.iter().collect();
        assert_eq!((all.len(), all[0].key.as_str()), (1, key), "{faults}");
        assert!(all[0].to_string().contains(words), "{faults}");
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn urls_that_cannot_be_called() {
    let with = |url: &str| folder(&change(SHOP, URL, &format!("url = \"{url}\"")));
    for url in [
        "ftp://a",
        "/webhooks",
        "shop.internal",
        "http://",
        "http://a b",
        "https://a:/x",
        "http://127.0.0.1:0/",
    ] {
        check(&with(url), ".url", "expected a URL such as");
    }
    check(&with("https://127.0.0.1/#x"), ".url", "a fragment is never sent");
    for url in ["http://10.0.0.1/", "https://10.0.0.1", "https://[::1]/"] {
        check(&with(url), ".url", "lies in none of the networks that may be called");
    }
    assert!(with("http://localhost/").load().is_ok());
    assert!(with("http://shop.internal/").load().is_ok(), "a name is looked at later");
    let alone = change(SHOP, "networks = [\"127.0.0.1\"]\n", "");
    check(&folder(&alone), ".url", "plain http goes to named networks only");
    let localhost = change(&alone, URL, "url = \"https://localhost\"");
    check(&folder(&localhost), ".url", "localhost lies in none of the networks");
    let secret = with("http://user:hunter2@127.0.0.1/");
    check(&secret, ".url", "a user or password has no place here");
    assert!(!secret.faults().to_string().contains("hunter2"));
}

#[test]
fn what_a_secret_of_a_destination_may_not_be() {
    let with = |secrets: &str| folder(&change(SHOP, SECRETS, secrets));
    check(&with(""), ".secrets", "the key `secrets` is missing");
    check(&with("secrets = []"), ".secrets", "has 1 to 4 secrets; here are 0");
    let literal = with(&format!("secrets = [\"{TEXT}\"]"));
    check(&literal, ".secrets[0]", "a literal secret is refused");
    assert!(!literal.faults().to_string().contains("AAECAw"));
    check(&with(&format!("secrets = \"{TEXT}\"")), ".secrets", "a literal secret is refused");
    check(&with("secrets = [{ env = \"UNSET\" }]"), ".secrets[0].env", "a variable that is set");
    let twice = "secrets = [{ file = \"shop.whsec\" }, { file = \"shop.whsec\" }]";
    check(&with(twice), ".secrets[1]", "has the same bytes as one of the destination shop (");
    for text in [
        "no-prefix-0123456789012345678901234567890123",
        "whsec_",
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=",
        "whsec_not base64 at all, but long enough!!",
    ] {
        let folder = with(SECRETS);
        folder.write("shop.whsec", text);
        check(&folder, ".secrets[0]", "the base64 of 24 to 64 bytes");
        assert!(!folder.faults().to_string().contains("AAECAw"));
    }
    let folder = with(SECRETS);
    folder.set_mode("shop.whsec", 0o644);
    check(&folder, ".secrets[0].file", "run: chmod g-w,o-rwx '");
}

#[test]
fn a_secret_of_a_destination_is_nobody_elses() {
    let shop = SHOP.replace("shop]", "zoo]");
    let folder = folder(&format!("{SHOP}{shop}"));
    let text = folder.faults().to_string();
    assert!(text.contains("secret of zoo has the same bytes as one of the destination shop ("));
    // As text, without its prefix, or decoded: a scheme may take it in any of these ways.
    let bytes: Vec<u8> = (0..32).collect();
    for own in [TEXT.as_bytes(), &TEXT.as_bytes()[6..], &bytes] {
        let merchants = change(MERCHANTS, "{ list = \"secrets.txt\" }", "{ file = \"own\" }");
        let folder = self::folder(SHOP);
        folder.write("merchants.toml", &merchants);
        fs::write(folder.path("own"), own).unwrap();
        folder.set_mode("own", 0o600);
        let faults = folder.faults();
        assert_eq!(faults.iter().count(), 1, "{faults}");
        let words = "this secret of pk_acme has the same bytes as one of the destination shop (";
        assert!(faults.to_string().contains(words), "{faults}");
    }
}

#[test]
fn mistakes_in_the_rest_of_a_destination() {
    let add = |line: &str| folder(&change(SHOP, URL, &format!("{URL}\n{line}")));
    let waits = vec!["\"1s\""; 31].join(", ");
    for (line, key, words) in [
        ("deadline = \"0s\"", ".deadline", "from 1s to 5m"),
        ("deadline = \"6m\"", ".deadline", "from 1s to 5m"),
        ("concurrency = 0", ".concurrency", "zero does not mean unlimited"),
        ("rate = { per_second = 1 }", ".rate.burst", "is missing"),
        ("ordered = \"yes\"", ".ordered", "expected true or false"),
        ("schedule = []", ".schedule", "1 to 30 waits; here are 0"),
        ("schedule = [\"8d\"]", ".schedule[0]", "from 1s to 7d"),
        ("schedule = [\"500ms\"]", ".schedule[0]", "from 1s to 7d"),
        ("schedule = [\"7d\", \"7d\", \"7d\", \"7d\", \"3d\"]", ".schedule", "31 days in all"),
        (&format!("schedule = [{waits}]"), ".schedule", "here are 31"),
        ("ca = \"ca.pem\"", ".ca", "No such file"),
        ("retries = 3", ".retries", "unknown key"),
    ] {
        check(&add(line), key, words);
    }
    let folder = add("ca = \"ca.pem\"");
    let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
    folder.write("ca.pem", &ca.cert.pem());
    check(&folder, ".ca", "a plain http service shows no certificate");
}

#[test]
fn notes_tell_what_destinations_open() {
    let text = notes(&folder(SHOP));
    assert!(text.contains("note: destinations.shop: no source delivers to this destination"));
    assert!(!text.contains("PLAIN HTTP: whoever"), "this machine: {text}");
    let inner = change(SHOP, "http://127.0.0.1:8090", "http://shop.internal")
        .replace("networks = [\"127.0.0.1\"]", "networks = [\"10.0.0.0/8\"]");
    let text = notes(&folder(&inner));
    for words in [
        "WARNING: destinations.shop.url: PLAIN HTTP",
        "WARNING: destinations.shop.networks: deliveries may reach 10.0.0.0/8",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}
