//! Every documented message, by the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/envelopes")
}

/// The files, with the keys in them written as keys: no private key is in the tree, be it a sample.
fn files(scratch: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("SAMPLE KEY---", "PRIVATE KEY---");
        let copy = scratch.join(path.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        files.push(copy);
    }
    files.sort();
    files
}

#[test]
fn every_documented_message_gives_what_it_says() {
    let scratch = tempfile::tempdir().unwrap();
    let files = files(scratch.path());
    assert_eq!(files.len(), 30);
    let output = program().args(["envelope", "test"]).args(&files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let bad: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok")).collect();
    assert_eq!(bad, ["266 hold, 0 do not"]);
    assert!(output.status.success());
}

#[test]
fn a_message_that_does_not_hold_is_told() {
    let text = fs::read_to_string(folder().join("juicyway.json")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let altered = scratch.path().join("juicyway.json");
    fs::write(&altered, text.replace("4111111111111111", "4111111111111112")).unwrap();
    let output = program().args(["envelope", "test", "--json"]).arg(&altered).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["found"], "opens to another text");
    assert_eq!(first["holds"], false);
}

#[test]
fn an_envelope_of_ones_own_is_read_from_a_file() {
    let scratch = tempfile::tempdir().unwrap();
    let own = scratch.path().join("own.toml");
    let juicyway = concat!(env!("CARGO_MANIFEST_DIR"), "/config/envelopes/juicyway.toml");
    fs::write(&own, fs::read_to_string(juicyway).unwrap().replace("juicyway", "mine")).unwrap();
    let message = scratch.path().join("mine.json");
    let text = fs::read_to_string(folder().join("juicyway.json")).unwrap();
    fs::write(&message, text.replace("\"juicyway\"", "\"mine\"")).unwrap();
    let test = |envelopes: &[&str]| {
        let mut command = program();
        command.args(["envelope", "test"]).args(envelopes).arg(&message);
        command.output().unwrap()
    };
    assert!(test(&["--envelopes", own.to_str().unwrap()]).status.success());
    let without = test(&[]);
    assert_eq!(without.status.code(), Some(1));
    let told = String::from_utf8(without.stdout).unwrap();
    assert!(told.starts_with("FAIL  mine: envelope: expected is known, found is not known\n"));
}

#[test]
fn what_is_sealed_by_hand_opens_by_hand() {
    let scratch = tempfile::tempdir().unwrap();
    let (secret, sealed) = (scratch.path().join("secret"), scratch.path().join("sealed"));
    fs::write(&secret, "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92\n").unwrap();
    let seal = |text: &'static [u8]| {
        let mut child = program()
            .args(["envelope", "seal", "paykun", "--secret-file"])
            .arg(&secret)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = seal("amount::10.00;name::Zoë".as_bytes());
    assert!(output.stdout.starts_with(b"encrypted_request="));
    fs::write(&sealed, &output.stdout).unwrap();
    let open = |file: &PathBuf| {
        let mut command = program();
        command.args(["envelope", "open", "paykun", "--secret-file"]).arg(&secret);
        command.arg("--message").arg(file).output().unwrap()
    };
    assert_eq!(open(&sealed).stdout, "amount::10.00;name::Zoë".as_bytes());
    fs::write(&sealed, "encrypted_request=e30%3D").unwrap();
    let refused = open(&sealed);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stderr, b"countersign: the sealed body cannot be opened\n");
    assert!(refused.stdout.is_empty());
}

#[test]
fn mistakes_are_shown_at_their_places_all_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let own = scratch.path().join("own.toml");
    fs::write(
        &own,
        "[mine]\ncipher = \"aes-265-cbc\"\nkey = \"{secret | shaa256}\"\nvi = \"{body}\"\n\
         data = \"{body | unhex}\"\n",
    )
    .unwrap();
    let output = program().args(["envelope", "list", "--envelopes"]).arg(&own).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    for expected in ["own.toml:2", "aes-256-cbc", "own.toml:3", "sha256", "own.toml:4"] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
}
