//! Whose secrets verify, and the values beside them.

use super::*;
use crate::clock::Timestamp;

const SECRETS: &str = "secrets = [{ file = \"fiuu.txt\" }]";

fn with(secrets: &str) -> Folder {
    folder(&change(OWN, SECRETS, secrets))
}

#[test]
fn own_secrets_have_numbers_and_times() {
    let folder = with(
        "secrets = [{ file = \"fiuu.txt\", until = \"2030-01-01T00:00:00Z\" },\n\
         { file = \"next.txt\", from = 2029-12-01T00:00:00Z }]",
    );
    let (config, _) = loaded(&folder);
    let SourceKeys::Own(keys) = &config.sources[0].keys else { panic!("its own") };
    let told: Vec<_> = keys.iter().map(|one| (one.number, one.from, one.until)).collect();
    let (first, last) = (Timestamp::from_secs(0), Timestamp::MAX);
    let (from, until) = (1_890_777_600, 1_893_456_000);
    assert_eq!(
        told,
        [(1, first, Timestamp::from_secs(until)), (2, Timestamp::from_secs(from), last)]
    );
    let secrets: Vec<&[u8]> = keys.iter().map(|one| one.key.secret().expose()).collect();
    assert_eq!(secrets, [&b"fiuu-secret-0123456789"[..], b"fiuu-next-0123456789"]);
}

#[test]
fn what_an_own_secret_may_not_be() {
    let cases = [
        ("secrets = []", ".secrets", "has 1 to 4 secrets; here are 0"),
        ("secrets = [{}]", ".secrets[0]", "names one of file, list or env"),
        ("secrets = [\"hunter2-0123456789\"]", ".secrets[0]", "a literal secret is refused"),
        ("secrets = \"hunter2-0123456789\"", ".secrets", "a literal secret is refused"),
        ("secrets = [{ file = \"none\" }]", ".secrets[0].file", "No such file"),
        ("secrets = [{ env = \"UNSET\" }]", ".secrets[0].env", "a variable that is set"),
        ("secrets = [{ env = \"SHORT_SECRET\" }]", ".secrets[0]", "has at least 16 bytes"),
        ("secrets = [{ file = \"fiuu.txt\", state = \"active\" }]", ".secrets[0].state", "unknown"),
        (
            "secrets = [{ file = \"fiuu.txt\", from = \"2030-01-01T00:00:00Z\", \
             until = \"2029-01-01T00:00:00Z\" }]",
            ".secrets[0].until",
            "ends before it begins",
        ),
        ("secrets = [{ file = \"fiuu.txt\", until = \"soon\" }]", ".secrets[0].until", "a time in"),
        (
            "secrets = [{ file = \"fiuu.txt\" }, { file = \"fiuu.txt\" }]",
            ".secrets[1]",
            "stands here twice",
        ),
        ("secrets = [{ list = \"secrets.txt\" }]", ".secrets[0].list", "a line for the id \"own\""),
        ("secrets = [{ file = \"fiuu.txt\" }]\ncredential = \"pk_acme\"", ".credential", "both"),
    ];
    for (secrets, key, words) in cases {
        let folder = with(secrets);
        check(&folder, "own", key, words);
        let shown = folder.faults().to_string();
        assert!(!shown.contains("hunter2") && !shown.contains("env-marker"), "{shown}");
    }
    let folder = with(SECRETS);
    folder.set_mode("fiuu.txt", 0o644);
    check(&folder, "own", ".secrets[0].file", "run: chmod g-w,o-rwx '");
}

#[test]
fn secrets_are_shared_by_sources_and_by_nobody_else() {
    let second = OWN.split("[sources.own]").nth(1).unwrap();
    let second = second.replace("/webhooks/own", "/webhooks/second");
    assert!(folder(&format!("{OWN}[sources.second]{second}")).load().is_ok(), "by two sources");
    let credential = change(MERCHANTS, "{ list = \"secrets.txt\" }", "{ file = \"fiuu.txt\" }");
    let faults = folder_with(&format!("{MAIN}{OWN}"), &credential).faults();
    assert_eq!(faults.iter().count(), 1, "{faults}");
    let words = "secret of pk_acme has the same bytes as one of the source own (";
    assert!(faults.to_string().contains(words), "{faults}");
    // The text of the destination, and what it stands for.
    let shop = with("secrets = [{ file = \"shop.whsec\" }]");
    check(&shop, "own", ".secrets[0]", "has the same bytes as one of the destination shop (");
    let bytes: Vec<u8> = (0..32).collect();
    let decoded = with(SECRETS);
    fs::write(decoded.path("fiuu.txt"), bytes).unwrap();
    check(&decoded, "own", ".secrets[0]", "has the same bytes as one of the destination shop (");
}

#[test]
fn a_credential_signs_by_the_scheme_of_its_source() {
    let merchants =
        MERCHANTS.replace("environment = \"live\"", "environment = \"live\"\nscheme = \"github\"");
    let own = change(OWN, SECRETS, "credential = \"pk_acme\"");
    let good = folder_with(&format!("{MAIN}{own}"), &merchants);
    let (config, notes) = loaded(&good);
    assert!(
        matches!(&config.sources[0].keys, SourceKeys::Credential(id) if id.as_str() == "pk_acme")
    );
    assert!(!notes.contains("is not in the merchants file"), "{notes}");
    assert!(!notes.contains("nobody can use pk_acme"), "no route is needed: {notes}");
    let other = folder_with(&format!("{MAIN}{own}"), MERCHANTS);
    check(&other, "own", ".credential", "signs by kwikpaisa, and messages here are signed by");
    let absent = own.replace("pk_acme", "pk_stored");
    let (_, notes) = loaded(&folder_with(&format!("{MAIN}{absent}"), MERCHANTS));
    let words = "WARNING: sources.own.credential: pk_stored is not in the merchants file";
    assert!(notes.contains(words) && notes.contains("503 no_keys"), "{notes}");
    let bad = own.replace("pk_acme", "");
    check(&folder(&bad), "own", ".credential", "the key id of a credential");
}

#[test]
fn values_are_those_that_are_read() {
    const VALUES: &str =
        "values = { verify_key = { file = \"verify.txt\" }, domain = { file = \"domain.txt\" } }";
    let with = |values: &str| folder(&change(WEBHOOKS, VALUES, values));
    check(&with(""), "fiuu", ".values", "read `domain` or `verify_key` beside the secret");
    let one = with("values = { domain = { file = \"domain.txt\" } }");
    check(&one, "fiuu", ".values", "read `verify_key` beside the secret");
    let more = VALUES.replace("domain =", "x = { file = \"domain.txt\" }, domain =");
    check(&with(&more), "fiuu", ".values.x", "and no such value");
    let literal = with("values = { verify_key = \"hunter2\", domain = { file = \"domain.txt\" } }");
    check(&literal, "fiuu", ".values.verify_key", "expected a table");
    assert!(!literal.faults().to_string().contains("hunter2"));
    check(&with("values = \"hunter2\""), "fiuu", ".values", "expected a table of names");
    // Nobody is asked, and nothing is wanted for it.
    let own = change(OWN, SECRETS, &format!("{SECRETS}\n{VALUES}"));
    let faults = folder(&own).faults();
    assert_eq!(faults.iter().count(), 2, "{faults}");
    assert!(faults.to_string().contains("scheme and profile read no further values"));
}
