//! What people get wrong, and what they are told.

use crate::support::{CREATE, Place, text};

/// `credential create` with one value changed.
fn create<'a>(flag: &str, value: &'a str) -> Vec<&'a str> {
    let mut words: Vec<&'a str> = CREATE.to_vec();
    match words.iter().position(|word| *word == flag) {
        Some(at) => words[at + 1] = value,
        None => panic!("{flag} is not given"),
    }
    words
}

#[test]
fn a_refusal_says_what_is_wrong_and_what_to_do() {
    let (place, key_id, secret) = Place::with_credential();
    let out = place.path("out");
    let out = ["--secret-out", out.to_str().unwrap()];
    let expect = |words: &[&str], code: &str, mark: &str| {
        let (found, problem) = place.refusal(words);
        let detail = problem["detail"].as_str().unwrap();
        assert!(found == code && detail.contains(mark), "{words:?}: {problem:#}");
    };
    let made = |flag: &str, value| [create(flag, value), out.to_vec()].concat();
    expect(&made("--scheme", "kwikpaise"), "not_found", "did you mean kwikpaisa?");
    expect(&made("--merchant", "nobody"), "not_found", "no merchant nobody");
    let mut unscoped = made("--name", "x");
    unscoped.drain(10..12);
    expect(&unscoped, "unfit", "scopes are needed");
    let stated = [made("--name", "x"), vec!["--key-id", "pk_stated"]].concat();
    expect(&stated, "exists", "merchants file");
    let taken = [made("--name", "x"), vec!["--key-id", &key_id]].concat();
    expect(&taken, "exists", &key_id);
    let outside = [made("--name", "x"), vec!["--policy", "none"]].concat();
    expect(&outside, "not_found", "no policy none");
    expect(
        &["merchant", "create", "--merchant", "stated", "--name", "S", "--rate", "1/1"],
        "exists",
        "merchants file",
    );
    expect(&["merchant", "show", "nobody"], "not_found", "nobody");
    expect(&["secret", "activate", &key_id, "signing", "1"], "wrong_state", "active");
    expect(&["secret", "activate", &key_id, "signing", "9"], "not_found", "version 9");
    expect(&["chain", "kill", &key_id], "not_found", "no root");
    // A secret that is another's, whoever the other is.
    let same = place.file(secret.as_bytes());
    expect(&["secret", "import", &key_id, "--secret-file", &same], "secret_taken", &key_id);
    assert!(!place.path("out").exists(), "nothing was made");
}

#[test]
fn an_input_of_another_form_is_a_mistake_of_the_command_line() {
    let (place, key_id, _) = Place::with_credential();
    let short = place.file(b"short");
    let mistyped = place.file(b"csh_test_0000000000000000000000000000000000000000000abcdef");
    let binary = place.file(&[0xff; 32]);
    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (vec!["merchant", "create", "--name", "x", "--rate", "fast"], 2, "50/100"),
        (vec!["merchant", "create", "--name", "x\ny", "--rate", "1/1"], 2, "one line"),
        (vec!["merchant", "create", "--name", "x"], 2, "--rate"),
        (
            vec!["merchant", "create", "--name", "x", "--rate", "1/1", "--colour", "red"],
            2,
            "colour",
        ),
        (vec!["credential", "update", &key_id, "--address", "10.0.0.1/8"], 2, "host bits"),
        (vec!["credential", "update", &key_id, "--expires-at", "tomorrow"], 2, "offset"),
        (vec!["credential", "update", &key_id, "--scope", "orders"], 2, "POST /v1/orders"),
        (vec!["credential", "update", &key_id, "--rate", "1/1", "--no-rate"], 2, "--no-rate"),
        (vec!["credential", "update", &key_id, "--no-name"], 2, "--no-name"),
        (vec!["secret", "list"], 2, "KEY_ID"),
        (vec!["secret", "promote", &key_id, "signature", "1"], 2, "value:NAME"),
        (vec!["secret", "promote", &key_id, "signing", "one"], 2, "invalid digit"),
        (vec!["secret", "import", &key_id, "--secret-file", &short], 2, "at least 16 bytes"),
        (vec!["secret", "import", &key_id, "--secret-file", &mistyped], 2, "mistyped or cut"),
        (vec!["secret", "import", &key_id, "--secret-file", &binary], 1, "--secret-encoding"),
        (vec!["secret", "import", &key_id, "--secret-file", "/none"], 1, "/none"),
        (vec!["secret", "revoke", &key_id, "signing", "1", "--reason", "x"], 2, "--yes"),
        (vec!["policy", "create", "p"], 2, "max_age"),
        (vec!["policy", "create", "p", "--max-age", "1d", "--overlap", "2d"], 2, "overlap"),
        (vec!["chain", "kill", &key_id, "--chain", "xyz", "--yes"], 2, "16 hexadecimal"),
    ];
    for (words, status, mark) in cases {
        let output = place.run(&words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
        assert!(said.contains(mark), "{words:?}: {said}");
        assert!(text(&output.stdout).is_empty(), "{words:?}");
    }
    assert_eq!(place.states(&key_id, "signing"), ["active"]);
}

#[test]
fn without_a_store_the_way_to_one_is_told() {
    let place = Place::new();
    std::fs::remove_file(place.path("state/keys.db")).unwrap();
    let output = place.run(&["merchant", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("countersign master create"), "{}", text(&output.stderr));
    std::fs::write(place.path("gate.toml"), "state = 7\n[keys]\nmaster = {}\n").unwrap();
    let output = place.run(&["merchant", "list"]);
    assert_eq!(output.status.code(), Some(78), "the configuration is wrong");
    assert!(text(&output.stderr).contains("file, env or token"), "{}", text(&output.stderr));
}

#[test]
fn a_row_that_somebody_edited_is_refused_and_reported() {
    let (place, key_id, _) = Place::with_credential();
    let (_, _) = place.secret(&["credential", "rotate", &key_id]);
    place.say(&["secret", "revoke", &key_id, "signing", "1", "--reason", "lost"]);
    let database = rusqlite::Connection::open(place.path("state/keys.db")).unwrap();
    let edit = "UPDATE version SET state = 'retiring' WHERE number = 1";
    assert_eq!(database.execute(edit, []).unwrap(), 1);
    drop(database);
    assert_eq!(place.refusal(&["credential", "show", &key_id]).0, "tampered");
    let report = place.say(&["store", "verify"]);
    assert_eq!(report["good"], false);
    assert!(report["faults"][0].as_str().unwrap().contains("acme"), "{report:#}");
}
