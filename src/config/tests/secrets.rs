//! Secrets: where they may come from, what is refused, and that no message ever shows one.

use super::*;
use crate::secret::text;

const SECRET_LINE: &str = "secrets = [{ list = \"secrets.txt\" }]";

fn folder(secrets: &str) -> Folder {
    Folder::with(MAIN, &change(MERCHANTS, SECRET_LINE, secrets))
}

fn check(folder: &Folder, words: &str) {
    let faults = folder.faults();
    assert_eq!(faults.iter().count(), 1, "{faults}");
    assert!(faults.to_string().contains(words), "{words:?} is not in\n{faults}");
}

#[test]
fn what_a_secret_may_not_be() {
    let cases = [
        ("secrets = []", "has 1 to 4 secrets; here are 0"),
        ("secrets = [{}]", "names one of file, list or env"),
        ("secrets = [{ file = \"a\", env = \"B\" }]", "one source, here are file and env"),
        ("secrets = [{ file = \"none\" }]", "No such file"),
        ("secrets = [{ file = \".\" }]", "not a regular file"),
        ("secrets = [{ env = \"UNSET\" }]", "a variable that is set, found \"UNSET\""),
        (
            "secrets = [{ env = \"SHORT_SECRET\" }]",
            "secret of pk_acme cannot be used: a secret has at",
        ),
        ("secrets = [{ list = \"secrets.txt\", id = \"who\" }]", "a line for the id \"who\""),
        ("secrets = [{ env = \"ACME_SECRET\", id = \"who\" }]", "an id belongs to a list"),
        ("secrets = [{ env = \"ACME_SECRET\", state = \"activ\" }]", "did you mean \"active\"?"),
        ("secrets = [{ env = \"ACME_SECRET\", state = \"pending\" }]", "no secret is active"),
        (
            "secrets = [{ env = \"ACME_SECRET\", state = \"retiring\" }]",
            "needs the end of its time",
        ),
        (
            "secrets = [{ env = \"ACME_SECRET\", until = \"2030-01-01T00:00:00.25Z\" }]",
            "whole seconds",
        ),
        ("secrets = [{ env = \"ACME_SECRET\" }, { list = \"secrets.txt\" }]", "here are 2"),
        (
            "secrets = [{ env = \"ACME_SECRET\" }, { env = \"ACME_SECRET\", state = \"pending\" }]",
            "has the same bytes as one of pk_acme (",
        ),
    ];
    for (secrets, words) in cases {
        check(&folder(secrets), words);
    }
    assert!(
        folder("suspended = true\nsecrets = [{ list = \"secrets.txt\", state = \"pending\" }]")
            .load()
            .is_ok()
    );
}

#[test]
fn at_most_two_retire() {
    let retiring = |n: u8| {
        format!("{{ file = \"s{n}\", state = \"retiring\", until = 2030-01-01T00:00:00Z }}")
    };
    let folder = folder(&format!(
        "secrets = [{{ list = \"secrets.txt\" }}, {}, {}, {}]",
        retiring(1),
        retiring(2),
        retiring(3)
    ));
    for n in 1..=3 {
        folder.write(&format!("s{n}"), &format!("a-retiring-secret-{n}"));
    }
    check(&folder, "at most 2 secrets retire at a time; here are 3");
}

#[test]
fn equal_secrets_of_two_credentials_do_not_load() {
    let other = "[merchants.bolt]\nrate = { per_second = 1, burst = 1 }\n\
        [merchants.bolt.credentials.pk_bolt]\nenvironment = \"test\"\nscheme = \"countersign-v1\"\n\
        secrets = [{ list = \"secrets.txt\", id = \"pk_acme\" }]\n";
    let folder = Folder::with(MAIN, &format!("{MERCHANTS}{other}"));
    let text = folder.faults().to_string();
    assert!(
        text.contains("this secret of pk_bolt has the same bytes as one of pk_acme ("),
        "{text}"
    );
    assert!(text.contains("merchants.toml:7)") && text.contains("merchants.toml:13:"), "{text}");
}

#[test]
fn secret_files_that_others_can_reach_are_refused() {
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o644, false),
        (0o660, false),
        (0o602, false),
    ] {
        let folder = Folder::new();
        folder.set_mode("secrets.txt", mode);
        match good {
            true => assert!(folder.load().is_ok(), "{mode:o}"),
            false => check(&folder, "run: chmod g-w,o-rwx '"),
        }
    }
}

#[test]
fn faults_of_a_list_have_its_lines() {
    let folder = Folder::new();
    folder.write(
        "secrets.txt",
        "pk_acme acme-secret-0123456789\n\nalone-marker\n\
         pk_acme twice-marker-0123456789\nx trailing-marker \n",
    );
    let faults = folder.faults();
    let places: Vec<_> =
        faults.iter().map(|fault| (fault.line.unwrap(), fault.source.is_some())).collect();
    assert_eq!(places, [(3, false), (4, false), (5, false)], "{faults}");
    let text = faults.to_string();
    assert!(
        text.contains("the id \"pk_acme\" stands in this list twice") && !text.contains("marker"),
        "{text}"
    );
}

#[test]
fn no_message_shows_a_secret() {
    const MARKER: &str = "PLANTED-hunter2-0123456789";
    let literals = [
        format!("secrets = [\"{MARKER}\"]"),
        format!("secrets = \"{MARKER}\""),
        format!("secrets = {{ value = \"{MARKER}\" }}"),
        format!("secrets = [{{ value = \"{MARKER}\" }}]"),
        format!("secrets = [{{ list = \"secrets.txt\", value = \"{MARKER}\" }}]"),
        format!("secrets = [{{ env = \"{MARKER}\" }}]"),
        format!("secrets = [{{ list = \"secrets.txt\", stat = \"active\" }}, \"{MARKER}\"]"),
        format!("secrets = [\"{MARKER}\", 5, [\"{MARKER}\"]]"),
        format!("secret = \"{MARKER}\"\n{SECRET_LINE}"),
        format!("{SECRET_LINE} # {MARKER}\nx = 1 # {MARKER}"),
        format!("secrets = [\n'''\n{MARKER}\n''' , 7]"),
        format!("secrets = [\"{MARKER}]"),
        format!("secrets = [{MARKER}]"),
        format!("secrets = \"{MARKER}"),
        format!("secrets = [\"{MARKER}\"]\nsecrets = [\"{MARKER}\"]"),
        format!("rate = \"{MARKER}\"\n{SECRET_LINE}"),
        format!("scopes = [\"* /v1/*\"], secrets = [\"{MARKER}\"]"),
        format!("secrets =\n\"{MARKER}\""),
        format!("secrets =\n{MARKER} = 1"),
        format!("scheme = [\n\"a\"\nsecrets = [{{}}], \"{MARKER}\" ]"),
        format!("{SECRET_LINE}\nrate = {{ per_second = 0, burst = 1, burst = \"{MARKER}\" }}"),
        format!("[merchants.acme.credentials]\npk_b = \"{MARKER}\""),
    ];
    for literal in literals {
        let folder = folder(&literal);
        let faults = folder.faults();
        let shown = format!("{faults}\n{faults:?}\n{}", serde_json::to_string(&faults).unwrap());
        assert!(!shown.contains("hunter2"), "{literal} gave\n{shown}");
    }
    let text = folder(&format!("secrets = [\"{MARKER}\"]")).faults().to_string();
    assert!(
        text.contains("secrets = [‹not shown›]") && text.contains("a literal secret is refused"),
        "{text}"
    );
}

#[test]
fn nothing_that_loads_shows_a_secret() {
    let folder = folder(
        "secrets = [{ list = \"secrets.txt\" }, { env = \"ACME_SECRET\", state = \"pending\" }]",
    );
    let (config, notes) = folder.load().unwrap();
    let shown = format!("{config:?} {notes:?} {}", serde_json::to_string(&notes).unwrap());
    assert!(!shown.contains("env-marker") && !shown.contains("acme-secret"));
    for bad in [
        "secrets = [{ env = \"SHORT_SECRET\" }]",
        "secrets = [{ env = \"ACME_SECRET\", id = \"a\" }]",
    ] {
        let faults = self::folder(bad).faults();
        assert!(!format!("{faults} {faults:?}").contains("env-marker"));
    }
}

/// The credential is a live one.
#[test]
fn texts_of_our_own_are_checked_without_showing_them() {
    let made = |secret: Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    let good = made(text::secret(true, &[7; 32]));
    let mut mistyped = good.clone();
    mistyped.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    let cases = [
        (mistyped, "looks like a live secret, but is mistyped or cut"),
        (good[..40].to_owned(), "looks like a live secret, but is mistyped or cut"),
        (format!("{good} "), "looks like a live secret, but is mistyped or cut"),
        (good[4..].to_owned(), "looks like a live secret, but is mistyped or cut"),
        (made(text::secret(false, &[7; 32])), "is a test secret, and test and live never mix"),
        (made(text::api_token(&[7; 32])), "is an API token, which does not sign"),
        (text::key_id(true, &[7; 10]), "is a live key id, which does not sign"),
    ];
    let folder = folder("secrets = [{ file = \"own\" }]");
    for (secret, words) in cases {
        folder.write("own", &secret);
        check(&folder, &format!("the secret of pk_acme cannot be used: it {words}"));
        let shown = folder.faults().to_string();
        assert!(!shown.contains(&secret[12..]), "{shown}");
    }
    folder.write("own", &good);
    assert!(folder.load().is_ok());
    // What a partner brings is not ours to judge.
    folder.write("own", "csh-live-0123456789abcdefghijklmnopqrstuvwxyz");
    assert!(folder.load().is_ok());
}
