//! Secrets are shown once, to whoever is to have them, and stand in clear nowhere else.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{CREATE, Place, everything_in, good, text};

#[test]
fn a_secret_is_shown_to_a_terminal_or_a_new_file_and_to_nothing_else() {
    let (place, key_id, first) = Place::with_credential();
    // Standard output is a pipe here.
    let refused = place.run(&["credential", "rotate", &key_id]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--secret-out FILE"), "{}", text(&refused.stderr));
    assert_eq!(place.states(&key_id, "signing"), ["active"], "before anything is made");
    let there = place.file(b"already here");
    let refused = place.run(&["credential", "rotate", &key_id, "--secret-out", &there]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read(&there).unwrap(), b"already here");
    assert_eq!(place.states(&key_id, "signing"), ["active"]);
    let new = place.path("new");
    let out = new.to_str().unwrap();
    let rotated = place.run(&["credential", "rotate", &key_id, "--secret-out", out]);
    let secret = std::fs::read_to_string(&new).unwrap();
    assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!good(&rotated).contains(secret.trim()) && secret.trim() != first);
    // A refusal leaves no file behind.
    let other = place.path("other");
    let out = other.to_str().unwrap();
    good(&place.run(&["credential", "rotate", &key_id, "--secret-out", out]));
    std::fs::remove_file(&other).unwrap();
    let refused = place.run(&["credential", "rotate", &key_id, "--secret-out", out]);
    assert!(text(&refused.stderr).contains("(slots_full)"), "{}", text(&refused.stderr));
    assert!(!other.exists());
}

#[test]
fn a_secret_stands_in_clear_nowhere() {
    let (place, key_id, made) = Place::with_credential();
    let marker = "a-marker-that-nothing-else-has-in-it";
    let file = place.file(marker.as_bytes());
    let imported = place.run(&["secret", "import", &key_id, "--secret-file", &file]);
    let mut told = [imported.stdout, imported.stderr].concat();
    for words in [
        &["secret", "list", &key_id][..],
        &["credential", "show", &key_id],
        &["audit", "list", "--json"],
        &["inventory", "--json"],
        &["store", "verify", "--json"],
    ] {
        let output = place.run(words);
        told.extend([output.stdout, output.stderr].concat());
    }
    told.extend(everything_in(&place.path("state")));
    for secret in [marker, &made] {
        let found = told.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
}

#[test]
fn a_call_that_is_repeated_makes_nothing_twice() {
    let (place, key_id, _) = Place::with_credential();
    let merchant = ["merchant", "create", "--name", "B", "--rate", "1/1", "--idempotency-key", "k"];
    let first = place.say(&merchant);
    assert_eq!(place.say(&merchant), first);
    assert_eq!(place.say(&["merchant", "list"])["items"].as_array().unwrap().len(), 2);
    let mut other = merchant;
    other[3] = "C";
    assert_eq!(place.refusal(&other).0, "key_reused");
    // The answer was lost: the secret of a version that waits is made anew.
    let waiting = ["credential", "rotate", &key_id, "--cutover", "24h", "--idempotency-key", "r1"];
    let (one, lost) = place.secret(&waiting);
    let (two, found) = place.secret(&waiting);
    assert_ne!(lost, found);
    assert_eq!((&one["version"], &two["version"]), (&2.into(), &3.into()));
    assert_eq!(place.states(&key_id, "signing"), ["active", "destroyed", "pending"]);
    place.say(&["secret", "activate", &key_id, "signing", "3"]);
    // It is in use by now: it is neither made again nor shown again.
    let out = place.path("third");
    let again = [&waiting[..], &["--secret-out", out.to_str().unwrap()]].concat();
    assert_eq!(place.say(&again)["state"], "active");
    assert!(!out.exists());
    assert_eq!(place.states(&key_id, "signing"), ["retiring", "destroyed", "active"]);
    // A version that is made pending is made anew in the same way.
    let pending = ["secret", "generate", &key_id, "--idempotency-key", "g1"];
    let (one, lost) = place.secret(&pending);
    let (two, found) = place.secret(&pending);
    assert!(one["version"] == 4 && two["version"] == 5 && lost != found);
    let states = ["retiring", "destroyed", "active", "destroyed", "pending"];
    assert_eq!(place.states(&key_id, "signing"), states);
    let create = [&CREATE[..], &["--idempotency-key", "c1"]].concat();
    let (made, _) = place.secret(&create);
    let out = place.path("fourth");
    let again = [&create[..], &["--secret-out", out.to_str().unwrap()]].concat();
    assert_eq!(place.say(&again)["key_id"], made["key_id"]);
    assert_eq!(place.say(&["credential", "list"])["items"].as_array().unwrap().len(), 2);
}
